import type { Currency } from "#core/money.ts";
import { chooseCurrency } from "#core/orders/choose-currency.ts";
import type { Wanted } from "#core/orders/open-order.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import type { Plan, PlanPrice } from "#db/catalogue/catalogue.ts";
import type { Tx } from "#db/client.ts";
import { currencyOfAccount } from "#db/orders/orders.ts";
import { priceFor } from "#commands/catalogue/price-at-provider.ts";

export type PriceRefusalCode =
  | "billing_interval_unavailable"
  | "currency_fixed"
  | "currency_not_sold";

/** At which price of the plan it is ordered. `usual`: the currency where nobody says. The caller holds the account. */
export async function priceOfOrder(
  tx: Tx,
  plan: Plan,
  { accountId, wanted, usual }: { accountId: string; wanted: Wanted; usual: Currency },
): Promise<Result<PlanPrice, Refusal<PriceRefusalCode>>> {
  const { billingInterval: interval, currency: asked } = wanted;
  const prices = plan.prices.filter((price) => price.interval === interval);
  // By the hour is billed by usage, which is not sold yet; a price for it may be there already.
  if (prices.length === 0 || interval === "hour")
    return refuse("billing_interval_unavailable", `${plan.name} is not sold by the ${interval}`);
  const chosen = chooseCurrency({
    asked,
    own: await currencyOfAccount(tx, accountId),
    usual,
    sold: prices.map(({ amount }) => amount.currency),
    what: `${plan.name} by the ${interval}`,
  });
  if (!chosen.ok) return chosen;
  const price = priceFor(plan, { interval, currency: chosen.value });
  if (!price) throw new Error(`${plan.name} lost its price in ${chosen.value}`);
  return ok(price);
}
