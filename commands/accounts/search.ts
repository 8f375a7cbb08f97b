import type { AccountPrincipal } from "#core/accounts/accounts.ts";
import { FOUND_KINDS, readSearch, SCOPE_OF_FOUND } from "#core/accounts/read-search.ts";
import { search as read, type Found } from "#db/accounts/search.ts";
import type { Deps } from "#commands/deps.ts";

export type { Found };

/** What `who` may see of what was typed: each once, at most `limit` of a kind; `more`: there are others. */
export async function search(
  deps: Pick<Deps, "db">,
  who: Pick<AccountPrincipal, "scopes">,
  { q, limit }: { q: string; limit: number },
): Promise<{ items: readonly Found[]; more: boolean }> {
  const kinds = FOUND_KINDS.filter((kind) => who.scopes.includes(SCOPE_OF_FOUND[kind]));
  const rows = await read(deps.db, readSearch(q), kinds, limit + 1);
  const once = new Map(rows.toReversed().map((row) => [`${row.kind} ${row.id}`, row]));
  const found = [...once.values()].toReversed();
  const items = FOUND_KINDS.flatMap((kind) =>
    found.filter((one) => one.kind === kind).slice(0, limit),
  );
  return { items, more: items.length < found.length };
}
