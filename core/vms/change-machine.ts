import { refuse, ok, type Refusal, type Result } from "#core/result.ts";

/**
 * Where the machine of a change is. `untouched`: its host was never told. `gone`: there is no machine that could have a size: it
 * is deleted, or lost.
 */
export const CHANGE_MACHINE = [
  "none",
  "waiting",
  "applying",
  "seen",
  "reverting",
  "untouched",
  "reverted",
  "gone",
] as const;
export type ChangeMachine = (typeof CHANGE_MACHINE)[number];

/** `turn_back`: the old size is to hold again, and `let_go` that there is none to hold. `see_old`: it was seen. */
export type MachineMove = "apply" | "see" | "turn_back" | "see_old" | "let_go";

export const CHANGE_MACHINE_MOVES = {
  none: { turn_back: "none", let_go: "none" },
  waiting: { apply: "applying", turn_back: "untouched", let_go: "untouched" },
  applying: { see: "seen", turn_back: "reverting", let_go: "gone" },
  seen: { turn_back: "reverting", let_go: "gone" },
  reverting: { see_old: "reverted", let_go: "gone" },
  untouched: {},
  reverted: {},
  gone: {},
} as const satisfies Record<ChangeMachine, Partial<Record<MachineMove, ChangeMachine>>>;

/** It has the new size, or none that changes. */
export const MACHINE_IS_THERE: ReadonlySet<ChangeMachine> = new Set(["none", "seen"]);
/** It has the old size, or none. */
export const MACHINE_IS_BACK: ReadonlySet<ChangeMachine> = new Set([
  "none",
  "untouched",
  "reverted",
  "gone",
]);
export function moveMachine(
  machine: ChangeMachine,
  move: MachineMove,
): Result<ChangeMachine, Refusal<"change_wrong_state">> {
  const moves: Partial<Record<MachineMove, ChangeMachine>> = CHANGE_MACHINE_MOVES[machine];
  const to = moves[move];
  return to === undefined
    ? refuse("change_wrong_state", `a change whose machine is ${machine} knows no ${move}`)
    : ok(to);
}
