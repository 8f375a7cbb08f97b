import type { IdSource, Log } from "#core/ports.ts";
import { Dice } from "./dice.ts";
import { Faults, type ChanceKind } from "./faults.ts";
import { seededIdSource } from "./ids.ts";
import { Scheduler } from "./scheduler.ts";

/** A broken promise of the product. `invariant` is its number; 0: an error that no fault explains. */
export class Violation extends Error {
  override name = "Violation";
  readonly invariant: number;
  constructor(invariant: number, detail: string) {
    super(detail);
    this.invariant = invariant;
  }
}

/** What every part of one run shares. */
export type Sim = Readonly<{
  scheduler: Scheduler;
  faults: Faults;
  /** Chance for what is no fault: delays, choices of the network. */
  dice: Dice;
  ids: IdSource;
  log: Log;
  /** The first thing that was found broken; the run ends at it. */
  found: { violation: Violation | null };
  /** What a restored database knows no more, by its id: whatever was under way with it finds it missing. */
  lost: Set<string>;
  /** Since when the faults have stopped, in milliseconds since 1970; null: they have not. */
  rest: { since: number | null };
}>;

export function createSim(options: {
  seed: string;
  faultKinds: readonly ChanceKind[];
  keepTrace: boolean;
}): Sim {
  const dice = new Dice(options.seed);
  const scheduler = new Scheduler({ dice: dice.fork("order"), keepTrace: options.keepTrace });
  const found: Sim["found"] = { violation: null };
  const lost: Sim["lost"] = new Set();
  const write = (event: string, fields: Record<string, unknown>) => {
    const { error } = fields;
    scheduler.trace(`log ${event}${error === undefined ? "" : ` ${describe(error)}`}`);
    if (error !== undefined && !isExplained(error, lost))
      found.violation ??= new Violation(guardOf(error), `${event}: ${describe(error)}`);
  };
  return {
    scheduler,
    faults: new Faults({ seed: options.seed, kinds: options.faultKinds }),
    dice: dice.fork("choices"),
    ids: seededIdSource(options.seed, scheduler.now),
    log: { info: write, error: write },
    found,
    lost,
    rest: { since: null },
  };
}

/** What stands behind the checks in the database, by the invariant that it guards. */
const GUARDS: Readonly<Record<string, number>> = {
  hosts_never_oversold: 14,
  ip_leases_no_overlap: 13,
  ip_leases_open_address_key: 13,
  ledger_must_balance: 8,
  append_only: 8,
  vm_counters_only_grow: 15,
  host_counters_only_grow: 15,
  vms_never_ahead_of_desire: 19,
  give_backs_once_key: 9,
  services_pkey: 1,
  vms_pkey: 1,
  vms_deleted_was_asked: 7,
  moves_epoch_key: 17,
  moves_one_open_key: 17,
  moves_released_whole: 17,
};

/** The invariant whose guard in the database refused this; 0 for any other error. */
function guardOf(error: unknown): number {
  for (let e: unknown = error; e instanceof Error; e = e.cause)
    if ("constraint" in e && typeof e.constraint === "string") return GUARDS[e.constraint] ?? 0;
  return 0;
}

/** Errors that the code makes on purpose, for what it will do again. */
const EXPECTED = new Set(["ProviderUnavailable", "StaleLook", "StaleVersion", "ProblemError"]);

/** True for what a fault of ours caused, and for what the code throws on purpose. Anything else is a bug. */
function isExplained(error: unknown, lost: ReadonlySet<string>): boolean {
  for (let e: unknown = error; e instanceof Error; e = e.cause) {
    if (e instanceof AggregateError) return e.errors.every((each) => isExplained(each, lost));
    if (
      EXPECTED.has(e.name) ||
      lost.has(/^order (\S+) vanished$/.exec(e.message)?.[1] ?? "") ||
      // So as the faults say it: a disk of a move has the format "simulated".
      /\(simulated|connection error and is not queryable|Connection terminated/.test(e.message)
    )
      return true;
  }
  return typeof error === "string" && error.includes("(simulated");
}

/** One line, the same in every run. */
export function describe(error: unknown): string {
  const parts: string[] = [];
  for (let e: unknown = error; e instanceof Error; e = e.cause)
    parts.push(`${e.name}: ${e.message.split("\n")[0]}`);
  return parts.length > 0 ? parts.join(" < ") : String(error);
}
