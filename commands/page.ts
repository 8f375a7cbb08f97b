/** One page of a list. `nextCursor` is null on the last one. */
export type Page<T> = Readonly<{ items: readonly T[]; nextCursor: string | null }>;
export type PageRequest = Readonly<{ limit: number; cursor: string | null }>;

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** A cursor is the last item's id, in a form that nobody is tempted to read. A broken one begins anew. */
export const cursorToId = (cursor: string | null): string | null => {
  if (cursor === null) return null;
  const id = Buffer.from(cursor, "base64url").toString("utf8");
  return UUID.test(id) ? id : null;
};

/**
 * Cuts a page out of rows that were read with one more than asked, to see whether there are more. `end`: the id at which the look
 * for them ended, though more may come.
 */
export function cutPage<T>(
  rows: readonly T[],
  limit: number,
  idOf: (row: T) => string,
  end: string | null = null,
): Page<T> {
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  const at = rows.length > limit && last !== undefined ? idOf(last) : end;
  return { items, nextCursor: at && Buffer.from(at, "utf8").toString("base64url") };
}

/**
 * A page of a list that is short enough to be read whole (the catalogue, an account's tokens), in the list's own order.
 * When the cursor's item has left the list, the list begins anew.
 */
export function pageOfAll<T>(
  rows: readonly T[],
  page: PageRequest,
  idOf: (row: T) => string,
): Page<T> {
  const after = cursorToId(page.cursor);
  const from = after === null ? 0 : rows.findIndex((row) => idOf(row) === after) + 1;
  return cutPage(rows.slice(from, from + page.limit + 1), page.limit, idOf);
}
