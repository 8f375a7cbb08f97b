import type { MiddlewareHandler } from "hono";
import { etag } from "hono/etag";

/** For what is the same to everybody: it may be kept for so long, and is then asked for again by its ETag. */
export const publicFor = (seconds: number): [MiddlewareHandler, MiddlewareHandler] => [
  etag(),
  async (c, next) => {
    await next();
    if (c.res.status === 200) c.res.headers.set("cache-control", `public, max-age=${seconds}`);
  },
];
