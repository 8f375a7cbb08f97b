import { actorOf, type AccountPrincipal } from "#core/accounts/accounts.ts";
import type { Currency } from "#core/money.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { isEmailProven } from "#db/accounts/accounts.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { ensureCustomer, openFor } from "./ensure-customer.ts";
import { currencyToPayIn } from "./payer-of.ts";

/** Stripe allows a page half an hour to a day. */
const OPEN_MS = 60 * 60_000;

/**
 * Opens a page on which the account's owner saves a card; nothing is charged on it. What was saved is taken into use when the provider
 * tells of it (`follow-card.ts`). A repeat opens another page, and no harm is done. Throws when the provider cannot be reached.
 */
export async function openCardPage(
  deps: Deps,
  who: AccountPrincipal,
  asked: Currency | null,
): Promise<
  Result<{ url: string; expiresAt: Date }, Refusal<"currency_fixed" | "email_not_verified">>
> {
  const { accountId } = who;
  // Cards that are not one's own are tried where nobody asks who one is.
  if (!(await isEmailProven(deps.db, accountId)))
    return refuse("email_not_verified", "open the link that was mailed to you, then save a card");
  const currency = await currencyToPayIn(deps, accountId, asked);
  if (!currency.ok) return currency;
  const payer = { accountId, currency: currency.value };
  const customerId = await ensureCustomer(deps, who, payer);
  const at = stamp(deps);
  const expiresAt = new Date(+at.now + OPEN_MS);
  const { url } = await openFor(deps, who, {
    payer,
    customerId,
    open: (customer) =>
      deps.payments.createCardPage({
        customerId: customer,
        currency: payer.currency,
        successUrl: `${deps.settings.publicUrl}/checkout/done`,
        cancelUrl: `${deps.settings.publicUrl}/checkout/cancelled`,
        expiresAt,
      }),
  });
  await inTransaction(deps.db, (tx) =>
    recordChange(
      tx,
      {
        actor: actorOf(who),
        action: "card.open_page",
        subject: { kind: "account", id: accountId },
        detail: { currency: payer.currency },
        events: [],
      },
      at,
    ),
  );
  return ok({ url, expiresAt });
}
