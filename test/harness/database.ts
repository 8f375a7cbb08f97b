import { randomBytes } from "node:crypto";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { inject } from "vitest";
import type { Db } from "#db/client.ts";
import { urlAs } from "#db/logins.ts";
import { openPool } from "#db/open-pool.ts";

export const TEMPLATE = "berth_template";

export async function runSql(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

export type TestDatabase = Readonly<{
  db: Db;
  pool: pg.Pool;
  url: string;
  /** Runs what only the database's owner may. */
  asOwner: (statement: string) => Promise<void>;
  drop: () => Promise<void>;
}>;

/**
 * A database of its own, cloned from the migrated template. `db` and `pool` have the rights that functions have in
 * production, so that every test notices one that is missing.
 */
export async function cloneDatabase(options: { connections?: number } = {}): Promise<TestDatabase> {
  const admin = inject("postgresUrl");
  const name = `t_${randomBytes(6).toString("hex")}`;
  // By its files: nothing goes into the log, and what Postgres wrote down of its catalogue comes along.
  await runSql(admin, `create database ${name} template ${TEMPLATE} strategy file_copy`);
  const url = new URL(admin);
  url.pathname = `/${name}`;
  // `end` does not wait for the goodbyes on the wire, so a connection may learn that its database is dropped. A query in
  // work still rejects by itself.
  const pool = openPool(
    {
      connectionString: urlAs(url.href, inject("databaseLogin")),
      max: options.connections ?? 10,
    },
    () => undefined,
  );
  return {
    db: drizzle(pool),
    pool,
    url: urlAs(url.href, inject("databaseLogin")),
    asOwner: (statement) => runSql(url.href, statement),
    drop: async () => {
      await pool.end();
      await runSql(admin, `drop database ${name} with (force)`);
    },
  };
}
