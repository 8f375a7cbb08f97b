import { and, asc, desc, eq, inArray, isNull, lt, lte, or, sql } from "drizzle-orm";
import type { MigrationState } from "#core/billing/plan-migration.ts";
import type { Db, Tx } from "#db/client.ts";
import { migrationVmIsBusy, planMigrations, planMigrationVms } from "#db/schema/billing.ts";
import { findings } from "#db/schema/hosts.ts";
import { vms } from "#db/schema/vms.ts";

export type PlanMigration = typeof planMigrations.$inferSelect;

/** What is asked of one: from what to what, of which VMs, and how. */
export type MigrationAsked = Pick<
  PlanMigration,
  | "fromPlanId"
  | "fromVersion"
  | "toPlanId"
  | "locationId"
  | "hostId"
  | "accountId"
  | "interval"
  | "when"
  | "price"
  | "maxParallel"
  | "stopAfterFailures"
  | "announceDays"
  | "reason"
>;

export const insertMigration = async (
  tx: Db | Tx,
  row: typeof planMigrations.$inferInsert,
): Promise<void> => {
  await tx.insert(planMigrations).values(row);
};

export async function loadMigration(db: Db | Tx, id: string): Promise<PlanMigration | undefined> {
  const [row] = await db.select().from(planMigrations).where(eq(planMigrations.id, id));
  return row;
}

/** Of a dry run's hash, the newest. */
export async function migrationOfHash(db: Db, hash: string): Promise<PlanMigration | undefined> {
  const [row] = await db
    .select()
    .from(planMigrations)
    .where(eq(planMigrations.hash, hash))
    .orderBy(desc(planMigrations.id))
    .limit(1);
  return row;
}

/** Holds it until the transaction ends: one decision at a time. */
export async function lockMigration(tx: Tx, id: string): Promise<PlanMigration | undefined> {
  const [row] = await tx
    .select()
    .from(planMigrations)
    .where(eq(planMigrations.id, id))
    .for("update");
  return row;
}

export const saveMigration = async (
  tx: Db | Tx,
  id: string,
  to: Partial<
    Pick<PlanMigration, "state" | "hash" | "failures" | "begunAt" | "movedAt" | "endedAt">
  >,
): Promise<void> => {
  await tx.update(planMigrations).set(to).where(eq(planMigrations.id, id));
};

/** Begun ones, and dry runs, the newest first. */
export const listMigrations = (
  db: Db,
  page: { limit: number; before: string | null },
): Promise<readonly PlanMigration[]> =>
  db
    .select()
    .from(planMigrations)
    .where(page.before === null ? undefined : lt(planMigrations.id, page.before))
    .orderBy(desc(planMigrations.id))
    .limit(page.limit);

/** Those that somebody is to follow: the open ones, and what was stopped while some of its VMs were at work. */
export async function migrationsToFollow(db: Db): Promise<readonly string[]> {
  const open = db
    .select({ id: planMigrations.id })
    .from(planMigrations)
    // As the index `plan_migrations_open_idx` says it.
    .where(sql`${planMigrations.state} in ('running', 'paused')`);
  const atWork = db
    .select({ id: planMigrationVms.migrationId })
    .from(planMigrationVms)
    .where(migrationVmIsBusy(planMigrationVms.state));
  const rows = await open.union(atWork);
  return rows.map(({ id }) => id).toSorted();
}

/** Takes it for one worker, until then. false: another one has it. */
export async function holdMigration(
  db: Db,
  id: string,
  { now, until }: { now: Date; until: Date },
): Promise<boolean> {
  const rows = await db
    .update(planMigrations)
    .set({ heldUntil: until })
    .where(
      and(
        eq(planMigrations.id, id),
        or(isNull(planMigrations.heldUntil), lte(planMigrations.heldUntil, now)),
      ),
    )
    .returning({ id: planMigrations.id });
  return rows.length === 1;
}

/** Unless another one has it by now. */
export const letGoOfMigration = async (db: Db, id: string, until: Date): Promise<void> => {
  await db
    .update(planMigrations)
    .set({ heldUntil: null })
    .where(and(eq(planMigrations.id, id), eq(planMigrations.heldUntil, until)));
};

/** Running ones of which nothing has moved since then though some VM has its turn, or should have it; with the first one's host. */
export async function hangingMigrations(
  tx: Tx,
  before: Date,
): Promise<readonly { id: string; vmId: string; hostId: string }[]> {
  const then = sql`${before.toISOString()}::timestamptz`;
  const stuck = sql`(select w.vm_id from ${planMigrationVms} as w where w.migration_id = ${planMigrations.id}
    and (w.state in ('judging', 'moving', 'arrived', 'running') or w.state = 'waiting' and w.due_at <= ${then}
      and (${planMigrations.announceDays} = 0
        or coalesce(w.announced_at + make_interval(days => ${planMigrations.announceDays}), ${planMigrations.begunAt}) <= ${then}))
    order by w.state desc, w.due_at, w.vm_id limit 1)`;
  return tx
    .select({ id: planMigrations.id, vmId: vms.id, hostId: vms.hostId })
    .from(planMigrations)
    .innerJoin(vms, sql`${vms.id} = ${stuck}`)
    .where(and(sql`${planMigrations.state} = 'running'`, lte(planMigrations.movedAt, before)));
}

/** What is open of migrations that hung: by their ids. */
export const openMigrationFindings = (
  tx: Tx,
): Promise<readonly { id: string; subject: string }[]> =>
  tx
    .select({ id: findings.id, subject: findings.subject })
    .from(findings)
    .where(and(eq(findings.kind, "plan_migration_hangs"), isNull(findings.endedAt)));

/** A dry run that nobody began before then; undefined: there is none. */
export async function unbegunBefore(db: Db, before: Date): Promise<string | undefined> {
  const [row] = await db
    .select({ id: planMigrations.id })
    .from(planMigrations)
    .where(and(isNull(planMigrations.begunAt), lt(planMigrations.createdAt, before)))
    .orderBy(asc(planMigrations.createdAt))
    .limit(1);
  return row?.id;
}

/** Deletes so many of its VMs, and, once none is left, itself. @returns whether it is gone. */
export async function forgetSome(tx: Tx, id: string, limit: number): Promise<boolean> {
  // Whoever begins it just now has it.
  const held = await lockMigration(tx, id);
  if (held === undefined || held.begunAt !== null) return true;
  const some = tx
    .select({ vmId: planMigrationVms.vmId })
    .from(planMigrationVms)
    .where(eq(planMigrationVms.migrationId, id))
    .limit(limit);
  const gone = await tx
    .delete(planMigrationVms)
    .where(and(eq(planMigrationVms.migrationId, id), inArray(planMigrationVms.vmId, some)))
    .returning({ vmId: planMigrationVms.vmId });
  if (gone.length === limit) return false;
  await tx.delete(planMigrations).where(eq(planMigrations.id, id));
  return true;
}

export const isOpenState = (state: MigrationState): state is "running" | "paused" =>
  state === "running" || state === "paused";
