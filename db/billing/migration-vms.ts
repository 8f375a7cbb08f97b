import { and, asc, desc, eq, exists, gt, inArray, isNull, lte, or, sql } from "drizzle-orm";
import type { MigrationVmState, ShownMigration } from "#core/billing/plan-migration.ts";
import { QUOTE_REFUSALS, type QuoteRefusal } from "#core/billing/quote.ts";
import type { Db, Tx } from "#db/client.ts";
import { currencyFromRow } from "#db/currency-from-row.ts";
import { list } from "#db/named.ts";
import { movingVmFromRow, WHERE_ITS_MOVE_IS, type MovingVm } from "#db/moves/moving-vm.ts";
import {
  migrationVmIsBusy,
  planChanges,
  planMigrations,
  planMigrationVms,
  services,
} from "#db/schema/billing.ts";
import { moves } from "#db/schema/moves.ts";
import { actions, vms } from "#db/schema/vms.ts";
import type { MigrationAsked } from "./plan-migrations.ts";

/** A VM of a dry run. */
export type PlannedVm = ShownMigration &
  Readonly<{
    accountId: string;
    state: Extract<MigrationVmState, "waiting" | "refused">;
    from: { vcpus: number; memoryMib: number; diskGib: number };
    toDiskGib: number;
    toHostId: string | null;
    detail: string | null;
    dueAt: Date;
  }>;

/** A page of a dry run, by one statement. */
export async function insertPlannedVms(
  tx: Db | Tx,
  migrationId: string,
  rows: readonly PlannedVm[],
): Promise<void> {
  if (rows.length === 0) return;
  await tx.execute(sql`
    insert into ${planMigrationVms} (migration_id, vm_id, account_id, state, from_vcpus, from_memory_mib, from_disk_gib,
      to_disk_gib, method, down_seconds, difference_minor, currency, refusals, due_at, to_host_id, detail)
    select ${migrationId}::uuid, n.vm_id, n.account_id, n.state, n.vcpus, n.memory_mib, n.disk_gib, n.to_disk_gib, n.method,
      n.down_seconds, n.difference_minor, n.currency, string_to_array(n.refusals, ' '), n.due_at, n.to_host_id, n.detail
    from unnest(
      ${list(rows, (r) => r.vmId)}::uuid[], ${list(rows, (r) => r.accountId)}::uuid[],
      ${list(rows, (r) => r.state)}::plan_migration_vm_state[], ${list(rows, (r) => r.from.vcpus)}::int[],
      ${list(rows, (r) => r.from.memoryMib)}::int[], ${list(rows, (r) => r.from.diskGib)}::int[],
      ${list(rows, (r) => r.toDiskGib)}::int[], ${list(rows, (r) => r.method)}::resize_method[],
      ${list(rows, (r) => r.downSeconds)}::int[], ${list(rows, (r) => r.difference?.minor)}::int8[],
      ${list(rows, (r) => r.difference?.currency)}::text[], ${list(rows, (r) => r.refusals.join(" "))}::text[],
      ${list(rows, (r) => r.dueAt)}::timestamptz[], ${list(rows, (r) => r.toHostId)}::uuid[],
      ${list(rows, (r) => r.detail)}::text[]
    ) as n (vm_id, account_id, state, vcpus, memory_mib, disk_gib, to_disk_gib, method, down_seconds, difference_minor,
      currency, refusals, due_at, to_host_id, detail)`);
}

export type MigrationVm = typeof planMigrationVms.$inferSelect;

const REFUSALS: ReadonlySet<string> = new Set(QUOTE_REFUSALS);

const isRefusal = (code: string): code is QuoteRefusal => REFUSALS.has(code);

/** What was shown of a VM, as the dry run told it. */
export const shownFromRow = (row: MigrationVm): ShownMigration => ({
  vmId: row.vmId,
  method: row.method,
  downSeconds: row.downSeconds,
  difference:
    row.differenceMinor === null || row.currency === null
      ? null
      : { minor: row.differenceMinor, currency: currencyFromRow(row.currency) },
  refusals: row.refusals.filter(isRefusal),
});

/** The VMs of one in their order, a page of them. */
export const pageOfMigrationVms = (
  db: Db | Tx,
  migrationId: string,
  { limit, after, state }: { limit: number; after: string | null; state?: MigrationVmState | null },
): Promise<readonly MigrationVm[]> =>
  db
    .select()
    .from(planMigrationVms)
    .where(
      and(
        eq(planMigrationVms.migrationId, migrationId),
        state ? eq(planMigrationVms.state, state) : undefined,
        after === null ? undefined : gt(planMigrationVms.vmId, after),
      ),
    )
    .orderBy(asc(planMigrationVms.vmId))
    .limit(limit);

/** Of a migration: how many have their turn, and whether any waits for one. By indexes of just those. */
export async function loadOfMigration(
  tx: Tx,
  id: string,
): Promise<{ busy: number; isAnyWaiting: boolean }> {
  const [row] = await tx
    .select({
      busy: sql<number>`(select count(*)::int from ${planMigrationVms} as b
        where b.migration_id = ${planMigrations.id}
          and b.state not in ('waiting', 'refused', 'done', 'failed', 'drifted', 'left_out'))`,
      isAnyWaiting: sql<boolean>`exists (select from ${planMigrationVms} as w
        where w.migration_id = ${planMigrations.id} and w.state = 'waiting')`,
    })
    .from(planMigrations)
    .where(eq(planMigrations.id, id));
  return row ?? { busy: 0, isAnyWaiting: false };
}

/** Of those at work, the ones whose change has ended; so many at most. */
export const endedChangesOf = (
  tx: Tx,
  migrationId: string,
  limit: number,
): Promise<readonly { vmId: string; outcome: "committed" | "reverted"; why: string | null }[]> =>
  tx
    .select({
      vmId: planMigrationVms.vmId,
      outcome: sql<"committed" | "reverted">`${planChanges.outcome}`,
      why: sql<string | null>`${planChanges.turnedBack}::text`,
    })
    .from(planMigrationVms)
    .innerJoin(planChanges, eq(planChanges.id, planMigrationVms.planChangeId))
    .where(
      and(
        eq(planMigrationVms.migrationId, migrationId),
        eq(planMigrationVms.state, "running"),
        sql`${planChanges.outcome} is not null`,
      ),
    )
    .orderBy(asc(planMigrationVms.vmId))
    .limit(limit);

/** Ends these at work, by one statement. */
export async function endMigrationVms(
  tx: Tx,
  migrationId: string,
  ended: readonly { vmId: string; state: MigrationVmState; detail: string | null }[],
  now: Date,
): Promise<void> {
  if (ended.length === 0) return;
  await tx.execute(sql`
    update ${planMigrationVms} as m set state = n.state, detail = n.detail, ended_at = ${now.toISOString()}::timestamptz
    from unnest(${list(ended, (e) => e.vmId)}::uuid[], ${list(ended, (e) => e.state)}::plan_migration_vm_state[],
      ${list(ended, (e) => e.detail)}::text[]) as n (vm_id, state, detail)
    where m.migration_id = ${migrationId} and m.vm_id = n.vm_id and m.state = 'running'`);
}

/**
 * Gives their turn to so many that are due and were told of in time, those first that wait longest. One that something is done with
 * (an action, a change, another migration) goes on waiting.
 */
export async function takeMigrationVms(
  tx: Tx,
  migrationId: string,
  { limit, now, toldBefore }: { limit: number; now: Date; toldBefore: Date | null },
): Promise<readonly string[]> {
  if (limit <= 0) return [];
  const isElsewhere = sql`exists (select from ${planMigrationVms} as o
    where o.vm_id = ${planMigrationVms.vmId}
      and o.state not in ('waiting', 'refused', 'done', 'failed', 'drifted', 'left_out'))`;
  const isChanging = exists(
    tx
      .select({ one: sql`1` })
      .from(planChanges)
      .where(and(eq(planChanges.vmId, planMigrationVms.vmId), isNull(planChanges.outcome))),
  );
  const isActing = exists(
    tx
      .select({ one: sql`1` })
      .from(actions)
      .where(and(eq(actions.vmId, planMigrationVms.vmId), eq(actions.status, "running"))),
  );
  const next = await tx
    .select({ vmId: planMigrationVms.vmId })
    .from(planMigrationVms)
    .where(
      and(
        eq(planMigrationVms.migrationId, migrationId),
        sql`${planMigrationVms.state} = 'waiting'`,
        lte(planMigrationVms.dueAt, now),
        toldBefore === null ? undefined : lte(planMigrationVms.announcedAt, toldBefore),
        sql`not ${isElsewhere} and not ${isChanging} and not ${isActing}`,
      ),
    )
    .orderBy(asc(planMigrationVms.dueAt), asc(planMigrationVms.vmId))
    .limit(limit)
    .for("update", { skipLocked: true });
  const ids = next.map(({ vmId }) => vmId);
  if (ids.length === 0) return [];
  await tx
    .update(planMigrationVms)
    .set({ state: "judging", detail: null })
    .where(and(eq(planMigrationVms.migrationId, migrationId), inArray(planMigrationVms.vmId, ids)));
  return ids;
}

/** Its turn: to be judged for the first time, or again where it has arrived. As `plan_migration_vms_busy_idx` has them, and some more. */
const hasTurn = (now: Date) =>
  and(
    migrationVmIsBusy(planMigrationVms.state),
    or(
      eq(planMigrationVms.state, "judging"),
      and(eq(planMigrationVms.state, "arrived"), lte(planMigrationVms.dueAt, now)),
    ),
  );

/** Those whose turn it is, and that nobody has begun yet; those first that have come somewhere for it. */
export const turnsOf = (
  db: Db,
  migrationId: string,
  { now, limit }: { now: Date; limit: number },
): Promise<readonly MigrationVm[]> =>
  db
    .select()
    .from(planMigrationVms)
    .where(and(eq(planMigrationVms.migrationId, migrationId), hasTurn(now)))
    .orderBy(desc(planMigrationVms.state), asc(planMigrationVms.vmId))
    .limit(limit);

/** Holds one whose turn it is until the transaction ends; undefined: it is so no more. */
export async function lockTurn(
  tx: Tx,
  migrationId: string,
  vmId: string,
  now: Date,
): Promise<MigrationVm | undefined> {
  const [row] = await tx
    .select()
    .from(planMigrationVms)
    .where(
      and(
        eq(planMigrationVms.migrationId, migrationId),
        eq(planMigrationVms.vmId, vmId),
        hasTurn(now),
      ),
    )
    .for("update");
  return row;
}

/** Those that are on their way, and where their moves are. */
export async function movingMigrationVms(
  db: Db | Tx,
  migrationId: string,
): Promise<readonly MovingVm[]> {
  const rows = await db
    .select({
      vmId: planMigrationVms.vmId,
      ...WHERE_ITS_MOVE_IS,
    })
    .from(planMigrationVms)
    .innerJoin(moves, eq(moves.id, planMigrationVms.moveId))
    .innerJoin(vms, eq(vms.id, planMigrationVms.vmId))
    .where(
      and(
        eq(planMigrationVms.migrationId, migrationId),
        migrationVmIsBusy(planMigrationVms.state),
        eq(planMigrationVms.state, "moving"),
      ),
    )
    .orderBy(asc(planMigrationVms.vmId));
  return rows.map(movingVmFromRow);
}

/** The migration that waits for a move. */
export async function migrationOfMove(tx: Tx, moveId: string): Promise<string | undefined> {
  const [row] = await tx
    .select({ id: planMigrationVms.migrationId })
    .from(planMigrationVms)
    .where(eq(planMigrationVms.moveId, moveId));
  return row?.id;
}

/** What became of one. The caller holds it. */
export const saveMigrationVm = async (
  tx: Tx,
  migrationId: string,
  vmId: string,
  to: Partial<
    Pick<MigrationVm, "state" | "planChangeId" | "moveId" | "detail" | "dueAt" | "endedAt">
  >,
): Promise<void> => {
  await tx
    .update(planMigrationVms)
    .set(to)
    .where(and(eq(planMigrationVms.migrationId, migrationId), eq(planMigrationVms.vmId, vmId)));
};

/**
 * Whoever has their turn and was not begun waits again: it is paused, or stopped. At most as many as are at once. What has moved was
 * begun, and is gone through with.
 */
export const putOffJudging = async (tx: Tx, migrationId: string): Promise<void> => {
  await tx
    .update(planMigrationVms)
    .set({ state: "waiting" })
    .where(
      and(eq(planMigrationVms.migrationId, migrationId), eq(planMigrationVms.state, "judging")),
    );
};

/** Lets so many of what failed have another turn. @returns how many. */
export async function retryFailedVms(
  tx: Tx,
  migrationId: string,
  { now, limit }: { now: Date; limit: number },
): Promise<number> {
  const some = tx
    .select({ vmId: planMigrationVms.vmId })
    .from(planMigrationVms)
    .where(and(eq(planMigrationVms.migrationId, migrationId), eq(planMigrationVms.state, "failed")))
    .limit(limit)
    .for("update");
  const rows = await tx
    .update(planMigrationVms)
    .set({ state: "waiting", planChangeId: null, detail: null, endedAt: null, dueAt: now })
    .where(and(eq(planMigrationVms.migrationId, migrationId), inArray(planMigrationVms.vmId, some)))
    .returning({ vmId: planMigrationVms.vmId });
  return rows.length;
}

export type Untold = Pick<
  MigrationVm,
  "vmId" | "accountId" | "method" | "downSeconds" | "toDiskGib" | "differenceMinor" | "currency"
> &
  Readonly<{
    from: { vcpus: number; memoryMib: number; diskGib: number };
    hostname: string;
  }>;

/** VMs whose owners were not told yet, those of one owner together, or of this owner alone; so many at most. */
export const untoldVms = (
  db: Db,
  migrationId: string,
  { limit, accountId }: { limit: number; accountId?: string },
): Promise<readonly Untold[]> =>
  db
    .select({
      vmId: planMigrationVms.vmId,
      accountId: planMigrationVms.accountId,
      method: planMigrationVms.method,
      downSeconds: planMigrationVms.downSeconds,
      from: {
        vcpus: planMigrationVms.fromVcpus,
        memoryMib: planMigrationVms.fromMemoryMib,
        diskGib: planMigrationVms.fromDiskGib,
      },
      toDiskGib: planMigrationVms.toDiskGib,
      differenceMinor: planMigrationVms.differenceMinor,
      currency: planMigrationVms.currency,
      hostname: vms.hostname,
    })
    .from(planMigrationVms)
    .innerJoin(vms, eq(vms.id, planMigrationVms.vmId))
    .where(
      and(
        eq(planMigrationVms.migrationId, migrationId),
        accountId === undefined ? undefined : eq(planMigrationVms.accountId, accountId),
        sql`${planMigrationVms.state} = 'waiting' and ${planMigrationVms.announcedAt} is null`,
      ),
    )
    .orderBy(asc(planMigrationVms.accountId), asc(planMigrationVms.vmId))
    .limit(limit);

export const markTold = async (
  tx: Tx,
  migrationId: string,
  vmIds: readonly string[],
  now: Date,
): Promise<void> => {
  await tx
    .update(planMigrationVms)
    .set({ announcedAt: now })
    .where(
      and(
        eq(planMigrationVms.migrationId, migrationId),
        inArray(planMigrationVms.vmId, [...vmIds]),
      ),
    );
};

/** The migration that a change is a part of. */
export async function migrationOfChange(tx: Tx, planChangeId: string): Promise<string | undefined> {
  const [row] = await tx
    .select({ id: planMigrationVms.migrationId })
    .from(planMigrationVms)
    .where(eq(planMigrationVms.planChangeId, planChangeId));
  return row?.id;
}

/** Which VMs it is of: those of the plan, in the order of their ids. Each is looked at by `loadResizings`. */
export async function vmsToMigrate(
  db: Db,
  { fromPlanId, fromVersion, toPlanId, locationId, hostId, accountId, interval }: MigrationAsked,
  { toVersion, after, limit }: { toVersion: number; after: string | null; limit: number },
): Promise<readonly string[]> {
  const rows = await db
    .select({ vmId: services.vmId })
    .from(services)
    .innerJoin(vms, eq(vms.id, services.vmId))
    .where(
      and(
        eq(services.planId, fromPlanId),
        fromVersion === null ? undefined : eq(services.planVersion, fromVersion),
        // What has it already is no part of it.
        fromPlanId === toPlanId ? sql`${services.planVersion} <> ${toVersion}` : undefined,
        eq(vms.presence, "present"),
        locationId === null ? undefined : eq(vms.locationId, locationId),
        hostId === null ? undefined : eq(vms.hostId, hostId),
        accountId === null ? undefined : eq(vms.accountId, accountId),
        interval === null ? undefined : eq(services.interval, interval),
        after === null ? undefined : gt(services.vmId, after),
      ),
    )
    .orderBy(asc(services.vmId))
    .limit(limit);
  return rows.map(({ vmId }) => vmId);
}
