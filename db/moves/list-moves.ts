import { inArray, isNotNull, isNull, type Column } from "drizzle-orm";
import type { Db } from "#db/client.ts";
import { inOrder, type KeysetPage } from "#db/keyset.ts";
import { having, readPlaces, type Narrowing, type Places, type ReadPage } from "#db/read-places.ts";
import { moves } from "#db/schema/moves.ts";
import { moveFromRow, type KeptMove } from "./moves.ts";

export type MoveFilter = Readonly<{
  vmId: string | null;
  /** At either end. */
  hostId: string | null;
  /** null: both. */
  state: "open" | "ended" | null;
}>;

const ORDER = { id: moves.id, down: true };

/** The newest first, in the order in which they began, as their ids have it. */
export async function listMoves(
  db: Db,
  { vmId, hostId, state }: MoveFilter,
  page: KeysetPage,
): Promise<ReadPage<KeptMove>> {
  const narrowings: Narrowing[] = [];
  if (vmId !== null) narrowings.push(having(moves.vmId, vmId, "ordered"));
  if (state !== null)
    narrowings.push(
      state === "open"
        ? { where: isNull(moves.outcome), index: "ordered", first: moves.id }
        : { where: isNotNull(moves.outcome), index: null },
    );
  const read = (more: readonly Narrowing[]) =>
    readPlaces(db, { table: moves, order: ORDER, narrowings: [...more, ...narrowings] }, page);
  const { ids, end } =
    hostId === null ? await read([]) : await atEitherEnd(hostId, page.limit, (by) => read([by]));
  const rows = await db
    .select()
    .from(moves)
    .where(inArray(moves.id, [...ids]))
    .orderBy(...inOrder(ORDER));
  return { rows: rows.map(moveFromRow), end };
}

/**
 * Those from a host and those to it, which no move is both of: each half is read by an index of its own, in the list's order. Where one half was looked
 * through no further than to a place, nothing of the other is told beyond it.
 */
async function atEitherEnd(
  hostId: string,
  limit: number,
  read: (by: Narrowing) => Promise<Places>,
): Promise<Places> {
  const half = (column: Column) => read(having(column, hostId, "ordered"));
  const [from, to] = [await half(moves.sourceHostId), await half(moves.destinationHostId)];
  // Ids are compared as Postgres does: of one length, digit by digit.
  const [end = null] = [from.end, to.end]
    .filter((place) => place !== null)
    .toSorted((a, b) => (a.id < b.id ? 1 : -1));
  const ids = [...from.ids, ...to.ids]
    .filter((id) => end === null || id >= end.id)
    .toSorted((a, b) => (a < b ? 1 : -1));
  return { ids: ids.slice(0, limit), end };
}
