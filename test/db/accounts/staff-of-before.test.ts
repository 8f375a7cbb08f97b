import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cloneDatabase, type TestDatabase } from "#test/harness/database.ts";
import { accountsOn, anAccount, aToken, bearer } from "./account-builders.ts";

/* 6a item 6: who was staff before there were staff roles goes on as before. */

const FOLDER = path.join(import.meta.dirname, "../../../db/migrations");

let database: TestDatabase;
beforeAll(async () => {
  database = await cloneDatabase();
});
afterAll(() => database.drop());

/** What the migration does with rows, and the check that it ends with. */
async function statements(): Promise<readonly string[]> {
  const name = (await readdir(FOLDER)).find((file) => file.endsWith("_staff_roles.sql"));
  const text = await readFile(path.join(FOLDER, name ?? ""), "utf8");
  return text
    .split("--> statement-breakpoint")
    .filter((one) => /^(UPDATE|ALTER.*ADD CONSTRAINT "accounts_)/m.test(one));
}

test("staff of before are owners, their tokens may repair as before, and customers are none", async () => {
  const { accounts } = accountsOn(database.db);
  const staff = await anAccount(accounts, "staff");
  const customer = await anAccount(accounts, "customer");
  const writes = await aToken(accounts, staff, { scopes: ["staff:read", "staff:write"] });
  const reads = await aToken(accounts, staff, { scopes: ["staff:read"] });
  await database.asOwner("alter table accounts drop constraint accounts_staff_have_a_staff_role");
  await database.pool.query("update accounts set staff_role = null");
  const migration = await statements();
  expect(migration).toHaveLength(3);
  for (const statement of migration) await database.asOwner(statement);
  expect(await accounts.authenticate(bearer(writes.secret))).toMatchObject({
    value: { staffRole: "owner", scopes: ["staff:read", "staff:write", "repairs:write"] },
  });
  expect(await accounts.authenticate(bearer(reads.secret))).toMatchObject({
    value: { scopes: ["staff:read"] },
  });
  const of = await aToken(accounts, customer, { scopes: ["vms:read"] });
  const known = await accounts.authenticate(bearer(of.secret));
  expect(known).toMatchObject({ value: { role: "customer", scopes: ["vms:read"] } });
});
