import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cloneDatabase, type TestDatabase } from "#test/harness/database.ts";

/* 4b B6: what the functions may do to the database, and what nobody may. */

let database: TestDatabase;
let tables: readonly string[];
beforeAll(async () => {
  database = await cloneDatabase();
  const { rows } = await database.pool.query<{ name: string }>(
    "select tablename as name from pg_tables where schemaname = 'public' order by 1",
  );
  tables = rows.map(({ name }) => name);
});
afterAll(() => database.drop());

/** Of a price the provider's id alone is written later, and of a quote which action takes it. */
const APPEND_ONLY = [
  "account_notes",
  "audit_log",
  "dunning_policies",
  "ledger_entries",
  "ledger_transactions",
  "plan_prices",
  "plan_versions",
  "resize_quotes",
  "trial_policies",
];
/** Written by the migrations alone. */
const GIVEN = ["ending_policies", "installation"];
/** What ends, or is kept for a while only: code deletes from these, and from no others. */
const DELETED_FROM = [
  "api_tokens",
  "attempts",
  "auth_rate_limits",
  "bought_changes",
  "held_images",
  "host_kinds",
  "idempotency_keys",
  "image_servers",
  "inbox",
  "ip_leases",
  "known_networks",
  "mailed_links",
  "mails",
  "orders",
  "outbox",
  "plan_migration_vms",
  "plan_migrations",
  "refusing_addresses",
  "reservations",
  "resize_quotes",
  "sessions",
  "spent_agent_tokens",
  "spent_codes",
  "two_factors",
  "verifications",
];

const may = async (right: string): Promise<readonly string[]> => {
  const { rows } = await database.pool.query<{ name: string }>(
    `select t as name from unnest($1::text[]) as t where has_table_privilege(t, $2) order by 1`,
    [tables, right],
  );
  return rows.map(({ name }) => name);
};

describe("the functions' role", () => {
  test("reads every table, adds to each but what is given, and changes all of those but what is append-only", async () => {
    expect(tables.length).toBeGreaterThan(25);
    expect(await may("SELECT")).toEqual(tables);
    const own = tables.filter((name) => !GIVEN.includes(name));
    expect(await may("INSERT")).toEqual(own);
    expect(await may("UPDATE")).toEqual(own.filter((name) => !APPEND_ONLY.includes(name)));
  });

  test("deletes only from what ends, or is kept for a while", async () => {
    expect(await may("DELETE")).toEqual(DELETED_FROM);
  });

  test.each(["TRUNCATE", "TRIGGER", "REFERENCES", "MAINTAIN"])(
    "has the right to %s on no table",
    async (right) => {
      expect(await may(right)).toEqual([]);
    },
  );

  test.each([
    "truncate ledger_entries",
    "delete from audit_log",
    "update ledger_entries set amount_minor = 0",
    "create table mine (n int)",
    "alter table ledger_entries disable trigger all",
    "drop trigger audit_log_append_only on audit_log",
    "set session_replication_role = replica",
    "create role more",
    "select pg_read_file('PG_VERSION')",
    "copy accounts to program 'true'",
  ])("may not %s", async (statement) => {
    await expect(database.pool.query(statement)).rejects.toThrow(/permission denied|must be owner/);
  });

  test("owns nothing, and is no superuser", async () => {
    const { rows } = await database.pool.query(
      `select rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolreplication from pg_roles where rolname = current_user`,
    );
    expect(rows).toEqual([
      {
        rolsuper: false,
        rolcreaterole: false,
        rolcreatedb: false,
        rolbypassrls: false,
        rolreplication: false,
      },
    ]);
    const owned = await database.pool.query(
      "select relname from pg_class where pg_get_userbyid(relowner) = current_user",
    );
    expect(owned.rows).toEqual([]);
  });

  test("has its rights on tables to come, without deleting from them", async () => {
    await database.asOwner("create table to_come (id bigint generated always as identity, n int)");
    await database.pool.query("insert into to_come (n) values (1)");
    await database.pool.query("update to_come set n = 2");
    await expect(database.pool.query("delete from to_come")).rejects.toThrow("permission denied");
    await database.asOwner("drop table to_come");
  });
});

describe("what is append-only", () => {
  test.each(APPEND_ONLY)("(%s) is not changed by the database's owner either", async (table) => {
    // Not even empty: a trigger on rows says nothing of this.
    await expect(database.asOwner(`truncate ${table} cascade`)).rejects.toThrow("append-only");
  });
});
