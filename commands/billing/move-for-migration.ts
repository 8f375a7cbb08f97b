import { weighChange } from "#core/billing/decide-quote.ts";
import { whyNoMove } from "#core/billing/move-and-resize.ts";
import {
  nextOfMigrationVm,
  type MigrationVmMove,
  type MigrationVmState,
} from "#core/billing/plan-migration.ts";
import { cameOf, type CameOf } from "#core/moves/drain.ts";
import { HAS_MOVED } from "#core/moves/move.ts";
import type { Result } from "#core/result.ts";
import {
  movingMigrationVms,
  saveMigrationVm,
  type MigrationVm,
} from "#db/billing/migration-vms.ts";
import { openChangeOf } from "#db/billing/plan-changes.ts";
import { lockMigration, saveMigration, type PlanMigration } from "#db/billing/plan-migrations.ts";
import type { Resizing } from "#db/billing/resizing.ts";
import { loadNewestPlan } from "#db/catalogue/catalogue.ts";
import type { Tx } from "#db/client.ts";
import { holdNoMore } from "#db/hosts/capacity.ts";
import { loadMove } from "#db/moves/moves.ts";
import { recordChange, type Actor } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { lockVm } from "#db/vms/vms.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import {
  carryOut,
  refuseChecked,
  type BegunMove,
  type MoveRefusal,
} from "#commands/moves/begin-move.ts";
import { planMove, type MovePlan } from "#commands/moves/plan-move.ts";
import { undoOnRefusal } from "#commands/undo-on-refusal.ts";
import { otherHost } from "./find-other-host.ts";
import type { offer } from "./quote-resize.ts";
import { stateOf, targetOf } from "./resize-state.ts";

const JOB = "follow-plan-migration";
const ACTOR: Actor = { kind: "system", id: JOB };
const AGAIN_MS = 5 * 60_000;

/** It moves first, to that host, where room is held for what it becomes. */
export type MoveTurn = Readonly<{ as: "move"; vmId: string; there: NonNullable<Offered> }>;
type Offered = Parameters<typeof offer>[2]["there"];
type NotNow =
  | Readonly<{ as: "put_off"; until: Date; detail: string }>
  | Readonly<{ as: "drifted"; detail: string }>;

/**
 * Where a VM would move at its turn that its own host can't change: where the dry run had it, or, if that can't take it by now, where placement
 * puts it. It moves once for a migration: should its new host not do either, it stays there.
 */
export async function lookElsewhere(
  deps: Deps,
  { toPlanId, when, price }: PlanMigration,
  row: MigrationVm,
  found: Resizing,
): Promise<MoveTurn | NotNow> {
  const now = deps.clock.now();
  if (await hasMoved(deps, row))
    return { as: "drifted", detail: "no_room: it has moved for this already, and once is all" };
  const plan = await loadNewestPlan(deps.db, toPlanId);
  const target = plan ? targetOf(plan) : null;
  const staff = { when, price, billing: "prorate" } as const;
  const asked = { target, interval: null, keepDisk: false, staff };
  const becomes = weighChange(stateOf(found, now), asked, null, now).to?.machine;
  if (becomes === undefined) return { as: "drifted", detail: "plan_not_on_sale: no such plan" };
  const { vmId, toHostId } = row;
  const look = (hostId: string | undefined) =>
    inTransaction(deps.db, (tx) => planMove(tx, { vmId, hostId, becomes, method: "auto" }, now));
  const shown = await look(toHostId ?? undefined);
  const planned =
    toHostId === null || (shown.ok && shown.value.way !== null) ? shown : await look(undefined);
  if (!planned.ok) return { as: "drifted", detail: `${planned.error.code}: it is gone` };
  const why = whyNoMove(planned.value.checks);
  if (why !== null) return notNow(why, now);
  return { as: "move", vmId, there: { host: hostOf(planned.value), becomes } };
}

function hostOf({ destination, way }: MovePlan) {
  if (destination === null || way === null)
    throw new Error("a move that can be has no destination");
  const { candidate, facts } = way.ends.destination;
  return otherHost(destination, facts, candidate.free);
}

const notNow = ({ passes, detail }: { passes: boolean; detail: string }, now: Date): NotNow =>
  passes
    ? { as: "put_off", until: new Date(+now + AGAIN_MS), detail }
    : { as: "drifted", detail: `no_room: no other host can take it: ${detail}` };

/** Whether it is where a move of this migration has brought it, or was since. */
async function hasMoved({ db }: Deps, { moveId }: MigrationVm): Promise<boolean> {
  const move = moveId === null ? undefined : (await loadMove(db, moveId))?.move;
  return move !== undefined && (HAS_MOVED.has(move.step) || move.outcome === "moved");
}

/** In the transaction of the VM's turn, in which it is looked at again: its move, with the room there for what it becomes. */
export async function beginMoveOf(
  deps: Deps,
  tx: Tx,
  { id, reason }: PlanMigration,
  { vmId, there: { host, becomes } }: MoveTurn,
): Promise<Readonly<{ as: "moving"; moveId: string }> | NotNow> {
  const now = deps.clock.now();
  const begun = await undoOnRefusal(tx, async (inner): Promise<Result<BegunMove, MoveRefusal>> => {
    const asked = { vmId, hostId: host.id, becomes, method: "auto" } as const;
    const planned = await planMove(inner, asked, now);
    if (!planned.ok) return planned;
    if (planned.value.way === null) return refuseChecked(planned.value);
    return carryOut(deps, inner, planned.value, {
      who: { job: JOB },
      reason: `plan migration ${id}: ${reason}`,
    });
  });
  if (begun.ok) return { as: "moving", moveId: begun.value.move.id };
  // It could be a moment ago: it is looked at once more, as anything that passes.
  const { code, detail } = begun.error;
  return { as: "put_off", until: new Date(+now + AGAIN_MS), detail: `${code}: ${detail}` };
}

/** Notes whose moves have come somewhere, each in a transaction of its own. */
export async function noteMoves(deps: Deps, id: string): Promise<void> {
  for (const vm of await movingMigrationVms(deps.db, id))
    if (cameOf(vm.move, vm) !== null) await noteMove(deps, id, vm.vmId);
}

async function noteMove(deps: Deps, id: string, vmId: string): Promise<void> {
  const at = stamp(deps);
  await inTransaction(deps.db, async (tx) => {
    const migration = await lockMigration(tx, id);
    await lockVm(tx, vmId);
    const vm = (await movingMigrationVms(tx, id)).find((of) => of.vmId === vmId);
    const came = vm ? cameOf(vm.move, vm) : null;
    if (!migration || came === null) return;
    const state = nextOfMigrationVm("moving", MOVE_OF[came.as]);
    if (came.as === "arrive") {
      await saveMigrationVm(tx, id, vmId, { state, dueAt: at.now, detail: null });
      return saveMigration(tx, id, { movedAt: at.now });
    }
    const detail =
      came.as === "give_up" ? `${came.why.reason}: ${came.why.detail}` : "vm_not_found: it is gone";
    await saveMigrationVm(tx, id, vmId, { state, detail, endedAt: at.now });
    const failures = migration.failures + (state === "failed" ? 1 : 0);
    await saveMigration(tx, id, { failures, movedAt: at.now });
    await recordChange(tx, vmEnded(id, { vmId, state, detail }), at);
    // Its new host has lost it, and it is not made larger before that was repaired.
    await giveRoomBack(tx, vmId);
  });
}

const MOVE_OF = {
  arrive: "arrive",
  give_up: "turn_back",
  vanish: "leave",
} as const satisfies Record<CameOf["as"], MigrationVmMove>;

/** No more is held for it at its host than it has, unless a change of it wants that which was begun. */
export async function giveRoomBack(tx: Tx, vmId: string): Promise<void> {
  const vm = await lockVm(tx, vmId);
  if (vm?.presence !== "present") return;
  const open = await openChangeOf(tx, vmId);
  if (open === undefined || open.reservedAt === null) await holdNoMore(tx, vm);
}

/** That it has come to its end, for the audit and whoever listens. */
export const vmEnded = (
  planMigrationId: string,
  { vmId, state, detail }: { vmId: string; state: MigrationVmState; detail: string | null },
) => ({
  actor: ACTOR,
  action: "plan_migration.vm_end",
  subject: { kind: "vm" as const, id: vmId },
  detail: { plan_migration_id: planMigrationId, state, why: detail },
  events: [{ name: "plan_migration.vm_ended.v1", data: { planMigrationId, vmId } }] as const,
});
