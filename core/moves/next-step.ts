import { assertNever } from "#core/result.ts";
import type { DiskOfMove, Move, MoveCommand, MoveFailure, MoveRole } from "./move.ts";

/** What a host says of its part, or what its report of the VM says of it. Untrusted: it counts for the step that it answers alone. */
export type Word = Readonly<{
  role: MoveRole;
  /** What this part of the step is done with; null: nothing yet. */
  done: "ready" | "copied" | "arrived" | "released" | "held" | "gone" | null;
  /** It is at work, and has not failed since. */
  isAtWork?: boolean | undefined;
  disk?: DiskOfMove | undefined;
  sha256?: string | undefined;
  bytes?: bigint | undefined;
  pauseMs?: number | undefined;
  /** It cannot, however often it is asked. */
  refused?: string | undefined;
}>;

/** What is known of the VM by what is stored of it. */
export type SeenOfMove = Readonly<{
  isVmToGo: boolean;
  isVmLost: boolean;
  /** Its owner shows it whole, in this epoch and generation, in the power that is wanted of it. */
  isAsWanted: boolean;
  /** Its owner shows it off. */
  isOff: boolean;
}>;

/** What a word of a host adds to what is known of its move. */
export type Learned = Readonly<
  Partial<
    Pick<
      Move,
      | "disk"
      | "isDestinationReady"
      | "sentSha256"
      | "receivedSha256"
      | "copiedBytes"
      | "hasLeft"
      | "hasArrived"
      | "pauseMs"
      | "stoppedAt"
    >
  >
>;

export type Decision =
  | Readonly<{ kind: "wait"; until: Date | null }>
  | Readonly<{ kind: "go"; by: Exclude<MoveCommand, "turn_back"> }>
  | Readonly<{ kind: "turn_back"; failure: NonNullable<Move["failure"]> }>;

/** How long a step may take without an end; `copy` as long as it goes forward. Of others there is no way but to wait. */
export const STEP_WITHIN_MS = {
  prepare: 10 * 60_000,
  copy: 15 * 60_000,
  release: 10 * 60_000,
} as const;
/** So often a VM that was lost on its way is looked for. */
const LOOK_AGAIN_MS = 60_000;
/** A step that has not ended for so long is told to staff. */
export const HANGS_AFTER_MS = 15 * 60_000;

/** What is new in a host's word, for the step at which its move is. */
export function learn(move: Move, word: Word): Learned {
  const { step, method } = move;
  const isSource = word.role === "source";
  if (step === "prepare") {
    if (isSource)
      return word.done === "ready" && word.disk && !move.disk ? { disk: word.disk } : {};
    return word.done === "ready" && move.disk && !move.isDestinationReady
      ? { isDestinationReady: true }
      : {};
  }
  const live = method === "live" && (step === "copy" || step === "hold");
  const went = live ? learnOfLive(move, word) : {};
  if (step !== "copy") return went;
  if (!isSource) {
    const { sha256 } = word;
    return word.done === "copied" && sha256 !== undefined && sha256 !== move.receivedSha256
      ? { ...went, receivedSha256: sha256 }
      : went;
  }
  const bytes = word.bytes === undefined || word.bytes <= move.copiedBytes ? undefined : word.bytes;
  return {
    ...went,
    ...(bytes !== undefined && { copiedBytes: bytes }),
    ...(method === "cold" &&
      word.done === "copied" &&
      word.sha256 !== undefined &&
      word.sha256 !== move.sentSha256 && { sentSha256: word.sha256 }),
  };
}

/** The hypervisors' move is done with both ends' words, whichever comes first, and none of them is taken back. */
function learnOfLive(move: Move, { role, done, pauseMs }: Word): Learned {
  if (role === "destination")
    return done === "arrived" && !move.hasArrived ? { hasArrived: true } : {};
  return {
    ...(done === "released" && !move.hasLeft && { hasLeft: true }),
    ...(pauseMs !== undefined && move.pauseMs === null && { pauseMs }),
  };
}

/** What is to be done next, by all that is known, and what one host says now (`word`; null: time has passed). */
export function decideMove(move: Move, seen: SeenOfMove, word: Word | null, now: Date): Decision {
  const { step, method } = move;
  // Whatever else: two hypervisors have switched over, and nobody can undo that.
  const switched = method === "live" && move.hasLeft && move.hasArrived;
  switch (step) {
    case "prepare":
    case "copy":
    case "release": {
      if (switched && step === "copy") return { kind: "go", by: "switch_over" };
      const why = whyBack(move, seen, word, now);
      if (why !== null) return { kind: "turn_back", failure: why };
      if (isDone(move, word)) return { kind: "go", by: "advance" };
      const since = step === "copy" ? move.heardAt : move.stepAt;
      return { kind: "wait", until: new Date(+since + STEP_WITHIN_MS[step]) };
    }
    case "take_over":
      if (seen.isAsWanted || seen.isVmToGo) return { kind: "go", by: "advance" };
      // Its action has ended, so that nothing rings for it any more when it is there again.
      return seen.isVmLost ? { kind: "wait", until: new Date(+now + LOOK_AGAIN_MS) } : WAIT;
    case "clean":
      return says(word, "source", "gone") ? { kind: "go", by: "advance" } : WAIT;
    case "hold":
      if (switched) return { kind: "go", by: "switch_over" };
      // It has let go of it: that the guest has arrived is all that is waited for.
      if (move.hasLeft) return WAIT;
      return says(word, "source", "held") ? { kind: "go", by: "advance" } : WAIT;
    case "drop":
      return says(word, "destination", "gone") ? { kind: "go", by: "advance" } : WAIT;
    case "ended":
      return WAIT;
    default:
      return assertNever(step);
  }
}

const WAIT = { kind: "wait", until: null } as const;
const says = (word: Word | null, role: MoveRole, done: NonNullable<Word["done"]>): boolean =>
  word?.role === role && word.done === done;

function isDone(move: Move, word: Word | null): boolean {
  if (move.step === "prepare") return move.disk !== null && move.isDestinationReady;
  if (move.step === "copy") return move.sentSha256 !== null && move.receivedSha256 !== null;
  return says(word, "source", "released");
}

function whyBack(
  { step, sentSha256, receivedSha256, stepAt, heardAt }: Move,
  seen: SeenOfMove,
  word: Word | null,
  now: Date,
): NonNullable<Move["failure"]> | null {
  if (seen.isVmToGo) return { code: "vm_deleted", detail: "the VM was deleted meanwhile" };
  if (seen.isVmLost) return { code: "vm_lost", detail: "its host does not find the VM any more" };
  if (word?.refused !== undefined)
    return {
      code: word.role === "source" ? "source_refused" : "destination_refused",
      detail: word.refused,
    };
  if (sentSha256 !== null && receivedSha256 !== null && sentSha256 !== receivedSha256)
    return {
      code: "checksum_differs",
      detail: `${sentSha256} was sent, ${receivedSha256} received`,
    };
  const late = (code: MoveFailure, since: Date, within: number) =>
    +now - +since >= within
      ? { code, detail: `${within / 60_000} minutes passed since ${since.toISOString()}` }
      : null;
  if (step === "prepare") return late("not_prepared_in_time", stepAt, STEP_WITHIN_MS.prepare);
  if (step === "copy") return late("not_copied_in_time", heardAt, STEP_WITHIN_MS.copy);
  return late("not_released_in_time", stepAt, STEP_WITHIN_MS.release);
}
