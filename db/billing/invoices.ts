import { and, desc, eq, gt, lt, max, ne, sql } from "drizzle-orm";
import { hostStopsAt } from "#core/billing/entitlement.ts";
import type { InvoiceState, NamedBy } from "#core/billing/payments.ts";
import type { Money } from "#core/money.ts";
import type { Db, Tx } from "#db/client.ts";
import { currencyFromRow } from "#db/currency-from-row.ts";
import { prepared, type Slots } from "#db/prepared.ts";
import { giveBacks, invoices, services } from "#db/schema/billing.ts";
import { orders } from "#db/schema/orders.ts";

export type Invoice = Readonly<
  Omit<InvoiceState, keyof NamedBy | "id" | "fromCredit" | "isFirst" | "stuckBecause"> & {
    id: string;
    accountId: string;
    /** null: it is for no order. */
    orderId: string | null;
    providerId: string;
    /** What went back of it, or is to: as credit or to where it came from. What an order or staff gave back is not in it. */
    givenBack: Money;
    /** Its payment came when what it is for had ended. */
    crossed: boolean;
  }
>;

type Read = Readonly<{ invoice: typeof invoices.$inferSelect; givenBack: string }>;
const invoiceFromRow = ({ invoice: row, givenBack }: Read): Invoice => {
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
    paidAt: row.paidAt,
    givenBack: { minor: BigInt(givenBack), currency },
    crossed: row.crossedEndAt !== null,
  };
};

const READ = {
  invoice: invoices,
  givenBack: sql<string>`(select coalesce(sum(g.amount_minor), 0) from ${giveBacks} g
    where g.invoice_id = "invoices"."provider_id")`,
};
const selected = (db: Db) => db.select(READ).from(invoices);

/** When the account's latest paid invoice was made; null: it has never paid anything. What was given back counts too. */
export async function lastPaymentAt(tx: Tx, accountId: string): Promise<Date | null> {
  const [row] = await tx
    .select({ at: max(invoices.createdAt) })
    .from(invoices)
    .where(and(eq(invoices.accountId, accountId), gt(invoices.paidMinor, 0n)));
  return row?.at ?? null;
}

/** Keeps an invoice as the provider showed it. One that is paid or void stays so: an older look changes nothing. */
export async function saveInvoice(
  tx: Tx,
  owner: { id: string; accountId: string; orderId: string | null },
  state: InvoiceState,
): Promise<void> {
  await invoiceSaved(tx, {
    ...owner,
    providerId: state.id,
    createdAt: state.createdAt,
    paidAt: state.paidAt,
    number: state.number,
    status: state.status,
    totalMinor: state.total.minor,
    paidMinor: state.paid.minor,
    currency: state.total.currency,
    hostedUrl: state.hostedUrl,
    stuckBecause: state.stuckBecause,
  });
}

type Shown = Omit<Required<typeof invoices.$inferInsert>, "crossedEndAt" | "settledAt" | "triedAt">;
const invoiceSaved = prepared("invoice_saved", (db, at: Slots<Shown>) => {
  const { number, status, totalMinor, paidMinor, currency, hostedUrl, paidAt, stuckBecause } = at;
  const set = { number, status, totalMinor, paidMinor, currency, hostedUrl, paidAt, stuckBecause };
  const { id, accountId, orderId, providerId, createdAt } = at;
  return db
    .insert(invoices)
    .values({ id, accountId, orderId, providerId, createdAt, ...set })
    .onConflictDoUpdate({
      target: invoices.providerId,
      set,
      setWhere: sql`${invoices.status} not in ('paid', 'void')`,
    });
});

/** The same of one that we may not hold: nothing is added. */
export async function saveShown(tx: Tx, state: InvoiceState): Promise<void> {
  await tx
    .update(invoices)
    .set({ status: state.status, paidMinor: state.paid.minor, hostedUrl: state.hostedUrl })
    .where(and(eq(invoices.providerId, state.id), sql`${invoices.status} not in ('paid', 'void')`));
}

/** An account's invoices, the newest first. What was never sent is nothing to its customer. */
export async function listInvoices(
  db: Db,
  accountId: string,
  page: { limit: number; before: string | null },
): Promise<readonly Invoice[]> {
  const rows = await selected(db)
    .where(
      and(
        eq(invoices.accountId, accountId),
        ne(invoices.status, "draft"),
        page.before === null ? undefined : lt(invoices.id, page.before),
      ),
    )
    .orderBy(desc(invoices.id))
    .limit(page.limit);
  return rows.map(invoiceFromRow);
}

/** What an account has paid in each currency, and what is asked of it and not paid yet. */
export async function moneyOf(
  db: Db,
  accountId: string,
): Promise<readonly { paid: Money; open: Money }[]> {
  const rows = await db
    .select({
      currency: invoices.currency,
      paid: sql<string>`sum(${invoices.paidMinor})`,
      open: sql<string>`coalesce(sum(${invoices.totalMinor} - ${invoices.paidMinor})
        filter (where ${invoices.status} = 'open'), 0)`,
    })
    .from(invoices)
    .where(eq(invoices.accountId, accountId))
    .groupBy(invoices.currency)
    .orderBy(invoices.currency);
  return rows.map(({ currency: code, paid, open }) => {
    const currency = currencyFromRow(code);
    return { paid: { minor: BigInt(paid), currency }, open: { minor: BigInt(open), currency } };
  });
}

export async function loadInvoice(db: Db, id: string): Promise<Invoice | undefined> {
  const [row] = await selected(db).where(eq(invoices.id, id));
  return row && invoiceFromRow(row);
}

/** An invoice with what it bills: the VM's name, and when that stops if nothing is paid; null: it is for none. */
export type BilledInvoice = Readonly<{
  invoice: Invoice;
  vm: Readonly<{ hostname: string; stopsAt: Date }> | null;
}>;

/** A provider's invoice that we hold. */
export async function findInvoice(db: Db, providerId: string): Promise<BilledInvoice | undefined> {
  const [row] = await db
    .select({ ...READ, hostname: orders.hostname, service: services })
    .from(invoices)
    .leftJoin(orders, eq(orders.id, invoices.orderId))
    .leftJoin(services, eq(services.vmId, orders.vmId))
    .where(eq(invoices.providerId, providerId));
  if (row === undefined) return undefined;
  const { hostname, service } = row;
  const vm =
    hostname === null || service === null ? null : { hostname, stopsAt: hostStopsAt(service) };
  return { invoice: invoiceFromRow(row), vm };
}

/** Of a service in a query: something that was sent for its VM is not paid. */
export const HAS_OPEN_INVOICE = sql`exists (select from ${invoices} join ${orders} on ${orders.id} = ${invoices.orderId}
  where ${orders.vmId} = ${services.vmId} and ${invoices.status} = 'open' and ${invoices.number} is not null)`;

/** What was sent for a VM and is not paid, the newest first; undefined: nothing. */
export async function openInvoiceOf(db: Db, vmId: string): Promise<Invoice | undefined> {
  const [row] = await selected(db)
    .innerJoin(orders, eq(orders.id, invoices.orderId))
    .where(
      and(eq(orders.vmId, vmId), eq(invoices.status, "open"), sql`${invoices.number} is not null`),
    )
    .orderBy(desc(invoices.createdAt))
    .limit(1);
  return row && invoiceFromRow(row);
}

/** The status that we last saved of a provider's invoice; undefined for one that we do not hold. */
export async function invoiceStatus(db: Db, providerId: string): Promise<string | undefined> {
  const [row] = await statusHeld(db, { providerId });
  return row?.status;
}

const statusHeld = prepared("invoice_status", (db, at: Slots<{ providerId: string }>) =>
  db
    .select({ status: invoices.status })
    .from(invoices)
    .where(eq(invoices.providerId, at.providerId)),
);
