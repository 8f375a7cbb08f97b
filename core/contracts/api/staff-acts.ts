import { z } from "@hono/zod-openapi";
import { IMPERSONATION_MINUTES } from "#core/accounts/accounts.ts";
import { SUSPENSIONS } from "#core/billing/suspension.ts";
import { use } from "#core/contracts/named.ts";
import { Instant } from "#core/contracts/values.ts";
import { idOut } from "#core/ids.ts";
import { DESTROY_KINDS } from "#core/vms/destroy-request.ts";
import { FORCED, REASON } from "./forced.ts";
import { pageOf } from "./page.ts";

/* What staff do about what a customer bought. */

export const SuspendVm = z
  .strictObject({
    reason: z.enum(SUSPENSIONS).openapi("Suspension", {
      description: "The customer reads it, in words of their own.",
    }),
    note: REASON.reason,
    ...FORCED,
  })
  .openapi("SuspendVm");

export const ExtendEntitlement = z
  .strictObject({ days: z.int().min(1).max(366), ...REASON, ...FORCED })
  .openapi("ExtendEntitlement");

export const KeepFromSuspension = z
  .strictObject({
    until: Instant.nullable().openapi({ description: "null takes the mark away." }),
    ...REASON,
    ...FORCED,
  })
  .openapi("KeepFromSuspension");

const Days = (most: number) => z.int().min(0).max(most);
export const AgreeOnDunning = z
  .strictObject({
    days: z
      .strictObject({
        suspendDays: Days(90).openapi({
          description: "From the reminder, or the end of what is paid, until the VM stops.",
        }),
        terminateDays: Days(365).openapi({ description: "From that until its subscription ends." }),
        deleteDays: Days(365).openapi({
          description: "From that until what is on it is deleted.",
        }),
      })
      .nullable()
      .openapi("DunningDays", { description: "null: as everybody's again." }),
    ...REASON,
    ...FORCED,
  })
  .openapi("AgreeOnDunning");

/** What needs no more than its reason: a cancellation, an account that is closed. */
export const ForcedByReason = z.strictObject({ ...REASON, ...FORCED }).openapi("ForcedByReason");

const DestroyKindName = z.enum(DESTROY_KINDS).openapi("DestroyKind", {
  description: "`give_up` and `recreate` are of a VM that its host has lost, as in `repair`.",
});
export const AskToDestroy = z
  .strictObject({ how: use(DestroyKindName), ...REASON, ...FORCED })
  .openapi("AskToDestroy");
export const ConfirmDestroy = z.strictObject({ ...FORCED }).openapi("ConfirmDestroy");
export const DestroyRequestView = z
  .object({
    id: idOut("destroy_request"),
    vmId: idOut("vm"),
    how: use(DestroyKindName),
    reason: z.string(),
    askedBy: idOut("account"),
    askedAt: Instant,
    expiresAt: Instant,
  })
  .openapi("DestroyRequest");
export const DestroyRequestPage = pageOf("DestroyRequestPage", DestroyRequestView);

export const Impersonate = z
  .strictObject({
    ...REASON,
    minutes: z.int().min(1).max(IMPERSONATION_MINUTES).default(IMPERSONATION_MINUTES),
  })
  .openapi("Impersonate");
export const ImpersonationView = z
  .object({
    cookie: z.string().openapi({
      description: "To be sent as `Cookie`, with an `Origin` of ours. Shown this once.",
    }),
    expiresAt: Instant,
  })
  .openapi("Impersonation");
