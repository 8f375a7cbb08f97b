import { bigint, char, timestamp } from "drizzle-orm/pg-core";

/** Money in the currency's minor unit, as the provider counts it (`core/money.ts`). */
export const minorUnits = (name: string) => bigint(name, { mode: "bigint" });
/** ISO 4217 code in lower case, as Stripe writes it. */
export const currencyCode = (name = "currency") => char(name, { length: 3 });
export const instant = (name: string) => timestamp(name, { withTimezone: true, precision: 3 });
