import { decimalsOf, stepOf, type Currency } from "./currencies.ts";

/* How money reads. No schema and no library is needed for it, so that programs which only show it load none. */

type Amount = Readonly<{ minor: bigint | string; currency: Currency }>;

/**
 * An amount in major units, as digits with a point: `12.50` of 1250 usd, `500` of 500 jpy, `5.120` of 5120 kwd. A currency that is written
 * with two decimals and has none shows none, unless there is something in them: nothing that is there is hidden.
 */
export function decimalOf({ minor: given, currency }: Amount): string {
  const minor = BigInt(given);
  const decimals = decimalsOf(currency);
  const isWhole = stepOf(currency) === 10n ** BigInt(decimals) && minor % stepOf(currency) === 0n;
  const digits = (minor < 0n ? -minor : minor).toString().padStart(decimals + 1, "0");
  const at = digits.length - decimals;
  const fraction = isWhole ? "" : digits.slice(at);
  return `${minor < 0n ? "-" : ""}${digits.slice(0, at)}${fraction === "" ? "" : `.${fraction}`}`;
}

/** `12.50 USD`: for logs, terminals and staff, in no language. Letters to customers write it by `Intl` (`moneyIn`). */
export const moneyText = (amount: Amount): string =>
  `${decimalOf(amount)} ${amount.currency.toUpperCase()}`;

/**
 * As people write it in a language. The decimals are the provider's: those of `Intl` are other ones for some currencies (`huf`, `lak`, `isk`),
 * and an amount read by them is a hundred times as much.
 */
export function moneyIn(tag: string, amount: Amount): string {
  const decimal = decimalOf(amount);
  const digits = decimal.split(".")[1]?.length ?? 0;
  const format = new Intl.NumberFormat(tag, {
    style: "currency",
    currency: amount.currency,
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
  // As text, and no floating-point number: `format` takes decimals of any length exactly.
  return isNumeric(decimal) ? format.format(decimal) : decimal;
}

const isNumeric = (decimal: string): decimal is `${number}` => /^-?\d+(\.\d+)?$/.test(decimal);
