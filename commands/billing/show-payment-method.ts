import type { AccountPrincipal } from "#core/accounts/accounts.ts";
import { cardOnFile, type Card } from "#core/billing/cards.ts";
import { UnknownToProvider } from "#core/billing/payments.ts";
import { billingCustomerOf } from "#db/billing/customers.ts";
import type { Deps } from "#commands/deps.ts";
import { currencyToPayIn } from "./payer-of.ts";

/** The card that an order may be paid with; null: there is none. Throws when the provider cannot be reached. */
export async function showPaymentMethod(
  deps: Deps,
  { accountId }: Pick<AccountPrincipal, "accountId">,
): Promise<Card | null> {
  const currency = await currencyToPayIn(deps, accountId, null);
  if (!currency.ok) return null;
  const { customerId } = await billingCustomerOf(deps.db, { accountId, currency: currency.value });
  if (customerId === null) return null;
  try {
    return cardOnFile(await deps.payments.fetchPayer(customerId))?.card ?? null;
  } catch (error) {
    // It was deleted there, and its cards with it.
    if (error instanceof UnknownToProvider) return null;
    throw error;
  }
}
