import { invalidRequest } from "./api-error.ts";

/*
 * What an amount may be in its currency (docs.stripe.com/currencies). It imports nothing of core, which knows the same for itself. Of
 * currencies, those stand here that have a rule of their own; any other has two decimals and is charged from half a unit.
 */

/** The last digit must be 0, or the last two. */
const STEPS: ReadonlyMap<string, number> = new Map([
  ...["bhd", "jod", "kwd", "omr", "tnd"].map((code) => [code, 10] as const),
  ...["isk", "ugx"].map((code) => [code, 100] as const),
]);
const NO_DECIMALS: ReadonlySet<string> = new Set(
  "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split(" "),
);
const LEAST: ReadonlyMap<string, number> = new Map([
  ["aed", 200],
  ["bgn", 100],
  ["czk", 1500],
  ["dkk", 250],
  ["gbp", 30],
  ["hkd", 400],
  ["huf", 17_500],
  ["mxn", 1000],
  ["myr", 200],
  ["nok", 300],
  ["pln", 200],
  ["ron", 200],
  ["sek", 300],
  ["thb", 1000],
]);

const stepOf = (currency: string): number => STEPS.get(currency) ?? 1;

/** Stripe charges no less than this. */
export const leastCharge = (currency: string): number =>
  LEAST.get(currency) ?? { 1: 50, 10: 500, 100: 100 }[stepOf(currency)] ?? 50;

/** To the step of the currency, halves away from zero. */
export const onStep = (amount: number, currency: string): number => {
  const step = stepOf(currency);
  return Math.sign(amount) * step * Math.round(Math.abs(amount) / step);
};

/** Throws of an amount that lies between two steps. */
export function refuseOffStep(amount: number, currency: string, param: string): void {
  const step = stepOf(currency.toLowerCase());
  if (amount % step !== 0)
    throw invalidRequest(
      `Invalid amount: ${amount}. Amounts in ${currency.toLowerCase()} must be evenly divisible by ${step}.`,
      { param },
    );
}

const decimalsOf = (currency: string): number =>
  NO_DECIMALS.has(currency) ? 0 : stepOf(currency) === 10 ? 3 : 2;

/** Minor units as people write them: 1250 eur → €12.50. */
export function written(amount: number, currency: string): string {
  const decimals = decimalsOf(currency.toLowerCase());
  return new Intl.NumberFormat("en", {
    style: "currency",
    currency: currency.toUpperCase(),
    minimumFractionDigits: decimals,
    maximumFractionDigits: decimals,
  }).format(amount / 10 ** decimals);
}
