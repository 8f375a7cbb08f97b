import { Dice } from "./dice.ts";

/**
 * Everything that may go wrong by chance, and how often of the times that it could, in a run whose plan has this kind
 * (a plan has about half of them). The rates are set so that 500 runs see each kind at least 100 times.
 */
const RATES = {
  "db.serialization_failure": 0.05,
  "db.connection_lost_before_commit": 0.02,
  "db.connection_lost_after_commit": 0.03,
  "db.unavailable": 0.5,
  "lambda.killed": 0.05,
  "net.request_lost": 0.05,
  "net.answer_lost": 0.05,
  "net.request_doubled": 0.05,
  "net.delayed": 0.05,
  "queue.send_failed": 0.1,
  "queue.send_answer_lost": 0.3,
  "queue.dropped": 0.25,
  "queue.doubled": 0.35,
  "queue.delayed": 0.35,
  "doorbell.dropped": 0.3,
  "doorbell.doubled": 0.5,
  "doorbell.delayed": 0.45,
  "doorbell.reordered": 1,
  "webhook.dropped": 0.2,
  "webhook.doubled": 0.3,
  "webhook.delayed": 0.3,
  "webhook.answer_lost": 0.3,
  "stripe.unreachable": 0.06,
  "stripe.server_error": 0.06,
  "stripe.rate_limited": 0.06,
  "stripe.answer_lost": 0.06,
  "stripe.slow": 0.06,
  "host.agent_killed": 0.02,
  "host.hypervisor_unavailable": 0.02,
  "host.driver_failed": 0.12,
  "host.slow": 0.15,
  "host.power_lost_half_written": 0.1,
} as const;
/** What the plan, the people in it, or the order of things brings about. */
const PLANNED = [
  "queue.reordered",
  "webhook.reordered",
  "host.rebooted",
  "host.power_lost",
  "host.vanished",
  "host.disk_full",
  "vm.powered_off",
  "vm.paused",
  "vm.failed",
  "vm.foreign",
  "vm.lost",
  "guest.lied",
  "host.lied",
  "host.report_replayed",
  "host.clock_set",
  "host.image_removed",
  "host.agent_downgraded",
  "host.agent_upgraded",
  "payment.declined",
  "payment.renewal_declined",
  "resize.taken",
  "move.begun",
  "move.stopped",
  "host.drained",
  "host.drain_stopped",
  "host.retired",
  "host.maintained",
  "plan_migration.begun",
  "plan_migration.commanded",
  "db.restored",
] as const;

/**
 * What hardly any drawn world comes to, for all that must have gone well before it: plans of their own show it (`regressions/`), and no run is
 * asked for it. A host is retired when all its VMs found room elsewhere, and was not needed again meanwhile.
 */
export const SELDOM: ReadonlySet<(typeof FAULT_KINDS)[number]> = new Set(["host.retired"]);

export type ChanceKind = keyof typeof RATES;
export type FaultKind = ChanceKind | (typeof PLANNED)[number];
const isChance = (name: string): name is ChanceKind => name in RATES;
/** The kinds that a plan switches on and off; the others happen when a step of the plan brings them about. */
export const CHANCE_KINDS: readonly ChanceKind[] = Object.keys(RATES).filter(isChance);
export const FAULT_KINDS: readonly FaultKind[] = [...CHANCE_KINDS, ...PLANNED];

/** Decides what goes wrong. Each kind has dice of its own, so that leaving one out moves no other. */
export class Faults {
  readonly counts = new Map<FaultKind, number>();
  readonly #on: ReadonlySet<ChanceKind>;
  readonly #dice = new Map<ChanceKind, Dice>();
  readonly dice: Dice;
  /** False while the world is made, and once it is to come to rest. */
  active = false;

  constructor(options: { seed: string; kinds: readonly ChanceKind[] }) {
    this.#on = new Set(options.kinds);
    this.dice = new Dice(`${options.seed}/faults`);
    for (const kind of CHANCE_KINDS) this.#dice.set(kind, new Dice(`${options.seed}/${kind}`));
  }

  /** Whether it goes wrong this time; counts it when it does. */
  strikes(kind: ChanceKind): boolean {
    const struck = this.draws(kind);
    if (struck) this.count(kind);
    return struck;
  }

  /** As `strikes`, for what only counts once it has had its effect. */
  draws(kind: ChanceKind): boolean {
    if (!this.active || !this.#on.has(kind)) return false;
    return this.#dice.get(kind)?.chance(RATES[kind]) ?? false;
  }

  count(kind: FaultKind): void {
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
  }
}
