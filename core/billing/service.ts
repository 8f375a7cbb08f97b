import type { Currency, Money } from "#core/money.ts";
import type { BillingInterval } from "#core/orders/order.ts";

/**
 * Who pays for a VM: our customer through Stripe, another billing system that keeps the money itself, or nobody, by staff's
 * word.
 */
export const PAYERS = ["stripe", "integration", "staff"] as const;
export type Payer = (typeof PAYERS)[number];

/** What is paid for each interval of a VM's life. */
export type ServicePrice = Readonly<{ interval: BillingInterval; amount: Money }>;

/**
 * A version's price by an interval for who pays in a currency. Where it has none in that, one of another: whoever judges it refuses that
 * by name (`currency_differs`). `currency` null: nobody pays, so any is as good.
 */
export const priceOf = <P extends ServicePrice>(
  prices: readonly P[],
  interval: BillingInterval | null,
  currency: Currency | null,
): P | null => {
  const ofInterval = prices.filter((price) => price.interval === interval);
  return ofInterval.find(({ amount }) => amount.currency === currency) ?? ofInterval[0] ?? null;
};
