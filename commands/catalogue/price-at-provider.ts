import type { Currency } from "#core/money.ts";
import type { BillingInterval } from "#core/orders/order.ts";
import {
  loadPlan,
  rememberStripePrice,
  type Plan,
  type PlanPrice,
} from "#db/catalogue/catalogue.ts";
import type { Deps } from "#commands/deps.ts";

export const priceFor = (
  plan: Plan,
  { interval, currency }: Readonly<{ interval: BillingInterval; currency: Currency }>,
): PlanPrice | undefined =>
  plan.prices.find((price) => price.interval === interval && price.amount.currency === currency);

/** A price of a plan's version as the provider calls it; made there when nobody has needed it before. */
export async function priceAtProvider(
  deps: Pick<Deps, "db" | "payments">,
  of: Readonly<{
    planId: string;
    planVersion: number;
    interval: "month" | "year";
    currency: Currency;
  }>,
): Promise<string> {
  const { interval, currency } = of;
  const plan = await loadPlan(deps.db, of);
  const price = priceFor(plan, of);
  if (!price)
    throw new Error(
      `version ${of.planVersion} of plan ${of.planId} has no price by the ${interval} in ${currency}`,
    );
  if (price.stripePriceId !== null) return price.stripePriceId;
  const stripeId = await deps.payments.ensurePrice({
    planPriceId: price.id,
    planId: plan.id,
    planName: plan.name,
    amount: price.amount,
    interval,
    taxBehavior: price.taxBehavior,
  });
  await rememberStripePrice(deps.db, price.id, stripeId);
  return stripeId;
}
