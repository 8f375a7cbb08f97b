import type { z } from "@hono/zod-openapi";
import type { ProblemCode } from "#core/contracts/problem.ts";
import type { Deps } from "#commands/deps.ts";
import { forAccounts } from "#functions/access.ts";
import { OptionalIdempotencyKey } from "#functions/idempotency-key.ts";
import { problems } from "#functions/problems.ts";

/** What the routes share by which staff add something to the product: staff only, a JSON body, 201 with what was made. */
export const adding = <B extends z.ZodType, A extends z.ZodType>(
  deps: Deps,
  about: { operationId: string; summary: string; description?: string },
  shapes: { body: B; answer: A },
  ...codes: readonly ProblemCode[]
) => ({
  ...forAccounts(deps, ["staff"], "staff:write"),
  ...about,
  tags: ["Staff"],
  method: "post" as const,
  request: {
    headers: OptionalIdempotencyKey,
    body: { required: true, content: { "application/json": { schema: shapes.body } } },
  },
  responses: {
    201: { description: "Added", content: { "application/json": { schema: shapes.answer } } },
    ...problems(...codes),
  },
});
