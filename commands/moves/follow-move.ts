import type { ReceivedReport } from "#core/contracts/agent/report.ts";
import { isOverdue } from "#core/billing/entitlement.ts";
import {
  decideMove,
  learn,
  type Decision,
  type SeenOfMove,
  type Word,
} from "#core/moves/next-step.ts";
import { HAS_MOVED, nextMoveStep, type Move, type MoveRole } from "#core/moves/move.ts";
import { loadService } from "#db/billing/services.ts";
import type { Tx } from "#db/client.ts";
import { loadHost, factsOf } from "#db/hosts/hosts.ts";
import {
  lockOpenMove,
  movesDue,
  openMovesAmong,
  saveMove,
  type ChangedOfMove,
} from "#db/moves/moves.ts";
import { inTransaction } from "#db/transaction.ts";
import { lockVm, type VmRow } from "#db/vms/vms.ts";
import { stamp, type AgentDeps } from "#commands/deps.ts";
import { freeLost, takeMoveStep } from "./take-move-step.ts";

type MoveDeps = Pick<AgentDeps, "db" | "clock" | "ids" | "log">;
export type FollowedMove = "ended" | "went_on" | "waits";

/** A step that follows from another by itself needs no word between them. */
const MOST_STEPS = 8;

/**
 * Goes on with the open move of a VM as far as it goes, by what is known and what a host has said of it (`word`). One transaction, with
 * the VM and the move held: each step with its audit row and its events.
 */
export async function followMove(
  deps: MoveDeps,
  vmId: string,
  word: Word | null = null,
): Promise<FollowedMove> {
  const at = stamp(deps);
  return inTransaction(deps.db, async (tx): Promise<FollowedMove> => {
    const vm = await lockVm(tx, vmId);
    const kept = await lockOpenMove(tx, vmId);
    if (!vm || !kept) return "ended";
    let { move } = kept;
    let row = vm;
    const seen = await look(tx, row, move, at.now);
    const learned = await learnOf(tx, move, word);
    const stoodStill = stoppedNow(move, seen, at.now);
    if (!isEmpty(learned) || isHeard(move, word) || stoodStill !== null) {
      const news = { ...learned, ...stoodStill, ...(isHeard(move, word) && { heardAt: at.now }) };
      await saveMove(tx, move.id, news);
      move = { ...move, ...news };
      // What the source has said is for the destination to read, who waits for it.
      if (learned.disk) await takeMoveStep(tx, { move, vm: row }, { kind: "tell" }, at);
    }
    let said = word;
    let followed: FollowedMove = "waits";
    for (let steps = 0; steps < MOST_STEPS; steps++) {
      const decision = decideMove(move, await look(tx, row, move, at.now), said, at.now);
      if (decision.kind === "wait") {
        if (move.step === "take_over") await freeLost(tx, { move, vm: row }, at);
        await saveMove(tx, move.id, { dueAt: decision.until });
        return followed;
      }
      const taken = await takeMoveStep(tx, { move, vm: row }, stepOf(move, decision), at);
      deps.log.info("move.step", {
        move_id: move.id,
        vm_id: vmId,
        from: move.step,
        to: taken.move.step,
        ...(taken.move.failure && { failure: taken.move.failure.code }),
      });
      if (taken.move.outcome !== null) return "ended";
      ({ move, vm: row } = taken);
      // It spoke of the step before.
      said = null;
      followed = "went_on";
    }
    return followed;
  });
}

const isEmpty = (of: object): boolean => Object.keys(of).length === 0;

/** The step says how; a command that leads nowhere from it is a fault of ours. */
function stepOf(move: Move, decision: Exclude<Decision, { kind: "wait" }>) {
  const command = decision.kind === "turn_back" ? "turn_back" : decision.by;
  const to = nextMoveStep(move.step, command);
  if (to === undefined) throw new Error(`a move cannot ${command} from ${move.step}`);
  return {
    kind: "go" as const,
    to,
    failure: decision.kind === "turn_back" ? decision.failure : null,
  };
}

/** That it is at work is heard; that it failed is not: what fails again and again ends by its deadline. */
const isHeard = (move: Move, word: Word | null): boolean =>
  word?.isAtWork === true &&
  move.step === "copy" &&
  // Of the end whose turn it is: the other one has nothing to do but to say so, again and again.
  word.role === (move.sentSha256 === null ? "source" : "destination");

/** A cold move's guest stands still from when its source shows it off. */
const stoppedNow = (move: Move, seen: SeenOfMove, now: Date): { stoppedAt: Date } | null =>
  move.method === "cold" && move.step === "copy" && move.stoppedAt === null && seen.isOff
    ? { stoppedAt: now }
    : null;

/** The base that the source names counts only where the destination holds the very same. */
async function learnOf(tx: Tx, move: Move, word: Word | null): Promise<ChangedOfMove> {
  if (word === null) return {};
  const { disk, ...learned } = learn(move, word);
  if (!disk) return learned;
  const host = await loadHost(tx, move.destinationHostId);
  const held = host && factsOf(host)?.images;
  const isHeld = (held ?? []).some(
    ({ file, sha256, changed }) =>
      file === disk.base?.file && sha256 === disk.base.sha256 && !changed,
  );
  return { ...learned, disk: isHeld ? disk : { ...disk, base: null } };
}

/** What is known of its VM by its row: of its owner, in its epoch, as that last reported. */
async function look(tx: Tx, vm: VmRow, move: Move, now: Date): Promise<SeenOfMove> {
  const isNew = HAS_MOVED.has(move.step);
  const service = await loadService(tx, vm.id);
  const mayRun = service.suspensions.length === 0 && !isOverdue(service, now);
  const wanted = mayRun ? vm.desiredPower : "off";
  const { observedPower: power } = vm;
  // From when the epoch moved on only the new owner's word changes what is seen, at this generation or a later one.
  const isSeenNow = isNew && move.generation !== null && vm.observedGeneration >= move.generation;
  return {
    isVmToGo: vm.presence === "absent",
    isVmLost: vm.lostAt !== null,
    isAsWanted: isSeenNow && vm.seenVcpus !== null && power === wanted,
    isOff: power === "off",
  };
}

/** The sweep: what a lost message left, and what waits for a deadline. */
export async function followMoves(
  deps: MoveDeps,
): Promise<{ ended: number; went_on: number; waits: number; failed: number }> {
  const count = { ended: 0, went_on: 0, waits: 0, failed: 0 };
  for (const { id, vmId } of await movesDue(deps.db, deps.clock.now(), 100)) {
    try {
      count[await followMove(deps, vmId)]++;
    } catch (error) {
      count.failed++;
      deps.log.error("follow_moves.failed", { move_id: id, error });
    }
  }
  return count;
}

/**
 * Follows the moves that a host's report speaks of, after it was recorded: its own words of them, and what it says of the copies of
 * VMs that are another host's. Untrusted: a host speaks for its own end alone. A report that is lost costs nothing: each of its words is said
 * again for as long as the move waits for it.
 */
export async function followReportedMoves(
  deps: MoveDeps,
  hostId: string,
  report: Pick<ReceivedReport, "vms" | "moves">,
): Promise<number> {
  const reports = (report.moves ?? []).filter((of) => of !== null);
  const seen = report.vms.filter((of) => of !== null);
  const ids = [...new Set([...reports, ...seen].map(({ vmId }) => vmId))];
  const open = await openMovesAmong(deps.db, hostId, ids);
  for (const move of open) {
    const role: MoveRole = move.sourceHostId === hostId ? "source" : "destination";
    const epoch = role === "source" ? move.sourceEpoch : move.epoch;
    const own = reports.find(({ moveId, step }) => moveId === move.id && step === move.step);
    const ofVm = seen.find(({ vmId, ownerEpoch }) => vmId === move.vmId && ownerEpoch === epoch);
    const isGone = ofVm?.observed === null && ofVm.error === null && CLEANS.has(move.step);
    const word = own ? wordOf(role, own) : isGone ? { role, done: "gone" as const } : null;
    await followMove(deps, move.vmId, word);
  }
  return open.length;
}

/** Where a host is told that its copy is to be gone: that it has none is the answer. */
const CLEANS: ReadonlySet<Move["step"]> = new Set(["clean", "drop"]);

function wordOf(
  role: MoveRole,
  {
    done,
    disk,
    sha256,
    bytes,
    pauseMs,
    error,
  }: NonNullable<NonNullable<ReceivedReport["moves"]>[number]>,
): Word {
  return {
    role,
    done: error === null ? done : null,
    isAtWork: error === null,
    ...(disk && {
      disk: {
        format: disk.format,
        virtualBytes: BigInt(disk.virtualBytes),
        exportBytes: BigInt(disk.exportBytes),
        base: disk.base,
      },
    }),
    ...(sha256 !== undefined && { sha256 }),
    ...(bytes !== undefined && { bytes: BigInt(bytes) }),
    ...(pauseMs !== undefined && { pauseMs }),
    ...(error?.final === true && { refused: `${error.code}: ${error.detail}` }),
  };
}
