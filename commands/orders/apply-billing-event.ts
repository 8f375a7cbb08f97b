import { toOrder, type BookedTo } from "#core/billing/ledger.ts";
import { loadOrder } from "#db/orders/orders.ts";
import { recordChange } from "#db/record-change.ts";
import { bookInvoice } from "#commands/billing/book-invoice.ts";
import {
  ForeignCurrency,
  NO_CARD,
  type InvoiceState,
  type NamedBy,
  type RefundState,
  UnknownToProvider,
} from "#core/billing/payments.ts";
import { serviceOfSubscription } from "#db/billing/services.ts";
import { holderOf, isCustomer } from "#db/billing/customers.ts";
import { invoiceStatus } from "#db/billing/invoices.ts";
import { revivalOfCheckout } from "#db/billing/dunnings.ts";
import { openChangeOfCheckout } from "#db/billing/plan-changes.ts";
import type { Db, Tx } from "#db/client.ts";
import {
  claimDelivery,
  giveBackAlike,
  loadDelivery,
  takeAlike,
  type InboxEntry,
} from "#db/messages/inbox.ts";
import type { Order } from "#core/orders/order.ts";
import { inTransaction } from "#db/transaction.ts";
import { followCard } from "#commands/billing/follow-card.ts";
import { followRevival } from "#commands/billing/follow-revival.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { bookStaffRefund } from "./book-staff-refund.ts";
import { findSubject, orderNamed, orderOfSession } from "./find-subject.ts";
import { followProvider, ringForChange, type Followed } from "./follow-provider.ts";
import { reverseRefund } from "./reverse-refund.ts";

/** Longer than most looks take: two that overlap cost calls, and no more. */
const LOOK_MS = 30_000;

/** A delivery, and those about the same object that the look for it tells of too. */
type Taken = InboxEntry & Readonly<{ taken: readonly string[] }>;

/**
 * Applies a stored delivery: finds the order it is about, and brings that in line with the provider. The inbox row
 * is marked in the same transaction, so a delivery is applied once; what is written comes from a look at the provider, and
 * never from what was delivered. One look applies all deliveries about one object that were stored before it began; what we
 * hold already is not looked at (docs/adr/0030).
 *
 * `taken`: another worker looks at its object now, from after this was stored. Should that one die, the sweep rings again.
 * Throws when the provider or the database cannot be reached: the message comes again.
 */
export async function applyBillingEvent(
  deps: Deps,
  messageId: string,
): Promise<
  | Followed
  | "refund_booked"
  | "refund_reversed"
  | "change_rung"
  | "revived"
  | "given_back"
  | "not_paid"
  | "card_changed"
  | "bill_booked"
  | "ignored"
  | "unhandled"
  | "known"
  | "taken"
  | "delivery_unknown"
> {
  const delivery = await loadDelivery(deps.db, messageId);
  if (!delivery) return "delivery_unknown";
  if (delivery.appliedAt !== null) return "repeat";
  const order = await orderOfSession(deps, delivery);
  if (await isKnown(deps, delivery, order))
    return setAside(deps, { ...delivery, taken: [] }, "known");
  try {
    const now = deps.clock.now();
    const taken = await takeAlike(deps.db, delivery, { now, until: new Date(+now + LOOK_MS) });
    if (!taken.includes(messageId)) return "taken";
    return await look(deps, { ...delivery, taken }, order);
  } catch (error) {
    await giveBackAlike(deps.db, delivery);
    throw error;
  }
}

async function look(deps: Deps, delivery: Taken, order: Order | undefined) {
  if (delivery.objectKind === "refund") return applyRefund(deps, delivery);
  const revival = order ? undefined : await revivalOfSession(deps, delivery);
  if (revival) return followRevival(deps, revival, claimOf(deps, delivery));
  const change = order ? undefined : await changeOfSession(deps, delivery);
  if (change) return ringForPage(deps, delivery, change.vmId);
  const subject = order
    ? { orderId: order.id, order }
    : await unlessForeign(deps, findSubject(deps, delivery));
  if (subject && "card" in subject && subject.card !== undefined)
    return applyCard(deps, delivery, subject.card);
  const bill = subject !== undefined && "bill" in subject ? subject.bill : undefined;
  const to = bill && (await booksOf(deps, undefined, bill));
  if (bill !== undefined && to !== undefined) return bookBill(deps, delivery, { to, bill });
  return subject === undefined || subject.orderId === undefined
    ? leave(deps, delivery, subject?.named)
    : followProvider(deps, subject.orderId, { ...subject, ...claimOf(deps, delivery) });
}

/** The change of a plan that is paid on the page that the delivery is about: whoever follows it looks at the page. */
const changeOfSession = async (deps: Deps, { objectKind, objectId }: InboxEntry) =>
  objectKind === "checkout.session" && objectId !== null
    ? openChangeOfCheckout(deps.db, objectId)
    : undefined;

/** The page where a VM is bought anew that the delivery is about. */
const revivalOfSession = async (deps: Deps, { objectKind, objectId }: InboxEntry) =>
  objectKind === "checkout.session" && objectId !== null
    ? revivalOfCheckout(deps.db, objectId)
    : undefined;

function ringForPage(deps: Deps, delivery: Taken, vmId: string): Promise<"change_rung" | "repeat"> {
  const { actor, claim } = claimOf(deps, delivery);
  const at = stamp(deps);
  return inTransaction(deps.db, async (tx) => {
    if (!(await claim(tx))) return "repeat";
    await ringForChange(tx, vmId, at, actor);
    return "change_rung";
  });
}

/** An invoice of an account that is for no order: what staff have asked for in the dashboard, say. */
function bookBill(
  deps: Deps,
  delivery: Taken,
  { to, bill }: { to: BookedTo; bill: InvoiceState },
): Promise<"bill_booked" | "unchanged" | "repeat"> {
  const { actor, claim } = claimOf(deps, delivery);
  const at = stamp(deps);
  return inTransaction(deps.db, async (tx) => {
    if (!(await claim(tx))) return "repeat";
    if ((await bookInvoice(tx, to, bill, at)) === "unchanged") return "unchanged";
    await recordChange(
      tx,
      {
        actor,
        action: "account.book_invoice",
        subject: { kind: "account", id: to.accountId },
        detail: { invoice_id: bill.id, minor: bill.paid.minor.toString() },
        events: [],
      },
      at,
    );
    return "bill_booked";
  });
}

/** A card that was saved, or chosen at the provider. Of a customer who was deleted since there is nothing to bring in line. */
async function applyCard(
  deps: Deps,
  delivery: Taken,
  of: { customerId: string; pageId: string | null },
): Promise<"card_changed" | "unchanged" | "repeat" | "ignored"> {
  if (!(await isCustomer(deps.db, of.customerId))) return setAside(deps, delivery, "ignored");
  const followed = await unlessForeign(deps, followCard(deps, of, claimOf(deps, delivery)));
  return followed ?? setAside(deps, delivery, "ignored");
}

/** Whose change it is, and what makes it one that is made once. */
const claimOf = (deps: Deps, { messageId, taken }: Taken) => ({
  actor: { kind: "provider" as const, id: messageId },
  claim: (tx: Tx) =>
    claimDelivery(tx, messageId, { outcome: "applied", now: deps.clock.now(), taken }),
});

/**
 * What a delivery is about; undefined when it is nothing of ours: another account's or mode's object, one that was deleted
 * since, or money in a currency that we do not know. It would be looked for in vain for ever.
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

/**
 * What leads to no order. Another system's on the same account is nothing to us. What is of a customer of ours is money, or a claim, that no book of
 * ours knows: nobody looks at it again by itself, and staff are told (`berth_inbox_unhandled`).
 */
async function leave(
  deps: Deps,
  delivery: Taken,
  named: NamedBy | undefined,
): Promise<"ignored" | "unhandled" | "repeat"> {
  const customerId = named?.customerId ?? null;
  if (customerId === null || !(await isCustomer(deps.db, customerId)))
    return setAside(deps, delivery, "ignored");
  const left = await setAside(deps, delivery, "unhandled");
  if (left === "unhandled")
    deps.log.error("apply_billing_event.unhandled", {
      message_id: delivery.messageId,
      type: delivery.type,
      object_id: delivery.objectId,
      customer_id: customerId,
    });
  return left;
}

/** Marks deliveries that change nothing as applied. */
async function setAside<O extends "known" | "ignored" | "unhandled">(
  deps: Deps,
  { messageId, taken }: Taken,
  outcome: O,
): Promise<O | "repeat"> {
  const claim = (db: Db | Tx) =>
    claimDelivery(db, messageId, { outcome, now: deps.clock.now(), taken });
  // By itself it is one statement.
  const mine = await (taken.length === 0 ? claim(deps.db) : inTransaction(deps.db, claim));
  return mine ? outcome : "repeat";
}

/**
 * A refund that we made names its order: its success is seen by whoever asked for it (`refund-order.ts`); its failure
 * may come weeks later. One that staff made in the dashboard is found by its payment, and nobody else books it.
 */
async function applyRefund(
  deps: Deps,
  delivery: Taken,
): Promise<"refund_booked" | "refund_reversed" | "unchanged" | "repeat" | "ignored" | "unhandled"> {
  const { objectId } = delivery;
  if (objectId === null) return setAside(deps, delivery, "ignored");
  const refund = await unlessForeign(deps, deps.payments.fetchRefund(objectId));
  if (refund?.amount === undefined || refund.amount === null)
    return setAside(deps, delivery, "ignored");
  const byStaff = refund.orderId === null;
  const nothingToDo = refund.status === "pending" || (!byStaff && refund.status === "succeeded");
  if (nothingToDo) return setAside(deps, delivery, "ignored");
  const named = await refundNamedBy(deps, refund);
  const orderId = await orderNamed(deps, named);
  const booked = { ...refund, amount: refund.amount };
  const claim = claimOf(deps, delivery);
  if (orderId !== undefined && !byStaff) return reverseRefund(deps, orderId, booked, claim);
  const to = await booksOf(deps, orderId, named);
  return to === undefined ? leave(deps, delivery, named) : bookStaffRefund(deps, to, booked, claim);
}

/** In whose books it is: an order's account, or the customer's own where it is of none, and of no subscription. */
async function booksOf(
  deps: Deps,
  orderId: string | undefined,
  { subscriptionId, customerId }: NamedBy,
): Promise<BookedTo | undefined> {
  if (orderId !== undefined) {
    const order = await loadOrder(deps.db, orderId);
    return order && toOrder(order);
  }
  if (subscriptionId !== null || customerId === null) return undefined;
  const holder = await holderOf(deps.db, customerId);
  return holder && { accountId: holder.accountId, orderId: null };
}

/** A refund names its order, or is found by what its payment paid. */
async function refundNamedBy(deps: Deps, { orderId, paymentId }: RefundState): Promise<NamedBy> {
  if (orderId !== null || paymentId === null)
    return { orderId, subscriptionId: null, customerId: null };
  return deps.payments.paidWith(paymentId);
}

/**
 * Whether the delivery can tell nothing new: it is about an object that has come to its last state, and we hold
 * that already, or it shows a subscription as we saw it last. A paid invoice stays paid, and a session whose order is paid stays
 * complete; a look at either costs calls of the provider's rate limit for nothing.
 *
 * A snapshot may be old. One that says what we hold is passed over all the same: if the subscription is another by now, the
 * event of that change says something else than we hold, and is looked at whenever it comes.
 */
async function isKnown(
  deps: Deps,
  delivery: InboxEntry,
  order: Order | undefined,
): Promise<boolean> {
  if (delivery.objectId === null) return false;
  switch (delivery.objectKind) {
    case "invoice":
      return (await invoiceStatus(deps.db, delivery.objectId)) === "paid";
    case "subscription": {
      if (delivery.objectVersion === null) return false;
      const held = await serviceOfSubscription(deps.db, delivery.objectId);
      return held?.subscriptionVersion === delivery.objectVersion;
    }
    case "customer": {
      const holder = await holderOf(deps.db, delivery.objectId);
      return holder !== undefined && delivery.objectVersion === (holder.cardId ?? NO_CARD);
    }
    case "checkout.session":
      return order !== undefined && order.state !== "awaiting_payment" && order.state !== "expired";
    default:
      return false;
  }
}
