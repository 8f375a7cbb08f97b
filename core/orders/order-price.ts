import type { Currency, Money } from "#core/money.ts";

/**
 * What an order comes to, each apart, in minor units of its currency. `list` is the price of the version of its plan that was sold, which
 * its renewals cost too; `tax` is what is added to it, and nothing of what a price includes already.
 */
export type OrderPrice = Readonly<{
  listMinor: bigint;
  discountMinor: bigint;
  taxMinor: bigint;
}>;

/** What is to be paid for it: nothing, where a discount takes all of it off. */
export const dueOf = ({ listMinor, discountMinor, taxMinor }: OrderPrice): bigint =>
  listMinor - discountMinor + taxMinor;

/** What a completed checkout comes to, and what was taken for it. */
export type Settled = OrderPrice & Readonly<{ currency: Currency; takenMinor: bigint }>;

/**
 * Why a completed checkout does not pay an order; null: it does. What was taken is what was due, for what the order sells: a discount
 * lowers what is due, and is no underpayment. A trial asks for nothing yet. Nothing else can come of our own sessions.
 */
export function whyNotPaid(
  order: Readonly<{ listMinor: bigint; currency: Currency; trialPolicy: number | null }>,
  settled: Settled | null,
): string | null {
  const isTried = order.trialPolicy !== null;
  const asked = isTried ? `nothing in ${order.currency}` : `${order.listMinor} ${order.currency}`;
  if (settled === null) return `? ? of ${asked}`;
  const { currency, listMinor, takenMinor } = settled;
  const due = dueOf(settled);
  // What its session shows as the list price of a trial is not held against the order: what is asked for, and taken, is nothing.
  const isAsked = isTried ? due === 0n : listMinor === order.listMinor;
  if (currency !== order.currency || !isAsked)
    return `${listMinor} ${currency} was asked for instead of ${asked}`;
  return takenMinor === due && due >= 0n ? null : `${takenMinor} of ${due} ${currency} was taken`;
}

/** The due of an order, as money. */
export const dueMoney = (order: OrderPrice & Readonly<{ currency: Currency }>): Money => ({
  minor: dueOf(order),
  currency: order.currency,
});
