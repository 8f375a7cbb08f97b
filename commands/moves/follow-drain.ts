import {
  cameOf,
  decideDrain,
  decideTurn,
  nextDrainVmState,
  putOffOrGiveUp,
  type CameOf,
  type DrainOutcome,
  type DrainTurn,
  type DrainVmState,
} from "#core/moves/drain.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import type { Tx } from "#db/client.ts";
import { loadHost } from "#db/hosts/hosts.ts";
import {
  countDrainVms,
  endDrain,
  isComingTo,
  leaveOutWaiting,
  lockOpenDrain,
  movingVms,
  nextToMove,
  openDrains,
  saveDrainVm,
  takeUpVms,
  triesOf,
  type Drain,
} from "#db/moves/drains.ts";
import { recordChange, type Actor } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { undoOnRefusal } from "#commands/undo-on-refusal.ts";
import { carryOut } from "./begin-move.ts";
import { closeDrainWindow, windowOf } from "./drain-window.ts";
import { planMove, type MovePlan } from "./plan-move.ts";

const JOB = "drain";
const ACTOR: Actor = { kind: "system", id: JOB };
/** So many turns it goes on by itself; the rest comes with the next bell, or the next sweep. */
const MOST_TURNS = 100;

type DrainDeps = Pick<Deps, "db" | "clock" | "ids" | "secrets" | "sealer" | "log">;
export type FollowedDrain = "ended" | "waits" | "goes_on" | "unknown";

/**
 * Follows a drain as far as it goes now: notes whose move has come to an end, begins as many others as may move at once, and ends when there is none
 * left. Every transaction is of one VM, or of the drain's own rows; two workers take turns by its row.
 */
export async function followDrain(deps: DrainDeps, id: string): Promise<FollowedDrain> {
  // One that a fault of ours stands against keeps no other from its turn; the next round tries it again.
  const passedOver: string[] = [];
  for (let turns = 0; turns < MOST_TURNS; turns++) {
    const next = await lookAtDrain(deps, id, passedOver);
    if (typeof next === "string") return next;
    const { vmId } = next;
    try {
      await giveTurn(deps, id, vmId);
    } catch (error) {
      passedOver.push(vmId);
      deps.log.error("follow_drain.failed", { drain_id: id, vm_id: vmId, error });
    }
  }
  return "goes_on";
}

/** What a lost message left, and what fell due. */
export async function followDrains(deps: Deps): Promise<{ drains: number; failed: number }> {
  const count = { drains: 0, failed: 0 };
  for (const id of await openDrains(deps.db)) {
    try {
      await followDrain(deps, id);
      count.drains++;
    } catch (error) {
      count.failed++;
      deps.log.error("follow_drains.failed", { drain_id: id, error });
    }
  }
  return count;
}

type At = ReturnType<typeof stamp>;

/** Where it is now; whose turn it is, if another may move. */
async function lookAtDrain(
  deps: DrainDeps,
  id: string,
  passedOver: readonly string[],
): Promise<{ vmId: string } | Exclude<FollowedDrain, "goes_on">> {
  const at = stamp(deps);
  const looked = await inTransaction(deps.db, async (tx) => {
    const drain = await lockOpenDrain(tx, { id });
    if (!drain) return "unknown" as const;
    await takeUpVms(tx, drain, at.now);
    await noteMoves(tx, drain, at);
    const vms = await countDrainVms(tx, id);
    const outcome = decideDrain({
      isDraining: (await loadHost(tx, drain.hostId))?.state === "draining",
      isComing: await isComingTo(tx, drain.hostId),
      vms,
    });
    if (outcome !== null) {
      await concludeDrain(tx, drain, outcome, at, ACTOR);
      return { drain, outcome };
    }
    if ((vms.moving ?? 0) >= drain.maxParallel) return "waits" as const;
    return (await nextToMove(tx, id, { now: at.now, passedOver })) ?? ("waits" as const);
  });
  if (typeof looked === "string" || "vmId" in looked) return looked;
  const { drain, outcome } = looked;
  deps.log.info("drain.ended", { drain_id: id, host_id: drain.hostId, outcome });
  return "ended";
}

/** Ends it, in the transaction of a caller who holds it. Moves in flight go on by themselves, and their rows say where they were. */
export async function concludeDrain(
  tx: Tx,
  drain: Drain,
  outcome: DrainOutcome,
  at: At,
  actor: Actor,
): Promise<void> {
  const { id, hostId } = drain;
  await closeDrainWindow(tx, drain, at, actor);
  await leaveOutWaiting(tx, id, at.now);
  await endDrain(tx, id, { outcome, now: at.now });
  await recordChange(
    tx,
    {
      actor,
      action: "host.drain_end",
      subject: { kind: "host", id: hostId },
      detail: { drain_id: id, outcome },
      events: [{ name: "drain.ended.v1", data: { drainId: id, hostId } }],
    },
    at,
  );
}

/** Whose move has come to an end. */
async function noteMoves(tx: Tx, { id }: Drain, at: At): Promise<void> {
  for (const { vmId, move, ...vm } of await movingVms(tx, id)) {
    const came = cameOf(move, vm);
    if (came !== null) await endVm(tx, { drainId: id, vmId }, "moving", came, at);
  }
}

/** One VM: planned anew, and begun, put off, or left where it is. */
async function giveTurn(deps: DrainDeps, id: string, vmId: string): Promise<void> {
  const at = stamp(deps);
  const of = { drainId: id, vmId };
  const begun = await undoOnRefusal(deps.db, async (tx): Promise<Result<null, NotBegun>> => {
    const found = await findTurn(tx, of);
    if (!found) return ok(null);
    const { drain, tries } = found;
    const planned = await planMove(tx, { vmId, method: drain.method }, at.now);
    const plan = planned.ok ? planned.value : null;
    const window = await windowOf(tx, drain);
    const turn = decideTurn(seenAt(drain.hostId, plan), { tries, window }, at.now);
    if (plan === null || turn.as !== "begin") {
      if (turn.as !== "begin") await writeTurn(tx, of, turn, at);
      return ok(null);
    }
    const by = { who: { job: JOB }, reason: `drain ${id}: ${drain.reason}` };
    const carried = await carryOut(deps, tx, plan, by);
    if (!carried.ok) return carried;
    // The host's row is held by now: whoever ends the drain comes after this move, or is seen here.
    if ((await loadHost(tx, drain.hostId))?.state !== "draining")
      return refuse("host_wrong_state", "the host is not drained any more");
    const moveId = carried.value.move.id;
    await saveDrainVm(tx, of, { state: toState("waiting", "begin"), moveId, why: null });
    return ok(null);
  });
  if (begun.ok || begun.error.code !== "no_capacity") return;
  const { detail } = begun.error;
  await inTransaction(deps.db, async (tx) => {
    const found = await findTurn(tx, of);
    if (!found) return;
    const turn = putOffOrGiveUp({ reason: "no_capacity", detail }, found.tries, at.now);
    if (turn.as !== "begin") await writeTurn(tx, of, turn, at);
  });
}

type NotBegun = Refusal<"no_capacity" | "host_wrong_state">;
type OfVm = Readonly<{ drainId: string; vmId: string }>;

/** Whether it is its turn still, now that the drain is held. */
async function findTurn(
  tx: Tx,
  { drainId, vmId }: OfVm,
): Promise<{ drain: Drain; tries: number } | null> {
  const drain = await lockOpenDrain(tx, { id: drainId });
  const tries = drain && (await triesOf(tx, drainId, vmId));
  if (!drain || tries === undefined) return null;
  const { moving = 0 } = await countDrainVms(tx, drainId);
  return moving < drain.maxParallel ? { drain, tries } : null;
}

export const seenAt = (hostId: string, plan: MovePlan | null) => ({
  isHere: plan !== null && plan.vm.hostId === hostId && plan.vm.presence === "present",
  checks: plan?.checks ?? [],
  hasDestination: plan !== null && plan.destination !== null,
  interrupts: plan?.way?.method === "cold" && plan.vm.desiredPower === "running",
});

async function writeTurn(
  tx: Tx,
  of: OfVm,
  turn: Exclude<DrainTurn, { as: "begin" }>,
  at: At,
): Promise<void> {
  if (turn.as !== "put_off") return endVm(tx, of, "waiting", turn, at);
  const { until: dueAt, tries, why } = turn;
  await saveDrainVm(tx, of, { state: toState("waiting", "put_off"), tries, dueAt, why });
}

async function endVm(
  tx: Tx,
  { drainId, vmId }: OfVm,
  from: DrainVmState,
  came: CameOf,
  at: At,
): Promise<void> {
  const state = toState(from, came.as);
  const why = came.as === "give_up" ? came.why : null;
  await saveDrainVm(tx, { drainId, vmId }, { state, why, endedAt: at.now });
  await recordChange(
    tx,
    {
      actor: ACTOR,
      action: "drain.vm_end",
      subject: { kind: "vm", id: vmId },
      detail: { drain_id: drainId, state, ...(why && { why: why.reason, detail: why.detail }) },
      events: [],
    },
    at,
  );
}

function toState(
  from: DrainVmState,
  command: Parameters<typeof nextDrainVmState>[1],
): DrainVmState {
  const to = nextDrainVmState(from, command);
  if (to === undefined) throw new Error(`a VM of a drain that is ${from} cannot ${command}`);
  return to;
}
