import type { Stripe } from "stripe";
import { onStep } from "./amounts.ts";
import { activeDiscounts, discountAmounts } from "./coupons.ts";
import { allLinesOf, sumOf } from "./invoice-lines.ts";
import { subscriptionIdOf } from "./invoices.ts";
import { isWaitedFor } from "./pending-update.ts";
import { unitAmountOf } from "./prices.ts";
import { productNameOf } from "./products.ts";
import { idOf, type Sandbox } from "./sandbox.ts";
import type { LineDraft } from "./store.ts";

/*
 * Prorations of flexible billing (https://docs.stripe.com/billing/subscriptions/prorations): a credit follows what was debited, and
 * a debit is of today's price with today's discounts, both to the second. It imports nothing of core/billing, which works the
 * same out for itself.
 */

/** What was debited for an item and is not credited yet, on an invoice or waiting for one. */
type Debited = Readonly<{
  line: string;
  invoice: string | null;
  /** After discounts. */
  net: number;
  period: Readonly<{ start: number; end: number }>;
  price: Stripe.Price;
  quantity: number;
  taxRates: readonly Stripe.TaxRate[];
}>;

/**
 * Debits of the item that last beyond `at`. Whether they were paid is not asked: Stripe credits what was never paid too. An invoice
 * that is void, or that a change waits for, debits and credits nothing.
 */
function debitsOf(
  sandbox: Sandbox,
  subscriptionId: string,
  itemId: string,
  at: number,
): readonly Debited[] {
  const debits: Debited[] = [];
  const credited = new Set<string>();
  for (const invoice of sandbox.store.all("invoice")) {
    if (subscriptionIdOf(invoice) !== subscriptionId || invoice.status === "void") continue;
    if (isWaitedFor(sandbox, invoice)) continue;
    const { credits = {} } = sandbox.store.get("invoice_lines", invoice.id) ?? {};
    for (const line of Object.values(credits).flat()) credited.add(line);
    for (const line of allLinesOf(sandbox, invoice)) {
      const of = line.parent?.subscription_item_details?.subscription_item;
      const net = line.amount - sumOf(line.discount_amounts ?? []);
      if (of !== itemId || net <= 0 || line.period.end <= at) continue;
      const price = line.pricing?.price_details?.price;
      if (price === undefined) throw new Error(`line ${line.id} has no price`);
      debits.push({
        line: line.id,
        invoice: invoice.id,
        net,
        period: line.period,
        price: sandbox.find("price", idOf(price)),
        quantity: line.quantity ?? 1,
        taxRates: (line.taxes ?? []).flatMap(({ tax_rate_details: rate }) =>
          rate === null ? [] : [sandbox.find("tax_rate", rate.tax_rate)],
        ),
      });
    }
  }
  const { defaultTaxRates, waiting } = waitingOf(sandbox, subscriptionId);
  for (const { proration, period, price, quantity, subscriptionItem } of waiting) {
    if (proration === undefined) continue;
    for (const line of proration.credits?.lines ?? []) credited.add(line);
    if (subscriptionItem !== itemId || proration.amount <= 0 || period.end <= at) continue;
    const { id: line, amount: net } = proration;
    debits.push({ line, invoice: null, net, period, price, quantity, taxRates: defaultTaxRates });
  }
  return debits.filter(({ line }) => !credited.has(line));
}

const waitingOf = (sandbox: Sandbox, subscriptionId: string) => ({
  defaultTaxRates: sandbox.find("subscription", subscriptionId).default_tax_rates ?? [],
  waiting: sandbox.store.get("pending_prorations", subscriptionId)?.lines ?? [],
});

/** To the currency's step, halves away from zero. */
const share = (amount: number, currency: string, left: number, length: number): number =>
  onStep((amount * left) / length, currency);

/** Credits for what is left, from `at` on, of what was debited for the item. */
export const creditsFor = (
  sandbox: Sandbox,
  subscriptionId: string,
  item: Stripe.SubscriptionItem,
  at: number,
  newId: () => string,
): LineDraft[] =>
  debitsOf(sandbox, subscriptionId, item.id, at).map((debit) => {
    const { start, end } = debit.period;
    const from = Math.max(at, start);
    return {
      price: debit.price,
      quantity: debit.quantity,
      description: `Unused time on ${named(sandbox, debit.quantity, debit.price, from)}`,
      period: { start: from, end },
      subscriptionItem: item.id,
      proration: {
        id: newId(),
        amount: 0 - share(debit.net, debit.price.currency, end - from, end - start),
        credits: { lines: [debit.line], invoice: debit.invoice },
        taxRates: debit.taxRates,
      },
    };
  });

/** What the item costs from `at` to the end of its period. */
export function debitFor(
  sandbox: Sandbox,
  subscription: Stripe.Subscription,
  item: Stripe.SubscriptionItem,
  at: number,
  newId: () => string,
): LineDraft {
  const { current_period_start: start, current_period_end: end, price } = item;
  const quantity = item.quantity ?? 1;
  const whole = unitAmountOf(price) * quantity;
  const net =
    whole - sumOf(discountAmounts(whole, price.currency, activeDiscounts(sandbox, subscription)));
  return {
    price,
    quantity,
    description: `Remaining time on ${named(sandbox, quantity, price, at)}`,
    period: { start: at, end },
    subscriptionItem: item.id,
    proration: {
      id: newId(),
      amount: share(net, price.currency, end - at, end - start),
      credits: null,
      taxRates: subscription.default_tax_rates ?? [],
    },
  };
}

const named = (sandbox: Sandbox, quantity: number, price: Stripe.Price, at: number): string =>
  `${quantity} × ${productNameOf(sandbox, price)} after ${new Date(at * 1000).toISOString().slice(0, 10)}`;
