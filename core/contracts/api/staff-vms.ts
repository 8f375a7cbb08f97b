import { z } from "@hono/zod-openapi";
import { CHANGE_MONEY } from "#core/billing/change-money.ts";
import { CHANGE_OUTCOMES, TURN_BACKS } from "#core/billing/plan-change.ts";
import { use } from "#core/contracts/named.ts";
import { Instant } from "#core/contracts/values.ts";
import { idIn, idOut } from "#core/ids.ts";
import { CHANGE_MACHINE } from "#core/vms/change-machine.ts";
import { FindingView } from "./findings.ts";
import { FORCED, ForcedView } from "./forced.ts";
import { MoveView, WaitsForView } from "./moves.ts";
import { OrderedPageQuery, pageOf, sortBy } from "./page.ts";
import { ChangeBilling, ChangeOrder, ChangeWhen, ResizeMethod } from "./resizes.ts";
import { ActionView, VmView } from "./vms.ts";

/* A VM as staff look at it: how it stands, and why. */

const PlanBought = z.object({ planId: idOut("plan"), planVersion: z.int() }).openapi("PlanBought");

const StaffAction = z
  .object({
    ...ActionView.shape,
    waitsFor: use(WaitsForView)
      .nullable()
      .openapi({ description: "What it waits for; null: it has ended." }),
  })
  .openapi("StaffAction");

const PlanChangeView = z
  .object({
    actionId: idOut("action"),
    quoteId: idOut("quote"),
    from: use(PlanBought),
    to: use(PlanBought),
    when: use(ChangeWhen),
    billing: use(ChangeBilling),
    order: use(ChangeOrder),
    method: use(ResizeMethod),
    money: z.enum(CHANGE_MONEY).openapi("ChangeMoney", {
      description:
        "`asking`, `dropping` and `undoing`: the provider was asked, and its answer is not known yet, or the money is on its way.",
    }),
    machine: z.enum(CHANGE_MACHINE).openapi("ChangeMachine", {
      description:
        "`applying` and `reverting`: its host was told, and has not shown that size yet.",
    }),
    turnedBack: z.enum(TURN_BACKS).nullable().openapi("TurnBack", {
      description: "Why it goes back, or went; null: it does not.",
    }),
    outcome: z.enum(CHANGE_OUTCOMES).nullable().openapi("ChangeOutcome", {
      description: "null: it is under way, or waits.",
    }),
    invoiceId: z.string().nullable().openapi({ description: "The provider's, of the difference." }),
    payBy: Instant.nullable(),
    seeBy: Instant.nullable(),
    appliesAt: Instant,
    createdAt: Instant,
    endedAt: Instant.nullable(),
  })
  .openapi("PlanChange");
export type PlanChangeView = z.infer<typeof PlanChangeView>;

export const StaffVmView = z
  .object({
    ...VmView.shape,
    lastError: z
      .object({
        code: z.string(),
        detail: z.string(),
        since: Instant,
        times: z
          .int()
          .openapi({ description: "In how many reports of its host, without a break." }),
      })
      .nullable()
      .openapi("StaffVmError", {
        description:
          "Why it is not as it should be, in its host's own words; null: nothing is amiss.",
      }),
    host: z
      .object({
        id: idOut("host"),
        name: z.string(),
        lastSeenAt: Instant.nullable(),
        silentSince: Instant.nullable().openapi({
          description: "When it was last heard of, if that is five minutes ago or longer.",
        }),
      })
      .openapi("HostOfVm"),
    generation: z
      .object({ wanted: z.int(), seen: z.int() })
      .openapi("VmGenerations", { description: "`seen`: its host's last word is about that one." }),
    ownerEpoch: z.int(),
    observedAt: Instant.nullable(),
    deletedAt: Instant.nullable(),
    actions: z.array(use(StaffAction)).openapi({ description: "The newest 20." }),
    planChanges: z.array(use(PlanChangeView)).openapi({
      description:
        "What was changed of what was bought, the newest 20: where money and machine are.",
    }),
    moves: z.array(use(MoveView)).openapi({ description: "From host to host, the newest 5." }),
    findings: z.array(use(FindingView)).openapi({ description: "What is amiss with it now." }),
  })
  .openapi("StaffVm");
export type StaffVmView = z.infer<typeof StaffVmView>;

export const StaffVmQuery = OrderedPageQuery.extend({
  accountId: idIn("account").optional(),
  hostId: idIn("host").optional(),
  locationId: idIn("location").optional(),
  planId: idIn("plan").optional(),
  presence: z
    .enum(["here", "lost", "gone", "any"])
    .openapi("VmPresence")
    .default("here")
    .openapi({
      param: {
        description:
          "`here`: not gone; `lost`: its host says that it is not there, though it should be; `gone`: it was deleted.",
      },
    }),
  sort: sortBy(["createdAt", "hostname"], "-createdAt"),
});
export const StaffVmPage = pageOf(
  "StaffVmPage",
  z
    .object({
      ...VmView.shape,
      accountId: idOut("account"),
      hostId: idOut("host"),
      deletedAt: Instant.nullable(),
    })
    .openapi("ListedVm"),
);

export const StaffActionQuery = OrderedPageQuery.extend({
  vmId: idIn("vm").optional(),
  status: ActionView.shape.status.optional(),
  type: ActionView.shape.type.optional(),
  sort: sortBy(["startedAt"], "-startedAt"),
});
export const StaffActionPage = pageOf("ActionPage", ActionView);

export const CallOffAction = z
  .strictObject({
    ...FORCED,
    abandon: z.boolean().default(false).openapi({
      description: "Give it up also when its host may have begun it; it then ends as `abandoned`.",
    }),
  })
  .openapi("CallOffAction");

export const CalledOffView = z
  .object({
    ...ForcedView.shape,
    action: use(ActionView).nullable().openapi({ description: "As it ended; null of a dry run." }),
  })
  .openapi("CalledOff");
