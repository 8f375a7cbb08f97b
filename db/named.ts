import type { SQL } from "drizzle-orm";
import { PgDialect } from "drizzle-orm/pg-core";
import type { Db, Tx } from "./client.ts";

const dialect = new PgDialect();

/**
 * Runs a statement under a name: each connection reads and plans it once. For those that come often and are large, where that
 * takes longer than the work. Its text must be the same each time; what differs are its parameters.
 */
export const runNamed = (db: Db | Tx, name: string, statement: SQL): Promise<unknown> =>
  db._.session.prepareQuery(dialect.sqlToQuery(statement), undefined, name, false).execute();

type Item = string | number | bigint | boolean | Date | null | undefined;

/**
 * One column of many rows, as a parameter that the statement makes an array of (`::uuid[]`): however many they are, the statement
 * is the same. Written here, where most items need no quotes: the driver writes arrays for any item there may be.
 */
export const list = <T>(rows: readonly T[], of: (row: T) => Item): string =>
  `{${rows.map((row) => toText(of(row))).join(",")}}`;

/** Stands for itself in the text of an array (postgresql.org/docs/18/arrays.html#ARRAYS-IO). */
const PLAIN = /^[\w.:-]+$/;
const IS_NULL = /^null$/i;

function toText(item: Item): string {
  if (item === null || item === undefined) return "NULL";
  if (item instanceof Date) return item.toISOString();
  if (typeof item !== "string") return String(item);
  return PLAIN.test(item) && !IS_NULL.test(item)
    ? item
    : `"${item.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}
