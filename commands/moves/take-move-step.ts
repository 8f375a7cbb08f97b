import type { Event } from "#core/contracts/events.ts";
import { HAS_MOVED, type Move, type MoveStep } from "#core/moves/move.ts";
import { migrationOfMove } from "#db/billing/migration-vms.ts";
import type { Tx } from "#db/client.ts";
import { releaseHeldByMove, swapHomes } from "#db/hosts/capacity.ts";
import { bumpDesiredGeneration } from "#db/hosts/hosts.ts";
import { drainOfMove } from "#db/moves/drains.ts";
import { saveMove, type ChangedOfMove } from "#db/moves/moves.ts";
import { recordChange, type Actor } from "#db/record-change.ts";
import { finishAction } from "#db/vms/actions.ts";
import { saveOwner, type VmRow } from "#db/vms/vms.ts";
import { ringBoth } from "./begin-move.ts";

type At = Readonly<{ now: Date; newId: () => string }>;
type Found = Readonly<{ move: Move; vm: VmRow }>;
/** `tell`: it stays where it is, and both hosts read what was learned. */
export type MoveStepTaken =
  | Readonly<{ kind: "tell" }>
  | Readonly<{ kind: "go"; to: MoveStep; failure: Move["failure"] }>;

const ACTOR: Actor = { kind: "system", id: "follow-move" };

/**
 * Takes one step of a move. The caller holds VM and move. The VM's owner changes here and nowhere else: with the step to `take_over`, which
 * the source's own word came before (invariant 17).
 */
export async function takeMoveStep(
  tx: Tx,
  { move, vm }: Found,
  step: MoveStepTaken,
  at: At,
): Promise<Found> {
  if (step.kind === "tell") {
    await tellHosts(tx, move, "tell", [], at);
    return { move, vm };
  }
  const { to, failure } = step;
  const changed: ChangedOfMove & { step: MoveStep } = {
    step: to,
    stepAt: at.now,
    heardAt: at.now,
    dueAt: null,
    ...(failure && { failure }),
    ...(to === "copy" && { preparedAt: at.now }),
    ...(to === "release" && { copiedAt: at.now }),
    ...(to === "hold" && { turnedBackAt: at.now }),
    ...(to === "drop" && { heldAt: at.now }),
    ...(to === "take_over" && { releasedAt: at.now, generation: vm.generation + 1 }),
    ...(to === "clean" && { takenOverAt: at.now }),
    ...(to === "ended" && {
      endedAt: at.now,
      outcome: HAS_MOVED.has(move.step) ? ("moved" as const) : ("turned_back" as const),
    }),
  };
  await saveMove(tx, move.id, changed);
  const { dueAt: _, ...news } = changed;
  const next: Move = { ...move, ...news };
  const row = to === "take_over" ? await changeOwner(tx, next, vm) : vm;
  if (to === "ended") await releaseHeldByMove(tx, vm.id, at.now);
  const events: Event[] = [...eventsOf(next), ...(await endAction(tx, next, at.now))];
  await tellHosts(tx, next, to, events, at);
  return { move: next, vm: row };
}

/** Its room at the destination is its home now; what it was seen as stays, until its new owner says otherwise. */
async function changeOwner(tx: Tx, move: Move, vm: VmRow): Promise<VmRow> {
  const owner = {
    hostId: move.destinationHostId,
    ownerEpoch: move.epoch,
    generation: vm.generation + 1,
  };
  await saveOwner(tx, vm.id, owner);
  await swapHomes(tx, vm.id);
  return { ...vm, ...owner };
}

/** The VM is free again once it is whole at one end; what is left to be put away keeps nobody from it. */
async function endAction(tx: Tx, next: Move, now: Date): Promise<readonly Event[]> {
  const { actionId, vmId, failure, step } = next;
  if (step !== "clean" && step !== "drop") return [];
  const error =
    step === "clean"
      ? null
      : { code: "not_moved" as const, message: `${failure?.code}: ${failure?.detail}` };
  const isEnded = await finishAction(tx, actionId, { error, now });
  return isEnded
    ? [{ name: "action.finished.v1", data: { actionId, vmId } }, ...(await jobsDue(tx, next))]
    : [];
}

/** A drain or a plan migration that waits for it goes on at once. */
async function jobsDue(tx: Tx, { id }: Move): Promise<readonly Event[]> {
  const drainId = await drainOfMove(tx, id);
  const planMigrationId = await migrationOfMove(tx, id);
  return [
    ...(drainId === undefined ? [] : [{ name: "drain.fell_due.v1", data: { drainId } } as const]),
    ...(planMigrationId === undefined
      ? []
      : [{ name: "plan_migration.fell_due.v1", data: { planMigrationId } } as const]),
  ];
}

/**
 * A VM that its new host has lost is free for a repair. Its move stays where it is, so that the source's copy stays too, until the VM is seen
 * as it is to be.
 */
export async function freeLost(tx: Tx, { move, vm }: Found, at: At): Promise<void> {
  if (vm.lostAt === null) return;
  const { actionId, vmId } = move;
  const message = "its new host does not find it any more; the copy at the one before is kept";
  const error = { code: "vm_lost" as const, message };
  if (!(await finishAction(tx, actionId, { error, now: at.now }))) return;
  await recordChange(
    tx,
    {
      actor: ACTOR,
      action: "move.lost",
      subject: { kind: "vm", id: vmId },
      detail: { move_id: move.id },
      events: [
        { name: "action.finished.v1", data: { actionId, vmId } },
        ...(await jobsDue(tx, move)),
      ],
    },
    at,
  );
}

const EVENT_OF_STEP = {
  take_over: "move.released.v1",
  hold: "move.turned_back.v1",
  ended: "move.ended.v1",
} as const satisfies Partial<Record<MoveStep, Event["name"]>>;

function eventsOf({ id: moveId, vmId, step }: Move): readonly Event[] {
  const names: Partial<Record<MoveStep, (typeof EVENT_OF_STEP)[keyof typeof EVENT_OF_STEP]>> =
    EVENT_OF_STEP;
  const name = names[step];
  return name === undefined ? [] : [{ name, data: { moveId, vmId } }];
}

async function tellHosts(
  tx: Tx,
  move: Move,
  step: string,
  events: readonly Event[],
  at: At,
): Promise<void> {
  await recordChange(
    tx,
    {
      actor: ACTOR,
      action: `move.${step}`,
      subject: { kind: "vm", id: move.vmId },
      detail: {
        move_id: move.id,
        ...(move.failure && { why: move.failure.code, detail: move.failure.detail }),
      },
      events: [...events, ...ringBoth(move)],
    },
    at,
  );
  for (const hostId of [move.sourceHostId, move.destinationHostId].toSorted())
    await bumpDesiredGeneration(tx, hostId);
}
