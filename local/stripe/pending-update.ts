import type { Stripe } from "stripe";
import { dropUsedDiscounts } from "./coupons.ts";
import { changedMetadata } from "./params.ts";
import { idOrNull, type Sandbox } from "./sandbox.ts";

/*
 * A change that counts only once its invoice is paid: `payment_behavior: pending_if_incomplete`
 * (https://docs.stripe.com/billing/subscriptions/pending-updates). The subscription's latest invoice is the one that it waits for.
 */

const HOURS_TO_PAY = 23;

export function putPending(
  sandbox: Sandbox,
  id: string,
  update: {
    items: Stripe.SubscriptionItem[];
    anchor: number | null;
    metadata: Record<string, string> | null;
    periodEnd: number;
  },
): void {
  sandbox.change("subscription", id, {
    pending_update: {
      billing_cycle_anchor: update.anchor,
      cancel_at_period_end: null,
      discount: null,
      discounts: null,
      expires_at: Math.min(sandbox.now() + HOURS_TO_PAY * 3600, update.periodEnd),
      metadata: update.metadata,
      subscription_items: update.items,
      trial_end: null,
      trial_from_plan: null,
    },
  });
}

/** The subscription whose change waits for this invoice. */
function waitingFor(
  sandbox: Sandbox,
  invoice: Stripe.Invoice,
): { subscription: Stripe.Subscription; update: Stripe.Subscription.PendingUpdate } | undefined {
  const id = idOrNull(invoice.parent?.subscription_details?.subscription ?? null);
  const subscription = id === null ? undefined : sandbox.store.get("subscription", id);
  const update = subscription?.pending_update ?? null;
  if (subscription === undefined || update === null) return undefined;
  return idOrNull(subscription.latest_invoice) === invoice.id
    ? { subscription, update }
    : undefined;
}

export const isWaitedFor = (sandbox: Sandbox, invoice: Stripe.Invoice): boolean =>
  waitingFor(sandbox, invoice) !== undefined;

/** The invoice was paid: the change counts. It tells so apart when it had to wait. */
export function applyPendingOf(sandbox: Sandbox, paid: Stripe.Invoice): void {
  const waiting = waitingFor(sandbox, paid);
  if (waiting === undefined) return;
  const { subscription, update } = waiting;
  const { object, previous } = sandbox.change("subscription", subscription.id, {
    items: { ...subscription.items, data: update.subscription_items ?? subscription.items.data },
    metadata: changedMetadata(subscription.metadata, update.metadata ?? {}),
    pending_update: null,
    ...(update.billing_cycle_anchor === null
      ? {}
      : { billing_cycle_anchor: update.billing_cycle_anchor }),
  });
  dropUsedDiscounts(sandbox, subscription.id);
  sandbox.emit("customer.subscription.updated", object, previous);
  if (paid.attempt_count > 1) sandbox.emit("customer.subscription.pending_update_applied", object);
}

/** The invoice is void: the change never counts. */
export function dropPendingOf(sandbox: Sandbox, voided: Stripe.Invoice): void {
  const waiting = waitingFor(sandbox, voided);
  if (waiting === undefined) return;
  const { object, previous } = sandbox.change("subscription", waiting.subscription.id, {
    pending_update: null,
  });
  sandbox.emit("customer.subscription.updated", object, previous);
}
