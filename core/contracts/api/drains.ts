import { z } from "@hono/zod-openapi";
import {
  DRAIN_METHODS,
  DRAIN_OUTCOMES,
  DRAIN_REASONS,
  DRAIN_VM_STATES,
} from "#core/moves/drain.ts";
import { use } from "#core/contracts/named.ts";
import { Instant } from "#core/contracts/values.ts";
import { USUAL_NOTICE_HOURS } from "#core/hosts/maintenance.ts";
import { MoveMethodName, MoveStepName } from "#core/contracts/agent/moves.ts";
import { idOut } from "#core/ids.ts";
import { FORCED, ForcedView, REASON } from "./forced.ts";
import { MOST_NOTICE_HOURS } from "./hosts.ts";
import { PageQuery } from "./page.ts";

/* A host that is emptied (ADR 0058). */

/** So many VMs move at once unless told otherwise, and at most: they share the source's disk and its line. */
export const USUAL_PARALLEL = 2;
export const MOST_PARALLEL = 20;

export const DrainMethodName = z.enum(DRAIN_METHODS).openapi("DrainMethod", {
  description:
    "`auto`: live where both hosts can and the guest runs. `cold`: each is off meanwhile.",
});
const DrainReasonName = z.enum(DRAIN_REASONS).openapi("DrainReason", {
  description: "The check of a move that stands against it, or how its move failed.",
});
export const DrainVmStateName = z.enum(DRAIN_VM_STATES).openapi("DrainVmState", {
  description:
    "`stays`: it could not be moved. `gone`: it was deleted, or is another host's, without the drain's doing. `left_out`: the drain was " +
    "stopped before its turn.",
});

export const DrainWindow = z
  .strictObject({
    startsAt: Instant.optional().openapi({ description: "Left out: now." }),
    endsAt: Instant.openapi({
      description: "What runs still and would have to be stopped stays then, as `window_over`.",
    }),
    noticeHours: z.int().min(0).max(MOST_NOTICE_HOURS).default(USUAL_NOTICE_HOURS).openapi({
      description:
        "Customers are told so long before it begins; with 0 at its beginning. What moves while it runs, or is off, does not wait for it.",
    }),
  })
  .openapi("DrainWindow");

export const DrainHost = z
  .strictObject({
    ...REASON,
    method: use(DrainMethodName).default("auto"),
    maxParallel: z
      .int()
      .min(1)
      .max(MOST_PARALLEL)
      .default(USUAL_PARALLEL)
      .openapi({ description: "So many VMs move at once, at most." }),
    window: use(DrainWindow).optional().openapi({
      description:
        "In which running VMs may be stopped, and of which their customers are told. Left out: whenever their turn comes, and nobody is told.",
    }),
    ...FORCED,
  })
  .openapi("DrainHost");

const Named = z.object({ id: idOut("host"), name: z.string() }).openapi("DrainDestination");

export const DrainPlanView = z
  .object({
    ...ForcedView.shape,
    vms: z
      .array(
        z
          .object({
            vmId: idOut("vm"),
            hostname: z.string(),
            destination: use(Named).nullable().openapi({
              description: "Where it would go now; it is chosen anew at its turn.",
            }),
            method: use(MoveMethodName).nullable(),
            against: z
              .object({
                reason: use(DrainReasonName),
                detail: z.string(),
                passes: z.boolean().openapi({
                  description: "It is tried again for an hour; otherwise it stays at once.",
                }),
              })
              .openapi("DrainObstacle")
              .nullable(),
            interrupts: z.boolean().openapi({ description: "It runs, and would be stopped." }),
          })
          .openapi("DrainPlanVm"),
      )
      .openapi({ description: "All of its VMs, in the order of their turns." }),
  })
  .openapi("DrainPlan");
export type DrainPlanView = z.infer<typeof DrainPlanView>;

const DrainVms = z
  .object({
    waiting: z.int(),
    moving: z.int(),
    moved: z.int(),
    stays: z.int(),
    gone: z.int(),
    left_out: z.int(),
  })
  .openapi("DrainVmCounts");

export const DrainView = z
  .object({
    id: idOut("drain"),
    hostId: idOut("host"),
    method: use(DrainMethodName),
    maxParallel: z.int(),
    reason: z.string(),
    askedBy: idOut("account"),
    vms: DrainVms,
    window: z
      .object({ startsAt: Instant, endsAt: Instant, noticeHours: z.int(), told: z.int() })
      .openapi("DrainsWindow")
      .nullable()
      .openapi({
        description:
          "In which running VMs are stopped, and how many customers were mailed it; null: whenever their turn comes.",
      }),
    startedAt: Instant,
    endedAt: Instant.nullable(),
    outcome: z.enum(DRAIN_OUTCOMES).nullable().openapi("DrainOutcome", {
      description:
        "`left`: some VMs stay, each with its reason. `stopped`: the host was brought into another state. null: it goes on.",
    }),
  })
  .openapi("Drain");
export type DrainView = z.infer<typeof DrainView>;

export const DrainQuery = PageQuery.extend({ state: use(DrainVmStateName).optional() });

const DrainVmView = z
  .object({
    vmId: idOut("vm"),
    hostname: z.string(),
    state: use(DrainVmStateName),
    reason: use(DrainReasonName).nullable(),
    detail: z.string().nullable(),
    moveId: idOut("move").nullable(),
    destinationHostId: idOut("host").nullable(),
    step: use(MoveStepName).nullable().openapi({ description: "Where its move is." }),
    tries: z.int().openapi({ description: "So often it was put off." }),
    dueAt: Instant.openapi({ description: "Its turn comes no sooner." }),
    endedAt: Instant.nullable(),
  })
  .openapi("DrainVm");

export const DrainDetails = z
  .object({
    drain: use(DrainView),
    items: z.array(use(DrainVmView)),
    nextCursor: z.string().nullable(),
  })
  .openapi("DrainDetails");
export type DrainDetails = z.infer<typeof DrainDetails>;
