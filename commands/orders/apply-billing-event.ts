import { z } from "zod";
import { ForeignCurrency, type RefundState, UnknownToProvider } from "#core/billing/payments.ts";
import { invoiceStatus } from "#db/billing/invoices.ts";
import { claimDelivery, loadDelivery, type InboxEntry } from "#db/messages/inbox.ts";
import {
  attachCheckout,
  loadOrder,
  orderIdOfCheckout,
  orderStateOfCheckout,
} from "#db/orders/orders.ts";
import { inTransaction } from "#db/transaction.ts";
import { bookStaffRefund } from "./book-staff-refund.ts";
import type { Deps } from "#commands/deps.ts";
import { followProvider, type Followed } from "./follow-provider.ts";
import { reverseRefund } from "./reverse-refund.ts";

/**
 * Applies a stored delivery: finds the order it is about, and brings that in line with the provider. The inbox row
 * is marked in the same transaction, so a delivery is applied once; its content is never trusted.
 *
 * Throws when the provider or the database cannot be reached: the message comes again.
 */
export async function applyBillingEvent(
  deps: Deps,
  messageId: string,
): Promise<
  Followed | "refund_booked" | "refund_reversed" | "ignored" | "known" | "delivery_unknown"
> {
  const delivery = await loadDelivery(deps.db, messageId);
  if (!delivery) return "delivery_unknown";
  if (delivery.appliedAt !== null) return "repeat";
  if (delivery.objectKind === "refund") return applyRefund(deps, delivery);
  const known = await isKnown(deps, delivery);
  const subject = known ? undefined : await unlessForeign(deps, findSubject(deps, delivery));
  if (subject && (await isOurs(deps, subject.orderId)))
    return followProvider(deps, subject.orderId, {
      ...subject,
      actor: { kind: "provider", id: messageId },
      claim: (tx) => claimDelivery(tx, messageId, "applied", deps.clock.now()),
    });
  return setAside(deps, messageId, known ? "known" : "ignored");
}

/**
 * What a delivery is about; undefined when it is nothing of ours: another account's or mode's object, one that was deleted
 * since, or money in a currency that we do not sell in. It would be looked for in vain for ever.
 */
async function unlessForeign<T>(deps: Deps, look: Promise<T>): Promise<T | undefined> {
  try {
    return await look;
  } catch (error) {
    if (!(error instanceof UnknownToProvider) && !(error instanceof ForeignCurrency)) throw error;
    deps.log.error("apply_billing_event.foreign", { error });
    return undefined;
  }
}

/** Marks a delivery that changes nothing as applied. */
async function setAside<O extends "known" | "ignored">(
  deps: Deps,
  messageId: string,
  outcome: O,
): Promise<O | "repeat"> {
  const mine = await inTransaction(deps.db, (tx) =>
    claimDelivery(tx, messageId, outcome, deps.clock.now()),
  );
  return mine ? outcome : "repeat";
}

/**
 * A refund that we made names its order: its success is seen by whoever asked for it (`refund-order.ts`); its failure
 * may come weeks later. One that staff made in the dashboard is found by its payment, and nobody else books it.
 */
async function applyRefund(
  deps: Deps,
  { messageId, objectId }: InboxEntry,
): Promise<"refund_booked" | "refund_reversed" | "unchanged" | "repeat" | "ignored"> {
  if (objectId === null) return setAside(deps, messageId, "ignored");
  const refund = await unlessForeign(deps, deps.payments.fetchRefund(objectId));
  if (refund?.amount === undefined || refund.amount === null)
    return setAside(deps, messageId, "ignored");
  const byStaff = refund.orderId === null;
  const nothingToDo = refund.status === "pending" || (!byStaff && refund.status === "succeeded");
  const orderId = nothingToDo ? null : await orderOfRefund(deps, refund);
  if (orderId === null || !(await isOurs(deps, orderId)))
    return setAside(deps, messageId, "ignored");
  const apply = byStaff ? bookStaffRefund : reverseRefund;
  return apply(
    deps,
    orderId,
    { ...refund, amount: refund.amount },
    {
      actor: { kind: "provider", id: messageId },
      claim: (tx) => claimDelivery(tx, messageId, "applied", deps.clock.now()),
    },
  );
}

async function orderOfRefund(deps: Deps, refund: RefundState): Promise<string | null> {
  if (refund.orderId !== null || refund.paymentId === null) return refund.orderId;
  return deps.payments.orderOfPayment(refund.paymentId);
}

/**
 * Whether the delivery can tell nothing new: it is about an object that has come to its last state, and we hold
 * that already. A paid invoice stays paid, and a session whose order is paid stays complete; a look at either costs
 * calls of the provider's rate limit for nothing.
 */
async function isKnown(deps: Deps, delivery: InboxEntry): Promise<boolean> {
  if (delivery.objectId === null) return false;
  if (delivery.objectKind === "invoice")
    return (await invoiceStatus(deps.db, delivery.objectId)) === "paid";
  if (delivery.objectKind !== "checkout.session") return false;
  const state = await orderStateOfCheckout(deps.db, delivery.objectId);
  return state !== undefined && state !== "awaiting_payment" && state !== "expired";
}

/** Another system on the same account names its own orders; following one would be tried again for ever. */
const isOurs = async (deps: Deps, orderId: string): Promise<boolean> =>
  z.uuid().safeParse(orderId).success && (await loadOrder(deps.db, orderId)) !== undefined;

/** Which order the delivery is about; undefined when it is none of ours. */
async function findSubject(
  deps: Deps,
  delivery: InboxEntry,
): Promise<{ orderId: string; invoiceId?: string } | undefined> {
  const { payments } = deps;
  const id = delivery.objectId;
  if (id === null) return undefined;
  switch (delivery.objectKind) {
    case "checkout.session": {
      const known = await orderIdOfCheckout(deps.db, id);
      if (known !== undefined) return { orderId: known };
      // We may have died between opening the session and writing it down: the session names its order.
      const checkout = await payments.fetchCheckout(id);
      if (checkout.orderId === null) return undefined;
      if (await isOurs(deps, checkout.orderId))
        await attachCheckout(deps.db, checkout.orderId, { id, url: checkout.url });
      return { orderId: checkout.orderId };
    }
    case "subscription": {
      const { orderId } = await payments.fetchSubscription(id);
      return orderId === null ? undefined : { orderId };
    }
    case "invoice": {
      const { orderId } = await payments.fetchInvoice(id);
      return orderId === null ? undefined : { orderId, invoiceId: id };
    }
    default:
      return undefined;
  }
}
