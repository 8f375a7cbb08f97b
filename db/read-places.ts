import { and, eq, ne, sql, type Column, type SQL, type SQLWrapper } from "drizzle-orm";
import type { Db } from "#db/client.ts";
import { inOrder, isAfter, type InOrder, type Keyset, type KeysetPage } from "#db/keyset.ts";
import { list } from "#db/named.ts";

/** A column, or what an index has in the place of one, with the value that all rows of something have in it. */
type Having = Readonly<{ column: SQLWrapper; value: string | boolean }>;

/** What one filter leaves of a list. */
export type Narrowing = Readonly<{
  where: SQL;
  /** `ordered`: an index has what it leaves in the list's order; `apart`: one has it in another; null: it leaves most of the list. */
  index: "ordered" | "apart" | null;
  /** What that index has first, if all that is left has the same there. */
  having?: Having;
  /** What it is an index of, if not of all: said for Postgres, which does not conclude it from all it is told. */
  indexed?: SQL;
  /** What it has first otherwise. */
  first?: SQLWrapper;
  /** Where what it leaves is counted, and read when that is little, if not in the list's own table by `where`. */
  from?: Readonly<{ counted: SQL; rows: SQL }>;
}>;

/** Rows that a list's indexes have apart from the others. */
export type Part = Readonly<{
  where: SQL;
  /** What the index has first that has all of them in the order of their ids. */
  having: Having;
}>;

/** A list of one table in one order. */
export type PlacesOf = Readonly<{
  table: SQLWrapper;
  order: InOrder;
  /** The list is made of these; none: it is its whole table. */
  parts?: readonly Part[];
  /** Of what it goes by: from the one on, and up to the other. */
  between?: Readonly<{ from: string | null; to: string | null }>;
  narrowings: readonly Narrowing[];
}>;

/** What is on a page; `end`: what was looked through ended there, and more may come after it. */
export type Places = Readonly<{ ids: readonly string[]; end: Keyset | null }>;
/** A page's rows, with the same. */
export type ReadPage<T> = Readonly<{ rows: readonly T[]; end: Keyset | null }>;

/** So many rows are looked through at the most by each statement, whatever the filters. */
const MOST_LOOKED_THROUGH = 5000;

/** All that has this value. `usual`: what most of the list has, and its index leaves out. */
export const having = (
  column: Column,
  value: string,
  index: "ordered" | "apart",
  usual?: string,
): Narrowing =>
  value === usual
    ? { where: eq(column, value), index: null }
    : {
        where: eq(column, value),
        index,
        having: { column, value },
        ...(usual !== undefined && { indexed: ne(column, usual) }),
      };

/**
 * The ids on one page of a list, by reading rows whose number the table's size has no part in. With one filter whose index has the
 * order, or none, as many as the page has. Otherwise what one filter leaves is read whole, if it is little, and put in order; and
 * if each leaves much, the list is looked through from the page's place on, no further than `most` rows: the page may then have
 * fewer items than it could hold, or none, and tells where it ended.
 */
export async function readPlaces(db: Db, list: PlacesOf, page: KeysetPage): Promise<Places> {
  const { most = MOST_LOOKED_THROUGH } = page;
  const [first, ...more] = list.narrowings;
  const isServed = first === undefined || (first.index === "ordered" && more.length === 0);
  if (isServed) return lookThrough(db, list, page, page.limit);
  const little = await littlest(db, list, most);
  return little === undefined
    ? lookThrough(db, list, page, most)
    : { ids: await readWhole(db, list, little, page), end: null };
}

/** The filter that leaves least, if that is no more than `most` rows: told by counting so many of an index. */
async function littlest(db: Db, list: PlacesOf, most: number): Promise<Narrowing | undefined> {
  const indexed = list.narrowings.filter(({ index }) => index !== null);
  if (indexed.length === 0) return undefined;
  const counts = indexed.map(
    (narrowing) =>
      sql`(select count(*)::int from (select from (${countedOf(list, narrowing, most + 1)}) as each_part limit ${most + 1}) as few)`,
  );
  const [row] = await db
    .select({ counts: sql<number[]>`counted.counts` })
    .from(sql`(select array[${listed(counts)}] as counts) as counted`);
  const found = indexed.map((narrowing, nth) => ({ narrowing, many: row?.counts[nth] ?? 0 }));
  const [least] = found.toSorted((a, b) => a.many - b.many);
  return least !== undefined && least.many <= most ? least.narrowing : undefined;
}

function countedOf(list: PlacesOf, narrowing: Narrowing, limit: number): SQL {
  if (narrowing.from) return sql`(${narrowing.from.counted} limit ${limit})`;
  const { having: by, where, first } = narrowing;
  const order = { ...list.order, down: false };
  const what = by
    ? and(narrowing.indexed, within({ ...list, order }, by, null))
    : and(where, within(list, undefined, null));
  const leads = by?.column ?? first;
  const inItsOrder = leads === undefined ? sql`` : sql`order by ${leads}`;
  return ofParts(
    list,
    (part) =>
      sql`(select from ${list.table} where ${allOf([what, part?.where])} ${inItsOrder} limit ${limit})`,
  );
}

/** What one filter leaves, read whole and put in order. */
async function readWhole(
  db: Db,
  list: PlacesOf,
  narrowing: Narrowing,
  { limit, after }: KeysetPage,
): Promise<readonly string[]> {
  const { order, table } = list;
  const left = and(narrowing.where, within(list, undefined, null));
  const passes = allOf([others(list, narrowing), within(list, undefined, after)]);
  // Apart, so that Postgres does not go by the list's order, however it takes the filters.
  const rows = ofParts(
    list,
    (part) =>
      sql`(select ${order.id} as id, ${order.by ?? sql`null`} as key, ${passes} as passes
        from ${narrowing.from?.rows ?? table} where ${allOf([left, part?.where])} offset 0)`,
  );
  const way = listed(inOrder(asRead(order)));
  const found = await db
    .select({ id: sql<string>`whole.id` })
    .from(
      sql`(select id from (${rows}) as rows where passes order by ${way} limit ${limit}) as whole`,
    );
  return found.map(({ id }) => id);
}

/** What passes of the next `most` rows in the list's order. */
async function lookThrough(
  db: Db,
  list: PlacesOf,
  { limit, after }: KeysetPage,
  most: number,
): Promise<Places> {
  const { order, table, narrowings } = list;
  const by = narrowings.find(({ index }) => index === "ordered");
  const passes = others(list, by);
  const [part, ...more] = list.parts ?? [];
  // The primary key has all parts together in the order of their ids.
  const isByIds = by === undefined && order.by === undefined;
  const leads = isByIds && more.length === 0 ? part?.having : by?.having;
  // By what its index has first too, though it is the same in all: else Postgres may go by another index that has the order, and
  // read past all that is not asked for.
  const led = (column: SQLWrapper, then: InOrder) => [
    ...(leads ? [sql`${column} ${sql.raw(order.down ? "desc" : "asc")}`] : []),
    ...inOrder(then),
  ];
  const parts = ofParts(
    isByIds && more.length > 0 ? { ...list, parts: [] } : list,
    (one) =>
      sql`(select ${leads?.column ?? sql`0`} as lead, ${order.id} as id, ${order.by ?? sql`null::text`} as key, ${passes} as passes
        from ${table}
        where ${allOf([by?.having ? by.indexed : by?.where, one?.having === leads ? undefined : one?.where, within(list, leads, after)])}
        order by ${listed(led(leads?.column ?? order.id, order))} limit ${most})`,
  );
  const way = listed(led(sql`lead`, asRead(order)));
  const looked = sql`(select * from (${parts}) as parts order by ${way} limit ${most}) as looked`;
  const key =
    order.type === "timestamptz"
      ? sql`to_char(key at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`
      : sql`coalesce(key, '')`;
  const rows = await db
    .select({
      id: sql<string>`read.id`,
      key: sql<string>`read.key`,
      found: sql<boolean>`read.found`,
    })
    .from(
      sql`(with found as materialized (select id, key from ${looked} where passes order by ${way} limit ${limit})
        select id, ${key} as key, true as found from found
        union all
        select id, ${key}, false from (select * from ${looked} order by ${way} offset ${most - 1} limit 1) as last
          where (select count(*) from found) < ${limit}) as read`,
    );
  const last = rows.find(({ found }) => !found);
  return {
    ids: rows.flatMap(({ id, found }) => (found ? id : [])),
    end: last === undefined ? null : { key: last.key, id: last.id },
  };
}

/**
 * From where to where an index is read that has `leads` first and then the list's order. `leads` by `any`, and not by an equality:
 * Postgres would leave what is equal out of the order, and go by whichever index has the rest of it.
 */
function within(
  { order, between }: PlacesOf,
  leads: Having | undefined,
  after: Keyset | null,
): SQL | undefined {
  const { by, type = "text" } = order;
  const { from = null, to = null } = between ?? {};
  const key = (value: string) => sql`${value}::${sql.raw(type)}`;
  return and(
    leads && sql`${leads.column} = any(${list([leads.value], (value) => value)})`,
    by && from !== null ? sql`${by} >= ${key(from)}` : undefined,
    by && to !== null ? sql`${by} < ${key(to)}` : undefined,
    isAfter(order, after),
  );
}

const listed = (parts: readonly SQL[]): SQL => sql.join([...parts], sql`, `);
const allOf = (conditions: readonly (SQL | undefined)[]): SQL => and(...conditions) ?? sql`true`;
const others = (list: PlacesOf, than: Narrowing | undefined): SQL =>
  allOf(list.narrowings.filter((n) => n !== than).map(({ where }) => where));
/** The order of rows that were read already. */
const asRead = ({ by, down }: InOrder): InOrder => ({
  ...(by && { by: sql`key` }),
  id: sql`id`,
  down,
});

/** A statement of each of the list's parts, as one. */
const ofParts = ({ parts = [] }: PlacesOf, read: (part: Part | undefined) => SQL): SQL =>
  parts.length === 0 ? read(undefined) : sql.join(parts.map(read), sql` union all `);
