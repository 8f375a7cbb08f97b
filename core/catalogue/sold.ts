import type { Money } from "#core/money.ts";
import { moneyText } from "#core/money-text.ts";
import type { BillingInterval } from "#core/orders/order.ts";
import type { VmSize } from "#core/vms/vm.ts";

/** When a VM of a plan becomes a smaller one, by the plan's own rule. */
export const DOWNGRADES = ["renewal", "now"] as const;
export type Downgrade = (typeof DOWNGRADES)[number];

/**
 * Whether a price has its tax in it. Once a price of the provider's says so it says so for ever
 * (docs.stripe.com/api/prices/object#price_object-tax_behavior).
 */
export const TAX_BEHAVIORS = ["exclusive", "inclusive"] as const;
export type TaxBehavior = (typeof TAX_BEHAVIORS)[number];

export type SoldPrice = Readonly<{
  interval: BillingInterval;
  amount: Money;
  /** null: as the provider's account says. */
  taxBehavior: TaxBehavior | null;
}>;

/** What a customer buys of a plan, and for how much. */
export type SoldAs = Readonly<{
  size: VmSize;
  trafficGib: number;
  bandwidthMbit: number | null;
  diskIops: number | null;
  downgrade: Downgrade;
  prices: readonly SoldPrice[];
}>;

/** By what two versions of a plan differ, for people; nothing: they sell the same, and one of them is enough. */
export function differencesOf(before: SoldAs, after: SoldAs): readonly string[] {
  const [was, is] = [fieldsOf(before), fieldsOf(after)];
  const fields = [...is.keys()].flatMap((name) => {
    const [from, to] = [was.get(name), is.get(name)];
    return from === to ? [] : [`${name} ${from} to ${to}`];
  });
  return [...fields, ...pricesThatDiffer(before.prices, after.prices)];
}

const fieldsOf = ({ size, ...rest }: SoldAs): ReadonlyMap<string, string> =>
  new Map([
    ["vcpus", `${size.vcpus}`],
    ["memoryMib", `${size.memoryMib}`],
    ["diskGib", `${size.diskGib}`],
    ["trafficGib", `${rest.trafficGib}`],
    ["bandwidthMbit", `${rest.bandwidthMbit ?? "none"}`],
    ["diskIops", `${rest.diskIops ?? "none"}`],
    ["downgrade", rest.downgrade],
  ]);

function pricesThatDiffer(
  before: readonly SoldPrice[],
  after: readonly SoldPrice[],
): readonly string[] {
  const [was, is] = [byKey(before), byKey(after)];
  return [...new Set([...was.keys(), ...is.keys()])].toSorted().flatMap((key) => {
    const [from, to] = [was.get(key), is.get(key)];
    if (from === to) return [];
    if (from === undefined) return [`a price of ${to}`];
    return to === undefined ? [`no price of ${from} any more`] : [`${from} to ${to}`];
  });
}

const byKey = (prices: readonly SoldPrice[]): ReadonlyMap<string, string> =>
  new Map(prices.map((price) => [`${price.interval} ${price.amount.currency}`, priceText(price)]));

/** `5.00 USD/month, tax exclusive`. */
export const priceText = ({ interval, amount, taxBehavior }: SoldPrice): string =>
  `${moneyText(amount)}/${interval}${taxBehavior === null ? "" : `, tax ${taxBehavior}`}`;
