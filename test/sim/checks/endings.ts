import type { Stripe } from "stripe";
import { isLostOrder } from "./lost-hour.ts";
import { first, type MakeCheck, type Scene } from "./scene.ts";

/*
 * 5 and 9. What has ended asks for nothing, what has not is asked for, and money that came after the end is with whom it was of.
 */
export const endedAsksForNothing: MakeCheck = (scene) => ({
  invariant: 9,
  atRest: () =>
    first(scene.provider.standIn.store.all("invoice"), (invoice) => {
      const details = invoice.parent?.subscription_details;
      const orderId = details?.metadata?.["order_id"];
      const { subscription: of } = details ?? {};
      if (typeof of !== "string" || isLostOrder(scene, orderId)) return undefined;
      const subscription = scene.provider.standIn.store.get("subscription", of);
      if (subscription === undefined) return undefined;
      if (invoice.status === "open") return openWrongly(invoice, subscription);
      return invoice.status === "paid" ? keptWrongly(scene, invoice, orderId) : undefined;
    }),
});

function openWrongly(
  invoice: Stripe.Invoice,
  subscription: Stripe.Subscription,
): string | undefined {
  const { status, pending_update: pending, pause_collection: pause } = subscription;
  if (status === "canceled") return `invoice ${invoice.id} is open, and its subscription has ended`;
  const isWaited = pending !== null && subscription.latest_invoice === invoice.id;
  const goesOn = (status === "active" || status === "past_due") && pause === null && !isWaited;
  return goesOn && invoice.auto_advance !== true
    ? `invoice ${invoice.id} is open, and nobody collects it though its subscription goes on`
    : undefined;
}

/** A payment that came after its VM was to be gone, and of which not all went back. */
function keptWrongly(
  { mirror, provider }: Scene,
  invoice: Stripe.Invoice,
  orderId: string | undefined,
): string | undefined {
  const order = orderId === undefined ? undefined : mirror.orders.get(orderId);
  const paidAt = (invoice.status_transitions.paid_at ?? 0) * 1000;
  if (order === undefined || invoice.billing_reason === "subscription_create") return undefined;
  // What a change comes to goes back by the change.
  if (mirror.planChanges.all().some((change) => change.vm_id === order.vm_id)) return undefined;
  const removed = mirror.actions
    .all()
    .find(({ vm_id: vmId, type }) => vmId === order.vm_id && type === "delete")?.started_at;
  if (removed === undefined || paidAt <= removed) return undefined;
  const { store } = provider.standIn;
  const payments = new Set(
    store
      .all("invoice_payment")
      .filter((payment) => payment.invoice === invoice.id)
      .map(({ payment }) => payment.payment_intent),
  );
  const refunded = store
    .all("refund")
    .filter(
      ({ payment_intent: intent, status }) => intent && payments.has(intent) && status !== "failed",
    )
    .reduce((sum, { amount }) => sum + BigInt(amount), 0n);
  const credited = store
    .all("balance_transaction")
    .filter(({ metadata, amount }) => metadata?.["invoice_id"] === invoice.id && amount < 0)
    .reduce((sum, { amount }) => sum - BigInt(amount), 0n);
  return refunded + credited >= BigInt(invoice.total)
    ? undefined
    : `invoice ${invoice.id} was paid after its VM was to be gone, and ${refunded + credited} of ${invoice.total} went back`;
}
