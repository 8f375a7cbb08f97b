import { refundReversed, toOrder } from "#core/billing/ledger.ts";
import type { BookedRefund } from "#core/billing/payments.ts";
import { moveOrder } from "#core/orders/decide-order.ts";
import { isPosted, post } from "#db/billing/ledger.ts";
import { lockOrder, saveOrder } from "#db/orders/orders.ts";
import { recordChange, type Actor } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import type { Tx } from "#db/client.ts";
import { stamp, type Deps } from "#commands/deps.ts";

/**
 * The bank sent back a refund that had been booked: books that too, and the order owes its money again, which the
 * sweep tries anew (`refund-order.ts`). May be repeated. A refund that was never booked needs nothing: its order is
 * `refunding` still.
 *
 * `claim` runs first in the transaction; when it says false the work was done by another, and none is done here.
 */
export async function reverseRefund(
  deps: Pick<Deps, "db" | "clock" | "ids" | "log">,
  orderId: string,
  refund: BookedRefund,
  by: { actor: Actor; claim: (tx: Tx) => Promise<boolean> },
): Promise<"refund_reversed" | "unchanged" | "repeat"> {
  if (refund.status !== "failed") throw new Error(`refund ${refund.id} is ${refund.status}`);
  const at = stamp(deps);
  const outcome = await inTransaction(deps.db, async (tx) => {
    if (!(await by.claim(tx))) return "repeat";
    const order = await lockOrder(tx, orderId);
    if (!order) throw new Error(`order ${orderId} vanished`);
    if (!(await isPosted(tx, "refund", refund.id))) {
      // Whoever is about to book it looked before it failed: the version tells them so.
      await saveOrder(tx, order);
      return "unchanged";
    }
    if ((await post(tx, refundReversed(toOrder(order), refund.id, refund.amount), at)) === "repeat")
      return "unchanged";
    const moved = moveOrder(order, "fail_refund", [
      { name: "order.refund_failed.v1", data: { orderId } },
    ]);
    if (!moved.ok) throw new Error(`refund ${refund.id} failed: ${moved.error.detail}`);
    await saveOrder(tx, moved.value.order);
    await recordChange(
      tx,
      {
        actor: by.actor,
        action: "order.reverse_refund",
        subject: { kind: "order", id: orderId },
        detail: { refund_id: refund.id, minor: refund.amount.minor.toString() },
        events: moved.value.events,
      },
      at,
    );
    return "refund_reversed";
  });
  if (outcome === "refund_reversed")
    deps.log.error("refund_order.sent_back", { order_id: orderId, refund_id: refund.id });
  return outcome;
}
