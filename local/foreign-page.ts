import type { MiddlewareHandler } from "hono";

const LOOPBACK = ["127.0.0.1", "localhost", "[::1]"];

/**
 * Refuses what a page of another site makes a browser send: what is local asks for no key. `Host` is looked at too, since a
 * site may give its own name the address of this machine. `servedAt`: where it is found, when that is not on loopback.
 */
export function refuseForeignPages(servedAt?: string): MiddlewareHandler {
  const hosts = new Set([
    ...LOOPBACK,
    ...(servedAt === undefined ? [] : [new URL(servedAt).hostname]),
  ]);
  return async (c, next) => {
    const { origin: own, hostname } = new URL(c.req.url);
    const origin = c.req.header("origin") ?? own;
    const site = c.req.header("sec-fetch-site") ?? "none";
    if (origin !== own || !["none", "same-origin"].includes(site) || !hosts.has(hostname))
      return c.json({ code: "forbidden", detail: "this is not for pages of other sites" }, 403);
    return next();
  };
}
