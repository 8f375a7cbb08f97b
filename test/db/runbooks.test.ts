import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cloneDatabase, type TestDatabase } from "#test/harness/database.ts";
import { blocksRunBy } from "#test/harness/runbooks.ts";

const blocks = blocksRunBy(import.meta.filename);
const AN_ID = "0199f0a2-b3c4-7d5e-8f90-000000000001";

let database: TestDatabase;
beforeAll(async () => {
  database = await cloneDatabase();
});
afterAll(() => database.drop());

describe("a runbook's query", () => {
  test.each(blocks)("$at is one for the tables as they are, and only reads", async ({ text }) => {
    await database.pool.query("begin read only");
    try {
      const answers = await database.pool.query(text.replaceAll(/<[a-z]+>/g, AN_ID));
      for (const { fields } of [answers].flat()) expect(fields.length).toBeGreaterThan(0);
    } finally {
      await database.pool.query("rollback");
    }
  });
});
