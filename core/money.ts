import { z } from "@hono/zod-openapi";

/** ISO 4217 in lower case, as Stripe writes it. All have two decimal places. */
export const CURRENCIES = ["usd", "eur"] as const;
export type Currency = (typeof CURRENCIES)[number];
export const isCurrency = (code: string): code is Currency => CURRENCIES.some((c) => c === code);

/** An amount in the currency's minor unit (cents). */
export type Money = Readonly<{ minor: bigint; currency: Currency }>;

export const Currency = z.enum(CURRENCIES).openapi("Currency");
/** On the wire a bigint travels as a string. */
export const MoneyView = z
  .object({ minor: z.string().regex(/^-?\d+$/), currency: Currency })
  .openapi("Money");
export type MoneyView = z.infer<typeof MoneyView>;

export const toMoneyView = (m: Money): MoneyView => ({
  minor: m.minor.toString(),
  currency: m.currency,
});
