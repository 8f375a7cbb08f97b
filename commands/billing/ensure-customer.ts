import type { AccountPrincipal } from "#core/accounts/accounts.ts";
import { CustomerGone } from "#core/billing/payments.ts";
import type { Currency } from "#core/money.ts";
import {
  billingCustomerOf,
  forgetBillingCustomer,
  keepBillingCustomer,
} from "#db/billing/customers.ts";
import type { Deps } from "#commands/deps.ts";

/** Who pays, and in what: the provider bills one customer in one currency. */
export type PayerOf = Readonly<{ accountId: string; currency: Currency }>;

/** The provider's customer of a payer, made if there is none. */
export async function ensureCustomer(
  deps: Deps,
  { email, name }: AccountPrincipal,
  payer: PayerOf,
): Promise<string> {
  const { customerId, attempt } = await billingCustomerOf(deps.db, payer);
  if (customerId !== null) return customerId;
  const made = await deps.payments.ensureCustomer({ ...payer, attempt, email, name });
  // Two repeats of one order name one customer, and so get one session.
  return keepBillingCustomer(deps.db, payer, { customerId: made, email, now: deps.clock.now() });
}

/** Opens something for a customer; for another one where that was deleted at the provider. */
export async function openFor<T>(
  deps: Deps,
  who: AccountPrincipal,
  of: { payer: PayerOf; customerId: string; open: (customerId: string) => Promise<T> },
): Promise<T> {
  const { payer, customerId, open } = of;
  return open(customerId).catch(async (error: unknown) => {
    if (!(error instanceof CustomerGone)) throw error;
    await forgetBillingCustomer(deps.db, payer, customerId);
    return open(await ensureCustomer(deps, who, payer));
  });
}
