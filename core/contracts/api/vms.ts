import { z } from "@hono/zod-openapi";
import { PlanPrice } from "./catalogue.ts";
import { idIn, idOut } from "#core/ids.ts";
import { ACTION_STEPS, STEP_STATUSES } from "#core/vms/action-steps.ts";
import {
  ACTION_ERROR_CODES,
  ACTION_STATUSES,
  ACTION_TYPES,
  REQUESTABLE_ACTIONS,
} from "#core/vms/action.ts";
import { REPAIR_WAYS } from "#core/vms/plan-repair.ts";
import { DUNNING_STATES } from "#core/billing/dunning.ts";
import { SUSPENSION_REASONS } from "#core/billing/suspension.ts";
import { GUEST_STATES, VM_STATUSES } from "#core/vms/status.ts";
import { REPAIRS, VmSize } from "#core/vms/vm.ts";
import { FORCED } from "./forced.ts";
import { pageOf } from "./page.ts";
import { Label } from "./values.ts";
import { use } from "#core/contracts/named.ts";
import { DesiredPower, Instant, ObservedPower } from "#core/contracts/values.ts";

const ActionError = z
  .object({
    code: z.enum(ACTION_ERROR_CODES).openapi("ActionErrorCode"),
    message: z.string(),
  })
  .openapi("ActionError");

export const ActionView = z
  .object({
    id: idOut("action"),
    vmId: idOut("vm"),
    type: z.enum(ACTION_TYPES).openapi("ActionType"),
    status: z.enum(ACTION_STATUSES).openapi("ActionStatus"),
    progress: z
      .int()
      .min(0)
      .max(100)
      .openapi({ description: "Percent, by the steps that are known to be done." }),
    steps: z
      .array(
        z
          .object({
            name: z.enum(ACTION_STEPS).openapi("ActionStepName"),
            status: z.enum(STEP_STATUSES).openapi("ActionStepStatus"),
            startedAt: Instant.nullable(),
            finishedAt: Instant.nullable(),
          })
          .openapi("ActionStep"),
      )
      .openapi({
        description:
          "In order. `make` and `boot` are a new VM's, those from `reserve` to `commit` a resize's, those from `prepare` to " +
          "`take_over` a move's to other hardware, and `revert` is of both; another action is carried out in one step. A step that is `pending` when the action has ended was never begun.",
      }),
    payUrl: z
      .string()
      .nullable()
      .openapi({
        description:
          "Where its payment is confirmed, or paid with another card, or paid at all where no card is on file, while a resize waits for that; " +
          "null: there is nothing to do.",
      }),
    startedAt: Instant,
    finishedAt: Instant.nullable(),
    error: use(ActionError).nullable(),
  })
  .openapi("Action");
export type ActionView = z.infer<typeof ActionView>;

const Overdue = z
  .object({
    state: z.enum(DUNNING_STATES).openapi("OverdueState", {
      description:
        "`reminded`: it runs, and its owner was told. `suspended`: it is off until it is paid. `terminated`: its subscription has ended; " +
        "what is on it is kept, and `/revive` buys it anew. `begun` and `ending` are on their way to the next.",
    }),
    since: Instant,
    suspendsAt: Instant.nullable().openapi({ description: "When it is stopped; null: it is." }),
    endsAt: Instant.nullable().openapi({
      description: "When its subscription ends, at the earliest; null: it has.",
    }),
    deletesAt: Instant.nullable().openapi({
      description: "When what is on it is deleted, at the earliest.",
    }),
    payUrl: z.string().nullable().openapi({
      description: "Where what is owed is paid; null: nothing that was sent is open.",
    }),
  })
  .openapi("Overdue");

export const Revival = z
  .object({
    checkoutUrl: z.string().openapi({ description: "Where it is bought anew." }),
    expiresAt: Instant.openapi({ description: "Until when it can be paid there." }),
  })
  .openapi("Revival");

export const VmView = z
  .object({
    id: idOut("vm"),
    orderId: idOut("order")
      .nullable()
      .openapi({ description: "The order that led to it; null: it came to be without one." }),
    hostname: z.string(),
    label: z.string().nullable().openapi({ description: "What you call it" }),
    status: z.enum(VM_STATUSES).openapi("VmStatus"),
    lostSince: Instant.nullable().openapi({
      description: "Of a VM that is `lost`: since when its host says that it is not there.",
    }),
    lastError: z
      .object({
        code: z.string().openapi({ description: "Its host's: `vm_missing`, `out_of_disk`, …" }),
        message: z.string(),
      })
      .nullable()
      .openapi("VmError", { description: "Why it is not as it should be; null while nothing is." }),
    power: z
      .object({
        desired: DesiredPower,
        observed: use(ObservedPower).nullable().openapi({ description: "null: not known" }),
      })
      .openapi("VmPower"),
    guest: z.enum(GUEST_STATES).openapi("GuestState", {
      description:
        "Whether the guest itself was seen to be up. `silent`: it ran and said nothing, and was delivered as it is.",
    }),
    suspended: z.array(z.enum(SUSPENSION_REASONS).openapi("SuspensionReason")).openapi({
      description: "Why it may not run; empty when it may. A payment ends `overdue`, and no other.",
    }),
    suspendedBecause: z
      .array(z.string())
      .openapi({ description: "The same in words, in the same order." }),
    lockedBy: idOut("action")
      .nullable()
      .openapi({ description: "The action that runs now; others are refused until it ends." }),
    planId: idOut("plan"),
    planVersion: z.int().openapi({
      description: "Which version of the plan was bought: it stays when the plan changes.",
    }),
    price: use(PlanPrice).nullable().openapi({
      description:
        "What is paid for each interval; null: whoever pays keeps the price, or there is none.",
    }),
    imageId: idOut("image"),
    locationId: idOut("location"),
    size: VmSize,
    addresses: z.array(z.string()),
    entitledUntil: Instant.nullable(),
    cancelled: z
      .boolean()
      .openapi({ description: "It ends with the period that is paid, unless that is taken back." }),
    cancelAt: Instant.nullable().openapi({
      description:
        "When it ends; null while it goes on, or while the payment provider has not said yet.",
    }),
    overdue: use(Overdue).nullable().openapi({
      description:
        "What is owed for it, and what becomes of it if that is not paid; null: nothing.",
    }),
    deleteProtected: z
      .boolean()
      .openapi({ description: "A delete is refused, staff's too, until this is taken off." }),
    createdAt: Instant,
  })
  .openapi("Vm");
export type VmView = z.infer<typeof VmView>;

export const ChangeVm = z
  .strictObject({
    label: Label(100).nullable().optional().openapi({ description: "null takes it away" }),
    deleteProtected: z.boolean().optional().openapi({
      description: "Refused while the VM is to end with its period: take that back first.",
    }),
  })
  .openapi("ChangeVm");

const RequestPower = z
  .strictObject({ type: z.enum(REQUESTABLE_ACTIONS).openapi("RequestableAction") })
  .openapi("RequestPower");
const TakeQuote = z
  .strictObject({
    type: z.literal("resize").openapi("ResizeActionType"),
    quoteId: idIn("quote").openapi({ description: "Of this VM, and yours: it is taken once." }),
  })
  .openapi("TakeQuote");
export const RequestAction = z.union([RequestPower, TakeQuote]).openapi("RequestAction");

export const RequestedAction = z.object({ action: ActionView }).openapi("RequestedAction");

const RepairWayName = z.enum(REPAIR_WAYS).openapi("RepairWay", {
  description:
    "`adopt_disk`: on the disk that lies on its host; `restore_trash`: on the one in its host's trash; `recreate`: made anew, without what was on it; `give_up`: deleted.",
});
export const RepairVm = z
  .strictObject({
    how: use(RepairWayName),
    ...FORCED,
  })
  .openapi("RepairVm");
export const RepairPlanView = z
  .object({ how: use(RepairWayName), effects: z.array(z.string()), hash: z.string() })
  .openapi("RepairPlan");

const HostRepairWayName = z.enum(REPAIRS).openapi("HostRepairWay", {
  description:
    "As of one VM; each VM that its host has lost and nothing is under way of is repaired so.",
});
export const RepairHost = z
  .strictObject({ ...RepairVm.shape, how: use(HostRepairWayName) })
  .openapi("RepairHost");
export const HostRepairView = z
  .object({
    how: use(HostRepairWayName),
    hash: z.string(),
    vms: z.array(
      z
        .object({
          vmId: idOut("vm"),
          hostname: z.string(),
          effects: z.array(z.string()),
          refused: use(
            z.object({ code: z.string(), detail: z.string() }).openapi("RepairRefusal"),
          ).nullable(),
          action: use(ActionView).nullable(),
        })
        .openapi("RepairOfOne"),
    ),
    more: z.boolean().openapi({
      description: "The host has lost other VMs besides: ask again once these are begun.",
    }),
  })
  .openapi("HostRepair");
export type HostRepairView = z.infer<typeof HostRepairView>;

export const InitialPasswordView = z
  .object({
    username: z.string(),
    password: z.string().openapi({ description: "Shown this once, and then erased: change it." }),
  })
  .openapi("InitialPassword");

export const VmPage = pageOf("VmPage", VmView);
