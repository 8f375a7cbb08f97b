import { and, asc, eq, gt, inArray, isNull, sql } from "drizzle-orm";
import type { Given, Owed } from "#core/billing/give-back.ts";
import type { Db, Tx } from "#db/client.ts";
import { currencyFromRow } from "#db/currency-from-row.ts";
import { giveBacks } from "#db/schema/billing.ts";
import { orders } from "#db/schema/orders.ts";

/** What is given back of an invoice: for a VM that was not there, or as its payment came too late. */
export type GiveBack = Owed &
  Readonly<{
    id: string;
    /** null: the payment came too late. */
    lossId: string | null;
    /** As its order has it, whether it was made or not. */
    vmId: string;
    orderId: string;
    /** Its order's. */
    accountId: string;
    providerId: string | null;
  }>;

/** `vmId` is null where none was made. */
export async function insertGiveBack(
  tx: Tx,
  { amount, ...row }: Omit<GiveBack, "providerId" | "vmId" | "accountId"> & { vmId: string | null },
  now: Date,
): Promise<void> {
  const { minor: amountMinor, currency } = amount;
  await tx.insert(giveBacks).values({ ...row, amountMinor, currency, createdAt: now });
}

const giveBackFromRow = (
  row: typeof giveBacks.$inferSelect,
  { vmId, accountId }: { vmId: string; accountId: string },
): GiveBack => ({
  accountId,
  id: row.id,
  lossId: row.lossId,
  vmId,
  orderId: row.orderId,
  invoiceId: row.invoiceId,
  way: row.way,
  payee: row.payee,
  from: row.from,
  until: row.until,
  amount: { minor: row.amountMinor, currency: currencyFromRow(row.currency) },
  providerId: row.providerId,
});

export async function loadGiveBack(db: Db, id: string): Promise<GiveBack | undefined> {
  const [row] = await db
    .select({ owed: giveBacks, vmId: orders.vmId, accountId: orders.accountId })
    .from(giveBacks)
    .innerJoin(orders, eq(orders.id, giveBacks.orderId))
    .where(eq(giveBacks.id, id));
  return row && giveBackFromRow(row.owed, row);
}

/** Writes down how the provider calls it. false: that is written already. */
export async function saveMade(
  tx: Tx,
  id: string,
  made: { providerId: string; now: Date },
): Promise<boolean> {
  const rows = await tx
    .update(giveBacks)
    .set({ providerId: made.providerId, madeAt: made.now, triedAt: null })
    .where(and(eq(giveBacks.id, id), isNull(giveBacks.madeAt)))
    .returning({ id: giveBacks.id });
  return rows.length === 1;
}

/** What was decided before of these invoices, and the provider does not show as refunded. */
export async function givenOf(
  tx: Tx,
  invoiceIds: readonly string[],
): Promise<(invoiceId: string) => Given> {
  const rows =
    invoiceIds.length === 0
      ? []
      : await tx
          .select()
          .from(giveBacks)
          .where(inArray(giveBacks.invoiceId, [...invoiceIds]));
  const sum = (invoiceId: string, counts: (row: (typeof rows)[number]) => boolean) =>
    rows
      .filter((row) => row.invoiceId === invoiceId && counts(row))
      .reduce((total, row) => total + row.amountMinor, 0n);
  return (invoiceId) => ({
    unseen: sum(invoiceId, (row) => row.way === "balance" || row.madeAt === null),
    unseenByCard: sum(invoiceId, (row) => row.way === "card" && row.madeAt === null),
  });
}

/**
 * Whether anything of these invoices was given back since then: a look at the provider from before it shows it neither as given nor
 * as owed.
 */
export async function wasGivenSince(
  tx: Tx,
  invoiceIds: readonly string[],
  since: Date,
): Promise<boolean> {
  if (invoiceIds.length === 0) return false;
  const [made] = await tx
    .select({ id: giveBacks.id })
    .from(giveBacks)
    .where(and(inArray(giveBacks.invoiceId, [...invoiceIds]), gt(giveBacks.madeAt, since)))
    .limit(1);
  return made !== undefined;
}

/** Of these, those that were never decided here. */
export async function unknownGiveBacks(
  tx: Tx,
  ids: readonly string[],
): Promise<ReadonlySet<string>> {
  if (ids.length === 0) return new Set();
  const rows = await tx
    .select({ id: giveBacks.id })
    .from(giveBacks)
    .where(inArray(giveBacks.id, [...ids]));
  const known = new Set(rows.map(({ id }) => id));
  return new Set(ids.filter((id) => !known.has(id)));
}

/** What is still to be given back. */
export async function giveBacksToMake(db: Db, limit: number): Promise<readonly string[]> {
  const rows = await db
    .select({ id: giveBacks.id })
    .from(giveBacks)
    .where(isNull(giveBacks.madeAt))
    .orderBy(asc(sql`coalesce(${giveBacks.triedAt}, ${giveBacks.createdAt})`))
    .limit(limit);
  return rows.map(({ id }) => id);
}

/** Giving it back failed: the next sweep takes it after those that were not tried as lately. */
export async function markGiveBackTried(db: Db, id: string, now: Date): Promise<void> {
  await db
    .update(giveBacks)
    .set({ triedAt: now })
    .where(and(eq(giveBacks.id, id), isNull(giveBacks.madeAt)));
}
