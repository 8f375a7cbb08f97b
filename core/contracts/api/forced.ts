import { z } from "@hono/zod-openapi";
import { MAX_REASON_LENGTH } from "#core/vms/destroy-request.ts";
import { Label } from "./values.ts";

/* What every force operation of staff takes and answers (ADR 0048). */

/** A dry run, and then the call that carries its hash. */
export const FORCED = {
  dryRun: z
    .boolean()
    .default(false)
    .openapi({ description: "Says what it would do, and does nothing." }),
  hash: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional()
    .openapi({
      description:
        "A dry run's. Without it, or once it would do something else, it is refused as `plan_changed`.",
    }),
};

/** Why; for staff alone. */
export const REASON = {
  reason: Label(MAX_REASON_LENGTH).openapi({
    description: "Why, for staff alone: it stands in the audit log.",
  }),
};

export const ForcedView = z
  .object({
    effects: z.array(z.string()).openapi({ description: "What it comes to, for people." }),
    hash: z.string(),
    done: z.boolean().openapi({ description: "false of a dry run." }),
  })
  .openapi("Forced");
