import { createHash } from "node:crypto";
import { actorOf, type AccountPrincipal } from "#core/accounts/accounts.ts";
import {
  judgeElsewhere,
  judgeMigration,
  wantsOtherHost,
  type JudgedMigration,
} from "#core/billing/judge-migration.ts";
import {
  isPassing,
  moveMigration,
  ruledOf,
  turnBeforeRenewal,
} from "#core/billing/plan-migration.ts";
import type { KnownBilled } from "#core/billing/quote-refusals.ts";
import type { ResizeTarget } from "#core/billing/resize.ts";
import { canonicalJson } from "#core/contracts/canonical-json.ts";
import type { HostFacts } from "#core/contracts/agent/report.ts";
import type { Capacity } from "#core/hosts/capacity.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { largerOf } from "#core/vms/vm.ts";
import {
  insertPlannedVms,
  pageOfMigrationVms,
  shownFromRow,
  vmsToMigrate,
  type PlannedVm,
} from "#db/billing/migration-vms.ts";
import {
  insertMigration,
  loadMigration,
  lockMigration,
  migrationOfHash,
  saveMigration,
  type MigrationAsked,
  type PlanMigration,
} from "#db/billing/plan-migrations.ts";
import { loadResizings, type Resizing } from "#db/billing/resizing.ts";
import { loadNewestPlan } from "#db/catalogue/catalogue.ts";
import { factsOf } from "#db/hosts/hosts.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { createOtherHosts } from "./find-other-host.ts";
import { stateOf, targetOf } from "./resize-state.ts";

/** So many VMs are read, judged and written at once. */
export const PAGE_OF_MIGRATION = 250;
/** More than this is narrowed down: the answer must come while somebody waits for it. */
export const MOST_OF_MIGRATION = 20_000;
/** What was shown longer ago is shown anew. */
const SHOWN_FOR_MS = 24 * 60 * 60_000;

type Planned = Result<
  PlanMigration,
  Refusal<"plan_not_found" | "plan_migration_without_vms" | "plan_migration_too_large">
>;

/**
 * A dry run, kept: what would become of each VM, by our own figures, and a hash of the rules by which that is so. In pages, each of two
 * reads and a write of its own, however many VMs there are, and with the hosts that they could move to read once for all; one that breaks
 * off is purged.
 */
export async function planMigration(
  deps: Deps,
  who: AccountPrincipal,
  asked: MigrationAsked,
): Promise<Planned> {
  const { now, newId } = stamp(deps);
  const noPlan = () => refuse("plan_not_found", "there is no such plan");
  const [from, to] = await Promise.all(
    [asked.fromPlanId, asked.toPlanId].map((id) => loadNewestPlan(deps.db, id)),
  );
  if (!from || !to) return noPlan();
  const target = targetOf(to);
  const pageAfter = (after: string | null) =>
    vmsToMigrate(deps.db, asked, { toVersion: target.version, after, limit: PAGE_OF_MIGRATION });
  let ids = await pageAfter(null);
  // What a filter names is there where a VM is: nothing is written of what is nowhere.
  if (ids.length === 0)
    return refuse("plan_migration_without_vms", "no VM is of that plan and fits the filter");
  const id = newId();
  await insertMigration(deps.db, {
    ...asked,
    id,
    askedBy: who.accountId,
    toVersion: target.version,
    state: "planning",
    createdAt: now,
    movedAt: now,
  });
  const rules = rulesOf(asked, target);
  const judge = createJudge(deps, asked, target, now);
  for (let seen = 0; ids.length > 0; ids = await pageAfter(ids.at(-1) ?? null)) {
    const found = await loadResizings(deps.db, ids);
    const rows: PlannedVm[] = [];
    for (const resizing of found) rows.push(plannedOf(asked, resizing, await judge(resizing), now));
    await insertPlannedVms(deps.db, id, rows);
    for (const row of rows) rules.add(ruledOf(row));
    seen += rows.length;
    if (seen > MOST_OF_MIGRATION)
      return refuse(
        "plan_migration_too_large",
        `these are more than ${MOST_OF_MIGRATION} VMs: narrow them down by a filter`,
      );
  }
  const planned = moveMigration("planning", "plan");
  if (!planned.ok) throw new Error(planned.error.detail);
  await saveMigration(deps.db, id, { state: planned.value, hash: rules.hash() });
  const made = await loadMigration(deps.db, id);
  if (!made) throw new Error(`plan migration ${id} vanished`);
  return ok(made);
}

/**
 * Begins what a dry run showed, by its hash. All is judged again: where the rules are others by now, it is refused, and there is to be a
 * new dry run. What happened to single VMs meanwhile is judged at their turn. Repeated, it is begun once.
 */
export async function beginMigration(
  deps: Deps,
  who: AccountPrincipal,
  asked: MigrationAsked,
  hash: string | undefined,
): Promise<Result<PlanMigration, Refusal<"plan_changed">>> {
  const at = stamp(deps);
  const known = hash === undefined ? undefined : await migrationOfHash(deps.db, hash);
  if (!known || !isAsked(known, asked)) return otherRules();
  if (known.begunAt !== null) return ok(known);
  if (+at.now - +known.createdAt > SHOWN_FOR_MS) return otherRules();
  const to = await loadNewestPlan(deps.db, asked.toPlanId);
  if (!to || (await hashNow(deps, known, targetOf(to))) !== hash) return otherRules();
  return inTransaction(deps.db, async (tx) => {
    const held = await lockMigration(tx, known.id);
    if (!held) return otherRules();
    if (held.begunAt !== null) return ok(held);
    const moved = moveMigration(held.state, "begin");
    if (!moved.ok) throw new Error(moved.error.detail);
    const begun = { state: moved.value, begunAt: at.now, movedAt: at.now };
    await saveMigration(tx, held.id, begun);
    const data = { planMigrationId: held.id };
    await recordChange(
      tx,
      {
        actor: actorOf(who),
        action: "plan_migration.begin",
        subject: { kind: "plan_migration", id: held.id },
        detail: { reason: held.reason, hash, to_version: held.toVersion, when: held.when },
        events: [
          { name: "plan_migration.began.v1", data },
          { name: "plan_migration.fell_due.v1", data },
        ],
      },
      at,
    );
    return ok({ ...held, ...begun });
  });
}

const otherRules = () =>
  refuse("plan_changed", "it is not what a dry run showed: look at one, and send its hash");

const ASKED = [
  "fromPlanId",
  "fromVersion",
  "toPlanId",
  "locationId",
  "hostId",
  "accountId",
  "interval",
  "when",
  "price",
  "maxParallel",
  "stopAfterFailures",
  "announceDays",
  "reason",
] as const satisfies readonly (keyof MigrationAsked)[];
const isAsked = (known: PlanMigration, asked: MigrationAsked): boolean =>
  ASKED.every((field) => known[field] === asked[field]);

/** The dry run's hash, as it would be today: of a VM that is gone, or of another plan, what was shown of it stands. */
async function hashNow(deps: Deps, known: PlanMigration, target: ResizeTarget): Promise<string> {
  const rules = rulesOf(known, target);
  const judge = createJudge(deps, known, target, deps.clock.now());
  for (let after: string | null = null; ;) {
    const page = await pageOfMigrationVms(deps.db, known.id, { limit: PAGE_OF_MIGRATION, after });
    const found = await loadResizings(
      deps.db,
      page.map(({ vmId }) => vmId),
    );
    const there = new Map(found.filter((of) => isOf(known, of)).map((of) => [of.vm.id, of]));
    for (const row of page) {
      const resizing = there.get(row.vmId);
      rules.add(ruledOf(resizing ? await judge(resizing) : shownFromRow(row)));
    }
    after = page.at(-1)?.vmId ?? null;
    if (page.length < PAGE_OF_MIGRATION) return rules.hash();
  }
}

/** Whether it is still one of those that the migration is of. */
export const isOf = (
  { fromPlanId, fromVersion, toPlanId, toVersion }: PlanMigration,
  { vm, service }: Resizing,
): boolean =>
  vm.presence === "present" &&
  service.planId === fromPlanId &&
  (fromVersion === null || service.planVersion === fromVersion) &&
  !(service.planId === toPlanId && service.planVersion === toVersion);

/** Names both sides, what is asked, and then each VM. */
function rulesOf(asked: MigrationAsked, target: ResizeTarget) {
  const { size, bandwidthMbit, diskIops, version, available } = target;
  const prices = target.prices.map(
    ({ interval, amount }) => `${interval} ${amount.minor} ${amount.currency}`,
  );
  const sold = { size, bandwidthMbit, diskIops, version, available, prices: prices.toSorted() };
  const of = Object.fromEntries(ASKED.map((field) => [field, asked[field]]));
  const hash = createHash("sha256").update(canonicalJson({ of, sold }));
  return {
    add: (rule: string): void => void hash.update(`\n${rule}`),
    hash: (): string => hash.digest("hex"),
  };
}

/**
 * Judges VMs one after the other: what one takes of its host, or of another one that it moves to, is not there for the next. What it leaves
 * behind is not counted before it has left.
 */
function createJudge(deps: Deps, asked: MigrationAsked, target: ResizeTarget, now: Date) {
  const facts = new Map<string, HostFacts | null>();
  const taken = new Map<string, Capacity>();
  const others = createOtherHosts(deps, now);
  const take = (hostId: string, more: Capacity): void => {
    const before = taken.get(hostId) ?? NOTHING;
    taken.set(hostId, {
      vcpus: before.vcpus + more.vcpus,
      memoryMib: before.memoryMib + more.memoryMib,
      diskGib: before.diskGib + more.diskGib,
      vms: before.vms + more.vms,
    });
    others.take(hostId, more);
  };
  return async (found: Resizing & { isChanging: boolean }): Promise<JudgedMigration> => {
    const { host, vm } = found;
    if (!facts.has(host.id)) facts.set(host.id, factsOf(host));
    const state = stateOf(found, now, facts.get(host.id) ?? null);
    const known = knownOf(found, now);
    const of = { ...asked, target };
    const here = judgeMigration(state, of, known, taken.get(host.id) ?? NOTHING, now);
    const machine = wantsOtherHost(here);
    if (machine !== null) {
      const there = await others.find(found, machine, state.isSuspended);
      if (there.id === null)
        return { ...here, detail: `${here.refusals.join(", ")}: ${there.detail}` };
      const judged = judgeElsewhere(state, there, machine, of, known, now);
      if (judged.refusals.every(isPassing)) take(there.id, { ...largerOf(vm, machine), vms: 1 });
      return judged;
    }
    if (here.machine && here.refusals.every(isPassing)) {
      const { vcpus, memoryMib, diskGib } = largerOf(vm, here.machine);
      take(host.id, {
        vcpus: vcpus - vm.vcpus,
        memoryMib: memoryMib - vm.memoryMib,
        diskGib: diskGib - vm.diskGib,
        vms: 0,
      });
    }
    return here;
  };
}

const NOTHING: Capacity = { vcpus: 0, memoryMib: 0, diskGib: 0, vms: 0 };

/** What we know of its subscription without asking: its lease ends with the period that is paid. */
function knownOf({ service, isChanging }: Resizing & { isChanging: boolean }, now: Date) {
  if (service.subscriptionId === null) return null;
  return {
    status: service.subscriptionStatus ?? "active",
    isPaid: now < service.entitledUntil,
    cancelsAt: service.cancelAt,
    period: { until: service.entitledUntil },
    pending: isChanging ? {} : null,
  } satisfies KnownBilled;
}

const plannedOf = (
  { when }: MigrationAsked,
  { vm, service }: Resizing,
  judged: JudgedMigration,
  now: Date,
): PlannedVm => {
  const { vcpus, memoryMib, diskGib } = vm;
  const hasRenewal = when === "renewal" && service.subscriptionId !== null;
  return {
    ...judged,
    accountId: vm.accountId,
    state: judged.refusals.every(isPassing) ? ("waiting" as const) : ("refused" as const),
    from: { vcpus, memoryMib, diskGib },
    toDiskGib: judged.machine?.diskGib ?? diskGib,
    dueAt: hasRenewal ? turnBeforeRenewal(service.entitledUntil, judged.method) : now,
  };
};
