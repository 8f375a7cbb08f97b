import type { ServicePrice } from "./service.ts";

/** What a subscription bills for each period, as the provider says; `minor` null: by no fixed amount. */
export type BilledItem = Readonly<{
  minor: bigint | null;
  currency: string;
  interval: string;
  /** Of how many of these one period is. */
  intervalCount: number;
  quantity: number;
}>;

/**
 * How what a subscription bills differs from what was bought, in words for staff; null: it does not. One subscription is one VM's, once, at the
 * price that its service says: whatever else was written there by hand is money that nobody agreed to, or time that nobody pays for.
 */
export function billedOtherwise(
  price: ServicePrice | null,
  items: readonly BilledItem[],
): string | null {
  if (price === null) return null;
  const [item, ...others] = items;
  if (item === undefined || others.length > 0)
    return `its subscription has ${items.length} items, and not one`;
  const { interval, amount } = price;
  if (item.quantity !== 1) return `its subscription bills it ${item.quantity} times`;
  const isSame =
    item.minor === amount.minor &&
    item.currency === amount.currency &&
    item.interval === interval &&
    item.intervalCount === 1;
  return isSame
    ? null
    : `its subscription bills ${item.minor ?? "?"} ${item.currency} for ${item.intervalCount} ${item.interval}, ` +
        `and ${amount.minor} ${amount.currency} for 1 ${interval} was bought`;
}
