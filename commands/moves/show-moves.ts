import { silentBefore } from "#core/hosts/place-vm.ts";
import type { Move } from "#core/moves/move.ts";
import { waitsForOfMove } from "#core/moves/waits-for-move.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import type { WaitsFor } from "#core/vms/waits-for.ts";
import { namesOfHosts, type Host } from "#db/hosts/hosts.ts";
import { listMoves, type MoveFilter } from "#db/moves/list-moves.ts";
import { loadMove, type KeptMove } from "#db/moves/moves.ts";
import type { Deps } from "#commands/deps.ts";
import { orderedPage } from "#commands/keyset.ts";
import type { Page, PageRequest } from "#commands/page.ts";

type Reading = Pick<Deps, "db" | "clock">;
type Named = Pick<Host, "id" | "name">;

/** A move as staff look at it. What its ends prove themselves by is not in it. */
export type ShownMove = Readonly<{
  move: Move;
  mbitPerSecond: number | null;
  source: Named;
  destination: Named;
  waitsFor: WaitsFor | null;
}>;

/** With their hosts, in the same order. */
export async function showKept(
  { db, clock }: Reading,
  kept: readonly KeptMove[],
): Promise<readonly ShownMove[]> {
  const ids = kept.flatMap(({ move }) => [move.sourceHostId, move.destinationHostId]);
  const hosts = await namesOfHosts(db, [...new Set(ids)]);
  const silent = silentBefore(clock.now());
  const hostOf = (id: string) => {
    const host = hosts.get(id);
    if (!host) throw new Error(`host ${id} of a move vanished`);
    const isSilent = host.lastSeenAt === null || host.lastSeenAt < silent;
    return { id, name: host.name, isSilent };
  };
  return kept.map(({ move, way }) => {
    const [source, destination] = [hostOf(move.sourceHostId), hostOf(move.destinationHostId)];
    const waitsFor = waitsForOfMove(move, { source, destination });
    return { move, mbitPerSecond: way.mbitPerSecond, source, destination, waitsFor };
  });
}

export async function showOneMove(
  deps: Reading,
  id: string,
): Promise<Result<ShownMove, Refusal<"move_not_found">>> {
  const kept = await loadMove(deps.db, id);
  const [shown] = kept ? await showKept(deps, [kept]) : [];
  return shown ? ok(shown) : refuse("move_not_found", "no such move");
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
      return { rows: await showKept(deps, rows), end };
    },
    ({ move }) => ({ key: "", id: move.id }),
  );
