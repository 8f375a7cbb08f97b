import { forgetNewAddresses } from "#db/accounts/links.ts";
import type { Deps } from "#commands/deps.ts";

/**
 * A password was changed: whoever asked for another address before knew the old one, and may have been a thief. Links to new addresses
 * are no good any more.
 */
export const dropNewAddresses = (deps: Pick<Deps, "db">, accountId: string): Promise<void> =>
  forgetNewAddresses(deps.db, accountId);
