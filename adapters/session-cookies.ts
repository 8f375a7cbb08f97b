import { parse, parseSigned } from "hono/utils/cookie";
import type { SessionCookies } from "#core/ports.ts";

export const COOKIE_PREFIX = "berth";

/**
 * Reads the cookie that better-auth sets at a log-in: `<token>.<HMAC-SHA-256 of it, base64>`, the form of Hono's signed
 * cookies. `secure`: as in production, with the prefix that browsers accept over HTTPS only.
 */
export function createSessionCookies(options: { secret: string; secure: boolean }): SessionCookies {
  const name = `${options.secure ? "__Secure-" : ""}${COOKIE_PREFIX}.session_token`;
  return {
    tokenIn: async (headers) => {
      const cookies = headers.get("cookie") ?? "";
      if (parse(cookies, name)[name] === undefined) return { kind: "none" };
      const token = (await parseSigned(cookies, options.secret, name))[name];
      return typeof token === "string" ? { kind: "token", token } : { kind: "forged" };
    },
  };
}
