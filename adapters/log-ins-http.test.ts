import { describe, expect, it } from "vitest";
import { isServed, notServed, proofFor, withProblem } from "./log-ins-http.ts";

const asks = (method: string, path: string) =>
  isServed(new Request(`https://api.example.com${path}`, { method }));

describe("what is served", () => {
  it.each([
    ["POST", "/v1/auth/sign-up/email"],
    ["POST", "/v1/auth/sign-in/email"],
    ["POST", "/v1/auth/sign-out"],
    ["GET", "/v1/auth/get-session"],
    ["GET", "/v1/auth/list-sessions"],
    ["POST", "/v1/auth/revoke-session"],
    ["POST", "/v1/auth/revoke-sessions"],
    ["POST", "/v1/auth/revoke-other-sessions"],
    ["POST", "/v1/auth/change-password"],
    ["POST", "/v1/auth/two-factor/enable"],
    ["POST", "/v1/auth/two-factor/disable"],
    ["POST", "/v1/auth/two-factor/verify-totp"],
    ["POST", "/v1/auth/two-factor/generate-backup-codes"],
    ["POST", "/v1/auth/two-factor/verify-backup-code"],
  ])("%s %s", (method, path) => {
    expect(asks(method, path)).toBe(true);
    expect(asks(method, `${path}?a=1`)).toBe(true);
    expect(asks(method === "GET" ? "POST" : "GET", path)).toBe(false);
  });

  it.each([
    "/v1/auth/update-user",
    "/v1/auth/two-factor/get-totp-uri",
    "/v1/auth/request-password-reset",
    "/v1/auth/reset-password",
    "/v1/auth",
    "/v1/authsign-out",
    "/sign-out",
    "/v1/vms/sign-out",
    "/v2/auth/sign-out",
    "/v1/auth/sign-out/",
  ])("and %s is not", (path) => {
    expect(asks("POST", path)).toBe(false);
  });
});

const refused = (status: number, body: unknown, headers: Record<string, string> = {}) =>
  withProblem(new Response(JSON.stringify(body), { status, headers }), "req-1");

describe("an answer of better-auth", () => {
  it.each([200, 204, 302, 399])("with %i stays as it is", async (status) => {
    const answer = new Response(null, { status });
    expect(await withProblem(answer, "req-1")).toBe(answer);
  });

  it.each([
    [400, undefined, 400, "invalid_request"],
    [401, "INVALID_EMAIL_OR_PASSWORD", 401, "unauthenticated"],
    [403, "ACCOUNT_BANNED", 403, "forbidden"],
    [404, undefined, 404, "not_found"],
    [415, undefined, 415, "unsupported_media_type"],
    [422, undefined, 400, "invalid_request"],
    [429, undefined, 429, "rate_limited"],
    [503, "TOO_MANY_LOG_INS", 503, "busy"],
    [500, undefined, 500, "internal"],
    [418, undefined, 500, "internal"],
    [422, "USER_ALREADY_EXISTS", 409, "email_taken"],
    [400, "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL", 409, "email_taken"],
    [422, "FAILED_TO_CREATE_USER", 503, "busy"],
  ])("with %i and %s becomes %i %s", async (status, code, ours, expected) => {
    const answer = await refused(status, { code, message: "why" });
    expect(answer.status).toBe(ours);
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect(await answer.json()).toEqual({
      type: `urn:berth:problem:${expected}`,
      title: expected.replaceAll("_", " "),
      status: ours,
      code: expected,
      detail: "why",
      instance: "req-1",
      ...(code === undefined ? {} : { reason: code.toLowerCase() }),
    });
  });

  it("keeps its headers but the length of what it was, and says when to come again", async () => {
    const answer = await refused(
      429,
      {},
      { "content-length": "2", "x-retry-after": "17", "set-cookie": "a=b" },
    );
    expect(answer.headers.get("retry-after")).toBe("17");
    expect(answer.headers.get("set-cookie")).toBe("a=b");
    expect(answer.headers.get("content-length")).toBeNull();
    expect((await refused(401, {})).headers.get("retry-after")).toBeNull();
  });

  it.each([["a page"], [42], [null], [{ code: 1, message: 2 }]])(
    "that says nothing readable (%j) is told in words of ours",
    async (body) => {
      const answer = await refused(403, body);
      expect(await answer.json()).toMatchObject({
        code: "forbidden",
        detail: "The request was refused.",
      });
    },
  );

  it("that is no JSON is told in words of ours", async () => {
    const answer = await withProblem(new Response("<html>", { status: 401 }), "req-1");
    expect(await answer.json()).toMatchObject({ code: "unauthenticated" });
  });
});

/* 4b B5: a code is needed to turn the second factor off. */
describe("what is asked before a second factor's protection is taken away", () => {
  const proof = (path: string, body: string) =>
    proofFor(
      new Request(`https://api.example.com/v1/auth${path}?a=1`, {
        method: "POST",
        headers: { cookie: "a=b", origin: "https://api.example.com", "content-length": "99" },
        body,
      }),
    );

  it.each([
    ["/two-factor/disable", "123456", "verify-totp"],
    ["/two-factor/disable", "AbCdE-12345", "verify-backup-code"],
    ["/two-factor/generate-backup-codes", "123456", "verify-totp"],
    ["/two-factor/disable", "1234567", "verify-backup-code"],
  ])("%s: whether %s is good, by %s, in the same session", async (path, code, route) => {
    const asked = await proof(path, JSON.stringify({ password: "p", code }));
    expect([asked?.method, asked?.url]).toEqual([
      "POST",
      `https://api.example.com/v1/auth/two-factor/${route}`,
    ]);
    expect([asked?.headers.get("cookie"), asked?.headers.get("content-length")]).toEqual([
      "a=b",
      null,
    ]);
    expect(await asked?.json()).toEqual({ code });
  });

  it.each(["{", "null", "{}", `{"code":1}`])(
    "without a code (%s), whether none is",
    async (body) => {
      expect(await (await proof("/two-factor/disable", body))?.json()).toEqual({ code: "" });
    },
  );

  it("is nothing where nothing is taken away", async () => {
    expect(await proof("/two-factor/enable", "{}")).toBeUndefined();
    expect(await proof("/change-password", "{}")).toBeUndefined();
  });
});

it("what is not served is a problem of its own", async () => {
  const answer = notServed("req-2");
  expect([answer.status, answer.headers.get("content-type")]).toEqual([
    404,
    "application/problem+json",
  ]);
  expect(await answer.json()).toMatchObject({
    code: "not_found",
    detail: "There is no such route.",
    instance: "req-2",
  });
});
