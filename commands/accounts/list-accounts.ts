import type { Refusal, Result } from "#core/result.ts";
import {
  listAccounts as read,
  type AccountFilter,
  type AccountRow,
  type AccountSort,
} from "#db/accounts/list-accounts.ts";
import type { Deps } from "#commands/deps.ts";
import { orderedPage } from "#commands/keyset.ts";
import type { Page, PageRequest } from "#commands/page.ts";

export type { AccountRow };

/** Everybody's accounts, for staff; by when they were made, or by their addresses. */
export const listAccounts = (
  deps: Pick<Deps, "db">,
  filter: AccountFilter,
  sort: AccountSort,
  page: PageRequest,
): Promise<Result<Page<AccountRow>, Refusal<"cursor_invalid">>> =>
  orderedPage(
    {
      list: "accounts",
      sort: `${sort.by} ${sort.down}`,
      key: sort.by === "email" ? "text" : undefined,
      filter,
    },
    page,
    (at) => read(deps.db, filter, sort, at),
    ({ id, email }) => ({ key: sort.by === "email" ? email : "", id }),
  );
