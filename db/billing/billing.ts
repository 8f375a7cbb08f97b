import { and, asc, desc, eq, isNotNull, lt, ne, sql } from "drizzle-orm";
import type { InvoiceState } from "#core/billing/payments.ts";
import type { Db, Tx } from "#db/client.ts";
import { currencyFromRow } from "#db/orders/orders.ts";
import { billingCustomers, entitlements, invoices } from "#db/schema/orders.ts";
import { vms } from "#db/schema/vms.ts";

export type Entitlement = Readonly<{
  vmId: string;
  orderId: string;
  subscriptionId: string | null;
  /** As the provider last said; its statuses are open. */
  subscriptionStatus: string | null;
  until: Date;
}>;

export async function loadEntitlement(tx: Tx, vmId: string): Promise<Entitlement | undefined> {
  const [row] = await tx.select().from(entitlements).where(eq(entitlements.vmId, vmId));
  return row;
}

export async function saveEntitlement(tx: Tx, e: Entitlement, now: Date): Promise<void> {
  const set = {
    subscriptionId: e.subscriptionId,
    subscriptionStatus: e.subscriptionStatus,
    until: e.until,
    updatedAt: now,
  };
  await tx
    .insert(entitlements)
    .values({ vmId: e.vmId, orderId: e.orderId, ...set })
    .onConflictDoUpdate({ target: entitlements.vmId, set });
}

/** The entitlement that the subscription pays for, held until the transaction ends. */
export async function lockEntitlementOfSubscription(
  tx: Tx,
  subscriptionId: string,
): Promise<Entitlement | undefined> {
  const [row] = await tx
    .select()
    .from(entitlements)
    .where(eq(entitlements.subscriptionId, subscriptionId))
    .for("update");
  return row;
}

/** Ending the subscription failed: the next sweep takes it after those that were not tried as lately. */
export async function markCancellationTried(
  db: Db,
  subscriptionId: string,
  now: Date,
): Promise<void> {
  await db
    .update(entitlements)
    .set({ triedAt: now })
    .where(eq(entitlements.subscriptionId, subscriptionId));
}

/** Subscriptions that still bill for VMs which are to be gone. */
export async function subscriptionsToCancel(db: Db, limit: number): Promise<readonly string[]> {
  const rows = await db
    .select({ id: entitlements.subscriptionId })
    .from(entitlements)
    .innerJoin(vms, eq(vms.id, entitlements.vmId))
    .where(
      and(
        eq(vms.presence, "absent"),
        isNotNull(entitlements.subscriptionId),
        ne(entitlements.subscriptionStatus, "canceled"),
      ),
    )
    .orderBy(asc(sql`coalesce(${entitlements.triedAt}, ${entitlements.updatedAt})`))
    .limit(limit);
  return rows.flatMap((r) => (r.id === null ? [] : [r.id]));
}

export type Invoice = Readonly<
  Omit<InvoiceState, "id" | "orderId"> & {
    id: string;
    accountId: string;
    orderId: string;
    providerId: string;
  }
>;

const invoiceFromRow = (row: typeof invoices.$inferSelect): Invoice => {
  const currency = currencyFromRow(row.currency);
  return {
    id: row.id,
    accountId: row.accountId,
    orderId: row.orderId,
    providerId: row.providerId,
    number: row.number,
    status: row.status,
    total: { minor: row.totalMinor, currency },
    paid: { minor: row.paidMinor, currency },
    hostedUrl: row.hostedUrl,
    createdAt: row.createdAt,
  };
};

/** Keeps an invoice as the provider shows it now. */
export async function saveInvoice(
  tx: Tx,
  owner: { id: string; accountId: string; orderId: string },
  state: InvoiceState,
): Promise<void> {
  const set = {
    number: state.number,
    status: state.status,
    totalMinor: state.total.minor,
    paidMinor: state.paid.minor,
    currency: state.total.currency,
    hostedUrl: state.hostedUrl,
  };
  await tx
    .insert(invoices)
    .values({ ...owner, providerId: state.id, createdAt: state.createdAt, ...set })
    .onConflictDoUpdate({ target: invoices.providerId, set });
}

export async function listInvoices(
  db: Db,
  accountId: string,
  page: { limit: number; before: string | null },
): Promise<readonly Invoice[]> {
  const rows = await db
    .select()
    .from(invoices)
    .where(
      and(
        eq(invoices.accountId, accountId),
        page.before === null ? undefined : lt(invoices.id, page.before),
      ),
    )
    .orderBy(desc(invoices.id))
    .limit(page.limit);
  return rows.map(invoiceFromRow);
}

export async function loadInvoice(db: Db, id: string): Promise<Invoice | undefined> {
  const [row] = await db.select().from(invoices).where(eq(invoices.id, id));
  return row && invoiceFromRow(row);
}

export async function billingCustomerOf(db: Db, accountId: string): Promise<string | undefined> {
  const [row] = await db
    .select()
    .from(billingCustomers)
    .where(eq(billingCustomers.accountId, accountId));
  return row?.customerId;
}

/**
 * Writes down the provider's customer of an account, unless there is one: of two that were made at once the first
 * stays. Returns that one.
 */
export async function keepBillingCustomer(
  db: Db,
  accountId: string,
  customerId: string,
): Promise<string> {
  await db.insert(billingCustomers).values({ accountId, customerId }).onConflictDoNothing();
  const kept = await billingCustomerOf(db, accountId);
  if (kept === undefined) throw new Error(`account ${accountId} lost its customer`);
  return kept;
}

/** The status that we last saved of a provider's invoice; undefined for one that we do not hold. */
export async function invoiceStatus(db: Db, providerId: string): Promise<string | undefined> {
  const [row] = await db
    .select({ status: invoices.status })
    .from(invoices)
    .where(eq(invoices.providerId, providerId));
  return row?.status;
}
