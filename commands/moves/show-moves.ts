import { hostsOfMoves, shownMove, type ShownMove } from "#core/moves/shown-move.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { namesOfHosts } from "#db/hosts/hosts.ts";
import { listMoves, type MoveFilter } from "#db/moves/list-moves.ts";
import { loadMove, type KeptMove } from "#db/moves/moves.ts";
import type { Deps } from "#commands/deps.ts";
import { orderedPage } from "#commands/keyset.ts";
import type { Page, PageRequest } from "#commands/page.ts";

type Reading = Pick<Deps, "db" | "clock">;

/** With their hosts, in the same order. */
async function shown(
  { db, clock }: Reading,
  kept: readonly KeptMove[],
): Promise<readonly ShownMove[]> {
  const hosts = await namesOfHosts(db, hostsOfMoves(kept));
  return kept.map((of) => shownMove(of, hosts, clock.now()));
}

export async function showOneMove(
  deps: Reading,
  id: string,
): Promise<Result<ShownMove, Refusal<"move_not_found">>> {
  const kept = await loadMove(deps.db, id);
  const [found] = kept ? await shown(deps, [kept]) : [];
  return found ? ok(found) : refuse("move_not_found", "no such move");
}

/** The newest first. */
export const showMoves = (
  deps: Reading,
  filter: MoveFilter,
  page: PageRequest,
): Promise<Result<Page<ShownMove>, Refusal<"cursor_invalid">>> =>
  orderedPage(
    { list: "moves", sort: "createdAt true", filter },
    page,
    async (at) => {
      const { rows, end } = await listMoves(deps.db, filter, at);
      return { rows: await shown(deps, rows), end };
    },
    ({ move }) => ({ key: "", id: move.id }),
  );
