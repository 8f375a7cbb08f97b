import { decideMigration } from "#core/billing/plan-migration.ts";
import {
  endedChangesOf,
  endMigrationVms,
  loadOfMigration,
  putOffJudging,
  takeMigrationVms,
  turnsOf,
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
import type { Tx } from "#db/client.ts";
import { recordChange, recordChanges, type Actor } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { announceMigration } from "./announce-migration.ts";
import { giveTurn } from "./give-migration-turn.ts";
import { noteMoves, vmEnded } from "./move-for-migration.ts";

const ACTOR: Actor = { kind: "system", id: "follow-plan-migration" };
/** Longer than a round takes: of two workers each would ask the provider for the same. */
const HELD_MS = 120_000;
/** So long it goes on by itself; the rest comes with the next bell, or the next sweep. */
const GOES_ON_MS = 30_000;
/** Rows of one transaction, at most: however many VMs a migration has. */
const MOST_AT_ONCE = 100;
const DAY_MS = 24 * 60 * 60_000;

type Followed = Readonly<{
  how: "followed" | "held" | "unknown";
  /** How many VMs were begun, and could not be asked about. */
  begun: number;
  failed: number;
}>;

/**
 * Follows a migration as far as it goes now: tells owners, notes whose move or change has ended, gives the next ones their turn, and begins
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
    if (known.state === "running" && known.announceDays > 0)
      await announceMigration(deps, known, isLate);
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
    await noteMoves(deps, id);
    const { migration, hasMore } = await step(deps, id);
    const turns = await turnsOf(deps.db, id, { now: deps.clock.now(), limit: MOST_AT_ONCE });
    const next = turns.filter(({ vmId }) => !asked.has(vmId));
    if (next.length === 0 && !hasMore) break;
    for (const vm of next) {
      asked.add(vm.vmId);
      try {
        const came = await giveTurn(deps, migration, vm);
        if (came === "begun" || came === "moving") begun++;
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
