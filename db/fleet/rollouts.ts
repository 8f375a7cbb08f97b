import { and, asc, desc, eq, inArray, isNull, lt, not, sql } from "drizzle-orm";
import type { RolloutHost, RolloutOutcome, RolloutStep } from "#core/fleet/rollout.ts";
import type { Db, Tx } from "#db/client.ts";
import { isInUse, isRetired } from "#db/hosts/in-state.ts";
import { list } from "#db/named.ts";
import { agentReleases, findings, hosts } from "#db/schema/hosts.ts";
import { agentRolloutHosts, agentRollouts } from "#db/schema/fleet.ts";

export type RolloutRow = typeof agentRollouts.$inferSelect;
export type Rollout = RolloutRow &
  Readonly<{
    version: string;
    /** Of its hosts, how many wait, were told, and how it ended for the others. */
    hosts: Readonly<Record<"waiting" | "told" | RolloutOutcome, number>>;
  }>;

const count = (which: ReturnType<typeof sql>) =>
  sql<number>`(count(*) filter (where ${which}))::int`;
const ended = (outcome: RolloutOutcome) => count(sql`m.outcome = ${outcome}`);
const counted = () => sql`(select json_build_object(
    'waiting', ${count(sql`m.ended_at is null and m.told_at is null`)},
    'told', ${count(sql`m.ended_at is null and m.told_at is not null`)},
    'upgraded', ${ended("upgraded")}, 'failed', ${ended("failed")},
    'left_out', ${ended("left_out")}, 'withdrawn', ${ended("withdrawn")})
  from ${agentRolloutHosts} as m where m.rollout_id = ${agentRollouts}.id)`;

const rollouts = (db: Db | Tx) =>
  db
    .select({
      rollout: agentRollouts,
      version: agentReleases.version,
      hosts: sql<Rollout["hosts"]>`${counted()}`,
    })
    .from(agentRollouts)
    .innerJoin(agentReleases, eq(agentReleases.id, agentRollouts.releaseId));

export async function loadRollout(db: Db | Tx, id: string): Promise<Rollout | undefined> {
  const [row] = await rollouts(db).where(eq(agentRollouts.id, id));
  return row && { ...row.rollout, version: row.version, hosts: row.hosts };
}

/** The newest first. */
export async function listRollouts(
  db: Db,
  page: { limit: number; before: string | null },
): Promise<readonly Rollout[]> {
  const rows = await rollouts(db)
    .where(page.before === null ? undefined : lt(agentRollouts.id, page.before))
    .orderBy(desc(agentRollouts.id))
    .limit(page.limit);
  return rows.map((row) => ({ ...row.rollout, version: row.version, hosts: row.hosts }));
}

/** Holds it until the transaction ends: one decision at a time. `skip`: undefined, too, while somebody else holds it. */
export async function lockRollout(
  tx: Tx,
  id: string,
  whenHeld: "wait" | "skip",
): Promise<RolloutRow | undefined> {
  const [row] = await tx
    .select()
    .from(agentRollouts)
    .where(eq(agentRollouts.id, id))
    .for("update", whenHeld === "skip" ? { skipLocked: true } : {});
  return row;
}

export async function openRolloutIds(db: Db): Promise<readonly string[]> {
  const rows = await db
    .select({ id: agentRollouts.id })
    .from(agentRollouts)
    .where(inArray(agentRollouts.state, ["running", "paused"]))
    .orderBy(asc(agentRollouts.id));
  return rows.map(({ id }) => id);
}

/**
 * Begins a rollout for these hosts, or for those of a group, as they are now; retired ones are left out. Throws, by
 * `agent_rollout_hosts_one_open_key`, when one of them is in another that has not ended.
 *
 * @returns how many hosts that are.
 */
export async function insertRollout(
  tx: Tx,
  rollout: Omit<RolloutRow, "state" | "failedBefore">,
  of: Readonly<{ ids: readonly string[] } | { group: string }>,
): Promise<number> {
  await tx.insert(agentRollouts).values(rollout);
  const added = await tx
    .insert(agentRolloutHosts)
    .select(
      tx
        .select({
          rolloutId: sql<string>`${rollout.id}::uuid`.as("rollout_id"),
          hostId: hosts.id,
          toldAt: sql<null>`null::timestamptz`.as("told_at"),
          outcome: sql<null>`null::rollout_outcome`.as("outcome"),
          endedAt: sql<null>`null::timestamptz`.as("ended_at"),
        })
        .from(hosts)
        .where(
          and(
            not(isRetired),
            "group" in of
              ? eq(hosts.hostGroup, of.group)
              : sql`${hosts.id} = any(${sql.param([...of.ids])}::uuid[])`,
          ),
        ),
    )
    .returning({ hostId: agentRolloutHosts.hostId });
  return added.length;
}

/** The hosts for which it has not ended, in the order in which they are told. */
export const openRolloutHosts = (tx: Tx, rolloutId: string): Promise<readonly RolloutHost[]> =>
  tx
    .select({
      hostId: hosts.id,
      state: hosts.state,
      agentVersion: hosts.agentVersion,
      lastSeenAt: hosts.lastSeenAt,
      toldAt: agentRolloutHosts.toldAt,
      failure: findings.detail,
    })
    .from(agentRolloutHosts)
    .innerJoin(hosts, eq(hosts.id, agentRolloutHosts.hostId))
    .leftJoin(
      findings,
      and(
        eq(findings.hostId, hosts.id),
        eq(findings.kind, "upgrade_failed"),
        isNull(findings.endedAt),
        sql`${findings.lastSeenAt} >= ${agentRolloutHosts.toldAt}`,
      ),
    )
    .where(and(eq(agentRolloutHosts.rolloutId, rolloutId), isNull(agentRolloutHosts.endedAt)))
    .orderBy(asc(hosts.id));

export async function saveRollout(
  tx: Tx,
  id: string,
  change: Partial<Pick<RolloutRow, "state" | "atATime" | "stopAfterFailed" | "failedBefore">>,
): Promise<void> {
  await tx.update(agentRollouts).set(change).where(eq(agentRollouts.id, id));
}

/** Ends it for these hosts. What they were told is withdrawn from those that have not come: they stay as they are. */
export async function endRolloutHosts(
  tx: Tx,
  rolloutId: string,
  ended: RolloutStep["ended"],
  now: Date,
): Promise<void> {
  if (ended.length === 0) return;
  await tx.execute(sql`
    update ${agentRolloutHosts} as m set outcome = n.outcome, ended_at = ${now.toISOString()}::timestamptz
    from unnest(${list(ended, (e) => e.hostId)}::uuid[], ${list(ended, (e) => e.outcome)}::rollout_outcome[])
      as n (host_id, outcome)
    where m.rollout_id = ${rolloutId} and m.host_id = n.host_id and m.ended_at is null`);
  const stay = ended.filter(({ outcome }) => outcome !== "upgraded").map(({ hostId }) => hostId);
  await setWanted(tx, stay, null);
}

/** Tells these hosts to upgrade: their next session says so. */
export async function tellRolloutHosts(
  tx: Tx,
  rollout: Pick<RolloutRow, "id" | "releaseId">,
  hostIds: readonly string[],
  now: Date,
): Promise<void> {
  if (hostIds.length === 0) return;
  await tx
    .update(agentRolloutHosts)
    .set({ toldAt: now })
    .where(
      and(
        eq(agentRolloutHosts.rolloutId, rollout.id),
        inArray(agentRolloutHosts.hostId, [...hostIds]),
      ),
    );
  await setWanted(tx, hostIds, rollout.releaseId);
}

/** Hosts' rows always in one order, so that two who hold some never wait for each other in a ring. */
async function setWanted(
  tx: Tx,
  hostIds: readonly string[],
  releaseId: string | null,
): Promise<void> {
  if (hostIds.length === 0) return;
  const ids = [...hostIds];
  await tx
    .select({ id: hosts.id })
    .from(hosts)
    .where(inArray(hosts.id, ids))
    .orderBy(asc(hosts.id))
    .for("update");
  await tx.update(hosts).set({ wantedReleaseId: releaseId }).where(inArray(hosts.id, ids));
}

/** The versions that agents of hosts in use have, each once. */
export async function agentVersionsInUse(db: Db): Promise<readonly string[]> {
  const rows = await db.selectDistinct({ version: hosts.agentVersion }).from(hosts).where(isInUse);
  return rows.flatMap(({ version }) => (version === null ? [] : [version]));
}

/** Hosts in use with an agent of one of these versions of which it is not told yet, so many at most. */
export async function untoldOldAgents(
  tx: Tx,
  versions: readonly string[],
  limit: number,
): Promise<readonly { hostId: string; version: string | null }[]> {
  if (versions.length === 0) return [];
  return tx
    .select({ hostId: hosts.id, version: hosts.agentVersion })
    .from(hosts)
    .leftJoin(
      findings,
      and(eq(findings.hostId, hosts.id), eq(findings.kind, "agent_old"), isNull(findings.endedAt)),
    )
    .where(and(isInUse, inArray(hosts.agentVersion, [...versions]), isNull(findings.id)))
    .orderBy(asc(hosts.id))
    .limit(limit);
}

/** Findings of agents that are none of these versions any more, or whose host is out of use. */
export async function pastOldAgents(
  tx: Tx,
  versions: readonly string[],
  limit: number,
): Promise<readonly { id: string }[]> {
  return tx
    .select({ id: findings.id })
    .from(findings)
    .innerJoin(hosts, eq(hosts.id, findings.hostId))
    .where(
      and(
        eq(findings.kind, "agent_old"),
        isNull(findings.endedAt),
        sql`(not (${isInUse})
          or coalesce(${hosts.agentVersion} <> all (${sql.param([...versions])}::text[]), true))`,
      ),
    )
    .limit(limit);
}

/** Findings of hosts that could not upgrade, and have come to the version since by whatever way. */
export async function pastFailures(tx: Tx, limit: number): Promise<readonly { id: string }[]> {
  return tx
    .select({ id: findings.id })
    .from(findings)
    .innerJoin(hosts, eq(hosts.id, findings.hostId))
    .where(
      and(
        eq(findings.kind, "upgrade_failed"),
        isNull(findings.endedAt),
        sql`exists (select 1 from ${agentRolloutHosts} as m
          join ${agentRollouts} as r on r.id = m.rollout_id join ${agentReleases} as l on l.id = r.release_id
          where m.host_id = ${hosts.id} and m.outcome = 'failed' and l.version = ${hosts.agentVersion})`,
      ),
    )
    .limit(limit);
}

/** What is open of these hosts' failures: they are told anew. */
export async function failuresOf(
  tx: Tx,
  hostIds: readonly string[],
): Promise<readonly { id: string }[]> {
  if (hostIds.length === 0) return [];
  return tx
    .select({ id: findings.id })
    .from(findings)
    .where(
      and(
        inArray(findings.hostId, [...hostIds]),
        eq(findings.kind, "upgrade_failed"),
        isNull(findings.endedAt),
      ),
    );
}
