import { Stripe } from "stripe";
import { discountAmounts, type ActiveDiscount } from "./coupons.ts";
import { unitAmountOf } from "./prices.ts";
import { productNameOf } from "./products.ts";
import { idOf, type Sandbox } from "./sandbox.ts";
import type { LineDraft } from "./store.ts";
import { taxesOn } from "./tax-rates.ts";

/** The invoice that lines are made for, with what is taken off and added to each. */
export type LinesOn = Readonly<{
  invoice: string;
  currency: string;
  subscription: { id: string; metadata: Record<string, string> } | null;
  discounts: readonly ActiveDiscount[];
  /** What coupons of an amount took off the lines before. */
  taken: Map<string, number>;
  taxRates: readonly Stripe.TaxRate[];
  newId: () => string;
}>;

/**
 * One line of the invoice. The amount of a proration is what is left of it after discounts, which then show as 0 and cannot be
 * added to (`proration_discounts: included`; https://docs.stripe.com/billing/subscriptions/prorations).
 */
export function lineOf(sandbox: Sandbox, line: LineDraft, on: LinesOn): Stripe.InvoiceLineItem {
  const { proration } = line;
  const full = line.isTrial === true ? 0 : unitAmountOf(line.price) * line.quantity;
  const amount = proration?.amount ?? full;
  const discounts =
    proration === undefined
      ? discountAmounts(amount, on.currency, on.discounts, on.taken)
      : on.discounts.map(({ id }) => ({ discount: id, amount: 0 }));
  const net = amount - sumOf(discounts);
  return {
    id: proration?.id ?? on.newId(),
    object: "line_item",
    amount,
    currency: on.currency,
    description: line.description ?? `${line.quantity} × ${productNameOf(sandbox, line.price)}`,
    discount_amounts: discounts,
    discountable: proration === undefined,
    discounts: on.discounts.map(({ id }) => id),
    invoice: on.invoice,
    livemode: false,
    metadata: on.subscription?.metadata ?? {},
    parent:
      line.subscriptionItem === null
        ? null
        : {
            invoice_item_details: null,
            subscription_item_details: {
              invoice_item: null,
              proration: proration !== undefined,
              proration_details: { credited_items: creditedItems(proration?.credits ?? null) },
              subscription: on.subscription?.id ?? null,
              subscription_item: line.subscriptionItem,
            },
            type: "subscription_item_details",
          },
    period: { start: line.period.start, end: line.period.end },
    pretax_credit_amounts: discounts.map((each) => ({ ...each, type: "discount" })),
    pricing: {
      price_details: { price: line.price.id, product: idOf(line.price.product) },
      type: "price_details",
      unit_amount_decimal: line.price.unit_amount_decimal,
    },
    quantity: line.quantity,
    quantity_decimal: Stripe.Decimal.from(line.quantity),
    subscription: on.subscription?.id ?? null,
    subtotal: amount,
    taxes: taxesOn(net, on.currency, proration?.taxRates ?? on.taxRates),
  };
}

/** A debit that waits for an invoice cannot be named by one. */
const creditedItems = (credits: { lines: readonly string[]; invoice: string | null } | null) =>
  credits === null || credits.invoice === null
    ? null
    : { invoice: credits.invoice, invoice_line_items: [...credits.lines] };

export const sumOf = (amounts: readonly { amount: number }[]): number =>
  amounts.reduce((sum, { amount }) => sum + amount, 0);

/** All lines of the invoice, in their order. One that an older stand-in made shows all of them itself. */
export const allLinesOf = (
  sandbox: Sandbox,
  invoice: Stripe.Invoice,
): readonly Stripe.InvoiceLineItem[] =>
  sandbox.store.get("invoice_lines", invoice.id)?.lines ?? invoice.lines.data;
