import { toOrder } from "#core/billing/ledger.ts";
import { lastPaidBefore } from "#core/billing/dunning.ts";
import { endAtProvider } from "#core/billing/end-at-provider.ts";
import { entitledUntil, hasEnded } from "#core/billing/entitlement.ts";
import type { CheckoutState, InvoiceState, SubscriptionState } from "#core/billing/payments.ts";
import { hasCrossed } from "#core/billing/settle-asked.ts";
import type { Order } from "#core/orders/order.ts";
import { saveCrossed } from "#db/billing/crossed-payments.ts";
import { endingOf } from "#db/billing/dunnings.ts";
import { removalAskedAt } from "#db/vms/actions.ts";
import { ringChangeOf } from "#db/billing/plan-changes.ts";
import { loadService, saveEntitled, subscriptionOf } from "#db/billing/services.ts";
import type { Tx } from "#db/client.ts";
import { bumpDesiredGeneration } from "#db/hosts/hosts.ts";
import { loadOrder, lockOrder, saveOrder } from "#db/orders/orders.ts";
import { recordChange, type Actor } from "#db/record-change.ts";
import { together } from "#db/together.ts";
import { inTransaction } from "#db/transaction.ts";
import { loadVm } from "#db/vms/vms.ts";
import { bookInvoice } from "#commands/billing/book-invoice.ts";
import { followEnd } from "#commands/billing/end-with-period.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { logFindings, NOTHING_NOTED } from "#commands/hosts/note-findings.ts";
import { noteBilled } from "#commands/billing/note-billed.ts";
import { expireOrder } from "./expire-order.ts";
import { fulfilOrder } from "./fulfil-order.ts";
import { paymentOfOrder } from "./payment-of-order.ts";

export type Followed =
  | "fulfilled"
  | "refunding"
  | "expired"
  | "entitlement_changed"
  | "end_changed"
  | "unchanged"
  | "repeat"
  | "order_unknown"
  | "refused";

/** Somebody changed the order between our look at the provider and our lock: look again. */
class StaleLook extends Error {
  override name = "StaleLook";
}
const MAX_LOOKS = 5;

/** Its subscription is being ended for debt, which takes moments: the message comes again. */
class BeingEnded extends Error {
  override name = "BeingEnded";
}

/**
 * Brings an order to what the provider says of it now: paid, expired, renewed, ended. It looks at states, never at
 * the event that rang, so that deliveries may repeat and change places (invariants 4 and 5). The look is made
 * outside the transaction; if the order's version moved meanwhile, the look may be older than what was written,
 * and it is made again.
 *
 * `invoice` is to be booked. It was looked at before: one that was paid then is seen paid in the session's subscription too, and one
 * that was not changes nothing that is kept of one that is.
 *
 * `order` was loaded just before; left out: it is loaded here. `claim` runs first in the transaction; when it says false the work was done by another, and none is done here.
 * Throws when the provider or the database cannot be reached.
 */
export async function followProvider(
  deps: Deps,
  orderId: string,
  by: Readonly<{
    actor: Actor;
    invoice?: InvoiceState;
    order?: Order;
    claim?: (tx: Tx) => Promise<boolean>;
  }>,
): Promise<Followed> {
  const { invoice } = by;
  for (let looks = 1; ; looks++) {
    const before = (looks === 1 && by.order) || (await loadOrder(deps.db, orderId));
    if (!before) return "order_unknown";
    const look = await lookAt(deps, before);
    if (look === null) return "order_unknown";
    const at = stamp(deps);
    let noted = NOTHING_NOTED;
    try {
      const followed = await inTransaction(deps.db, async (tx) => {
        const [mine, order] = await together([
          by.claim?.(tx) ?? Promise.resolve(true),
          lockOrder(tx, orderId),
        ]);
        if (!mine) return "repeat";
        if (order?.version !== before.version) throw new StaleLook(orderId);
        if (invoice) await bookPayment(tx, { order, invoice }, at, by.actor);
        const result = await bringInLine(tx, order, look, at, by.actor);
        if (look.subscription !== null && result !== "fulfilled")
          noted = await noteBilled(tx, order, look.subscription, at, by.actor);
        // Of what has only just been bought nothing is changed yet.
        if (result !== "fulfilled") await ringForChange(tx, order.vmId, at, by.actor);
        return result;
      });
      logFindings(deps, noted);
      return followed;
    } catch (error) {
      if (!(error instanceof StaleLook) || looks >= MAX_LOOKS) throw error;
    }
  }
}

/** What the provider says of an order: of its session while it is to be paid, and then of the subscription that its service is paid by. */
type Look = Readonly<{ checkout: CheckoutState | null; subscription: SubscriptionState | null }>;

const isToPay = ({ state }: Order): boolean => state === "awaiting_payment" || state === "expired";

/** null: there is nothing to look at, as nobody knows where it is to be paid. */
async function lookAt(deps: Deps, order: Order): Promise<Look | null> {
  const { db, payments } = deps;
  const subscriptionId = isToPay(order) ? null : await subscriptionOf(db, order.vmId);
  if (subscriptionId !== null)
    return { checkout: null, subscription: await payments.fetchSubscription(subscriptionId) };
  // It was given back, or is to be: nothing was bought of which a subscription could tell.
  if (!isToPay(order)) return { checkout: null, subscription: null };
  const checkout = await paymentOfOrder(deps, order);
  return checkout && { checkout, subscription: checkout.subscription };
}

/** What the provider says of its subscription, or of an invoice, may be what a change of its plan waits for. */
export async function ringForChange(
  tx: Tx,
  vmId: string,
  at: { now: Date; newId: () => string },
  actor: Actor,
): Promise<void> {
  const events = await ringChangeOf(tx, vmId, at.now);
  if (events.length > 0)
    await recordChange(
      tx,
      { actor, action: "plan_change.ring", subject: { kind: "vm", id: vmId }, events },
      at,
    );
}

/**
 * Books an invoice. One whose payment came when what it is for had ended is ours by the books and not by right: it falls due to be
 * given back. The order's first invoice goes back with the order, or not at all.
 */
async function bookPayment(
  tx: Tx,
  { order, invoice }: { order: Order; invoice: InvoiceState },
  at: { now: Date; newId: () => string },
  actor: Actor,
): Promise<void> {
  if ((await bookInvoice(tx, toOrder(order), invoice, at)) !== "posted" || invoice.isFirst) return;
  const endedAt = await endOfSold(tx, order, invoice);
  if (endedAt === undefined || !hasCrossed(invoice, endedAt)) return;
  const invoiceId = await saveCrossed(tx, invoice.id, endedAt);
  await recordChange(
    tx,
    {
      actor,
      action: "order.payment_crossed",
      subject: { kind: "order", id: order.id },
      detail: { invoice_id: invoice.id, ended_at: endedAt.toISOString() },
      events: [{ name: "payment.crossed.v1", data: { invoiceId, orderId: order.id } }],
    },
    at,
  );
}

/**
 * When what the invoice is for was to be gone; undefined: it is there. Where nothing was made, nothing was sold. A subscription that
 * was ended for debt pays for nothing any more, though its VM is kept; while it is being ended nobody knows yet what a payment is.
 */
async function endOfSold(
  tx: Tx,
  order: Order,
  { subscriptionId }: InvoiceState,
): Promise<Date | undefined> {
  const vm = await loadVm(tx, order.vmId);
  const ending =
    vm && subscriptionId !== null ? await endingOf(tx, vm.id, subscriptionId) : undefined;
  if (ending?.isEnding === true) throw new BeingEnded(subscriptionId ?? "");
  if (vm?.presence === "absent") return removalAskedAt(tx, vm.id);
  if (vm) return ending && lastPaidBefore(ending.endingAt);
  const isGivenBack = order.state === "refunding" || order.state === "refunded";
  if (isGivenBack && order.paidAt !== null) return order.paidAt;
  // A trial that was refused, and charged all the same when it was over, as its end was lost.
  return order.trialPolicy !== null && order.declineCode !== null ? order.createdAt : undefined;
}

async function bringInLine(
  tx: Tx,
  order: Order,
  { checkout, subscription }: Look,
  at: { now: Date; newId: () => string },
  actor: Actor,
): Promise<Followed> {
  if (!isToPay(order)) return followSubscription(tx, order, subscription, at, actor);
  if (checkout === null) throw new StaleLook(order.id);
  if (checkout.paid) {
    const done = await fulfilOrder(tx, order, checkout, at, actor);
    return done.ok ? done.value : "refused";
  }
  // A bank debit settles days later: no place is held for so long. Money that comes after all is served if there is room.
  const isOver =
    checkout.status === "expired" || (checkout.status === "complete" && at.now >= order.expiresAt);
  const followed =
    isOver && order.state === "awaiting_payment"
      ? await expireOrder(tx, order, at, actor)
      : ("unchanged" as const);
  await endUnpaidSubscription(tx, order, checkout, at, actor);
  return followed;
}

/** Its first debit failed: the subscription would go on and ask for more, for an order that nobody serves. */
async function endUnpaidSubscription(
  tx: Tx,
  order: Order,
  { subscription }: CheckoutState,
  at: { now: Date; newId: () => string },
  actor: Actor,
): Promise<void> {
  if (subscription?.status !== "past_due" && subscription?.status !== "unpaid") return;
  await recordChange(
    tx,
    {
      actor,
      action: "order.debit_failed",
      subject: { kind: "order", id: order.id },
      detail: { status: subscription.status },
      events: [
        {
          name: "subscription.cancellation_fell_due.v1",
          data: { orderId: order.id, subscriptionId: subscription.id },
        },
      ],
    },
    at,
  );
}

async function followSubscription(
  tx: Tx,
  order: Order,
  subscription: SubscriptionState | null,
  at: { now: Date; newId: () => string },
  actor: Actor,
): Promise<"entitlement_changed" | "end_changed" | "unchanged"> {
  const vm = await loadVm(tx, order.vmId);
  // A VM that is to go is not entitled again, whatever its subscription still says (invariant 5).
  if (!vm || vm.presence === "absent" || !subscription) return "unchanged";
  const before = await loadService(tx, vm.id);
  const until = entitledUntil(subscription, before.entitledUntil, at.now);
  const { status, version } = subscription;
  const extended = +until !== +before.entitledUntil;
  const isSame = !extended && status === before.subscriptionStatus;
  const isProtected = vm.deleteProtected;
  const end = endAtProvider(before, subscription, { isProtected });
  if (isSame && end === null && version === before.subscriptionVersion) return "unchanged";
  await saveOrder(tx, order); // moves its version: an older look at the provider must not follow this one
  const seen = { subscriptionStatus: status, subscriptionVersion: version, entitledUntil: until };
  await saveEntitled(tx, vm.id, seen, at.now);
  if (end !== null) await followEnd(tx, vm.id, end, at, actor);
  // Where nothing else is another, only what we have looked at is.
  if (isSame) return end === null ? "unchanged" : "end_changed";
  await recordChange(
    tx,
    {
      actor,
      action: "entitlement.change",
      subject: { kind: "vm", id: vm.id },
      detail: { until: until.toISOString(), status },
      events: [
        { name: "entitlement.changed.v1", data: { vmId: vm.id } },
        // It has ended there, by whoever's word: what it still asks for is settled.
        ...(hasEnded(status) && !hasEnded(before.subscriptionStatus)
          ? [
              {
                name: "subscription.cancellation_fell_due.v1" as const,
                data: { orderId: order.id, subscriptionId: subscription.id },
              },
            ]
          : []),
        // A status alone changes nothing on its host.
        ...(extended
          ? [{ name: "vm.change_requested.v1" as const, data: { vmId: vm.id, hostId: vm.hostId } }]
          : []),
      ],
    },
    at,
  );
  if (extended) await bumpDesiredGeneration(tx, vm.hostId);
  return "entitlement_changed";
}
