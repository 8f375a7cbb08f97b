import type { Stripe } from "stripe";
import { invalidRequest } from "./api-error.ts";
import type { InvoiceDraft } from "./create-invoice.ts";
import { subscriptionIdOf } from "./invoices.ts";
import { changedMetadata } from "./params.ts";
import { periodFrom } from "./periods.ts";
import { activePrice } from "./prices.ts";
import { creditsFor, debitFor } from "./proration.ts";
import { idOf, type Sandbox } from "./sandbox.ts";
import type { LineDraft } from "./store.ts";
import { linesOf, newItem, periodEndOf, planOf, recurrenceOf } from "./subscriptions.ts";

export type ItemChange = {
  id?: string | undefined;
  price?: string | undefined;
  quantity?: number | undefined;
  deleted?: boolean | undefined;
  metadata?: Record<string, string> | null | undefined;
};
export type ProrationBehavior = "create_prorations" | "always_invoice" | "none";
export type CycleChange = {
  items?: readonly ItemChange[] | undefined;
  billing_cycle_anchor?: { type: "now" | "unchanged" } | undefined;
  proration_behavior?: ProrationBehavior | undefined;
  proration_date?: number | undefined;
};
/** What a change of items or of the cycle makes of a subscription. */
export type PlannedChange = Readonly<{
  items: Stripe.SubscriptionItem[];
  /** The cycle's new anchor; null: it goes on. */
  anchor: number | null;
  /** Prorations, and what a new cycle costs. */
  lines: readonly LineDraft[];
  /** Whether they are invoiced now. */
  invoiced: boolean;
}>;

/**
 * Changes, adds and removes items, and prorates: `none` bills the new price from the next period on, `always_invoice` bills the
 * difference now, `create_prorations` puts it on the next invoice. Another interval begins a new cycle now, and that is always
 * invoiced. Changes nothing yet.
 */
export function planChange(
  sandbox: Sandbox,
  before: Stripe.Subscription,
  change: CycleChange,
  newId: (prefix: string) => string = (prefix) => sandbox.ids.next(prefix),
): PlannedChange {
  const now = sandbox.now();
  const after = (change.items ?? []).reduce(
    (items, each, index) => changedItem(sandbox, before, items, each, index),
    before.items.data,
  );
  if (after.length === 0)
    throw invalidRequest("A subscription must have at least one active item.", { param: "items" });
  checkCycles(after);
  const resets =
    change.billing_cycle_anchor?.type === "now" || cycleOf(after) !== cycleOf(before.items.data);
  const at = instantOf(before, change, now);
  const items = resets
    ? after.map((item) => {
        const period = periodFrom(now, now, recurrenceOf(item.price));
        return { ...item, current_period_start: period.start, current_period_end: period.end };
      })
    : after;
  const behavior = change.proration_behavior ?? "create_prorations";
  const isSame = (a: Stripe.SubscriptionItem, b: Stripe.SubscriptionItem): boolean =>
    !resets && a.id === b.id && a.price.id === b.price.id && a.quantity === b.quantity;
  const gone = before.items.data.filter((old) => !items.some((item) => isSame(item, old)));
  const come = items.filter((item) => !before.items.data.some((old) => isSame(item, old)));
  const newLineId = (): string => newId("il");
  const credits =
    behavior === "none"
      ? []
      : gone.flatMap((item) => creditsFor(sandbox, before.id, item, at, newLineId));
  const debits = resets
    ? linesOf(items)
    : behavior === "none"
      ? []
      : come.map((item) => debitFor(sandbox, before, item, at, newLineId));
  const lines = [...credits, ...debits];
  return {
    items,
    anchor: resets ? now : null,
    lines,
    invoiced: resets || (behavior === "always_invoice" && lines.length > 0),
  };
}

/** One invoice for what was planned and for the prorations that waited. */
export function invoiceOfChange(
  sandbox: Sandbox,
  subscription: Stripe.Subscription,
  { lines }: PlannedChange,
): InvoiceDraft {
  const waiting = sandbox.store.get("pending_prorations", subscription.id)?.lines ?? [];
  const now = sandbox.now();
  return {
    customer: idOf(subscription.customer),
    currency: subscription.currency,
    reason: "subscription_update",
    subscription,
    lines: [...waiting, ...lines],
    period: { start: now, end: now },
    finalizesAt: null,
    metadata: {},
    description: null,
  };
}

/** The instant that is prorated for, which lies in the present period. */
function instantOf(before: Stripe.Subscription, change: CycleChange, now: number): number {
  const at = change.proration_date;
  if (at === undefined) return now;
  if (change.billing_cycle_anchor?.type === "now")
    throw invalidRequest("You cannot specify `proration_date` when `billing_cycle_anchor=now`.", {
      param: "proration_date",
    });
  const start = Math.max(...before.items.data.map((item) => item.current_period_start));
  if (at < start || at >= periodEndOf(before))
    throw invalidRequest(
      "`proration_date` must be within the subscription's current billing period.",
      { param: "proration_date" },
    );
  return at;
}

/** Stripe's limits on one subscription's new invoices (https://docs.stripe.com/rate-limits). */
const INVOICE_LIMITS = [
  { seconds: 60, most: 10 },
  { seconds: 86_400, most: 20 },
];

export function checkInvoiceRate(sandbox: Sandbox, id: string): void {
  const made = sandbox.store.all("invoice").filter((each) => subscriptionIdOf(each) === id);
  for (const { seconds, most } of INVOICE_LIMITS)
    if (made.filter(({ created }) => created > sandbox.now() - seconds).length >= most)
      throw invalidRequest(
        `This subscription made ${most} invoices in ${seconds} seconds, which is the limit.`,
        { code: "rate_limit", status: 429 },
      );
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
  const made = {
    ...old,
    ...(price === undefined ? {} : { price, plan: planOf(price) }),
    quantity: change.quantity ?? old.quantity ?? 1,
    metadata: changedMetadata(old.metadata, change.metadata),
  };
  return items.map((item) => (item === old ? made : item));
}

const cycleOf = (items: readonly Stripe.SubscriptionItem[]): string =>
  [...new Set(items.map((item) => JSON.stringify(recurrenceOf(item.price))))].join();

function checkCycles(items: readonly Stripe.SubscriptionItem[]): void {
  if (items.some((item) => cycleOf([item]) !== cycleOf(items)))
    throw invalidRequest(
      "The local stand-in needs all items of a subscription to recur in the same interval.",
      { param: "items" },
    );
}
