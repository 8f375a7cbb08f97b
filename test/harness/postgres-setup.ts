import { randomBytes } from "node:crypto";
import { rm } from "node:fs/promises";
import path from "node:path";
import type { TestProject } from "vitest/node";
import { ensureLogins, type DatabaseLogin } from "#db/logins.ts";
import { migrateDatabase } from "#db/migrate.ts";
import { freePort } from "#local/free-port.ts";
import { startPostgres } from "#local/postgres.ts";
import { runSql, TEMPLATE } from "./database.ts";
import { folderInMemory } from "./folder-in-memory.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Of its owner. */
    postgresUrl: string;
    /** What the product logs in with. */
    databaseLogin: DatabaseLogin;
  }
}

/** One real Postgres for a run of tests; each file clones the migrated template. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await folderInMemory("berth-test-pg-");
  const postgres = await startPostgres({
    folder: path.join(folder, "data"),
    port: await freePort(),
    password: randomBytes(12).toString("hex"),
    throwaway: true,
  });
  // Nobody analyzes a table at a moment that no test chose; and a password of 96 random bits is not worth 4,096 rounds of hashing
  // for each connection.
  for (const setting of ["autovacuum = off", "scram_iterations = 1"])
    await runSql(postgres.url("postgres"), `alter system set ${setting}`);
  await runSql(postgres.url("postgres"), "select pg_reload_conf()");
  await runSql(postgres.url("postgres"), `create database ${TEMPLATE}`);
  await migrateDatabase(postgres.url(TEMPLATE));
  const login = { user: "berth_test", password: randomBytes(12).toString("hex") };
  await ensureLogins(postgres.url(TEMPLATE), [login]);
  project.provide("postgresUrl", postgres.url("postgres"));
  project.provide("databaseLogin", login);
  return async () => {
    await postgres.stop();
    await rm(folder, { recursive: true, force: true });
  };
}
