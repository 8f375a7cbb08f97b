import { desc, eq } from "drizzle-orm";
import type { Db, Tx } from "#db/client.ts";
import { agentReleases, hosts } from "#db/schema/hosts.ts";

export type AgentRelease = typeof agentReleases.$inferSelect;

/** @returns undefined when a release of this version is registered already. */
export async function insertRelease(
  tx: Tx,
  release: AgentRelease,
): Promise<AgentRelease | undefined> {
  const [row] = await tx.insert(agentReleases).values(release).onConflictDoNothing().returning();
  return row;
}

export async function loadReleaseOf(
  db: Db | Tx,
  version: string,
): Promise<AgentRelease | undefined> {
  const [row] = await db.select().from(agentReleases).where(eq(agentReleases.version, version));
  return row;
}

/** All of them, registered last first: there are as many as were ever made. */
export const listReleases = (db: Db | Tx): Promise<readonly AgentRelease[]> =>
  db.select().from(agentReleases).orderBy(desc(agentReleases.createdAt), desc(agentReleases.id));

/** The release that a host is to have; undefined: whatever it has. */
export async function wantedReleaseOf(
  db: Db | Tx,
  hostId: string,
): Promise<AgentRelease | undefined> {
  const [row] = await db
    .select({ release: agentReleases })
    .from(hosts)
    .innerJoin(agentReleases, eq(agentReleases.id, hosts.wantedReleaseId))
    .where(eq(hosts.id, hostId));
  return row?.release;
}
