import type { AccountPrincipal } from "#core/accounts/accounts.ts";
import type { Currency } from "#core/money.ts";
import { currencyOfAccount } from "#db/orders/orders.ts";
import type { Deps } from "#commands/deps.ts";

/** Who asks, with what they pay in since their first payment; null: they have paid nothing, or never pay. */
export const showMe = async (
  { db }: Pick<Deps, "db">,
  who: AccountPrincipal,
): Promise<AccountPrincipal & { currency: Currency | null }> => ({
  ...who,
  currency: who.role === "customer" ? await currencyOfAccount(db, who.accountId) : null,
});
