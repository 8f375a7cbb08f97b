import type { Stripe } from "stripe";
import { invalidRequest } from "./api-error.ts";
import { activePrice, unitAmountOf } from "./prices.ts";
import { productNameOf } from "./products.ts";
import { finalizeAndCollect, methodToCharge, settle } from "./collection.ts";
import { createInvoice } from "./create-invoice.ts";
import { finalizeInvoice, subscriptionIdOf } from "./invoices.ts";
import { changedMetadata } from "./params.ts";
import { cardError, charge, createPaymentIntent } from "./payments.ts";
import { idOf, type Sandbox } from "./sandbox.ts";
import type { LineDraft } from "./store.ts";
import { newItem, recurrenceOf } from "./subscriptions.ts";

export type ItemChange = {
  id?: string | undefined;
  price?: string | undefined;
  quantity?: number | undefined;
  deleted?: boolean | undefined;
  metadata?: Record<string, string> | null | undefined;
};
type Prorating = {
  proration_behavior?: "create_prorations" | "always_invoice" | "none" | undefined;
  proration_date?: number | undefined;
  payment_behavior?: string | undefined;
};

/**
 * Changes, adds and removes items within the present period, and prorates: `none` bills the new price from the next
 * period on, `always_invoice` bills the difference now, `create_prorations` puts it on the next invoice.
 * Returns what the update's event tells as previous.
 */
export function changeItems(
  sandbox: Sandbox,
  id: string,
  changes: readonly ItemChange[],
  how: Prorating,
): Partial<Stripe.Subscription> {
  const before = sandbox.find("subscription", id);
  const after = changes.reduce(
    (items, change, index) => changedItem(sandbox, before, items, change, index),
    before.items.data,
  );
  if (after.length === 0)
    throw invalidRequest("A subscription must have at least one active item.", { param: "items" });
  checkCycles(after);
  const behavior = how.proration_behavior ?? "create_prorations";
  if (behavior === "always_invoice") checkInvoiceRate(sandbox, id);
  const lines = prorationLines(sandbox, before, after, how.proration_date ?? sandbox.now());
  const { previous } = sandbox.change("subscription", id, {
    items: { ...before.items, data: after },
  });
  if (lines.length === 0 || behavior === "none") return previous;
  if (behavior === "create_prorations") {
    const pending = sandbox.store.get("pending_prorations", id)?.lines ?? [];
    sandbox.store.put("pending_prorations", { id, lines: [...pending, ...lines] });
    return previous;
  }
  if (how.payment_behavior === "error_if_incomplete") {
    // Charged before anything is invoiced, so that a refusal leaves the subscription as it was.
    const paid = chargeOrRefuse(sandbox, before, lines);
    if (paid !== null) {
      const invoice = invoiceNow(sandbox, id, lines);
      finalizeInvoice(sandbox, invoice, paid);
      settle(sandbox, invoice);
      return { ...previous, latest_invoice: before.latest_invoice };
    }
  }
  finalizeAndCollect(sandbox, invoiceNow(sandbox, id, lines));
  return { ...previous, latest_invoice: before.latest_invoice };
}

/** Stripe's limits on one subscription's new invoices (https://docs.stripe.com/rate-limits). */
const INVOICE_LIMITS = [
  { seconds: 60, most: 10 },
  { seconds: 86_400, most: 20 },
];

function checkInvoiceRate(sandbox: Sandbox, id: string): void {
  const made = sandbox.store.all("invoice").filter((each) => subscriptionIdOf(each) === id);
  for (const { seconds, most } of INVOICE_LIMITS)
    if (made.filter(({ created }) => created > sandbox.now() - seconds).length >= most)
      throw invalidRequest(
        `This subscription made ${most} invoices in ${seconds} seconds, which is the limit.`,
        { code: "rate_limit", status: 429 },
      );
}

/** The intent that paid for the lines; null when they come to nothing. Throws the card's refusal. */
function chargeOrRefuse(
  sandbox: Sandbox,
  before: Stripe.Subscription,
  lines: readonly LineDraft[],
): string | null {
  const pending = sandbox.store.get("pending_prorations", before.id)?.lines ?? [];
  const amount = [...pending, ...lines].reduce((sum, line) => sum + (line.amount ?? 0), 0);
  if (amount <= 0) return null;
  const restore = () => sandbox.change("subscription", before.id, { items: before.items });
  const customer = idOf(before.customer);
  const method = methodToCharge(sandbox, customer, before.id);
  if (method === null) {
    restore();
    throw invalidRequest("This customer has no default payment method.", {
      code: "resource_missing",
    });
  }
  const intent = createPaymentIntent(sandbox, {
    amount,
    currency: before.currency,
    customer,
    description: "Subscription update",
    metadata: {},
    setupFutureUsage: "off_session",
  });
  const outcome = charge(sandbox, intent.id, method, true);
  if (outcome.ok) return intent.id;
  restore();
  throw cardError(outcome);
}

/** One invoice for these lines and for the prorations that waited. */
function invoiceNow(sandbox: Sandbox, id: string, lines: readonly LineDraft[]): string {
  const subscription = sandbox.find("subscription", id);
  const pending = sandbox.store.get("pending_prorations", id)?.lines ?? [];
  sandbox.store.remove("pending_prorations", id);
  const now = sandbox.now();
  const invoice = createInvoice(sandbox, {
    customer: idOf(subscription.customer),
    currency: subscription.currency,
    reason: "subscription_update",
    subscription,
    lines: [...pending, ...lines],
    period: { start: now, end: now },
    finalizesAt: null,
    metadata: {},
    description: null,
  });
  sandbox.change("subscription", id, { latest_invoice: invoice.id });
  return invoice.id;
}

function changedItem(
  sandbox: Sandbox,
  subscription: Stripe.Subscription,
  items: Stripe.SubscriptionItem[],
  change: ItemChange,
  index: number,
): Stripe.SubscriptionItem[] {
  const param = `items[${index}]`;
  const price =
    change.price === undefined ? undefined : activePrice(sandbox, change.price, `${param}[price]`);
  if (price !== undefined && price.currency !== subscription.currency)
    throw invalidRequest("The price's currency must be the subscription's.", {
      param: `${param}[price]`,
    });
  if (change.id === undefined) {
    const first = subscription.items.data[0];
    if (price === undefined || first === undefined)
      throw invalidRequest(`Missing required param: ${param}[price].`, {
        code: "parameter_missing",
        param: `${param}[price]`,
      });
    const period = { start: first.current_period_start, end: first.current_period_end };
    const added = {
      price,
      quantity: change.quantity ?? 1,
      metadata: changedMetadata({}, change.metadata),
    };
    return [...items, newItem(sandbox, subscription.id, added, period)];
  }
  const old = items.find((item) => item.id === change.id);
  if (old === undefined)
    throw invalidRequest(`No such subscription item: '${change.id}'`, {
      code: "resource_missing",
      param: `${param}[id]`,
    });
  if (change.deleted === true) return items.filter((item) => item !== old);
  const period = { start: old.current_period_start, end: old.current_period_end };
  const made = newItem(
    sandbox,
    subscription.id,
    {
      price: price ?? old.price,
      quantity: change.quantity ?? old.quantity ?? 1,
      metadata: changedMetadata(old.metadata, change.metadata),
    },
    period,
  );
  return items.map((item) => (item === old ? { ...made, id: old.id, created: old.created } : item));
}

function checkCycles(items: readonly Stripe.SubscriptionItem[]): void {
  const cycles = new Set(items.map((item) => JSON.stringify(recurrenceOf(item.price))));
  if (cycles.size > 1)
    throw invalidRequest(
      "The local stand-in needs all items of a subscription to recur in the same interval.",
      { param: "items" },
    );
}

/** Credit for the unused time of what went, and a charge for the remaining time of what came, to the second. */
function prorationLines(
  sandbox: Sandbox,
  before: Stripe.Subscription,
  after: readonly Stripe.SubscriptionItem[],
  at: number,
): LineDraft[] {
  const lines: LineDraft[] = [];
  const add = (item: Stripe.SubscriptionItem, sign: 1 | -1): void => {
    const end = item.current_period_end;
    const length = end - item.current_period_start;
    const left = Math.min(Math.max(0, end - at), length);
    const quantity = item.quantity ?? 1;
    const amount = sign * Math.round((unitAmountOf(item.price) * quantity * left) / length);
    if (amount === 0) return;
    const name = productNameOf(sandbox, item.price);
    const day = new Date(at * 1000).toISOString().slice(0, 10);
    lines.push({
      price: item.price,
      quantity,
      amount,
      description:
        sign < 0
          ? `Unused time on ${quantity} × ${name} after ${day}`
          : `Remaining time on ${quantity} × ${name} after ${day}`,
      period: { start: at, end },
      subscriptionItem: item.id,
      proration: true,
    });
  };
  const same = (a: Stripe.SubscriptionItem, b: Stripe.SubscriptionItem): boolean =>
    a.id === b.id && a.price.id === b.price.id && a.quantity === b.quantity;
  for (const old of before.items.data) if (!after.some((item) => same(item, old))) add(old, -1);
  for (const item of after) if (!before.items.data.some((old) => same(item, old))) add(item, 1);
  return lines;
}
