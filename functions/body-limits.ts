import type { MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { ProblemError } from "./problems.ts";

const KIB = 1024;
export const BODY_LIMIT = 128 * KIB;
/** A report of 2,000 VMs, or 1,000 samples. API Gateway's own limit is 10 MB, Lambda's 6 MB. */
export const AGENT_BODY_LIMIT = 4 * KIB * KIB;

/** Reads no more of a body than this: one that says how long it is, is refused unread. */
export const limitOf = (mostBytes: number): MiddlewareHandler =>
  bodyLimit({
    maxSize: mostBytes,
    onError: () => {
      throw new ProblemError("body_too_large", "the body is larger than this route takes");
    },
  });
