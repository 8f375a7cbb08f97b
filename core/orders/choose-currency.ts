import type { Currency } from "#core/money.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";

/** What is usual where nobody said: an installation may say otherwise (`BERTH_CURRENCY`). */
export const USUAL_CURRENCY = "usd" satisfies Currency;

/**
 * In which currency an order is placed: the account's own, which its first payment fixed, since the provider bills a customer's
 * subscriptions in one; before that in what the order asks for, and else in the installation's usual one. What is sold in one other
 * currency alone is ordered in that: there is nothing to choose.
 */
export function chooseCurrency(
  of: Readonly<{
    /** null: the order leaves it open. */
    asked: Currency | null;
    /** null: its account has not paid anything yet. */
    own: Currency | null;
    usual: Currency;
    /** In which the plan is sold by that interval: one at least. */
    sold: readonly Currency[];
    /** What is ordered, for people. */
    what: string;
  }>,
): Result<Currency, Refusal<"currency_fixed" | "currency_not_sold">> {
  const { asked, own, usual, sold, what } = of;
  if (own !== null && asked !== null && asked !== own)
    return refuse(
      "currency_fixed",
      `this account pays in ${own} since its first payment: leave the currency out, or use another account for ${asked}`,
    );
  const wanted = asked ?? own ?? (sold.length === 1 ? (sold[0] ?? usual) : usual);
  if (sold.includes(wanted)) return ok(wanted);
  const instead = `it is sold in ${sold.toSorted().join(", ")}`;
  return refuse(
    "currency_not_sold",
    own === null
      ? `${what} is not sold in ${wanted}: ${instead}`
      : `${what} is not sold in ${wanted}, in which this account pays: ${instead}`,
  );
}

/**
 * Of which currency's customer a card is, at a provider that bills a customer in one: the account's own, else what is asked for, else that
 * of a card which was saved before.
 */
export function chooseCardsCurrency(
  of: Readonly<{
    asked: Currency | null;
    own: Currency | null;
    /** In which the account is a customer of the provider's already. */
    known: readonly Currency[];
    usual: Currency;
  }>,
): Result<Currency, Refusal<"currency_fixed">> {
  const { asked, own, known, usual } = of;
  if (own !== null && asked !== null && asked !== own)
    return refuse("currency_fixed", `this account pays in ${own} since its first payment`);
  return ok(own ?? asked ?? (known.includes(usual) ? usual : (known[0] ?? usual)));
}
