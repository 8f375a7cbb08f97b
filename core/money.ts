import { z } from "@hono/zod-openapi";
import { CURRENCIES, stepOf, type Currency as Code } from "./currencies.ts";

export type Currency = Code;

/** An amount in the currency's minor unit, as the provider counts it: cents, yen, fils. */
export type Money = Readonly<{ minor: bigint; currency: Currency }>;

export const Currency = z.enum(CURRENCIES).openapi("Currency", {
  description:
    "ISO 4217 in lower case. Amounts are in its minor unit as Stripe counts it: 10 are `1000` in `usd`, `10` in `jpy`, `10000` in `kwd` " +
    "(the last digit is 0), and `1000` in `isk` (the last two are 0).",
});
/** On the wire a bigint travels as a string. */
export const MoneyView = z
  .object({ minor: z.string().regex(/^-?\d+$/), currency: Currency })
  .openapi("Money");
export type MoneyView = z.infer<typeof MoneyView>;

export const toMoneyView = (m: Money): MoneyView => ({
  minor: m.minor.toString(),
  currency: m.currency,
});

/** Whether it can be paid as it is: an amount between two steps of its currency is refused by the provider. */
export const isOnStep = ({ minor, currency }: Money): boolean => minor % stepOf(currency) === 0n;

/**
 * `nearest`: halves away from zero, as prorations are, in nobody's favour. `below`: towards minus infinity, as what is given back is, so
 * that its parts are never more than the whole.
 */
export type Rounding = "nearest" | "below";

/**
 * The `part` of `whole` that an amount is worth, on its currency's step. `whole` is above 0; `part` is any number of the same unit (of time,
 * of a percentage). The one place where money is divided.
 */
export function shareOf(
  { minor, currency }: Money,
  part: bigint,
  whole: bigint,
  rounding: Rounding,
): bigint {
  const step = stepOf(currency);
  const [dividend, divisor] = [minor * part, whole * step];
  return (
    step *
    (rounding === "nearest" ? divideToNearest(dividend, divisor) : divideToBelow(dividend, divisor))
  );
}

function divideToNearest(dividend: bigint, divisor: bigint): bigint {
  const half = dividend < 0n ? -divisor : divisor;
  return (2n * dividend + half) / (2n * divisor);
}

const divideToBelow = (dividend: bigint, divisor: bigint): bigint =>
  dividend < 0n && dividend % divisor !== 0n ? dividend / divisor - 1n : dividend / divisor;
