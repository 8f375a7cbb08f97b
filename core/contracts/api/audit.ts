import { z } from "@hono/zod-openapi";
import { anyIdIn } from "#core/ids.ts";
import { Instant } from "#core/contracts/values.ts";
import { OrderedPageQuery, pageOf } from "./page.ts";
import { QueryInstant } from "./values.ts";

export const AuditQuery = OrderedPageQuery.extend({
  subject: anyIdIn
    .optional()
    .openapi({ param: { description: "The id of what was changed, of whatever kind." } }),
  actor: z
    .string()
    .regex(/^[A-Za-z0-9_:.-]{1,200}$/)
    .optional()
    .openapi({
      param: {
        description:
          "Who changed it: the id of an account or a host, Stripe's of an event, or the name of a job.",
      },
    }),
  from: QueryInstant.optional().openapi({ param: { description: "From when on." } }),
  to: QueryInstant.optional().openapi({ param: { description: "Until when; not included." } }),
});

const AuditActor = z
  .object({
    kind: z.enum(["account", "staff", "agent", "provider", "system"]).openapi("AuditActorKind"),
    id: z.string(),
  })
  .openapi("AuditActor");

const AuditSubject = z
  .object({
    kind: z.string().openapi({ example: "vm", description: "A word; more of them may come." }),
    id: z.string(),
  })
  .openapi("AuditSubject");

const AuditEntry = z
  .object({
    id: z.uuid(),
    at: Instant,
    actor: AuditActor,
    action: z.string().openapi({ example: "vm.request_action" }),
    subject: AuditSubject,
    detail: z
      .record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]))
      .openapi("AuditDetail", { description: "Facts of this action; never bodies or secrets." }),
  })
  .openapi("AuditEntry");
export type AuditEntryView = z.infer<typeof AuditEntry>;
export const AuditDetail = AuditEntry.shape.detail;

export const AuditPage = pageOf("AuditPage", AuditEntry);
