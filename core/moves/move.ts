import type { DiskFormat } from "#core/vms/disk-format.ts";

/** How a VM moves: `cold` is off while its disk is copied; `live` runs on, and pauses for a moment. */
export const MOVE_METHODS = ["cold", "live"] as const;
export type MoveMethod = (typeof MOVE_METHODS)[number];

/** What the two hosts are to a move. */
export const MOVE_ROLES = ["source", "destination"] as const;
export type MoveRole = (typeof MOVE_ROLES)[number];

/**
 * Where a move is (docs/adr/0053). Up to `release` the VM is its source's and every failure leads back there, by `hold` and `drop`; from
 * `take_over` on it is its destination's, and every failure leads forward. Between the two the owner epoch moves, in one transaction.
 */
export const MOVE_STEPS = [
  /** Source: what is the VM made of? Destination: is there room, and the image? */
  "prepare",
  /** Cold: the source stops the VM and sends its disk, the destination makes a VM of it that is off. Live: the hypervisors do. */
  "copy",
  /** The source marks its copy, which it cannot start any more, and says so. */
  "release",
  /** The destination brings the VM to the power that is wanted of it. */
  "take_over",
  /** The source puts its copy into its trash. */
  "clean",
  /** Turned back: the source says that the VM is its own still, and takes its mark away. */
  "hold",
  /** The destination removes what it has of the VM. */
  "drop",
  "ended",
] as const;
export type MoveStep = (typeof MOVE_STEPS)[number];

export const MOVE_COMMANDS = ["advance", "turn_back", "switch_over"] as const;
export type MoveCommand = (typeof MOVE_COMMANDS)[number];

/**
 * Every legal step of a move; there is no other list. `switch_over`: a live move was done by the hypervisors, whatever we were at, and
 * their word is not taken back.
 */
export const MOVE_MOVES = {
  prepare: { advance: "copy", turn_back: "hold" },
  copy: { advance: "release", turn_back: "hold", switch_over: "take_over" },
  release: { advance: "take_over", turn_back: "hold" },
  take_over: { advance: "clean" },
  clean: { advance: "ended" },
  hold: { advance: "drop", switch_over: "take_over" },
  drop: { advance: "ended" },
  ended: {},
} as const satisfies Record<MoveStep, Partial<Record<MoveCommand, MoveStep>>>;

export function nextMoveStep(from: MoveStep, command: MoveCommand): MoveStep | undefined {
  const moves: Partial<Record<MoveCommand, MoveStep>> = MOVE_MOVES[from];
  return moves[command];
}

/** The VM is its destination's: the epoch has moved. */
export const HAS_MOVED: ReadonlySet<MoveStep> = new Set(["take_over", "clean"]);
export const MOVE_OUTCOMES = ["moved", "turned_back"] as const;
export type MoveOutcome = (typeof MOVE_OUTCOMES)[number];

/** Why a move was turned back. Stable. */
export const MOVE_FAILURES = [
  /** Staff stopped it. */
  "stopped",
  /** The VM was deleted, and that waits for the move to end. */
  "vm_deleted",
  /** Its host says that the VM is not there any more. */
  "vm_lost",
  /** A host refused its part for good; the detail is its own. */
  "source_refused",
  "destination_refused",
  /** What the destination received is not what the source sent. */
  "checksum_differs",
  "not_prepared_in_time",
  "not_copied_in_time",
  "not_released_in_time",
] as const;
export type MoveFailure = (typeof MOVE_FAILURES)[number];

/** What is known of the disk once its source has looked. */
export type DiskOfMove = Readonly<{
  format: DiskFormat;
  virtualBytes: bigint;
  /** The most that is sent of it. */
  exportBytes: bigint;
  /** Both ends hold it, so that only what differs from it is sent. */
  base: Readonly<{ file: string; sha256: string }> | null;
}>;

/** What the key of a move is sealed as. */
export const sealedAs = (moveId: string): string => `move:${moveId}`;

export type Move = Readonly<{
  id: string;
  vmId: string;
  actionId: string;
  sourceHostId: string;
  destinationHostId: string;
  method: MoveMethod;
  step: MoveStep;
  outcome: MoveOutcome | null;
  /** Of the source's copy, and of this attempt's: drawn for it, and never used before. */
  sourceEpoch: number;
  epoch: number;
  /** Of the VM, since it is its destination's; null: it is not. */
  generation: number | null;
  /** null: its source has not looked yet. */
  disk: DiskOfMove | null;
  isDestinationReady: boolean;
  /** Of the file that was sent and of the one that was received and taken, as each end says. */
  sentSha256: string | null;
  receivedSha256: string | null;
  /** Of a live move: its source has let go of it, and its destination shows it there and running. The owner changes by both. */
  hasLeft: boolean;
  hasArrived: boolean;
  /** What of the file is at the destination, by the source's last word. */
  copiedBytes: bigint;
  failure: Readonly<{ code: MoveFailure; detail: string }> | null;
  createdAt: Date;
  /** When both ends were ready, and when what was sent was received; null, as all of these: not yet, or it never came to that. */
  preparedAt: Date | null;
  copiedAt: Date | null;
  /** When the present step began, and when something of it was last heard. */
  stepAt: Date;
  heardAt: Date;
  /** The guest stood still from then; null: it did not, or not yet. */
  stoppedAt: Date | null;
  releasedAt: Date | null;
  /** It was seen at its destination in the power that is wanted of it. */
  takenOverAt: Date | null;
  /** When it was given up, and when its source had it for itself again. */
  turnedBackAt: Date | null;
  heldAt: Date | null;
  /** Of a live move, as the hypervisor measured it. */
  pauseMs: number | null;
  endedAt: Date | null;
}>;
