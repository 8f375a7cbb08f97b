import { sql, type SQL, type SQLWrapper } from "drizzle-orm";

/** A place in a list: the key by which it is ordered, as text (empty where the ids are the order), and the item's id. */
export type Keyset = Readonly<{ key: string; id: string }>;

/** An order of a list. `by` is what an index has, with `id` behind it; absent: `id` alone. */
export type Order = Readonly<{
  by?: SQLWrapper;
  type?: "timestamptz" | "text";
  id: SQLWrapper;
  down: boolean;
}>;

/** What comes after a place in an order, by one comparison of rows, which an index answers. */
export function isAfter(
  { by, type = "text", id, down }: Order,
  place: Keyset | null,
): SQL | undefined {
  if (place === null) return undefined;
  const than = sql.raw(down ? "<" : ">");
  return by === undefined
    ? sql`${id} ${than} ${place.id}::uuid`
    : sql`(${by}, ${id}) ${than} (${place.key}::${sql.raw(type)}, ${place.id}::uuid)`;
}

export function inOrder({ by, id, down }: Order): SQL[] {
  const way = sql.raw(down ? "desc" : "asc");
  return [...(by === undefined ? [] : [sql`${by} ${way}`]), sql`${id} ${way}`];
}
