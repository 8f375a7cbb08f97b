import { and, asc, eq, isNotNull, isNull, sql } from "drizzle-orm";
import type { Db, Tx } from "#db/client.ts";
import { invoices } from "#db/schema/billing.ts";
import { orders } from "#db/schema/orders.ts";
import { vms } from "#db/schema/vms.ts";

/** A payment that came when what its invoice is for had ended, and of which it is not decided yet what is given back. */
export type CrossedPayment = Readonly<{
  /** Ours, and the provider's, of the invoice. */
  id: string;
  invoiceId: string;
  orderId: string;
  /** null: none was made. */
  vmId: string | null;
  endedAt: Date;
}>;

/** Says that an invoice's payment came after that end. */
export async function saveCrossed(tx: Tx, invoiceId: string, endedAt: Date): Promise<string> {
  const [row] = await tx
    .update(invoices)
    .set({ crossedEndAt: endedAt })
    .where(eq(invoices.providerId, invoiceId))
    .returning({ id: invoices.id });
  if (!row) throw new Error(`invoice ${invoiceId} is not kept`);
  return row.id;
}

const isUnsettled = and(isNotNull(invoices.crossedEndAt), isNull(invoices.settledAt));

/** undefined: it has not crossed, or is settled. */
export async function loadCrossed(db: Db | Tx, id: string): Promise<CrossedPayment | undefined> {
  const [row] = await db
    .select({
      invoiceId: invoices.providerId,
      orderId: orders.id,
      vmId: vms.id,
      endedAt: invoices.crossedEndAt,
    })
    .from(invoices)
    .innerJoin(orders, eq(orders.id, invoices.orderId))
    .leftJoin(vms, eq(vms.id, orders.vmId))
    .where(and(eq(invoices.id, id), isUnsettled));
  return row && row.endedAt !== null ? { ...row, id, endedAt: row.endedAt } : undefined;
}

/** Holds it until the transaction ends. false: it was settled meanwhile. */
export async function lockCrossed(tx: Tx, id: string): Promise<boolean> {
  const rows = await tx
    .select({ id: invoices.id })
    .from(invoices)
    .where(and(eq(invoices.id, id), isUnsettled))
    .for("update");
  return rows.length === 1;
}

export async function saveCrossedSettled(tx: Tx, id: string, now: Date): Promise<void> {
  await tx.update(invoices).set({ settledAt: now, triedAt: null }).where(eq(invoices.id, id));
}

export async function crossedToSettle(db: Db, limit: number): Promise<readonly string[]> {
  const rows = await db
    .select({ id: invoices.id })
    .from(invoices)
    .where(isUnsettled)
    .orderBy(asc(sql`coalesce(${invoices.triedAt}, ${invoices.crossedEndAt})`))
    .limit(limit);
  return rows.map(({ id }) => id);
}

/** It is not settled yet: the next sweep takes it after those that were not tried as lately. */
export async function markCrossedTried(db: Db, id: string, now: Date): Promise<void> {
  await db
    .update(invoices)
    .set({ triedAt: now })
    .where(and(eq(invoices.id, id), isUnsettled));
}
