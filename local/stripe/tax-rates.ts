import type { Stripe } from "stripe";
import { onStep } from "./amounts.ts";
import { invalidRequest } from "./api-error.ts";
import { operation } from "./operation.ts";
import { bool, changedMetadata, decimal, metadata, paramsOf, text } from "./params.ts";
import type { Sandbox } from "./sandbox.ts";

/** Fixed rates of a percentage, on top of the price. Taxes that are in the price are refused. */
export const taxRateOperations = [
  operation({
    method: "POST",
    path: "/v1/tax_rates",
    returns: "tax_rate",
    params: paramsOf<Stripe.TaxRateCreateParams>()({
      display_name: text(100),
      inclusive: bool(),
      percentage: decimal({ min: 0, max: 100 }),
      metadata: metadata().optional(),
    }),
    run: ({ sandbox, params }) => {
      if (params.inclusive)
        throw invalidRequest("The local stand-in knows taxes on top of a price only.", {
          param: "inclusive",
        });
      return sandbox.store.put("tax_rate", {
        id: sandbox.ids.next("txr"),
        object: "tax_rate",
        active: true,
        country: null,
        created: sandbox.now(),
        description: null,
        display_name: params.display_name,
        effective_percentage: null,
        flat_amount: null,
        inclusive: false,
        jurisdiction: null,
        jurisdiction_level: null,
        livemode: false,
        metadata: changedMetadata({}, params.metadata),
        percentage: params.percentage,
        rate_type: null,
        state: null,
        tax_type: null,
      });
    },
  }),
];

/** The tax of each rate on an amount, which is negative for a credit. */
export const taxesOn = (
  amount: number,
  currency: string,
  rates: readonly Stripe.TaxRate[],
): Stripe.InvoiceLineItem.Tax[] =>
  rates.map((rate) => ({
    amount: onStep((amount * rate.percentage) / 100, currency),
    tax_behavior: "exclusive",
    tax_rate_details: { tax_rate: rate.id },
    taxability_reason: "not_available",
    taxable_amount: amount,
    type: "tax_rate_details",
  }));

/** The taxes of several lines, rate by rate. */
export function sumOfTaxes(
  lines: readonly Pick<Stripe.InvoiceLineItem, "taxes">[],
): Stripe.InvoiceLineItem.Tax[] {
  const sums = new Map<string, Stripe.InvoiceLineItem.Tax>();
  for (const tax of lines.flatMap(({ taxes }) => taxes ?? [])) {
    const rate = tax.tax_rate_details?.tax_rate ?? "";
    const before = sums.get(rate);
    sums.set(rate, {
      ...tax,
      amount: tax.amount + (before?.amount ?? 0),
      taxable_amount: (tax.taxable_amount ?? 0) + (before?.taxable_amount ?? 0),
    });
  }
  return [...sums.values()];
}

export const taxRatesOf = (sandbox: Sandbox, ids: readonly string[]): Stripe.TaxRate[] =>
  ids.map((id) => sandbox.refer("tax_rate", id, "default_tax_rates"));
