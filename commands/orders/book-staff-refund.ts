import { refundMade, refundReversed, type BookedTo } from "#core/billing/ledger.ts";
import type { BookedRefund } from "#core/billing/payments.ts";
import type { Tx } from "#db/client.ts";
import { post } from "#db/billing/ledger.ts";
import { recordChange, type Actor } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";

/**
 * Books a refund that names no order (staff made it in the provider's dashboard, or a change of price was taken back) with its
 * own amount; or books it back when the bank sent it back. The order's state stays: what was given back, and for which month, is staff's decision, and no order is
 * `refunded` by a part of its money. So there is no event of it either: the ledger and the audit log are its record.
 * May be repeated.
 *
 * `claim` runs first in the transaction; when it says false the work was done by another, and none is done here.
 */
export async function bookStaffRefund(
  deps: Pick<Deps, "db" | "clock" | "ids" | "log">,
  to: BookedTo,
  refund: BookedRefund,
  by: { actor: Actor; claim: (tx: Tx) => Promise<boolean> },
): Promise<"refund_booked" | "refund_reversed" | "unchanged" | "repeat"> {
  if (refund.status === "pending") throw new Error(`refund ${refund.id} is ${refund.status}`);
  const at = stamp(deps);
  const kind = to.orderId === null ? "account" : "order";
  const outcome = await inTransaction(deps.db, async (tx) => {
    if (!(await by.claim(tx))) return "repeat";
    const done = await bookAsItIs(tx, to, refund, at);
    if (done === "unchanged") return done;
    await recordChange(
      tx,
      {
        actor: by.actor,
        action: `${kind}.${done === "refund_booked" ? "book_refund" : "reverse_refund"}`,
        subject: { kind, id: to.orderId ?? to.accountId },
        detail: { refund_id: refund.id, minor: refund.amount.minor.toString() },
        events: [],
      },
      at,
    );
    return done;
  });
  // Nobody tries it again by itself: the customer has not got what staff promised.
  if (outcome === "refund_reversed")
    deps.log.error("staff_refund.sent_back", {
      account_id: to.accountId,
      order_id: to.orderId,
      refund_id: refund.id,
    });
  return outcome;
}

async function bookAsItIs(
  tx: Tx,
  to: BookedTo,
  refund: BookedRefund,
  at: { now: Date; newId: () => string },
): Promise<"refund_booked" | "refund_reversed" | "unchanged"> {
  const { id, amount, fromCredit } = refund;
  // Also for one that failed: whoever looked before it did, and comes to book it later, finds it booked.
  const made = await post(tx, refundMade(to, id, amount, fromCredit), at);
  if (refund.status !== "failed") return made === "posted" ? "refund_booked" : "unchanged";
  const reversed = await post(tx, refundReversed(to, id, amount, fromCredit), at);
  return reversed === "posted" ? "refund_reversed" : "unchanged";
}
