import { OpenAPIHono, z } from "@hono/zod-openapi";
import type { Env } from "hono";
import { PROBLEM_CODES, type ProblemCode } from "#core/contracts/problem.ts";
import { fieldErrors, ProblemError } from "./problems.ts";

const OwnCode = z.object({
  code: z.literal("custom"),
  params: z.object({ code: z.enum(PROBLEM_CODES) }),
});

/** `invalid_request`, unless all that is wrong has one and the same code of its own (`params.code` of its issue). */
function codeOf(error: z.core.$ZodError): ProblemCode {
  const codes = new Set(error.issues.map((issue) => OwnCode.safeParse(issue).data?.params.code));
  const [code] = codes;
  return codes.size === 1 && code !== undefined ? code : "invalid_request";
}

/** A router whose requests are checked by their schemas; what does not fit becomes a problem with its fields. */
export const newRouter = <E extends Env = Env>() =>
  new OpenAPIHono<E>({
    defaultHook: (result, c) => {
      if (result.success) return;
      const errors = fieldErrors(result.error);
      if (result.target === "header" && c.req.header("idempotency-key") === undefined)
        throw new ProblemError(
          "idempotency_key_missing",
          "send an Idempotency-Key header, a new one for each order and the same one for each retry",
          errors,
        );
      const first = errors[0];
      throw new ProblemError(
        codeOf(result.error),
        first ? `${first.path}: ${first.message}` : "the request does not fit",
        errors,
      );
    },
  });
