import { actorOf, type AccountPrincipal } from "#core/accounts/accounts.ts";
import { isOwnPage } from "#core/accounts/own-page.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { ensureCustomer, openFor } from "./ensure-customer.ts";
import { currencyToPayIn } from "./payer-of.ts";

/**
 * Opens the provider's page for who pays. It leads back to a page of ours and to no other. What was changed there is brought in line when
 * the provider tells of it (`follow-card.ts`). Throws when the provider cannot be reached.
 */
export async function openPortal(
  deps: Deps,
  who: AccountPrincipal,
  asked: string | null,
): Promise<Result<{ url: string }, Refusal<"return_url_foreign" | "currency_fixed">>> {
  const { publicUrl } = deps.settings;
  const returnUrl = asked ?? publicUrl;
  if (!isOwnPage(returnUrl, publicUrl))
    return refuse("return_url_foreign", `it leads back to pages of ${publicUrl} only`);
  const { accountId } = who;
  const currency = await currencyToPayIn(deps, accountId, null);
  if (!currency.ok) return currency;
  const payer = { accountId, currency: currency.value };
  const customerId = await ensureCustomer(deps, who, payer);
  const { url } = await openFor(deps, who, {
    payer,
    customerId,
    open: (customer) => deps.payments.createPortal({ customerId: customer, returnUrl }),
  });
  await inTransaction(deps.db, (tx) =>
    recordChange(
      tx,
      {
        actor: actorOf(who),
        action: "portal.open",
        subject: { kind: "account", id: accountId },
        events: [],
      },
      stamp(deps),
    ),
  );
  return ok({ url });
}
