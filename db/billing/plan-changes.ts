import { and, asc, desc, eq, inArray, isNull, lte, notExists, or, sql } from "drizzle-orm";
import type { PlanChange } from "#core/billing/plan-change.ts";
import type { ChangedOfChange } from "#core/billing/plan-change-moves.ts";
import type { Event } from "#core/contracts/events.ts";
import type { Action } from "#core/vms/action.ts";
import type { Db, Tx } from "#db/client.ts";
import { planChanges, resizeQuotes } from "#db/schema/billing.ts";
import { findings } from "#db/schema/hosts.ts";
import { vms } from "#db/schema/vms.ts";
import { quoteFromRow } from "./quotes.ts";

type Row = Readonly<{
  change: typeof planChanges.$inferSelect;
  quote: typeof resizeQuotes.$inferSelect;
}>;

/** A change, and the version of it that was read. */
export type ReadChange = Readonly<{ change: PlanChange; version: number }>;

function changeFromRow({ change: row, quote: quoteRow }: Row): ReadChange {
  const { version, dueAt: _due, heldUntil: _held, ...change } = row;
  const {
    from,
    to,
    when,
    billing,
    order,
    paysBy,
    method,
    appliesAt,
    dueNow,
    at: pricedFor,
  } = quoteFromRow(quoteRow);
  return {
    change: {
      ...change,
      from,
      to,
      when,
      billing,
      order,
      paysBy,
      method,
      appliesAt,
      dueNow,
      pricedFor,
    },
    version,
  };
}

const changes = (db: Db | Tx) =>
  db
    .select({ change: planChanges, quote: resizeQuotes })
    .from(planChanges)
    .innerJoin(resizeQuotes, eq(resizeQuotes.id, planChanges.quoteId));

const isOpen = isNull(planChanges.outcome);

/** Begins a change. The index `plan_changes_one_open_key` refuses a second one that is open. */
export async function insertPlanChange(
  tx: Tx,
  change: Pick<
    PlanChange,
    | "id"
    | "vmId"
    | "quoteId"
    | "actionId"
    | "subscriptionId"
    | "money"
    | "machine"
    | "payBy"
    | "seeBy"
    | "createdAt"
    | "reservedAt"
  >,
): Promise<void> {
  await tx.insert(planChanges).values({ ...change, dueAt: change.createdAt });
}

export async function loadPlanChange(db: Db | Tx, id: string): Promise<ReadChange | undefined> {
  const [row] = await changes(db).where(eq(planChanges.id, id));
  return row && changeFromRow(row);
}

/** Of a VM: the one that is open. */
export async function openChangeOf(db: Db | Tx, vmId: string): Promise<PlanChange | undefined> {
  const [row] = await changes(db).where(and(eq(planChanges.vmId, vmId), isOpen));
  return row && changeFromRow(row).change;
}

/** The open one that is paid on this page. */
export async function openChangeOfCheckout(
  db: Db | Tx,
  checkoutId: string,
): Promise<PlanChange | undefined> {
  const [row] = await changes(db).where(and(eq(planChanges.checkoutId, checkoutId), isOpen));
  return row && changeFromRow(row).change;
}

/** Of a VM: the newest. An older one is not open. */
export async function newestChangeOf(db: Db | Tx, vmId: string): Promise<PlanChange | undefined> {
  const [newest] = await latestChangesOf(db, vmId, 1);
  return newest;
}

/** Of a VM, the newest first. */
export async function latestChangesOf(
  db: Db | Tx,
  vmId: string,
  limit: number,
): Promise<readonly PlanChange[]> {
  const rows = await changes(db)
    .where(eq(planChanges.vmId, vmId))
    .orderBy(desc(planChanges.id))
    .limit(limit);
  return rows.map((row) => changeFromRow(row).change);
}

/** The one that it was taken for; undefined: it was not taken. */
export async function changeOfQuote(db: Db | Tx, quoteId: string): Promise<PlanChange | undefined> {
  const [row] = await changes(db).where(eq(planChanges.quoteId, quoteId));
  return row && changeFromRow(row).change;
}

/** Those that actions carry out, by the action; of an action that is no resize there is none. */
export async function changesOfActions(
  db: Db | Tx,
  actions: readonly Pick<Action, "id" | "type">[],
): Promise<ReadonlyMap<string, PlanChange>> {
  const ids = actions.flatMap(({ id, type }) => (type === "resize" ? [id] : []));
  if (ids.length === 0) return new Map();
  const rows = await changes(db).where(inArray(planChanges.actionId, ids));
  return new Map(rows.map((row) => [row.change.actionId, changeFromRow(row).change]));
}

/** Holds the change until the transaction ends. The caller holds its VM. */
export async function lockPlanChange(tx: Tx, id: string): Promise<ReadChange | undefined> {
  const [row] = await changes(tx).where(eq(planChanges.id, id)).for("update", { of: planChanges });
  return row && changeFromRow(row);
}

/** Whoever has read it before must read it again. The caller holds it. */
export async function savePlanChange(tx: Tx, id: string, changed: ChangedOfChange): Promise<void> {
  await tx
    .update(planChanges)
    .set({ ...changed, version: sql`${planChanges.version} + 1` })
    .where(eq(planChanges.id, id));
}

/**
 * Something happened that an open change of the VM goes by: whoever follows it looks again. An event for the caller's outbox, or
 * none. Part of the caller's transaction.
 */
export async function ringChangeOf(tx: Tx, vmId: string, now: Date): Promise<readonly Event[]> {
  const rung = await tx
    .update(planChanges)
    .set({ version: sql`${planChanges.version} + 1`, dueAt: now })
    .where(and(eq(planChanges.vmId, vmId), isOpen))
    .returning({ id: planChanges.id });
  return rung.map(({ id }) => ({ name: "plan_change.fell_due.v1", data: { planChangeId: id } }));
}

/** Takes an open change for one worker, until then. false: another one has it, or it has ended. */
export async function holdPlanChange(
  db: Db,
  id: string,
  { now, until }: { now: Date; until: Date },
): Promise<boolean> {
  const rows = await db
    .update(planChanges)
    .set({ heldUntil: until })
    .where(
      and(
        eq(planChanges.id, id),
        isOpen,
        or(isNull(planChanges.heldUntil), lte(planChanges.heldUntil, now)),
      ),
    )
    .returning({ id: planChanges.id });
  return rows.length === 1;
}

/** Whether whoever took it until then has it still: where the time ran out, until another one took it. The caller holds its row. */
export async function isHeldUntil(tx: Tx, id: string, until: Date): Promise<boolean> {
  const rows = await tx
    .select({ id: planChanges.id })
    .from(planChanges)
    .where(and(eq(planChanges.id, id), eq(planChanges.heldUntil, until)));
  return rows.length === 1;
}

/**
 * Lets go of what was taken until `until`, until the sweep looks at it then. false: something happened since this version was read, and
 * nothing is let go, or another one has it by now.
 */
export async function letGoOfPlanChange(
  db: Db,
  id: string,
  { version, dueAt, until }: { version: number; dueAt: Date; until: Date },
): Promise<boolean> {
  const rows = await db
    .update(planChanges)
    .set({ heldUntil: null, dueAt })
    .where(
      and(
        eq(planChanges.id, id),
        eq(planChanges.version, version),
        eq(planChanges.heldUntil, until),
      ),
    )
    .returning({ id: planChanges.id });
  return rows.length === 1;
}

/** What was to be done failed: the sweep looks at it then, unless somebody rings before, or another one has it by now. */
export async function giveUpPlanChange(
  db: Db,
  id: string,
  { dueAt, until }: { dueAt: Date; until: Date },
): Promise<void> {
  await db
    .update(planChanges)
    .set({ heldUntil: null, dueAt })
    .where(and(eq(planChanges.id, id), eq(planChanges.heldUntil, until)));
}

/** Open changes whose last deadline was before then, and that are neither done nor back. */
const isHanging = (before: Date) =>
  and(isOpen, lte(sql`coalesce(${planChanges.seeBy}, ${planChanges.payBy})`, before));

/** Those that staff were not told of yet, with their VMs' hosts. */
export async function untoldHangingChanges(
  tx: Tx,
  before: Date,
  limit: number,
): Promise<readonly (Pick<PlanChange, "vmId" | "money" | "machine"> & { hostId: string })[]> {
  const told = tx
    .select({ one: sql`1` })
    .from(findings)
    .where(
      and(
        eq(findings.vmId, planChanges.vmId),
        eq(findings.kind, "plan_change_hangs"),
        isNull(findings.endedAt),
      ),
    );
  return tx
    .select({
      vmId: planChanges.vmId,
      money: planChanges.money,
      machine: planChanges.machine,
      hostId: vms.hostId,
    })
    .from(planChanges)
    .innerJoin(vms, eq(vms.id, planChanges.vmId))
    .where(and(isHanging(before), notExists(told)))
    .limit(limit);
}

/** Findings of changes that hung and have come to their end. */
export async function overHangingFindings(
  tx: Tx,
  before: Date,
  limit: number,
): Promise<readonly { id: string }[]> {
  const hanging = tx
    .select({ one: sql`1` })
    .from(planChanges)
    .where(and(eq(planChanges.vmId, findings.vmId), isHanging(before)));
  return tx
    .select({ id: findings.id })
    .from(findings)
    .where(
      and(eq(findings.kind, "plan_change_hangs"), isNull(findings.endedAt), notExists(hanging)),
    )
    .limit(limit);
}

/** Open changes that the sweep is to look at, those first that wait longest. */
export async function planChangesDue(db: Db, now: Date, limit: number): Promise<readonly string[]> {
  const rows = await db
    .select({ id: planChanges.id })
    .from(planChanges)
    .where(and(isOpen, lte(planChanges.dueAt, now)))
    .orderBy(asc(planChanges.dueAt))
    .limit(limit);
  return rows.map(({ id }) => id);
}
