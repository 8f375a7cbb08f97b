import { parse, parseSigned, serializeSigned } from "hono/utils/cookie";
import type { SessionCookies } from "#core/ports.ts";

/**
 * What stands before the name of each cookie. `secure`: as in production, with the prefix that browsers take over HTTPS only,
 * for the whole site, and from this very host: no other host of the domain can set such a cookie (RFC 6265bis §4.1.3.2).
 */
export const cookiePrefix = (secure: boolean): string => `${secure ? "__Host-" : ""}berth`;

/**
 * Reads the cookie that better-auth sets at a log-in: `<token>.<HMAC-SHA-256 of it, base64>`, the form of Hono's signed
 * cookies.
 */
export function createSessionCookies(options: { secret: string; secure: boolean }): SessionCookies {
  const name = `${cookiePrefix(options.secure)}.session_token`;
  return {
    cookieOf: async (token) => {
      // Without the attributes: those are a browser's, and nobody sets this one in a browser that is logged in as staff.
      const signed = await serializeSigned(name, token, options.secret);
      return signed.split(";")[0] ?? signed;
    },
    tokenIn: async (headers) => {
      const cookies = headers.get("cookie") ?? "";
      if (parse(cookies, name)[name] === undefined) return { kind: "none" };
      const token = (await parseSigned(cookies, options.secret, name))[name];
      return typeof token === "string" ? { kind: "token", token } : { kind: "forged" };
    },
  };
}
