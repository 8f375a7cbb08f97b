import type { Money } from "#core/money.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { BEGINS_BEFORE_RENEWAL_MS } from "./plan-change.ts";
import type { Bought, Quote, QuoteRefusal, ResizeMethod } from "./quote.ts";
import type { ServicePrice } from "./service.ts";

/* How many VMs come from one plan to another: so many at once, and no further once too many could not. */

/** `planning`: its dry run is being written; `planned`: that is whole, and nobody has begun it. */
export const MIGRATION_STATES = [
  "planning",
  "planned",
  "running",
  "paused",
  "done",
  "stopped",
] as const;
export type MigrationState = (typeof MIGRATION_STATES)[number];
/** `retry`: what failed has another turn. */
export const MIGRATION_COMMANDS = [
  "plan",
  "begin",
  "pause",
  "resume",
  "stop",
  "retry",
  "finish",
] as const;
export type MigrationCommand = (typeof MIGRATION_COMMANDS)[number];

export const MIGRATION_MOVES = {
  planning: { plan: "planned" },
  planned: { begin: "running" },
  running: { pause: "paused", stop: "stopped", retry: "running", finish: "done" },
  paused: { resume: "running", stop: "stopped", retry: "running", finish: "done" },
  done: { retry: "running" },
  stopped: {},
} as const satisfies Record<MigrationState, Partial<Record<MigrationCommand, MigrationState>>>;

const TARGET = {
  plan: "planned",
  begin: "running",
  pause: "paused",
  resume: "running",
  stop: "stopped",
  retry: "running",
  finish: "done",
} as const satisfies Record<MigrationCommand, MigrationState>;

/** What a command leads to. One that is true already changes nothing. */
export function moveMigration(
  state: MigrationState,
  command: MigrationCommand,
): Result<MigrationState, Refusal<"plan_migration_wrong_state">> {
  const to = TARGET[command];
  if (state === to) return ok(state);
  const moves: Partial<Record<MigrationCommand, MigrationState>> = MIGRATION_MOVES[state];
  return moves[command] === undefined
    ? refuse("plan_migration_wrong_state", `a plan migration that is ${state} cannot ${command}`)
    : ok(to);
}

/**
 * Where one VM of it is. `refused`: by the dry run already; `judging`: it is its turn, and the payment provider is asked;
 * `moving`: it goes to a host that has room for what it becomes; `arrived`: it is there, that room is held, and its change comes next;
 * `drifted`: at its turn it was worse than shown, and it was left as it is; `left_out`: it is gone, or of another plan by now.
 */
export const MIGRATION_VM_STATES = [
  "waiting",
  "refused",
  "judging",
  "moving",
  "arrived",
  "running",
  "done",
  "failed",
  "drifted",
  "left_out",
] as const;
export type MigrationVmState = (typeof MIGRATION_VM_STATES)[number];
/**
 * `put_off`: something else is done with it now. `turn_back`: its move was turned back, and it is as it was. `miss`: it came too late for its
 * renewal, or after another change. `revert`: its change went back.
 */
export type MigrationVmMove =
  | "take"
  | "put_off"
  | "move"
  | "arrive"
  | "turn_back"
  | "miss"
  | "begin"
  | "drift"
  | "leave"
  | "commit"
  | "revert"
  | "retry";

/** From `moving` on it is gone through with, whatever becomes of the migration: a pause or a stop comes between VMs. */
export const MIGRATION_VM_MOVES = {
  waiting: { take: "judging" },
  refused: {},
  judging: {
    put_off: "waiting",
    move: "moving",
    begin: "running",
    drift: "drifted",
    leave: "left_out",
  },
  moving: { arrive: "arrived", turn_back: "failed", leave: "left_out" },
  arrived: {
    put_off: "arrived",
    miss: "waiting",
    begin: "running",
    drift: "drifted",
    leave: "left_out",
  },
  running: { commit: "done", revert: "failed" },
  done: {},
  failed: { retry: "waiting" },
  drifted: {},
  left_out: {},
} as const satisfies Record<MigrationVmState, Partial<Record<MigrationVmMove, MigrationVmState>>>;

/** Where a move of a VM leads; what no row of the table has is a fault of ours. */
export function nextOfMigrationVm(from: MigrationVmState, move: MigrationVmMove): MigrationVmState {
  const moves: Partial<Record<MigrationVmMove, MigrationVmState>> = MIGRATION_VM_MOVES[from];
  const to = moves[move];
  if (to === undefined) throw new Error(`a VM of a plan migration that is ${from} cannot ${move}`);
  return to;
}

/** What a migration comes to now: its state, and how many VMs more have their turn. */
export function decideMigration(migration: {
  state: "running" | "paused";
  maxParallel: number;
  stopAfterFailures: number;
  /** Since it was begun, resumed or retried. */
  failures: number;
  busy: number;
  /** Some wait for their turn. */
  isAnyWaiting: boolean;
}): Readonly<{ state: "running" | "paused" | "done"; take: number }> {
  const { state, maxParallel, stopAfterFailures, failures, busy, isAnyWaiting } = migration;
  if (busy === 0 && !isAnyWaiting) return { state: "done", take: 0 };
  if (state === "paused" || failures >= stopAfterFailures) return { state: "paused", take: 0 };
  return { state, take: Math.max(0, maxParallel - busy) };
}

/** What changes by itself in a moment: at its turn the VM waits for the end of it. */
const PASSING: ReadonlySet<QuoteRefusal> = new Set<QuoteRefusal>(["vm_locked", "change_waiting"]);
export const isPassing = (code: QuoteRefusal): boolean => PASSING.has(code);

/** What follows from plans, images and hosts, and not from the moment that a VM or its payer is in. */
const OF_THE_RULES: ReadonlySet<QuoteRefusal> = new Set<QuoteRefusal>([
  "same_plan",
  "plan_not_on_sale",
  "interval_not_sold",
  "ask_separately",
  "currency_differs",
  "disk_shrinks",
  "beyond_limits",
  "image_needs_more",
  "limit_unsupported",
  "unsupported_by_agent",
  "not_by_us",
]);

/** What was shown of a VM. */
export type ShownMigration = Readonly<{
  vmId: string;
  method: ResizeMethod;
  downSeconds: number;
  /** By how much its price will be above the present one; null: nobody is asked for money, or they cannot be compared. */
  difference: Money | null;
  refusals: readonly QuoteRefusal[];
}>;

/** What of it the dry run's hash names: the rules, so that what happens to a VM meanwhile is judged at its turn and stops no other. */
export const ruledOf = ({ vmId, method, refusals }: ShownMigration): string =>
  [vmId, method, ...refusals.filter((code) => OF_THE_RULES.has(code)).toSorted()].join(" ");

/** By how much the one price is above the other. */
export function differenceOf(from: ServicePrice | null, to: ServicePrice | null): Money | null {
  if (from === null || to === null || from.interval !== to.interval) return null;
  const { minor, currency } = to.amount;
  return from.amount.currency === currency ? { minor: minor - from.amount.minor, currency } : null;
}

const RANK = { none: 0, live: 1, restart: 2, move: 3 } as const satisfies Record<
  ResizeMethod,
  number
>;

/** Why what is offered at its turn is worse than what was shown: `code: words`; null: it is not. */
export function whyWorse(
  shown: Pick<ShownMigration, "method" | "downSeconds" | "difference"> & { toVersion: number },
  offered: Pick<Quote, "method" | "downSeconds"> & { from: Bought; to: Bought },
): string | null {
  const { from, to, method, downSeconds } = offered;
  if (to.planVersion !== shown.toVersion)
    return `plan_version: version ${to.planVersion} is sold by now, and ${shown.toVersion} was shown`;
  if (RANK[method] > RANK[shown.method] || downSeconds > shown.downSeconds)
    return `method: ${method} by now, and ${shown.method} was shown`;
  const by = differenceOf(from.price, to.price);
  if (by !== null && (shown.difference === null || by.minor > shown.difference.minor))
    return `price: it becomes dearer by ${by.minor} minor units, and ${shown.difference?.minor ?? "nothing"} was shown`;
  return null;
}

/** An hour for its turn to come, before its change begins by itself. */
const TURN_BEFORE_RENEWAL_MS = BEGINS_BEFORE_RENEWAL_MS + 60 * 60_000;
/** What moves first has so long for that. */
const MOVES_WITHIN_MS = 2 * 60 * 60_000;
/** When its turn comes, of what is to be done at its renewal: later than that it waits for the next one. */
export const turnBeforeRenewal = (paidUntil: Date, method: ResizeMethod): Date =>
  new Date(+paidUntil - TURN_BEFORE_RENEWAL_MS - (method === "move" ? MOVES_WITHIN_MS : 0));
