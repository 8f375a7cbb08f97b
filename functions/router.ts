import { OpenAPIHono } from "@hono/zod-openapi";
import type { Env } from "hono";
import { fieldErrors, ProblemError } from "./problems.ts";

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
        "invalid_request",
        first ? `${first.path}: ${first.message}` : "the request does not fit",
        errors,
      );
    },
  });
