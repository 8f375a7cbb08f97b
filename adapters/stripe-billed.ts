import type Stripe from "stripe";
import type { Billed, Debit } from "#core/billing/price-changes.ts";
import { creditedBy, discountOf, idOf, instant, money } from "./stripe-states.ts";

/** The one item of a subscription of ours: one VM's. */
export function itemOf(subscription: Stripe.Subscription): Stripe.SubscriptionItem {
  const [item, ...others] = subscription.items.data;
  if (item === undefined || others.length > 0)
    throw new Error(`subscription ${subscription.id} has ${others.length + 1} items, and not one`);
  return item;
}

/** All lines of an invoice, which itself shows the first ten alone (facts/stripe §8). */
export async function linesOf(
  stripe: Stripe,
  invoice: Stripe.Invoice,
): Promise<readonly Stripe.InvoiceLineItem[]> {
  if (!invoice.lines.has_more) return invoice.lines.data;
  const lines: Stripe.InvoiceLineItem[] = [];
  for await (const line of stripe.invoices.listLineItems(invoice.id, { limit: 100 }))
    lines.push(line);
  return lines;
}

/** The invoice with all its lines. */
export async function withAllLines(
  stripe: Stripe,
  invoice: Stripe.Invoice,
): Promise<Stripe.Invoice> {
  return { ...invoice, lines: { ...invoice.lines, data: [...(await linesOf(stripe, invoice))] } };
}

/** What the subscription is billed for now. One with several discounts shows the first: then the figures differ from Stripe's own. */
export async function fetchBilled(stripe: Stripe, subscriptionId: string): Promise<Billed> {
  const subscription = await stripe.subscriptions.retrieve(subscriptionId, {
    expand: [
      "default_payment_method",
      "customer.invoice_settings.default_payment_method",
      "discounts.source.coupon",
    ],
  });
  const item = itemOf(subscription);
  const { price, current_period_start: start, current_period_end: end } = item;
  const { unit_amount: unit } = price;
  const interval = (["month", "year"] as const).find((each) => each === price.recurring?.interval);
  if (unit === null || interval === undefined) throw new Error(`price ${price.id} is none of ours`);
  const pending = subscription.pending_update;
  const waitedFor =
    pending === null || subscription.latest_invoice === null
      ? null
      : idOf(subscription.latest_invoice);
  const { debits, isPaid } = await debitsOf(stripe, {
    subscriptionId,
    period: { start, end },
    waitedFor,
  });
  return {
    subscriptionId,
    customerId: idOf(subscription.customer),
    status: subscription.status,
    priceId: price.id,
    price: { interval, amount: money(unit, price.currency) },
    period: { from: instant(start), until: instant(end) },
    isPaid,
    debits,
    discount: subscription.discounts.map(discountOf)[0] ?? null,
    cancelsAt: subscription.cancel_at === null ? null : instant(subscription.cancel_at),
    pending:
      pending === null
        ? null
        : {
            changeId: pending.metadata?.["change_id"] ?? "",
            until: instant(pending.expires_at),
          },
    paysBy: paysBy(subscription),
  };
}

/** `pending_if_incomplete` works with cards, those in wallets, and Link. */
function paysBy(subscription: Stripe.Subscription): Billed["paysBy"] {
  const { customer, default_payment_method: own } = subscription;
  const theirs =
    typeof customer === "string" || customer.deleted === true
      ? null
      : customer.invoice_settings.default_payment_method;
  const method = own ?? theirs;
  const type = method === null || typeof method === "string" ? null : method.type;
  return subscription.collection_method === "charge_automatically" &&
    (type === "card" || type === "link")
    ? "card"
    : "other";
}

/**
 * What paid invoices debited for the present period and no later one credited: from the newest back to the one that the period
 * itself is on. A credit of an invoice that is still to be paid counts as well: Stripe credits nothing twice.
 */
async function debitsOf(
  stripe: Stripe,
  of: {
    subscriptionId: string;
    period: { start: number; end: number };
    /** The invoice that a pending change asks for. */
    waitedFor: string | null;
  },
): Promise<{ debits: readonly Debit[]; isPaid: boolean }> {
  const debits: Debit[] = [];
  const credited = new Set<string>();
  let isOpen = false;
  let isPeriodPaid = false;
  for await (const invoice of stripe.invoices.list({
    subscription: of.subscriptionId,
    limit: 100,
  })) {
    const { id, status } = invoice;
    if (status === "open" || status === "uncollectible") isOpen ||= id !== of.waitedFor;
    if (status === "void" || id === of.waitedFor || isPeriodPaid) continue;
    for (const line of await linesOf(stripe, invoice)) {
      for (const lineId of creditedBy(line)) credited.add(lineId);
      const details = line.parent?.subscription_item_details;
      if (!details || line.period.end <= of.period.start || line.period.start >= of.period.end)
        continue;
      if (status !== "paid") continue;
      if (!details.proration && line.period.end === of.period.end) isPeriodPaid = true;
      if (line.amount <= 0) continue;
      const off = (line.discount_amounts ?? []).reduce((sum, { amount }) => sum + amount, 0);
      debits.push({
        lineId: line.id,
        amount: money(line.amount, line.currency),
        discount: money(off, line.currency),
        from: instant(line.period.start),
        until: instant(line.period.end),
      });
    }
  }
  return {
    debits: debits.filter(({ lineId }) => !credited.has(lineId)),
    isPaid: isPeriodPaid && !isOpen,
  };
}
