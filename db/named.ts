import { sql, type SQL } from "drizzle-orm";
import { PgDialect } from "drizzle-orm/pg-core";
import type { Db, Tx } from "./client.ts";

const dialect = new PgDialect();

/**
 * Runs a statement under a name: each connection reads and plans it once. For those that come often and are large, where that
 * takes longer than the work. Its text must be the same each time; what differs are its parameters.
 */
export const runNamed = (db: Db | Tx, name: string, statement: SQL): Promise<unknown> =>
  db._.session.prepareQuery(dialect.sqlToQuery(statement), undefined, name, false).execute();

/** One column of many rows, as a parameter: however many they are, the statement is the same. */
export const list = <T>(type: string, rows: readonly T[], of: (row: T) => unknown): SQL =>
  sql`${sql.param(rows.map(of))}::${sql.raw(type)}[]`;
