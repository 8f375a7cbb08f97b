import { listFindings, type Finding, type FindingFilter } from "#db/hosts/findings.ts";
import type { Deps } from "#commands/deps.ts";
import { cursorToId, cutPage, type Page, type PageRequest } from "#commands/page.ts";

export type { Finding };

/** What is or was amiss, the newest first. */
export async function showFindings(
  deps: Pick<Deps, "db">,
  filter: FindingFilter,
  page: PageRequest,
): Promise<Page<Finding>> {
  const after = cursorToId(page.cursor);
  const { rows, end } = await listFindings(deps.db, filter, {
    limit: page.limit + 1,
    after: after === null ? null : { key: "", id: after },
  });
  return cutPage(rows, page.limit, (f) => f.id, end && end.id);
}
