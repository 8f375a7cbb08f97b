import { migrationMail } from "#core/billing/migration-mail.ts";
import { BEGINS_BEFORE_RENEWAL_MS } from "#core/billing/plan-change.ts";
import {
  decideMigration,
  isPassing,
  turnBeforeRenewal,
  whyWorse,
  type MigrationVmState,
} from "#core/billing/plan-migration.ts";
import type { Quote } from "#core/billing/quote.ts";
import { currencyFromRow } from "#db/currency-from-row.ts";
import {
  endedChangesOf,
  endMigrationVms,
  judgingVms,
  loadOfMigration,
  lockJudging,
  markTold,
  putOffJudging,
  saveMigrationVm,
  shownFromRow,
  takeMigrationVms,
  untoldVms,
  type MigrationVm,
  type Untold,
} from "#db/billing/migration-vms.ts";
import {
  holdMigration,
  isOpenState,
  letGoOfMigration,
  loadMigration,
  lockMigration,
  migrationsToFollow,
  saveMigration,
  type PlanMigration,
} from "#db/billing/plan-migrations.ts";
import { insertQuote } from "#db/billing/quotes.ts";
import { loadPlan } from "#db/catalogue/catalogue.ts";
import type { Tx } from "#db/client.ts";
import { recordChange, recordChanges, type Actor } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { beginPlanChange, type TakeRefusal } from "./begin-plan-change.ts";
import { isOf } from "./plan-migration.ts";
import { findForResize, offer } from "./quote-resize.ts";

const ACTOR: Actor = { kind: "system", id: "follow-plan-migration" };
/** Longer than a round takes: of two workers each would ask the provider for the same. */
const HELD_MS = 120_000;
/** So long it goes on by itself; the rest comes with the next bell, or the next sweep. */
const GOES_ON_MS = 30_000;
/** Rows of one transaction, at most: however many VMs a migration has. */
const MOST_AT_ONCE = 100;
const AGAIN_MS = 5 * 60_000;
const DAY_MS = 24 * 60 * 60_000;

type Followed = Readonly<{
  how: "followed" | "held" | "unknown";
  /** How many VMs were begun, and could not be asked about. */
  begun: number;
  failed: number;
}>;

/**
 * Follows a migration as far as it goes now: tells owners, notes whose change has ended, gives the next ones their turn, and begins
 * those as offered by the payment provider's own figures. One worker at a time; every transaction is of a few VMs.
 */
export async function followMigration(deps: Deps, id: string): Promise<Followed> {
  const known = await loadMigration(deps.db, id);
  if (!known || known.begunAt === null) return { how: "unknown", begun: 0, failed: 0 };
  const now = deps.clock.now();
  const until = new Date(+now + HELD_MS);
  if (!(await holdMigration(deps.db, id, { now, until })))
    return { how: "held", begun: 0, failed: 0 };
  try {
    const isLate = () => +deps.clock.now() - +now > GOES_ON_MS;
    if (known.state === "running" && known.announceDays > 0) await announce(deps, known, isLate);
    return { how: "followed", ...(await goOn(deps, id, isLate)) };
  } finally {
    await letGoOfMigration(deps.db, id, until);
  }
}

/** As the queue asks. */
export const followPlanMigration = async (deps: Deps, id: string): Promise<string> =>
  (await followMigration(deps, id)).how;

/** What a lost message left, what fell due, and what the provider could not be asked. */
export async function followPlanMigrations(
  deps: Deps,
): Promise<{ migrations: number; begun: number; failed: number }> {
  const count = { migrations: 0, begun: 0, failed: 0 };
  for (const id of await migrationsToFollow(deps.db)) {
    const { begun, failed } = await followMigration(deps, id);
    count.migrations++;
    count.begun += begun;
    count.failed += failed;
  }
  return count;
}

async function goOn(
  deps: Deps,
  id: string,
  isLate: () => boolean,
): Promise<{ begun: number; failed: number }> {
  let begun = 0;
  // Asked once in a round: whoever could not be asked about now is so in the next one.
  const asked = new Set<string>();
  let failed = 0;
  while (!isLate()) {
    const { migration, hasMore } = await step(deps, id);
    const turns = await judgingVms(deps.db, id, MOST_AT_ONCE);
    const next = turns.filter(({ vmId }) => !asked.has(vmId));
    if (next.length === 0 && !hasMore) break;
    for (const vm of next) {
      asked.add(vm.vmId);
      try {
        if ((await giveTurn(deps, migration, vm)) === "begun") begun++;
      } catch (error) {
        failed++;
        const of = { plan_migration_id: id, vm_id: vm.vmId };
        deps.log.error("follow_plan_migration.failed", { ...of, error });
      }
      if (isLate()) break;
    }
  }
  return { begun, failed };
}

/** One transaction: notes what has ended, and gives the next ones their turn. */
async function step(
  deps: Deps,
  id: string,
): Promise<{ migration: PlanMigration; hasMore: boolean }> {
  const at = stamp(deps);
  const done = await inTransaction(deps.db, async (tx) => {
    const migration = await lockMigration(tx, id);
    if (!migration) throw new Error(`plan migration ${id} vanished`);
    const ended = await settle(tx, migration, at);
    const failures = migration.failures + ended.filter((e) => e.state === "failed").length;
    const hasMoved = ended.length > 0;
    const hasMore = ended.length === MOST_AT_ONCE;
    const { state } = migration;
    if (!isOpenState(state)) {
      if (hasMoved) await saveMigration(tx, id, { failures, movedAt: at.now });
      return { migration, hasMore, hasStopped: false };
    }
    const load = await loadOfMigration(tx, id);
    const decided = decideMigration({ ...migration, ...load, state, failures });
    const days = migration.announceDays;
    const taken = await takeMigrationVms(tx, id, {
      limit: Math.min(decided.take, MOST_AT_ONCE),
      now: at.now,
      toldBefore: days === 0 ? null : new Date(+at.now - days * DAY_MS),
    });
    const isOther = decided.state !== state;
    if (isOther || hasMoved || taken.length > 0)
      await saveMigration(tx, id, {
        state: decided.state,
        failures,
        movedAt: at.now,
        ...(decided.state === "done" && { endedAt: at.now }),
      });
    if (isOther) {
      if (decided.state === "paused") await putOffJudging(tx, id);
      await tell(tx, migration, { to: decided.state, failures }, at);
    }
    return {
      migration: { ...migration, state: decided.state, failures },
      hasMore,
      hasStopped: isOther && decided.state === "paused",
    };
  });
  if (done.hasStopped) deps.log.error("plan_migration.stopped_by_failures", { id });
  return done;
}

type At = ReturnType<typeof stamp>;

/** Whose change has ended. */
async function settle(tx: Tx, { id }: PlanMigration, at: At) {
  const changes = await endedChangesOf(tx, id, MOST_AT_ONCE);
  const ended = changes.map(({ vmId, outcome, why }) => ({
    vmId,
    state: outcome === "committed" ? ("done" as const) : ("failed" as const),
    detail: why,
  }));
  await endMigrationVms(tx, id, ended, at.now);
  await recordChanges(
    tx,
    ended.map((of) => vmEnded(id, of)),
    at,
  );
  return ended;
}

const vmEnded = (
  planMigrationId: string,
  { vmId, state, detail }: { vmId: string; state: MigrationVmState; detail: string | null },
) => ({
  actor: ACTOR,
  action: "plan_migration.vm_end",
  subject: { kind: "vm" as const, id: vmId },
  detail: { plan_migration_id: planMigrationId, state, why: detail },
  events: [{ name: "plan_migration.vm_ended.v1", data: { planMigrationId, vmId } }] as const,
});

const tell = (
  tx: Tx,
  { id }: PlanMigration,
  { to, failures }: { to: string; failures: number },
  at: At,
): Promise<void> =>
  recordChange(
    tx,
    {
      actor: ACTOR,
      action: "plan_migration.change",
      subject: { kind: "plan_migration", id },
      detail: { state: to, failures },
      events: [{ name: "plan_migration.changed.v1", data: { planMigrationId: id } }],
    },
    at,
  );

/** What comes of a turn. */
type Turn =
  | Readonly<{ as: "begin"; quote: Quote }>
  | Readonly<{ as: "put_off"; until: Date; detail: string }>
  | Readonly<{ as: "drifted" | "left_out"; detail: string }>;

/** One VM: judged anew, with the provider's preview, outside of any transaction; then begun, put off, or left as it is. */
async function giveTurn(
  deps: Deps,
  migration: PlanMigration,
  row: MigrationVm,
): Promise<"begun" | "put_off" | "drifted" | "left_out" | "gone"> {
  const turn = await judge(deps, migration, row);
  const at = stamp(deps);
  const done = await inTransaction(deps.db, async (tx) => {
    // In the order of whoever pauses it.
    await lockMigration(tx, migration.id);
    if (!(await lockJudging(tx, migration.id, row.vmId))) return "gone" as const;
    const comesTo = turn.as === "begin" ? await begin(deps, tx, migration, turn.quote) : turn;
    return write(tx, migration, row, comesTo, at);
  });
  if (done === "drifted")
    deps.log.info("plan_migration.drifted", { plan_migration_id: migration.id, vm_id: row.vmId });
  return done;
}

type Written = Readonly<{ as: "begun"; planChangeId: string }> | Exclude<Turn, { as: "begin" }>;

async function write(
  tx: Tx,
  { id }: PlanMigration,
  { vmId }: MigrationVm,
  turn: Written,
  at: At,
): Promise<Written["as"]> {
  await saveMigration(tx, id, { movedAt: at.now });
  if (turn.as === "begun") {
    const { planChangeId } = turn;
    await saveMigrationVm(tx, id, vmId, { state: "running", planChangeId });
  } else if (turn.as === "put_off") {
    const { until: dueAt, detail } = turn;
    await saveMigrationVm(tx, id, vmId, { state: "waiting", dueAt, detail });
  } else {
    const { as: state, detail } = turn;
    await saveMigrationVm(tx, id, vmId, { state, detail, endedAt: at.now });
    await recordChange(tx, vmEnded(id, { vmId, state, detail }), at);
  }
  return turn.as;
}

async function judge(deps: Deps, migration: PlanMigration, row: MigrationVm): Promise<Turn> {
  const { when, price, toPlanId: planId, toVersion, askedBy } = migration;
  const who = { accountId: askedBy, role: "staff" } as const;
  const found = await findForResize(deps, who, row.vmId);
  if (!found.ok) return { as: "left_out", detail: "vm_not_found: it is gone" };
  if (!isOf(migration, found.value))
    return { as: "left_out", detail: "other_plan: it is of another plan, or version, by now" };
  const { quote, refusals } = await offer(deps, found.value, {
    who,
    id: deps.ids.newId(),
    wanted: { planId, keepDisk: false },
    staff: { when, price, billing: "prorate" },
  });
  const now = deps.clock.now();
  if (quote === null) {
    const detail = refusals.map((r) => `${r.code}: ${r.detail}`).join("; ");
    return refusals.every(({ code }) => isPassing(code))
      ? { as: "put_off", until: new Date(+now + AGAIN_MS), detail }
      : { as: "drifted", detail };
  }
  if (quote.when === "renewal") {
    const turn = turnBeforeRenewal(quote.appliesAt);
    if (now < turn) return { as: "put_off", until: turn, detail: "waits for its renewal" };
    // There is no time left to be seen, and to go back.
    if (+now > +quote.appliesAt - BEGINS_BEFORE_RENEWAL_MS)
      return {
        as: "put_off",
        until: new Date(+quote.appliesAt + DAY_MS),
        detail: "waits for its next renewal",
      };
  }
  const worse = whyWorse({ ...shownFromRow(row), toVersion }, quote);
  return worse === null ? { as: "begin", quote } : { as: "drifted", detail: worse };
}

/** In the caller's transaction: a VM is begun together with the word that it was. */
async function begin(
  deps: Deps,
  tx: Tx,
  { id, askedBy, reason }: PlanMigration,
  quote: Quote,
): Promise<Written> {
  await insertQuote(tx, quote);
  const begun = await beginPlanChange(
    { ...deps, db: tx },
    {
      who: { accountId: askedBy, role: "staff" },
      vmId: quote.vmId,
      quoteId: quote.id,
      basisHolds: true,
      reason: `plan migration ${id}: ${reason}`,
    },
  );
  if (begun.ok) return { as: "begun", planChangeId: begun.value.change.id };
  const { code, detail } = begun.error;
  const why = `${code}: ${detail}`;
  const as = ENDS_BY[code];
  return as === null
    ? { as: "put_off", until: new Date(+deps.clock.now() + AGAIN_MS), detail: why }
    : { as, detail: why };
}

/** What comes of a VM that could not be begun a moment after it was offered; null: it is asked about again. */
const ENDS_BY = {
  vm_not_found: "left_out",
  vm_lost: "drifted",
  no_capacity: "drifted",
  vm_locked: null,
  quote_not_found: null,
  quote_expired: null,
  quote_outdated: null,
  quote_taken: null,
} as const satisfies Record<TakeRefusal["code"], "drifted" | "left_out" | null>;

/**
 * Mails owners what will become of their VMs; none of theirs has its turn before so many days later. What crashes between a mail and
 * its note is mailed again.
 */
async function announce(deps: Deps, migration: PlanMigration, isLate: () => boolean) {
  const { id, toPlanId: planId, toVersion: planVersion, announceDays, when } = migration;
  const plan = await loadPlan(deps.db, { planId, planVersion });
  while (!isLate()) {
    const untold = await untoldVms(deps.db, id, MOST_AT_ONCE);
    for (const [email, vms] of Map.groupBy(untold, (vm) => vm.email)) {
      const at = stamp(deps);
      await deps.mail.send(
        migrationMail(email, {
          planName: plan.name,
          notBefore: new Date(+at.now + announceDays * DAY_MS),
          atRenewal: when === "renewal",
          vms: vms.map((vm) => toldOf(vm, plan.size)),
        }),
      );
      await inTransaction(deps.db, async (tx) => {
        const ids = vms.map(({ vmId }) => vmId);
        await markTold(tx, id, ids, at.now);
        await saveMigration(tx, id, { movedAt: at.now });
      });
      if (isLate()) return;
    }
    if (untold.length < MOST_AT_ONCE) return;
  }
}

const toldOf = (vm: Untold, size: { vcpus: number; memoryMib: number }) => ({
  hostname: vm.hostname,
  from: vm.from,
  to: { vcpus: size.vcpus, memoryMib: size.memoryMib, diskGib: vm.toDiskGib },
  downSeconds: vm.downSeconds,
  difference:
    vm.differenceMinor === null || vm.currency === null
      ? null
      : { minor: vm.differenceMinor, currency: currencyFromRow(vm.currency) },
});
