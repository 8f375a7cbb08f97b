import type { Currency } from "#core/money.ts";
import { chooseCardsCurrency, USUAL_CURRENCY } from "#core/orders/choose-currency.ts";
import type { Refusal, Result } from "#core/result.ts";
import { currenciesOfCustomers } from "#db/billing/customers.ts";
import { currencyOfAccount } from "#db/orders/orders.ts";
import type { Deps } from "#commands/deps.ts";

/** In which currency an account pays, or would. */
export const currencyToPayIn = async (
  deps: Pick<Deps, "db" | "settings">,
  accountId: string,
  asked: Currency | null,
): Promise<Result<Currency, Refusal<"currency_fixed">>> =>
  chooseCardsCurrency({
    asked,
    own: await currencyOfAccount(deps.db, accountId),
    known: await currenciesOfCustomers(deps.db, accountId),
    usual: deps.settings.currency ?? USUAL_CURRENCY,
  });
