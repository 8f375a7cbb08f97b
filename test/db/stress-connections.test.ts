import { drizzle } from "drizzle-orm/node-postgres";
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openPool } from "#db/open-pool.ts";
import { cloneDatabase, type TestDatabase } from "#test/harness/database.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await cloneDatabase();
});
afterAll(() => database.drop());

test("a connection that is lost in the middle of a transaction costs that transaction, and nothing else", async () => {
  const lost: Error[] = [];
  const pool = openPool({ connectionString: database.url, max: 2 }, (error) => lost.push(error));
  const db = drizzle(pool);
  // What no `catch` can reach ends the process: here it would end the run of tests.
  const cut = db.transaction(async (tx) => {
    const mine = await tx.execute<{ pid: number }>(sql`select pg_backend_pid() as pid`);
    await database.pool.query("select pg_terminate_backend($1)", [mine.rows[0]?.pid]);
    await tx.execute(sql`select 1`);
  });
  await expect(cut).rejects.toThrow(/terminat|Failed query/);
  expect(lost).not.toEqual([]);
  const after = await db.execute<{ one: number }>(sql`select 1 as one`);
  expect(after.rows).toEqual([{ one: 1 }]);
  await pool.end();
});
