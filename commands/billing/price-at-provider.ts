import type { BillingInterval } from "#core/orders/order.ts";
import {
  loadPlan,
  rememberStripePrice,
  type Plan,
  type PlanPrice,
} from "#db/catalogue/catalogue.ts";
import type { Deps } from "#commands/deps.ts";

export const priceFor = (plan: Plan, interval: BillingInterval): PlanPrice | undefined =>
  plan.prices.find((price) => price.interval === interval);

/** A price of a plan's version as the provider calls it; made there when nobody has needed it before. */
export async function priceAtProvider(
  deps: Pick<Deps, "db" | "payments">,
  of: Readonly<{ planId: string; planVersion: number; interval: "month" | "year" }>,
): Promise<string> {
  const { interval } = of;
  const plan = await loadPlan(deps.db, of);
  const price = priceFor(plan, interval);
  if (!price)
    throw new Error(
      `version ${of.planVersion} of plan ${of.planId} has no price by the ${interval}`,
    );
  if (price.stripePriceId !== null) return price.stripePriceId;
  const stripeId = await deps.payments.ensurePrice({
    planPriceId: price.id,
    planId: plan.id,
    planName: plan.name,
    amount: price.amount,
    interval,
  });
  await rememberStripePrice(deps.db, price.id, stripeId);
  return stripeId;
}
