import { and, asc, eq, inArray, isNull, lt, lte, sql } from "drizzle-orm";
import type { Currency } from "#core/money.ts";
import type { Order } from "#core/orders/order.ts";
import type { Db, Tx } from "#db/client.ts";
import { currencyFromRow } from "#db/currency-from-row.ts";
import { prepared, type Slots } from "#db/prepared.ts";
import { accounts } from "#db/schema/accounts.ts";
import { services } from "#db/schema/billing.ts";
import { orders } from "#db/schema/orders.ts";

export const orderFromRow = (row: typeof orders.$inferSelect): Order => ({
  ...row,
  currency: currencyFromRow(row.currency),
});

export async function insertOrder(tx: Tx, order: Order): Promise<void> {
  await tx.insert(orders).values({ ...order, sshKeys: [...order.sshKeys] });
}

const orderById = prepared("order_by_id", (db, at: Slots<{ id: string }>) =>
  db.select().from(orders).where(eq(orders.id, at.id)),
);

export async function loadOrder(db: Db | Tx, id: string): Promise<Order | undefined> {
  const [row] = await orderById(db, { id });
  return row && orderFromRow(row);
}

const orderHeld = prepared("order_held", (db, at: Slots<{ id: string }>) =>
  db.select().from(orders).where(eq(orders.id, at.id)).for("update"),
);

/** Loads the order and holds it until the transaction ends: one decision at a time on one order. */
export async function lockOrder(tx: Tx, id: string): Promise<Order | undefined> {
  const [row] = await orderHeld(tx, { id });
  return row && orderFromRow(row);
}

const orderOfVmHeld = prepared("order_of_vm_held", (db, at: Slots<{ vmId: string }>) =>
  db.select().from(orders).where(eq(orders.vmId, at.vmId)).for("update"),
);

/** The order that led to the VM, held until the transaction ends; undefined: none did. */
export async function lockOrderOfVm(tx: Tx, vmId: string): Promise<Order | undefined> {
  const [row] = await orderOfVmHeld(tx, { vmId });
  return row && orderFromRow(row);
}

/** Which order led to the VM; undefined: none did. */
export async function orderIdOfVm(tx: Db | Tx, vmId: string): Promise<string | undefined> {
  const [row] = await tx.select({ id: orders.id }).from(orders).where(eq(orders.vmId, vmId));
  return row?.id;
}

/** Of the order that led to the VM; undefined: none did. */
export async function orderStateOfVm(tx: Tx, vmId: string): Promise<Order["state"] | undefined> {
  const [row] = await tx.select({ state: orders.state }).from(orders).where(eq(orders.vmId, vmId));
  return row?.state;
}

/** Money came for it, and none of it went back as a whole. */
const PAID = ["paid", "active", "completed"] as const;

/**
 * What the account pays in: the currency of the first order of it that was paid and not given back. null: none was. One that was placed
 * in another before that, and was paid after it, is served in its own and fixes nothing.
 */
export async function currencyOfAccount(tx: Db | Tx, accountId: string): Promise<Currency | null> {
  const [first] = await tx
    .select({ currency: orders.currency })
    .from(orders)
    .where(and(eq(orders.accountId, accountId), inArray(orders.state, PAID)))
    .orderBy(asc(orders.paidAt), asc(orders.id))
    .limit(1);
  return first === undefined ? null : currencyFromRow(first.currency);
}

/** Which order led to what the subscription pays for. */
export async function orderIdOfSubscription(
  db: Db,
  subscriptionId: string,
): Promise<string | undefined> {
  const [row] = await db
    .select({ id: orders.id })
    .from(services)
    .innerJoin(orders, eq(orders.vmId, services.vmId))
    .where(eq(services.subscriptionId, subscriptionId));
  return row?.id;
}

export class StaleVersion extends Error {
  override name = "StaleVersion";
}

const orderSaved = prepared(
  "order_saved",
  (
    db,
    at: Slots<
      Pick<Order, "id" | "version" | "state" | "paidAt" | "network" | "discountMinor" | "taxMinor">
    >,
  ) =>
    db
      .update(orders)
      .set({
        state: at.state,
        discountMinor: at.discountMinor,
        taxMinor: at.taxMinor,
        paidAt: at.paidAt,
        network: at.network,
        version: sql`${orders.version} + 1`,
      })
      .where(and(eq(orders.id, at.id), eq(orders.version, at.version)))
      .returning({ id: orders.id }),
);

/** Writes a decided order. Throws `StaleVersion` when somebody else wrote it since it was loaded. */
export async function saveOrder(tx: Tx, order: Order): Promise<void> {
  const { id, version, state, paidAt, discountMinor, taxMinor } = order;
  // It is counted by its network while it is unpaid, and then nobody needs to know.
  const network = state === "awaiting_payment" ? order.network : null;
  const done = await orderSaved(tx, {
    id,
    version,
    state,
    paidAt,
    network,
    discountMinor,
    taxMinor,
  });
  if (done.length !== 1) throw new StaleVersion(order.id);
}

/** A look at the provider that was made before this is not followed: it is made again. Of a VM that no order led to nothing happens. */
export async function outdateLooks(tx: Tx, vmId: string): Promise<void> {
  await tx
    .update(orders)
    .set({ version: sql`${orders.version} + 1` })
    .where(eq(orders.vmId, vmId));
}

/**
 * Remembers the order's Checkout Session; the first one stays. `url` is null when the session can no longer be paid.
 *
 * @returns the order with the session that it keeps; undefined when there is no such order.
 */
export async function attachCheckout(
  db: Db | Tx,
  orderId: string,
  checkout: { id: string; url: string | null },
): Promise<Order | undefined> {
  const [row] = await db
    .update(orders)
    .set({
      checkoutId: sql`coalesce(${orders.checkoutId}, ${checkout.id})`,
      checkoutUrl: sql`case when ${orders.checkoutId} is null then ${checkout.url} else ${orders.checkoutUrl} end`,
    })
    .where(eq(orders.id, orderId))
    .returning();
  return row && orderFromRow(row);
}

/** The card that an order is charged to is chosen once: a repeat charges no other. Returns that one. */
export async function chooseOrdersCard(db: Db, orderId: string, cardId: string): Promise<string> {
  const [row] = await db
    .update(orders)
    .set({ cardId: sql`coalesce(${orders.cardId}, ${cardId})` })
    .where(eq(orders.id, orderId))
    .returning({ cardId: orders.cardId });
  if (row?.cardId === undefined || row.cardId === null)
    throw new Error(`order ${orderId} vanished`);
  return row.cardId;
}

/** Remembers what was started with the order's card; the first one stays. An order that is paid on a page has none. */
export async function attachSubscription(
  db: Db | Tx,
  orderId: string,
  subscriptionId: string,
): Promise<Order | undefined> {
  const [row] = await db
    .update(orders)
    .set({ subscriptionId: sql`coalesce(${orders.subscriptionId}, ${subscriptionId})` })
    .where(and(eq(orders.id, orderId), orders.byCard))
    .returning();
  return row && orderFromRow(row);
}

/** Where the bank's question is answered. */
export async function saveOrdersPage(db: Db, orderId: string, url: string): Promise<void> {
  await db.update(orders).set({ checkoutUrl: url }).where(eq(orders.id, orderId));
}

/** The order's card paid nothing: its time is over now. */
export async function saveDecline(
  tx: Tx,
  orderId: string,
  { code, now }: { code: string; now: Date },
): Promise<void> {
  await tx.update(orders).set({ declineCode: code, expiresAt: now }).where(eq(orders.id, orderId));
}

/** Its trial was refused: it is served by no later look either. */
export async function saveRefusedTrial(tx: Tx, orderId: string, code: string): Promise<void> {
  await tx.update(orders).set({ declineCode: code }).where(eq(orders.id, orderId));
}

/** Holds the place of an order that nobody can pay yet until `until`, unless it is held past `least` anyway. */
export async function extendHold(
  db: Db,
  orderId: string,
  hold: { least: Date; until: Date },
): Promise<void> {
  await db
    .update(orders)
    .set({ expiresAt: hold.until })
    .where(
      and(
        eq(orders.id, orderId),
        eq(orders.state, "awaiting_payment"),
        isNull(orders.checkoutId),
        isNull(orders.subscriptionId),
        lt(orders.expiresAt, hold.least),
      ),
    );
}

/** A sweep did not finish with these orders: the next one takes them after those that were not tried as lately. */
export async function markTried(db: Db, orderIds: readonly string[], now: Date): Promise<void> {
  if (orderIds.length > 0)
    await db
      .update(orders)
      .set({ triedAt: now })
      .where(inArray(orders.id, [...orderIds]));
}

export async function orderIdsPastHold(
  db: Db,
  now: Date,
  limit: number,
): Promise<readonly string[]> {
  const rows = await db
    .select({ id: orders.id })
    .from(orders)
    .where(and(eq(orders.state, "awaiting_payment"), lte(orders.expiresAt, now)))
    .orderBy(asc(sql`coalesce(${orders.triedAt}, ${orders.expiresAt})`))
    .limit(limit);
  return rows.map((r) => r.id);
}

export async function orderIdsInState(
  db: Db,
  state: Order["state"],
  limit: number,
): Promise<readonly string[]> {
  const rows = await db
    .select({ id: orders.id })
    .from(orders)
    .where(eq(orders.state, state))
    .orderBy(asc(sql`coalesce(${orders.triedAt}, ${orders.paidAt})`))
    .limit(limit);
  return rows.map((r) => r.id);
}

/** Orders of one account wait for each other from here on, so that each is counted by the next. */
export async function lockBuyer(tx: Tx, accountId: string): Promise<{ emailVerified: boolean }> {
  const [buyer] = await tx
    .select({ emailVerified: accounts.emailVerified })
    .from(accounts)
    .where(eq(accounts.id, accountId))
    .for("no key update");
  if (!buyer) throw new Error(`account ${accountId} vanished`);
  return buyer;
}

/** The orders by which an account holds places without having paid: as many as it may have at once. */
export async function unpaidOrdersOf(tx: Tx, accountId: string): Promise<readonly Order[]> {
  const rows = await tx
    .select()
    .from(orders)
    .where(and(eq(orders.accountId, accountId), eq(orders.state, "awaiting_payment")));
  return rows.map(orderFromRow);
}

const orderByCheckout = prepared("order_by_checkout", (db, at: Slots<{ checkoutId: string }>) =>
  db.select().from(orders).where(eq(orders.checkoutId, at.checkoutId)),
);

export async function orderOfCheckout(db: Db, checkoutId: string): Promise<Order | undefined> {
  const [row] = await orderByCheckout(db, { checkoutId });
  return row && orderFromRow(row);
}
