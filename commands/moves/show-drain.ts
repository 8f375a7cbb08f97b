import type { DrainVmState } from "#core/moves/drain.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { loadHost } from "#db/hosts/hosts.ts";
import {
  countedDrainOf,
  listDrainVms,
  type CountedDrain,
  type ListedDrainVm,
} from "#db/moves/drains.ts";
import type { Deps } from "#commands/deps.ts";
import { cursorToId, cutPage, type Page, type PageRequest } from "#commands/page.ts";

export type { CountedDrain, ListedDrainVm };

/** The newest of a host, with what became of its VMs. */
export async function showDrain(
  deps: Pick<Deps, "db">,
  hostId: string,
  state: DrainVmState | null,
  { limit, cursor }: PageRequest,
): Promise<
  Result<
    { drain: CountedDrain; page: Page<ListedDrainVm> },
    Refusal<"host_not_found" | "drain_not_found">
  >
> {
  if (!(await loadHost(deps.db, hostId))) return refuse("host_not_found", "no such host");
  const drain = await countedDrainOf(deps.db, hostId);
  if (!drain) return refuse("drain_not_found", "this host was never emptied");
  const after = cursorToId(cursor);
  const rows = await listDrainVms(deps.db, drain.id, { limit: limit + 1, after, state });
  return ok({ drain, page: cutPage(rows, limit, ({ vmId }) => vmId) });
}
