import type { ActionStep } from "#core/vms/action-steps.ts";
import type { Move } from "./move.ts";

/** Of a move: all that its steps go by. */
export type SteppedMove = Pick<
  Move,
  | "method"
  | "disk"
  | "copiedBytes"
  | "createdAt"
  | "preparedAt"
  | "copiedAt"
  | "stoppedAt"
  | "releasedAt"
  | "takenOverAt"
  | "turnedBackAt"
  | "heldAt"
  | "pauseMs"
>;

type Planned = Readonly<{ name: ActionStep["name"]; endedAt: Date | null }>;

/** The way there, each step with the instant at which it was done. Once its source has released it, all before that is. */
const planned = ({
  preparedAt,
  copiedAt,
  releasedAt,
  takenOverAt,
}: SteppedMove): readonly Planned[] => [
  { name: "prepare", endedAt: preparedAt ?? releasedAt },
  { name: "copy", endedAt: copiedAt ?? releasedAt },
  { name: "release", endedAt: releasedAt },
  { name: "take_over", endedAt: takenOverAt },
];

/** A live move may be turned back and yet be done by the hypervisors: then it went there. */
const backSince = ({ turnedBackAt, releasedAt }: SteppedMove): Date | null =>
  releasedAt === null ? turnedBackAt : null;

/**
 * How far a move is, as its action shows it, to customers too. One that was turned back stopped at the step that it was at, and goes back in
 * one step of its own, `revert`, which ends when the VM is its source's alone. What is put away after either end is no step of the action's.
 * `failedAt`: its action has ended as an error before the move has, as of a VM that was deleted or lost meanwhile.
 */
export function stepsOfMove(
  move: SteppedMove,
  failedAt: Date | null = null,
): readonly ActionStep[] {
  const turnedBackAt = backSince(move);
  let before: Date | null = move.createdAt;
  const there = planned(move).map(({ name, endedAt }): ActionStep => {
    const startedAt = before;
    if (startedAt === null) return { name, status: "pending", startedAt: null, finishedAt: null };
    before = endedAt;
    if (endedAt !== null) return { name, status: "success", startedAt, finishedAt: endedAt };
    const failed = turnedBackAt ?? failedAt;
    return failed === null
      ? { name, status: "running", startedAt, finishedAt: null }
      : { name, status: "error", startedAt, finishedAt: failed };
  });
  if (turnedBackAt === null) return there;
  const status = move.heldAt === null ? "running" : "success";
  return [...there, { name: "revert", status, startedAt: turnedBackAt, finishedAt: move.heldAt }];
}

/** Of a hundred: nearly all of a move's time is the copy's. */
const SHARE = { prepare: 5, copy: 85, release: 5 } as const;

/** Percent: by the steps that are done, and of the copy by the bytes that are there. It never falls; 100 once the VM is whole at one end. */
export function progressOfMove(move: SteppedMove): number {
  if (move.takenOverAt !== null || move.heldAt !== null) return 100;
  if (move.releasedAt !== null) return SHARE.prepare + SHARE.copy + SHARE.release;
  if (move.copiedAt !== null) return SHARE.prepare + SHARE.copy;
  if (move.preparedAt === null) return 0;
  const total = move.disk?.exportBytes ?? 0n;
  const there = move.copiedBytes < total ? move.copiedBytes : total;
  const part = total === 0n ? 0 : Number((there * BigInt(SHARE.copy)) / total);
  return SHARE.prepare + part;
}

/**
 * For how long its guest stood still, or would have if it was off anyhow: of a cold move from when its source showed it off until it was
 * seen at its destination as it is to be; of a live one as its hypervisor measured it. null: not known, or not yet.
 */
export function pauseOfMove({
  method,
  stoppedAt,
  takenOverAt,
  pauseMs,
}: SteppedMove): number | null {
  if (method === "live") return pauseMs;
  return stoppedAt === null || takenOverAt === null ? null : +takenOverAt - +stoppedAt;
}
