import { inArray } from "drizzle-orm";
import type { Order } from "#core/orders/order.ts";
import type { Db } from "#db/client.ts";
import { inOrder, type KeysetPage } from "#db/keyset.ts";
import { having, readPlaces, type Narrowing, type ReadPage } from "#db/read-places.ts";
import { orders } from "#db/schema/orders.ts";
import { orderFromRow } from "./orders.ts";

export type OrderFilter = Readonly<{ accountId: string | null; state: Order["state"] | null }>;

/** In the order in which they were made, as their ids have it. */
export async function listOrders(
  db: Db,
  { accountId, state }: OrderFilter,
  down: boolean,
  page: KeysetPage,
): Promise<ReadPage<Order>> {
  const order = { id: orders.id, down };
  const narrowings: Narrowing[] = [];
  if (accountId !== null) narrowings.push(having(orders.accountId, accountId, "ordered"));
  if (state !== null) narrowings.push(having(orders.state, state, "ordered"));
  const { ids, end } = await readPlaces(db, { table: orders, order, narrowings }, page);
  const rows = await db
    .select()
    .from(orders)
    .where(inArray(orders.id, [...ids]))
    .orderBy(...inOrder(order));
  return { rows: rows.map(orderFromRow), end };
}
