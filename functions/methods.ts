import type { Env, Hono } from "hono";
import type { LambdaEvent } from "hono/aws-lambda";

/** What a route can be for; HEAD is answered where GET is. */
const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] as const;

/**
 * Methods that no `Request` can hold (Fetch standard, "forbidden method"): made into one, they throw before any route
 * has seen them.
 */
const FORBIDDEN: ReadonlySet<string> = new Set(["CONNECT", "TRACE", "TRACK"]);

/** The method to put into a `Request`: itself, or one that no route takes, so that the answer is 405 all the same. */
export const heldMethod = (method: string): string =>
  FORBIDDEN.has(method.toUpperCase()) ? `X-${method.toUpperCase()}` : method;

/** A Lambda's event, with a method that a `Request` can hold. */
export function withHeldMethod(event: LambdaEvent): LambdaEvent {
  if ("http" in event.requestContext)
    event.requestContext.http.method = heldMethod(event.requestContext.http.method);
  return event;
}

/** The methods that a path takes, for `Allow`; none when nothing is there. Middleware for every path does not count. */
export const methodsOf = <E extends Env>(app: Hono<E>, path: string): readonly string[] =>
  METHODS.filter((method) => {
    const [handlers] = app.router.match(method === "HEAD" ? "GET" : method, path);
    return handlers.some(([[, route]]) => route.method !== "ALL");
  });
