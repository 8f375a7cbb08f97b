import type { Db, Tx } from "#db/client.ts";
import { installation } from "#db/schema/hosts.ts";

/** The id of this Berth. */
export async function loadInstallation(db: Db | Tx): Promise<string> {
  const [row] = await db.select({ id: installation.id }).from(installation);
  if (!row) throw new Error("the database has no installation: its migrations did not run");
  return row.id;
}
