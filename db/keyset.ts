import { sql, type SQL, type SQLWrapper } from "drizzle-orm";

/** A place in a list: the key by which it is ordered, as text (empty where it goes by the ids), and the item's id. */
export type Keyset = Readonly<{ key: string; id: string }>;
/** As many as a page has, after this place; `most`: so many rows are looked through for it at the most (`read-places.ts`). */
export type KeysetPage = Readonly<{ limit: number; after: Keyset | null; most?: number }>;

/** An order of a list: by what an index has, with `id` behind it; without `by`, by `id` alone. */
export type InOrder = Readonly<{
  by?: SQLWrapper;
  type?: "timestamptz" | "text";
  id: SQLWrapper;
  down: boolean;
}>;

/** Names are ordered and looked for by their bytes: one index serves both, whatever the database's language. */
export const byBytes = (column: SQLWrapper): SQL => sql`${column} collate "C"`;

/** What comes after a place, by one comparison of rows, which an index answers. */
export function isAfter({ by, type = "text", id, down }: InOrder, place: Keyset | null) {
  if (place === null) return undefined;
  const than = sql.raw(down ? "<" : ">");
  return by === undefined
    ? sql`${id} ${than} ${place.id}::uuid`
    : sql`(${by}, ${id}) ${than} (${place.key}::${sql.raw(type)}, ${place.id}::uuid)`;
}

export function inOrder({ by, id, down }: InOrder): SQL[] {
  const way = sql.raw(down ? "desc" : "asc");
  return [...(by === undefined ? [] : [sql`${by} ${way}`]), sql`${id} ${way}`];
}
