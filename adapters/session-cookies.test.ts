import { createHmac } from "node:crypto";
import { describe, expect, it } from "vitest";
import { createSessionCookies } from "./session-cookies.ts";

const SECRET = "a secret of the tests, long enough to sign with";
const TOKEN = "tKn.with-dots_andMore";
const NAME = "berth.session_token";

const sign = (token: string, secret = SECRET) =>
  `${token}.${createHmac("sha256", secret).update(token).digest("base64")}`;
const told = (cookie: string | null, secure = false) =>
  createSessionCookies({ secret: SECRET, secure }).tokenIn(
    new Headers(cookie === null ? {} : { cookie }),
  );

describe("the session's cookie", () => {
  it.each([
    [`${NAME}=${encodeURIComponent(sign(TOKEN))}`],
    [`theme=dark; ${NAME}=${encodeURIComponent(sign(TOKEN))}; lang=en`],
  ])("is its token when we signed it: %s", async (cookie) => {
    expect(await told(cookie)).toEqual({ kind: "token", token: TOKEN });
  });

  it.each([null, "", "theme=dark", "berth.two_factor=x.y", "xberth.session_token=a.b"])(
    "is none where there is none: %s",
    async (cookie) => {
      expect(await told(cookie)).toEqual({ kind: "none" });
    },
  );

  it.each([
    ["no signature", TOKEN.replaceAll(".", "")],
    ["a signature of another length", `${TOKEN}.c2hvcnQ=`],
    ["another's secret", sign(TOKEN, "somebody else's secret, long enough")],
    ["another token's signature", sign(TOKEN).replace("tKn", "tKm")],
    ["no token", sign("").slice(1)],
    ["nothing", ""],
  ])("is forged with %s", async (_what, value) => {
    expect(await told(`${NAME}=${encodeURIComponent(value)}`)).toEqual({ kind: "forged" });
  });

  it("(4b B5) has the prefix of HTTPS and one host in production, where a cookie without it counts for nothing, and the other way round", async () => {
    const value = encodeURIComponent(sign(TOKEN));
    expect(await told(`__Host-${NAME}=${value}`, true)).toEqual({ kind: "token", token: TOKEN });
    expect(await told(`${NAME}=${value}`, true)).toEqual({ kind: "none" });
    expect(await told(`__Host-${NAME}=${value}`)).toEqual({ kind: "none" });
  });
});
