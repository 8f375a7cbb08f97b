import { creditGiven, refundMade, toOrder } from "#core/billing/ledger.ts";
import { moveOrder } from "#core/orders/decide-order.ts";
import { endAndSettle } from "#commands/billing/cancel-subscription.ts";
import { post } from "#db/billing/ledger.ts";
import { loadOrder, lockOrder, markTried, orderIdsInState, saveOrder } from "#db/orders/orders.ts";
import { dropTrial } from "#db/orders/trials.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { paymentOfOrder } from "./payment-of-order.ts";

/**
 * Ends an order's subscription, gives its money back in full, and books that. May be repeated: the provider is asked by a key of the
 * order's, and the ledger takes each refund once.
 *
 * @returns `pending` while the provider has not finished; the sweep asks again.
 */
export async function refundOrder(
  deps: Deps,
  orderId: string,
): Promise<"refunded" | "pending" | "not_due"> {
  const order = await loadOrder(deps.db, orderId);
  if (order?.state !== "refunding") return "not_due";
  const checkout = await paymentOfOrder(deps, order);
  const invoiceId = checkout?.invoiceId ?? null;
  if (invoiceId === null) throw new Error(`order ${orderId} is to be refunded and has no invoice`);
  // First the subscription: it must not bill again while the refund is under way.
  if (checkout?.subscription) await endAndSettle(deps, checkout.subscription.id);
  // What the customer's balance paid goes back there, and the rest to where it came from.
  const credit = await deps.payments.returnCredit({ orderId, invoiceId });
  const refund = await deps.payments.refundInvoice({ orderId, invoiceId });
  if (refund.status !== "succeeded") {
    deps.log.error("refund_order.not_yet", { order_id: orderId, status: refund.status });
    return "pending";
  }
  const at = stamp(deps);
  return inTransaction(deps.db, async (tx) => {
    const locked = await lockOrder(tx, orderId);
    if (!locked) throw new Error(`order ${orderId} vanished`);
    // Somebody followed the provider since our look, which may be older: the sweep looks again.
    if (locked.version !== order.version) return "pending";
    const moved = moveOrder(locked, "confirm_refund", [
      { name: "order.refunded.v1", data: { orderId } },
    ]);
    if (!moved.ok || moved.value.events.length === 0) return "not_due";
    await saveOrder(tx, moved.value.order);
    if (locked.trialPolicy !== null) await dropTrial(tx, orderId, at.now);
    if (credit) await post(tx, creditGiven(toOrder(locked), credit.id, credit.amount), at);
    if (refund.amount) await post(tx, refundMade(toOrder(locked), refund.id, refund.amount), at);
    await recordChange(
      tx,
      {
        actor: { kind: "system", id: "refund-order" },
        action: "order.refund",
        subject: { kind: "order", id: orderId },
        detail: { refund_id: refund.id, minor: refund.amount?.minor.toString() ?? null },
        events: moved.value.events,
      },
      at,
    );
    return "refunded";
  });
}

/** Asks again for every refund that is due: what a lost message or a provider's failure left behind. */
export async function retryRefunds(deps: Deps): Promise<{ refunded: number; failed: number }> {
  const count = { refunded: 0, failed: 0 };
  const left: string[] = [];
  for (const orderId of await orderIdsInState(deps.db, "refunding", 50)) {
    try {
      if ((await refundOrder(deps, orderId)) === "refunded") count.refunded++;
      else left.push(orderId);
    } catch (error) {
      count.failed++;
      left.push(orderId);
      deps.log.error("retry_refunds.failed", { order_id: orderId, error });
    }
  }
  await markTried(deps.db, left, deps.clock.now());
  return count;
}
