import { and, eq } from "drizzle-orm";
import type { Order } from "#core/orders/order.ts";
import type { Db } from "#db/client.ts";
import { inOrder, isAfter, type KeysetPage } from "#db/keyset.ts";
import { orders } from "#db/schema/orders.ts";
import { orderFromRow } from "./orders.ts";

export type OrderFilter = Readonly<{ accountId: string | null; state: Order["state"] | null }>;

/** In the order in which they were made, as their ids have it; by `orders_state_idx` those of a state that few are in. */
export async function listOrders(
  db: Db,
  { accountId, state }: OrderFilter,
  down: boolean,
  page: KeysetPage,
): Promise<readonly Order[]> {
  const order = { id: orders.id, down };
  const rows = await db
    .select()
    .from(orders)
    .where(
      and(
        accountId === null ? undefined : eq(orders.accountId, accountId),
        state === null ? undefined : eq(orders.state, state),
        isAfter(order, page.after),
      ),
    )
    .orderBy(...inOrder(order))
    .limit(page.limit);
  return rows.map(orderFromRow);
}
