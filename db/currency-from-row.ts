import { isCurrency, type Currency } from "#core/currencies.ts";

/** Throws on one that we do not know: it would have been refused before it was written. */
export function currencyFromRow(code: string): Currency {
  if (!isCurrency(code)) throw new Error(`unknown currency ${code} in a row`);
  return code;
}
