import { sql, type SQL, type SQLWrapper } from "drizzle-orm";

/** A place in a list: the key by which it is ordered, as text (empty where it goes by the ids), and the item's id. */
export type Keyset = Readonly<{ key: string; id: string }>;
/** As many as a page has, after this place. */
export type KeysetPage = Readonly<{ limit: number; after: Keyset | null }>;

/** An order of a list: by what an index has, with `id` behind it; without `by`, by `id` alone. */
export type InOrder = Readonly<{
  by?: SQLWrapper;
  type?: "timestamptz" | "text";
  id: SQLWrapper;
  down: boolean;
}>;

/** Names are ordered and looked for by their bytes: one index serves both, whatever the database's language. */
export const byBytes = (column: SQLWrapper): SQL => sql`${column} collate "C"`;

export function inOrder({ by, id, down }: InOrder): SQL[] {
  const way = sql.raw(down ? "desc" : "asc");
  return [...(by === undefined ? [] : [sql`${by} ${way}`]), sql`${id} ${way}`];
}
