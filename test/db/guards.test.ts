import { afterAll, beforeAll, expect, test } from "vitest";
import { cloneDatabase, type TestDatabase } from "#test/harness/database.ts";

let t: TestDatabase;
beforeAll(async () => {
  t = await cloneDatabase();
});
afterAll(() => t.drop());

test("the audit log can be added to and not changed", async () => {
  await t.pool
    .query(`insert into audit_log (id, at, actor_kind, actor_id, action, subject_kind, subject_id, detail)
    values (gen_random_uuid(), now(), 'system', 'test', 'tested', 'order', gen_random_uuid(), '{}')`);
  await expect(t.pool.query("update audit_log set action = 'else'")).rejects.toThrow("append-only");
  await expect(t.pool.query("delete from audit_log")).rejects.toThrow("append-only");
});
