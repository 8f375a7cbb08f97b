import { ORDER_HOLD_MS } from "#core/orders/decide-order.ts";
import type { Order } from "#core/orders/order.ts";
import { extendHold, loadOrder } from "#db/orders/orders.ts";
import type { Deps } from "#commands/deps.ts";

/** A minute and a half more than Stripe's least: our clocks need not agree, and the calls before the session take time. */
export const holdFrom = (now: Date) => new Date(+now + ORDER_HOLD_MS + 90_000);
/** What the call for the session may take: as long as a request lives. Stripe measures the hold when it has the call. */
const CALL_MS = 30_000;

/** The order; an outage that ate into its hold is made up for, since Stripe takes no session shorter than that. */
export async function heldLongEnough(deps: Deps, order: Order): Promise<Order> {
  const now = deps.clock.now();
  const least = new Date(+now + ORDER_HOLD_MS + CALL_MS);
  if (order.expiresAt >= least) return order;
  await extendHold(deps.db, order.id, { least, until: holdFrom(now) });
  return orderOf(deps, order.id);
}

export async function orderOf(deps: Pick<Deps, "db">, orderId: string): Promise<Order> {
  const order = await loadOrder(deps.db, orderId);
  if (!order) throw new Error(`order ${orderId} vanished`);
  return order;
}
