import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { listHosts, loadHost, type Host } from "#db/hosts/hosts.ts";
import type { Deps } from "#commands/deps.ts";
import { cursorToId, cutPage, type Page, type PageRequest } from "#commands/page.ts";

export type { Host };

export async function showHosts(deps: Pick<Deps, "db">, page: PageRequest): Promise<Page<Host>> {
  const rows = await listHosts(deps.db, {
    limit: page.limit + 1,
    after: cursorToId(page.cursor),
  });
  return cutPage(rows, page.limit, (h) => h.id);
}

export async function showHost(
  deps: Pick<Deps, "db">,
  hostId: string,
): Promise<Result<Host, Refusal<"host_not_found">>> {
  const host = await loadHost(deps.db, hostId);
  return host ? ok(host) : refuse("host_not_found", "no such host");
}
