import { actorOf, isWriting, type AccountPrincipal } from "#core/accounts/accounts.ts";
import type { Locale } from "#core/messages/locale.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { changeLocale, saveLocale } from "#db/accounts/accounts.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";

/** In which language the account with this e-mail address is written to. */
export const setLocale = (deps: Pick<Deps, "db">, typed: string, locale: Locale): Promise<void> =>
  saveLocale(deps.db, typed.trim().toLowerCase(), locale);

type Chosen = Result<void, Refusal<"forbidden" | "scope_missing">>;

/**
 * In which language one is written to oneself, from the next mail on. There is no scope for it: whoever may change anything at all may
 * change this, and what only reads may not. It outlives the hour that staff act as somebody else in.
 */
export async function chooseLocale(
  deps: Pick<Deps, "db" | "clock" | "ids">,
  who: AccountPrincipal,
  locale: Locale,
): Promise<Chosen> {
  if (who.impersonator !== undefined)
    return refuse("forbidden", "this is for the account's owner: you act as somebody else");
  if (!who.scopes.some(isWriting))
    return refuse("scope_missing", "this needs a scope that changes something, whichever");
  const at = stamp(deps);
  const { accountId } = who;
  return inTransaction(deps.db, async (tx): Promise<Chosen> => {
    if (!(await changeLocale(tx, accountId, locale, at.now))) return ok(undefined);
    await recordChange(
      tx,
      {
        actor: actorOf(who),
        action: "account.set_locale",
        subject: { kind: "account", id: accountId },
        detail: { locale },
        events: [],
      },
      at,
    );
    return ok(undefined);
  });
}
