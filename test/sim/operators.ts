import { z } from "zod";
import { toWireId } from "#core/ids.ts";
import { PLANS } from "./fixture.ts";
import type { Mirror } from "./mirror.ts";
import type { Step } from "./plan.ts";
import { MOST_WAITS, type Answer, type Requests } from "./requests.ts";
import type { Sim } from "./sim.ts";

const Hashed = z.object({ hash: z.string().nullable() });
const Totals = z.object({
  id: z.string(),
  hash: z.string().nullable(),
  vms: z.record(z.string(), z.number()),
  totals: z.object({
    methods: z.array(z.object({ method: z.string(), vms: z.number() })),
    differences: z.array(z.object({ minor: z.string() })),
    refusals: z.array(z.object({ code: z.string(), vms: z.number() })),
  }),
});

type DrainStep = Extract<Step, { do: "drain" }>;
type MaintainStep = Extract<Step, { do: "maintain" }>;
type MigrateStep = Extract<Step, { do: "migrate_plans" }>;

const MINUTE = 60_000;
/** What a dry run showed is no longer so: they look again, so often. */
const MOST_LOOKS = 6;
/** So long a drain is waited for whose host is to be retired: what passes is tried for an hour. */
const MOST_DRAIN_LOOKS = 40;

/** What staff do to whole hosts, and to all VMs of a plan. */
export class Operators {
  readonly #sim: Sim;
  readonly #requests: Requests;
  readonly #mirror: Mirror;

  constructor(sim: Sim, parts: { requests: Requests; mirror: Mirror }) {
    this.#sim = sim;
    this.#requests = parts.requests;
    this.#mirror = parts.mirror;
  }

  /** The host of a VM is emptied (`began`: that has begun, or cannot), and then something else is done with it. */
  async drain(step: DrainStep, began: () => void): Promise<void> {
    const vm = await this.#requests.delivered(step.vm);
    const hostId = vm && this.#mirror.vms.get(vm.id)?.host_id;
    if (hostId === undefined) return;
    const path = `/staff/v1/hosts/${toWireId("host", hostId)}`;
    const { method, maxParallel, double } = step;
    const reason = "its disks are to be replaced";
    const drain = () => this.#force(`${path}/drain`, { reason, method, maxParallel }, double);
    const begun = await drain();
    began();
    if (!begun) return;
    this.#sim.faults.count("host.drained");
    if (step.next === "wait") return;
    await this.#sim.scheduler.sleep(step.nextAfterMs, undefined, "staff do something else");
    if (step.next === "retire") return this.#retire(hostId, path);
    const other = step.next === "cordon" ? "cordon" : "activate";
    const isOther = await this.#force(`${path}/${other}`, { reason: "it is needed still" });
    if (isOther) this.#sim.faults.count("host.drain_stopped");
    if (step.next === "again" && (await drain())) this.#sim.faults.count("host.drained");
  }

  /** As soon as it lets itself be retired, which is when nothing is on it; never the last one that takes VMs. */
  async #retire(hostId: string, path: string): Promise<void> {
    for (let looks = 0; looks < MOST_DRAIN_LOOKS; looks++) {
      const others = this.#mirror.hosts.all().some((h) => h.id !== hostId && h.state === "active");
      const drain = this.#mirror.drains.all().findLast((each) => each.host_id === hostId);
      const isGivenUp =
        drain === undefined || drain.outcome === "left" || drain.outcome === "stopped";
      if (isGivenUp || !others || !this.#sim.faults.active) return;
      if (await this.#force(`${path}/retire`, { reason: "it is worn out" })) {
        this.#sim.faults.count("host.retired");
        return;
      }
      await this.#sim.scheduler.sleep(3 * MINUTE, undefined, "staff look how far it is");
    }
  }

  /** A time in which somebody is at a host is announced, changed, and ended. */
  async maintain(step: MaintainStep, hostId: string): Promise<void> {
    const { scheduler, faults } = this.#sim;
    const path = `/staff/v1/hosts/${toWireId("host", hostId)}`;
    const { noticeHours } = step;
    const inMs = Math.max(step.inMs, noticeHours * 60 * MINUTE + 5 * MINUTE);
    const plan = (afterMs: number) => {
      const startsAt = scheduler.now().getTime() + afterMs;
      return this.#force(`${path}/maintenance`, {
        startsAt: new Date(startsAt).toISOString(),
        endsAt: new Date(startsAt + step.lastsMs).toISOString(),
        noticeHours,
        reason: "its memory is to be replaced",
      });
    };
    if (!(await plan(inMs))) return;
    faults.count("host.maintained");
    if (step.moved) await plan(inMs + 20 * MINUTE);
    if (step.end === null) return;
    await scheduler.sleep(step.endAfterMs, undefined, "somebody is at the host");
    const how = step.end === "cancel" ? "maintenance/cancel" : step.end;
    await this.#force(`${path}/${how}`, { reason: "that is done" });
  }

  /**
   * All VMs of a plan are brought to another one (`began`: that has begun, or cannot), and that is paused, resumed, stopped or
   * retried. What a dry run shows must be what its rows come to.
   */
  async migratePlans(step: MigrateStep, began: () => void): Promise<void> {
    const { scheduler, faults } = this.#sim;
    const { from, to, when, price, maxParallel, stopAfterFailures, announceDays } = step;
    const planAt = (n: number) => toWireId("plan", (PLANS[n % PLANS.length] ?? PLANS[0]).id);
    const body = {
      from: { planId: planAt(from) },
      to: { planId: planAt(from + to) },
      when,
      price,
      maxParallel,
      stopAfterFailures,
      announceDays,
      reason: "that plan is sold no more",
    };
    const id = await this.#beginMigration(body, step.double);
    began();
    if (id === null) return;
    faults.count("plan_migration.begun");
    for (const command of step.commands) {
      await scheduler.sleep(step.commandAfterMs, undefined, "staff look how far it is");
      const path = `/staff/v1/plan-migrations/${id}`;
      const done = await this.#requests.insist("grace", "PATCH", path, { do: command });
      if (done?.status === 200) faults.count("plan_migration.commanded");
    }
  }

  /** @returns its id; null: there never was a VM to migrate, or its rules changed again and again. */
  async #beginMigration(body: object, double: boolean): Promise<string | null> {
    const path = "/staff/v1/plan-migrations";
    const ask = (more: object) =>
      this.#requests.insist("grace", "POST", path, { ...body, ...more });
    for (let tries = 0; tries < MOST_WAITS; tries++) {
      const dry = await ask({ dryRun: true });
      const shown = dry?.status === 200 ? Totals.parse(JSON.parse(dry.text)) : null;
      if (shown !== null) this.#compareTotals(shown);
      if (shown?.hash !== undefined && shown.hash !== null) {
        const { hash } = shown;
        const [one, other] = await Promise.all([ask({ hash }), double ? ask({ hash }) : null]);
        const ids = [one, other].flatMap((answer) => begunIn(answer));
        // Restored in between, the database may have begun it twice: the first is unknown then.
        if (new Set(ids).size > 1 && this.#isKnown(ids))
          this.#requests.broken(23, `one dry run was begun as ${ids.join(" and ")}`);
        if (ids[0] !== undefined) return ids[0];
      }
      await this.#sim.scheduler.sleep(MINUTE, undefined, "staff ask again");
    }
    return null;
  }

  #isKnown(ids: readonly string[]): boolean {
    const known = this.#mirror.planMigrations.all().map(({ id }) => toWireId("plan_migration", id));
    return ids.every((id) => known.includes(id));
  }

  /** 23. A dry run's totals are the sums of its rows; nobody but who asked for it has begun it meanwhile. */
  #compareTotals({ id, vms, totals }: z.infer<typeof Totals>): void {
    const rows = this.#mirror.migrationVms
      .all()
      .filter((row) => toWireId("plan_migration", row.migration_id) === id);
    if (rows.length === 0) return;
    const shown = rows.filter(({ state }) => state !== "refused");
    const is = {
      rows: rows.length,
      methods: counted(shown.map(({ method }) => method)),
      refusals: counted(rows.flatMap(({ refusals }) => refusals)),
      minor: shown.reduce((sum, { difference_minor: minor }) => sum + (minor ?? 0n), 0n),
    };
    const told = {
      rows: Object.values(vms).reduce((sum, n) => sum + n, 0),
      methods: inOrder(totals.methods.map(({ method, vms: n }) => `${n} ${method}`)),
      refusals: inOrder(totals.refusals.map(({ code, vms: n }) => `${n} ${code}`)),
      minor: totals.differences.reduce((sum, { minor }) => sum + BigInt(minor), 0n),
    };
    if (
      is.rows !== told.rows ||
      is.methods !== told.methods ||
      is.refusals !== told.refusals ||
      is.minor !== told.minor
    )
      this.#requests.broken(
        23,
        `a dry run tells of ${told.rows} VMs, ${told.methods}, ${told.refusals}, ${told.minor}, and its rows come to ${is.rows}, ${is.methods}, ${is.refusals}, ${is.minor}`,
      );
  }

  /** What a dry run allows is done, by its hash; shown anew when it would do something else by now. */
  async #force(path: string, body: object, double = false): Promise<boolean> {
    const ask = (more: object) =>
      this.#requests.insist("grace", "POST", path, { ...body, ...more });
    for (let tries = 0; tries < MOST_LOOKS; tries++) {
      const dry = await ask({ dryRun: true });
      if (dry?.status !== 200) return false;
      const { hash } = Hashed.parse(JSON.parse(dry.text));
      const [done, again] = await Promise.all([ask({ hash }), double ? ask({ hash }) : null]);
      if (done?.status === 200 || again?.status === 200) return true;
      if (done?.text.includes("plan_changed") !== true) return false;
    }
    return false;
  }
}

const begunIn = (answer: Answer | null): readonly string[] =>
  answer?.status === 202 ? [Totals.parse(JSON.parse(answer.text)).id] : [];

const inOrder = (words: readonly string[]): string => words.toSorted().join(", ");
const counted = (words: readonly string[]): string =>
  inOrder([...Map.groupBy(words, (word) => word)].map(([word, all]) => `${all.length} ${word}`));
