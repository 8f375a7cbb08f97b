import type { Stripe } from "stripe";
import { unitAmountOf } from "./prices.ts";
import { voidInvoice } from "./invoices.ts";
import { createInvoice, type InvoiceDraft } from "./create-invoice.ts";
import { periodFrom, type Period, type Recurrence } from "./periods.ts";
import { idOf, type Sandbox } from "./sandbox.ts";
import type { LineDraft, Trial } from "./store.ts";

export type ItemDraft = Readonly<{
  price: Stripe.Price;
  quantity: number;
  metadata: Record<string, string>;
}>;

/** Makes a subscription whose first period begins now, before anything is paid. Tells nobody: the caller does. */
export function putSubscription(
  sandbox: Sandbox,
  given: {
    customer: string;
    currency: string;
    items: readonly ItemDraft[];
    defaultPaymentMethod: string | null;
    metadata: Record<string, string>;
    description: string | null;
    discounts?: (on: { customer: string; subscription: string }) => string[];
    status: "active" | "incomplete";
    /** It begins with a time that costs nothing; its periods are counted from the end of that. */
    trial?: Trial | undefined;
  },
): Stripe.Subscription {
  const now = sandbox.now();
  const trialEnd = given.trial === undefined ? null : now + given.trial.days * 86_400;
  const id = sandbox.ids.next("sub");
  return sandbox.store.put("subscription", {
    id,
    object: "subscription",
    application: null,
    application_fee_percent: null,
    automatic_tax: { disabled_reason: null, enabled: false, liability: null },
    billing_cycle_anchor: trialEnd ?? now,
    billing_cycle_anchor_config: null,
    billing_mode: { flexible: { proration_discounts: "included" }, type: "flexible" },
    billing_schedules: [],
    billing_thresholds: null,
    cancel_at: null,
    cancel_at_period_end: false,
    canceled_at: null,
    cancellation_details: { comment: null, feedback: null, feedback_option: null, reason: null },
    collection_method: "charge_automatically",
    created: now,
    currency: given.currency,
    customer: given.customer,
    customer_account: null,
    days_until_due: null,
    default_payment_method: given.defaultPaymentMethod,
    default_source: null,
    default_tax_rates: [],
    description: given.description,
    discounts: given.discounts?.({ customer: given.customer, subscription: id }) ?? [],
    ended_at: null,
    invoice_settings: {
      account_tax_ids: null,
      custom_fields: null,
      description: null,
      footer: null,
      issuer: { type: "self" },
    },
    items: {
      object: "list",
      data: given.items.map((item) =>
        newItem(
          sandbox,
          id,
          item,
          trialEnd === null
            ? periodFrom(now, now, recurrenceOf(item.price))
            : { start: now, end: trialEnd },
        ),
      ),
      has_more: false,
      url: `/v1/subscription_items?subscription=${id}`,
    },
    latest_invoice: null,
    livemode: false,
    managed_payments: null,
    metadata: given.metadata,
    next_pending_invoice_item_invoice: null,
    on_behalf_of: null,
    pause_collection: null,
    payment_settings: {
      payment_method_options: null,
      payment_method_types: null,
      save_default_payment_method: "off",
    },
    pending_invoice_item_interval: null,
    pending_setup_intent: null,
    pending_update: null,
    schedule: null,
    start_date: now,
    status: trialEnd === null ? given.status : "trialing",
    test_clock: null,
    transfer_data: null,
    trial_end: trialEnd,
    trial_settings: {
      end_behavior: {
        billing_cycle_anchor: null,
        missing_payment_method: given.trial?.ifNoMethod ?? "create_invoice",
      },
    },
    trial_start: trialEnd === null ? null : now,
  });
}

export function newItem(
  sandbox: Sandbox,
  subscription: string,
  item: ItemDraft,
  period: Period,
): Stripe.SubscriptionItem {
  return {
    id: sandbox.ids.next("si"),
    object: "subscription_item",
    billing_thresholds: null,
    created: sandbox.now(),
    current_period_end: period.end,
    current_period_start: period.start,
    current_trial: null,
    discounts: [],
    metadata: item.metadata,
    plan: planOf(item.price),
    price: item.price,
    quantity: item.quantity,
    subscription,
    tax_rates: [],
  };
}

/** The first invoice of a subscription, as a draft, with `extra` lines for prices that are paid once. */
export function firstInvoice(
  sandbox: Sandbox,
  subscription: Stripe.Subscription,
  extra: readonly LineDraft[],
): Stripe.Invoice {
  const invoice = createInvoice(sandbox, firstInvoiceDraft(sandbox, subscription, extra));
  sandbox.change("subscription", subscription.id, { latest_invoice: invoice.id });
  return invoice;
}

export function firstInvoiceDraft(
  sandbox: Sandbox,
  subscription: Stripe.Subscription,
  extra: readonly LineDraft[],
): InvoiceDraft {
  const now = sandbox.now();
  return {
    customer: idOf(subscription.customer),
    currency: subscription.currency,
    reason: "subscription_create",
    subscription,
    lines: [
      ...linesOf(subscription.items.data).map((line) => ({
        ...line,
        isTrial: subscription.status === "trialing",
      })),
      ...extra,
    ],
    period: { start: now, end: now },
    finalizesAt: null,
    metadata: {},
    description: null,
  };
}

/** One line for each item, for the item's present period. */
export const linesOf = (items: readonly Stripe.SubscriptionItem[]): LineDraft[] =>
  items.map((item) => ({
    price: item.price,
    quantity: item.quantity ?? 1,
    period: { start: item.current_period_start, end: item.current_period_end },
    subscriptionItem: item.id,
  }));

/** When the present period ends: items of one subscription recur together here. */
export const periodEndOf = (subscription: Stripe.Subscription): number =>
  Math.min(...subscription.items.data.map((item) => item.current_period_end));

/** What the next renewal makes of the subscription: its items in their next period, and the invoice, with what waits for it. */
export function renewalOf(
  sandbox: Sandbox,
  before: Stripe.Subscription,
): { items: Stripe.SubscriptionItem[]; draft: InvoiceDraft } {
  const items = before.items.data.map((item) => {
    const period = periodFrom(
      before.billing_cycle_anchor,
      item.current_period_end,
      recurrenceOf(item.price),
    );
    return { ...item, current_period_start: period.start, current_period_end: period.end };
  });
  const waiting = sandbox.store.get("pending_prorations", before.id)?.lines ?? [];
  return {
    items,
    draft: {
      customer: idOf(before.customer),
      currency: before.currency,
      reason: "subscription_cycle",
      subscription: before,
      lines: [...waiting, ...linesOf(items)],
      period: {
        start: Math.min(...before.items.data.map((item) => item.current_period_start)),
        end: periodEndOf(before),
      },
      finalizesAt: null,
      metadata: {},
      description: null,
    },
  };
}

/** The next period begins where the last one, or the trial, ended, and its invoice is made as a draft. */
export function renew(sandbox: Sandbox, id: string): void {
  const before = sandbox.find("subscription", id);
  // An unpaid subscription goes on making invoices, and they stay drafts until somebody pays. Those of one whose collection
  // is paused are void as soon as they are made (https://docs.stripe.com/billing/subscriptions/pause-payment).
  const paused = before.pause_collection !== null;
  const charges = before.status !== "unpaid" && !paused;
  const next = renewalOf(sandbox, before);
  sandbox.store.remove("pending_prorations", id);
  const invoice = createInvoice(sandbox, {
    ...next.draft,
    finalizesAt: charges ? sandbox.now() + sandbox.settings.renewalDraftSeconds : null,
  });
  const { object, previous } = sandbox.change("subscription", id, {
    items: { ...before.items, data: next.items },
    latest_invoice: invoice.id,
    ...(before.status === "trialing" && { status: "active" as const }),
  });
  sandbox.emit("customer.subscription.updated", object, previous);
  if (paused) voidInvoice(sandbox, invoice.id);
}

export function recurrenceOf(price: Stripe.Price): Recurrence {
  if (price.recurring === null) throw new Error(`price ${price.id} does not recur`);
  return { interval: price.recurring.interval, intervalCount: price.recurring.interval_count };
}

/** The older object that Stripe still shows beside the price. */
export function planOf(price: Stripe.Price): Stripe.Plan {
  const recurrence = recurrenceOf(price);
  return {
    id: price.id,
    object: "plan",
    active: price.active,
    amount: unitAmountOf(price),
    amount_decimal: price.unit_amount_decimal,
    billing_scheme: price.billing_scheme,
    created: price.created,
    currency: price.currency,
    interval: recurrence.interval,
    interval_count: recurrence.intervalCount,
    livemode: false,
    metadata: price.metadata,
    meter: null,
    nickname: price.nickname,
    product: idOf(price.product),
    tiers_mode: null,
    transform_usage: null,
    trial_period_days: null,
    usage_type: "licensed",
  };
}
