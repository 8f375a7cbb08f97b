import type { Locale } from "#core/messages/locale.ts";
import { saveLocale } from "#db/accounts/accounts.ts";
import type { Deps } from "#commands/deps.ts";

/** In which language the account with this e-mail address is written to. */
export const setLocale = (deps: Pick<Deps, "db">, typed: string, locale: Locale): Promise<void> =>
  saveLocale(deps.db, typed.trim().toLowerCase(), locale);
