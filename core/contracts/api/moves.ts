import { z } from "@hono/zod-openapi";
import { use } from "#core/contracts/named.ts";
import { Instant } from "#core/contracts/values.ts";
import { idIn, idOut } from "#core/ids.ts";
import { MoveMethodName, MoveStepName } from "#core/contracts/agent/moves.ts";
import { MOVE_FAILURES, MOVE_METHODS, MOVE_OUTCOMES } from "#core/moves/move.ts";
import { MOVE_CHECKS } from "#core/moves/preflight.ts";
import { MOVE_WAITS_FOR_CODES, WAITS_FOR_CODES } from "#core/vms/waits-for.ts";
import { FORCED, ForcedView, REASON } from "./forced.ts";
import { OrderedPageQuery, pageOf } from "./page.ts";
import { Count } from "./values.ts";
import { ActionView } from "./vms.ts";

/* A VM's way from one host to another, for staff alone: customers see its action, and no host. */

/** Faster than any line between two hosts. */
const MOST_MBIT = 400_000;

export const MigrateVm = z
  .strictObject({
    hostId: idIn("host")
      .optional()
      .openapi({ description: "Left out: the best that placement finds in its location." }),
    method: z.enum(["auto", ...MOVE_METHODS]).openapi("AskedMoveMethod", {
      description: "`auto`: live where that can be, and cold otherwise.",
    }),
    mbitPerSecond: z.int().min(1).max(MOST_MBIT).optional().openapi({
      description: "As fast as its disk is sent, at most; left out: as fast as it goes.",
    }),
    ...REASON,
    ...FORCED,
  })
  .openapi("MigrateVm");

const HostOfMove = z.object({ id: idOut("host"), name: z.string() }).openapi("HostOfMove");

const Checked = z
  .object({
    check: z.enum(MOVE_CHECKS).openapi("MoveCheck"),
    ok: z.boolean(),
    detail: z.string().openapi({ description: "For people; it may change." }),
  })
  .openapi("MoveChecked");

export const MovePlanView = z
  .object({
    source: use(HostOfMove),
    destination: use(HostOfMove).nullable().openapi({
      description: "null: no host was named, and placement finds none.",
    }),
    method: use(MoveMethodName)
      .nullable()
      .openapi({ description: "null, as `hash`: it cannot be done." }),
    checks: z.array(Checked).openapi({
      description: "All that a move stands on. It is refused if one is not `ok`.",
    }),
    effects: z.array(z.string()),
    hash: z.string().nullable(),
  })
  .openapi("MovePlan");
export type MovePlanView = z.infer<typeof MovePlanView>;

export const WaitsForView = z
  .object({
    code: z.enum([...WAITS_FOR_CODES, ...MOVE_WAITS_FOR_CODES]).openapi("WaitsForCode"),
    detail: z.string(),
  })
  .openapi("WaitsFor");

export const MoveView = z
  .object({
    id: idOut("move"),
    vmId: idOut("vm"),
    actionId: idOut("action"),
    source: use(HostOfMove),
    destination: use(HostOfMove),
    method: use(MoveMethodName).openapi({
      description:
        "`cold`: it is off while its disk is copied; `live`: it runs on, and pauses for a moment.",
    }),
    step: use(MoveStepName).openapi({
      description:
        "Up to `release` the VM is its source's, and from `take_over` on its destination's. `hold` and `drop` lead back; what " +
        "`clean` and `drop` put away keeps nobody from the VM.",
    }),
    outcome: z.enum(MOVE_OUTCOMES).nullable().openapi("MoveOutcome", {
      description: "null: it is under way.",
    }),
    steps: ActionView.shape.steps.openapi({ description: "As its action shows them." }),
    progress: ActionView.shape.progress.openapi({
      description: "Percent, by the steps that are known to be done, and the bytes that are there.",
    }),
    bytes: z
      .object({
        copied: Count,
        total: use(Count).nullable().openapi({
          description: "The most that is sent; null: its source has not said yet.",
        }),
      })
      .openapi("MoveBytes"),
    mbitPerSecond: z.int().nullable().openapi({ description: "null: without a limit" }),
    failure: z
      .object({ code: z.enum(MOVE_FAILURES).openapi("MoveFailureCode"), detail: z.string() })
      .nullable()
      .openapi("MoveFailure", { description: "Why it was turned back." }),
    pauseMs: z
      .int()
      .nonnegative()
      .nullable()
      .openapi({
        description:
          "For how long its guest stood still: of a cold move from when its source showed it off until its destination showed it as " +
          "it is to be, also if it was off anyhow. null: not known, or not yet.",
      }),
    waitsFor: use(WaitsForView)
      .nullable()
      .openapi({ description: "Which host's word it waits for; null: it has ended." }),
    createdAt: Instant,
    stepAt: Instant.openapi({ description: "When its present step began." }),
    heardAt: Instant.openapi({ description: "When a host was last heard to be at it." }),
    endedAt: Instant.nullable(),
  })
  .openapi("Move");
export type MoveView = z.infer<typeof MoveView>;
export const MovePage = pageOf("MovePage", MoveView);

export const BegunMoveView = z
  .object({ action: use(ActionView), move: use(MoveView) })
  .openapi("BegunMove");

export const MoveQuery = OrderedPageQuery.extend({
  vmId: idIn("vm").optional(),
  hostId: idIn("host")
    .optional()
    .openapi({ param: { description: "At either end." } }),
  state: z.enum(["open", "ended", "any"]).openapi("MoveState").default("any"),
});

export const StopMove = z.strictObject({ ...REASON, ...FORCED }).openapi("StopMove");

export const StoppedMoveView = z
  .object({
    ...ForcedView.shape,
    move: use(MoveView).nullable().openapi({ description: "As it is now; null of a dry run." }),
  })
  .openapi("StoppedMove");
