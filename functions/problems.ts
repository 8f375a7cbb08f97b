import type { Context } from "hono";
import type { z } from "@hono/zod-openapi";
import {
  Problem,
  PROBLEM_TYPE,
  problemDocument,
  STATUS_BY_CODE,
  type ProblemCode,
} from "#core/contracts/problem.ts";
import type { Refusal, Result } from "#core/result.ts";

/** A refusal on its way to the client. The app's error handler turns it into a problem document. */
export class ProblemError extends Error {
  override name = "ProblemError";
  readonly code: ProblemCode;
  readonly errors: Problem["errors"];
  readonly retryAfterSeconds: number | undefined;
  constructor(
    code: ProblemCode,
    detail: string,
    errors?: Problem["errors"],
    retryAfterSeconds?: number,
  ) {
    super(detail);
    this.code = code;
    this.errors = errors;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** The value, or the refusal as a problem. A code without a status does not compile. */
export function unwrap<T>(result: Result<T, Refusal<ProblemCode>>): T {
  if (result.ok) return result.value;
  const { code, detail, retryAfterSeconds } = result.error;
  throw new ProblemError(code, detail, undefined, retryAfterSeconds);
}

export function problemResponse(c: Context, problem: ProblemError, requestId: string): Response {
  const body = problemDocument(problem.code, problem.message, requestId, problem.errors);
  return c.body(JSON.stringify(body), STATUS_BY_CODE[problem.code], {
    "content-type": PROBLEM_TYPE,
    ...(problem.retryAfterSeconds === undefined
      ? {}
      : { "retry-after": String(problem.retryAfterSeconds) }),
  });
}

/** A zod error as fields by their paths. */
export const fieldErrors = (error: z.core.$ZodError): NonNullable<Problem["errors"]> =>
  error.issues.slice(0, 20).map((i) => ({
    path: i.path.map(String).join(".") || "(body)",
    message: i.message,
  }));

/** Refusals that say when it is worth asking again. */
const TELLS_WHEN: ReadonlySet<ProblemCode> = new Set<ProblemCode>([
  "busy",
  "newcomers_share_taken",
  "rate_limited",
  "too_many_expired_orders",
  "too_many_unpaid_from_network",
  "too_many_unpaid_orders",
]);
/** The headers of an answer with these codes, for the document. */
export const headersOf = (codes: readonly ProblemCode[]) =>
  codes.some((code) => TELLS_WHEN.has(code)) ? { headers: RETRY_AFTER } : {};
const RETRY_AFTER = {
  "Retry-After": {
    description: "In how many seconds it is worth asking again, where that is known",
    schema: { type: "integer" as const },
  },
};

/**
 * The problem answers of a route, for the OpenAPI document: each status with its codes, for programs as `x-codes`. A
 * route lists what its command refuses; what its guard and the checks of its request answer is added to it
 * (`functions/document.ts`).
 */
export function problems(...codes: readonly ProblemCode[]) {
  const byStatus = new Map<number, ProblemCode[]>();
  for (const code of codes) {
    const status = STATUS_BY_CODE[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, list]) => [
      status,
      {
        description: list.join(", "),
        "x-codes": list,
        ...headersOf(list),
        content: { [PROBLEM_TYPE]: { schema: Problem } },
      },
    ]),
  );
}
