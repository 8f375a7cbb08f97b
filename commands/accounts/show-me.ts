import type { AccountPrincipal } from "#core/accounts/accounts.ts";
import type { Locale } from "#core/messages/locale.ts";
import type { Currency } from "#core/money.ts";
import { localeOfAccount } from "#db/accounts/accounts.ts";
import { currencyOfAccount } from "#db/orders/orders.ts";
import type { Deps } from "#commands/deps.ts";

/**
 * Who asks, with the language that they are written to in, and what they pay in since their first payment; null: they have paid
 * nothing, or never pay.
 */
export const showMe = async (
  { db }: Pick<Deps, "db">,
  who: AccountPrincipal,
): Promise<AccountPrincipal & { currency: Currency | null; locale: Locale }> => ({
  ...who,
  locale: await localeOfAccount(db, who.accountId),
  currency: who.role === "customer" ? await currencyOfAccount(db, who.accountId) : null,
});
