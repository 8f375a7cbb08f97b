import { randomBytes } from "node:crypto";
import { inject } from "vitest";
import type { ControlPlane } from "./control-plane.ts";
import { runSql } from "./database.ts";

/** The state of a control plane's database, to which it can be restored. */
export type Snapshot = Readonly<{ restore: () => Promise<void>; drop: () => Promise<void> }>;

/** Copies the whole database, as a backup does. What runs on it is cut off: only while nothing does. */
export async function snapshotOf(cp: ControlPlane): Promise<Snapshot> {
  const admin = inject("postgresUrl");
  const name = new URL(cp.database.url).pathname.slice(1);
  const kept = `kept_${randomBytes(6).toString("hex")}`;
  const cutOff = () =>
    runSql(
      admin,
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`,
    );
  await cutOff();
  await runSql(admin, `create database ${kept} template ${name} strategy file_copy`);
  await reconnected(cp);
  return {
    restore: async () => {
      await runSql(admin, `drop database ${name} with (force)`);
      await runSql(admin, `create database ${name} template ${kept} strategy file_copy`);
      await reconnected(cp);
    },
    drop: () => runSql(admin, `drop database ${kept}`),
  };
}

/** The pool finds out by asking that its connections are gone. */
async function reconnected(cp: ControlPlane): Promise<void> {
  const most = cp.database.pool.totalCount + 1;
  for (let tries = 0; tries <= most; tries++)
    await cp.database.pool.query("select 1").catch(() => "it was cut off");
}
