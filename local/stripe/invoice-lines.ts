import { Stripe } from "stripe";
import { unitAmountOf } from "./prices.ts";
import { productNameOf } from "./products.ts";
import { idOf, type Sandbox } from "./sandbox.ts";
import type { LineDraft } from "./store.ts";

/** One line of the invoice. */
export function lineOf(
  sandbox: Sandbox,
  line: LineDraft,
  on: {
    invoice: string;
    currency: string;
    subscription: { id: string; metadata: Record<string, string> } | null;
  },
): Stripe.InvoiceLineItem {
  const amount = line.amount ?? unitAmountOf(line.price) * line.quantity;
  return {
    id: sandbox.ids.next("il"),
    object: "line_item",
    amount,
    currency: on.currency,
    description: line.description ?? `${line.quantity} × ${productNameOf(sandbox, line.price)}`,
    discount_amounts: [],
    discountable: true,
    discounts: [],
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
              proration: line.proration ?? false,
              proration_details: { credited_items: null },
              subscription: on.subscription?.id ?? null,
              subscription_item: line.subscriptionItem,
            },
            type: "subscription_item_details",
          },
    period: { start: line.period.start, end: line.period.end },
    pretax_credit_amounts: [],
    pricing: {
      price_details: { price: line.price.id, product: idOf(line.price.product) },
      type: "price_details",
      unit_amount_decimal: line.price.unit_amount_decimal,
    },
    quantity: line.quantity,
    quantity_decimal: Stripe.Decimal.from(line.quantity),
    subscription: on.subscription?.id ?? null,
    subtotal: amount,
    taxes: [],
  };
}
