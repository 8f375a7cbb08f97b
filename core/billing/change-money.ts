import { refuse, ok, type Refusal, type Result } from "#core/result.ts";

/**
 * Where the money of a change is. `asking`: the provider was asked, or is about to be, and nobody knows yet what it did; likewise
 * `dropping` (what waits for a payer is voided) and `undoing` (what was paid goes back).
 */
export const CHANGE_MONEY = [
  "exempt",
  "not_asked",
  "asking",
  "waiting",
  "applied",
  "dropping",
  "undoing",
  "dropped",
  "undone",
] as const;
export type ChangeMoney = (typeof CHANGE_MONEY)[number];

/**
 * `ask`: before the provider is asked. `wait`, `apply`, `lapse`: its answers; `apply` of what is being dropped says that the payer
 * was faster, and `keep` that it can't be taken back. `turn_back`: the old price is to hold again. `give_back`: all that was moved has
 * gone back.
 */
export type MoneyMove = "ask" | "wait" | "apply" | "keep" | "lapse" | "turn_back" | "give_back";

export const CHANGE_MONEY_MOVES = {
  /** Whoever pays keeps the price: nothing is asked of our provider, whatever becomes of the machine. */
  exempt: { turn_back: "exempt" },
  not_asked: { ask: "asking", turn_back: "dropped" },
  asking: { wait: "waiting", apply: "applied", lapse: "dropped", turn_back: "dropping" },
  waiting: { wait: "waiting", apply: "applied", lapse: "dropped", turn_back: "dropping" },
  applied: { turn_back: "undoing" },
  dropping: { wait: "dropping", apply: "undoing", keep: "applied", lapse: "dropped" },
  undoing: { give_back: "undone" },
  dropped: { turn_back: "dropped" },
  undone: {},
} as const satisfies Record<ChangeMoney, Partial<Record<MoneyMove, ChangeMoney>>>;

/** The new price holds, or there is none to hold. */
export const MONEY_IS_THERE: ReadonlySet<ChangeMoney> = new Set(["exempt", "applied"]);
/** The old price holds, and nothing that was paid for the new one is with us. */
export const MONEY_IS_BACK: ReadonlySet<ChangeMoney> = new Set(["exempt", "dropped", "undone"]);

export function moveMoney(
  money: ChangeMoney,
  move: MoneyMove,
): Result<ChangeMoney, Refusal<"change_wrong_state">> {
  const moves: Partial<Record<MoneyMove, ChangeMoney>> = CHANGE_MONEY_MOVES[money];
  const to = moves[move];
  return to === undefined
    ? refuse("change_wrong_state", `a change whose money is ${money} knows no ${move}`)
    : ok(to);
}
