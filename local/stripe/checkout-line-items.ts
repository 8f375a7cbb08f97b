import type { Stripe } from "stripe";
import { leastCharge, refuseOffStep, written } from "./amounts.ts";
import { invalidRequest } from "./api-error.ts";
import { changedMetadata } from "./params.ts";
import { activePrice, createPrice, unitAmountOf } from "./prices.ts";
import { createProduct, productNameOf } from "./products.ts";
import type { Sandbox } from "./sandbox.ts";
import { recurrenceOf } from "./subscriptions.ts";

type MetadataParam = Record<string, string> | null | undefined;
type Mode = "payment" | "subscription";
export type LineItemDraft = {
  price?: string | undefined;
  price_data?:
    | {
        currency: string;
        product?: string | undefined;
        product_data?: { name: string; metadata?: MetadataParam } | undefined;
        recurring?: { interval: string; interval_count?: number | undefined } | undefined;
        unit_amount: number;
      }
    | undefined;
  quantity?: number | undefined;
  metadata?: MetadataParam;
};

/** Checks what is to be bought and makes it the session's line items. */
export function lineItemsOf(
  sandbox: Sandbox,
  drafts: readonly LineItemDraft[],
  mode: Mode,
): Stripe.LineItem[] {
  // Everything is checked before an inline price is made, so that a refusal leaves nothing behind.
  const terms = drafts.map((item, index) => checkedTerms(sandbox, item, index));
  checkTogether(terms, mode);
  return drafts.map((item) => {
    const price = priceOf(sandbox, item);
    const amount = unitAmountOf(price) * (item.quantity ?? 1);
    return {
      id: sandbox.ids.next("li"),
      object: "item",
      adjustable_quantity: null,
      amount_discount: 0,
      amount_subtotal: amount,
      amount_tax: 0,
      amount_total: amount,
      currency: price.currency,
      description: productNameOf(sandbox, price),
      metadata: changedMetadata({}, item.metadata),
      price,
      quantity: item.quantity ?? 1,
    };
  });
}

/** What a line item comes to, whether its price exists or is inline. */
type Terms = Readonly<{ currency: string; cycle: string | null; amount: number }>;

function checkedTerms(sandbox: Sandbox, item: LineItemDraft, index: number): Terms {
  const param = `line_items[${index}]`;
  if ((item.price === undefined) === (item.price_data === undefined))
    throw invalidRequest(
      `You must specify either \`price\` or \`price_data\` for ${param}.`,
      item.price === undefined ? { code: "parameter_missing", param: `${param}[price]` } : {},
    );
  if (item.quantity === undefined)
    throw invalidRequest(`Quantity is required. Add \`quantity\` to \`${param}\``, {
      code: "parameter_missing",
      param: `${param}[quantity]`,
    });
  const data = item.price_data;
  if (data === undefined) {
    const price = activePrice(sandbox, item.price ?? "", `${param}[price]`);
    return {
      currency: price.currency,
      cycle: price.recurring === null ? null : JSON.stringify(recurrenceOf(price)),
      amount: unitAmountOf(price) * item.quantity,
    };
  }
  if ((data.product === undefined) === (data.product_data === undefined))
    throw invalidRequest(
      `You must specify either \`product\` or \`product_data\` for ${param}[price_data].`,
    );
  refuseOffStep(data.unit_amount, data.currency, `${param}[price_data][unit_amount]`);
  if (data.product !== undefined)
    sandbox.refer("product", data.product, `${param}[price_data][product]`);
  return {
    currency: data.currency.toLowerCase(),
    cycle:
      data.recurring === undefined
        ? null
        : JSON.stringify({
            interval: data.recurring.interval,
            intervalCount: data.recurring.interval_count ?? 1,
          }),
    amount: data.unit_amount * item.quantity,
  };
}

function priceOf(sandbox: Sandbox, item: LineItemDraft): Stripe.Price {
  const data = item.price_data;
  if (data === undefined) return sandbox.refer("price", item.price ?? "", "line_items");
  const product =
    data.product ?? createProduct(sandbox, { name: "", ...data.product_data, active: false }).id;
  // Inline prices are for this once: Stripe keeps them inactive.
  return createPrice(sandbox, {
    currency: data.currency,
    product,
    recurring: data.recurring,
    unit_amount: data.unit_amount,
    active: false,
  });
}

function checkTogether(terms: readonly Terms[], mode: Mode): void {
  const refuse = (message: string, code?: string) =>
    invalidRequest(message, { param: "line_items", ...(code === undefined ? {} : { code }) });
  const cycles = terms.flatMap(({ cycle }) => (cycle === null ? [] : [cycle]));
  if (mode === "payment" && cycles.length > 0)
    throw refuse(
      "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or use only one-time prices.",
    );
  if (mode === "subscription" && cycles.length === 0)
    throw refuse(
      "You must provide at least one recurring price in `subscription` mode when using prices.",
    );
  if (new Set(terms.map(({ currency }) => currency)).size > 1)
    throw refuse("All line items must have the same currency.");
  if (new Set(cycles).size > 1)
    throw refuse("Checkout does not support multiple prices with different billing intervals.");
  const total = terms.reduce((sum, { amount }) => sum + amount, 0);
  const currency = terms[0]?.currency ?? "usd";
  if (mode === "payment" && total < leastCharge(currency))
    throw refuse(
      `The Checkout Session's total amount due must add up to at least ${written(leastCharge(currency), currency)}.`,
      "amount_too_small",
    );
}
