import type { Order } from "#core/orders/order.ts";
import { billingCustomerOf } from "#db/billing/customers.ts";
import {
  attachSubscription,
  lockOrder,
  loadOrder,
  markTried,
  orderIdsPastHold,
} from "#db/orders/orders.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { expireOrder } from "./expire-order.ts";
import { followProvider } from "./follow-provider.ts";

const BATCH = 100;
const ACTOR = { kind: "system", id: "expire-orders" } as const;

/**
 * Gives up the places of orders that were not paid in time. The Checkout Session is closed first, so that nobody
 * can pay for a place that is gone; a payer who was faster is served. One order's trouble holds up no other.
 *
 * @returns how many orders expired, were found paid, and could not be looked at.
 */
export async function expireOrders(
  deps: Deps,
): Promise<{ expired: number; paid: number; failed: number }> {
  const count = { expired: 0, paid: 0, failed: 0 };
  const left: string[] = [];
  for (const orderId of await orderIdsPastHold(deps.db, deps.clock.now(), BATCH)) {
    try {
      const outcome = await expireOne(deps, orderId);
      if (outcome === "expired") count.expired++;
      else if (outcome === "fulfilled") count.paid++;
      else left.push(orderId);
    } catch (error) {
      count.failed++;
      left.push(orderId);
      deps.log.error("expire_orders.failed", { order_id: orderId, error });
    }
  }
  await markTried(deps.db, left, deps.clock.now());
  return count;
}

async function expireOne(deps: Deps, orderId: string) {
  const order = await loadOrder(deps.db, orderId);
  if (order && order.checkoutId !== null) {
    await deps.payments.expireCheckout(order.checkoutId);
    return followProvider(deps, orderId, { actor: ACTOR });
  }
  const subscriptionId = order?.byCard ? await startedFor(deps, order) : null;
  if (subscriptionId !== null) {
    await deps.payments.endStarted(subscriptionId);
    return followProvider(deps, orderId, { actor: ACTOR });
  }
  // No session was written down. One that was opened all the same names the order, and is followed when it rings.
  const at = stamp(deps);
  return inTransaction(deps.db, async (tx) => {
    const locked = await lockOrder(tx, orderId);
    // One may have been written down since we looked: the next sweep closes it first (invariant 5).
    if (!locked || locked.checkoutId !== null) return "unchanged";
    if (locked.subscriptionId !== null) return "unchanged";
    return expireOrder(tx, locked, at, ACTOR);
  });
}

/** What was started with the order's card, also where the answer was lost; null: nothing was. */
async function startedFor(deps: Deps, order: Order): Promise<string | null> {
  if (order.subscriptionId !== null || order.cardId === null) return order.subscriptionId;
  const { customerId } = await billingCustomerOf(deps.db, order);
  if (customerId === null) return null;
  const found = await deps.payments.startedFor({ orderId: order.id, customerId });
  if (found !== null) await attachSubscription(deps.db, order.id, found);
  return found;
}
