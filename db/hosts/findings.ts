import {
  and,
  asc,
  count,
  eq,
  gte,
  inArray,
  isNotNull,
  isNull,
  notExists,
  or,
  sql,
} from "drizzle-orm";
import {
  ENDS_AFTER_SILENCE_MS,
  TOLD_ONCE_KEPT_MS,
  type FindingKey,
  type Found,
} from "#core/hosts/finding.ts";
import type { Db, Tx } from "#db/client.ts";
import { inOrder, type KeysetPage } from "#db/keyset.ts";
import { list } from "#db/named.ts";
import { prepared, type Slots } from "#db/prepared.ts";
import { having, readPlaces, type Narrowing, type ReadPage } from "#db/read-places.ts";
import { findings, hosts } from "#db/schema/hosts.ts";
import { isRetired } from "./in-state.ts";
import { hostFromRow, isSilent, type Host } from "./hosts.ts";

export type Finding = typeof findings.$inferSelect;
/** What is needed of one that is open to compare it with what is told. */
export type OpenFinding = Readonly<{ id: string }> & FindingKey;

/** A host with what is open of it, in one look: its reports read both. */
export async function loadHostWithFindings(
  tx: Tx,
  hostId: string,
): Promise<{ host: Host; open: readonly OpenFinding[] } | undefined> {
  const [row] = await hostWithFindings(tx, { hostId });
  return row && { host: hostFromRow(row.host), open: row.open };
}

const hostWithFindings = prepared("host_with_findings", (db, at: Slots<{ hostId: string }>) =>
  db
    .select({
      host: hosts,
      // By names of its own: in a select of one table, columns are written without their table.
      open: sql<
        OpenFinding[]
      >`coalesce((select json_agg(json_build_object('id', f.id, 'kind', f.kind, 'subject', f.subject))
        from ${findings} as f where f.host_id = ${hosts}.id and f.ended_at is null), '[]')`,
    })
    .from(hosts)
    .where(eq(hosts.id, at.hostId)),
);

/** @returns those that were not open already: another report may have begun them meanwhile. */
export async function insertFindings(
  tx: Tx,
  begun: readonly (Found & { id: string; hostId: string })[],
  now: Date,
): Promise<readonly Finding[]> {
  if (begun.length === 0) return [];
  return tx
    .insert(findings)
    .values(begun.map((f) => ({ ...f, firstSeenAt: now, lastSeenAt: now })))
    .onConflictDoNothing()
    .returning();
}

export async function touchFindings(
  tx: Tx,
  seen: readonly { id: string; detail: string }[],
  now: Date,
): Promise<void> {
  if (seen.length === 0) return;
  await tx.execute(sql`
    update ${findings} as f set last_seen_at = greatest(f.last_seen_at, ${now.toISOString()}::timestamptz), detail = n.detail
    from unnest(${list(seen, (s) => s.id)}::uuid[], ${list(seen, (s) => s.detail)}::text[]) as n (id, detail)
    where f.id = n.id and f.ended_at is null`);
}

/** @returns those that had not ended already. */
export async function endFindings(
  tx: Tx,
  ids: readonly string[],
  now: Date,
): Promise<readonly Finding[]> {
  if (ids.length === 0) return [];
  return tx
    .update(findings)
    .set({ endedAt: now })
    .where(and(inArray(findings.id, [...ids]), isNull(findings.endedAt)))
    .returning();
}

/** Open ones of which their host has said nothing for as long as their kind may be left out, though it was heard of. */
export async function silentFindingIds(db: Db, limit: number): Promise<readonly string[]> {
  const silences = Object.entries(ENDS_AFTER_SILENCE_MS);
  const rows = await db
    .select({ id: findings.id })
    .from(findings)
    .innerJoin(hosts, eq(hosts.id, findings.hostId))
    .leftJoin(
      sql`unnest(${list(silences, ([kind]) => kind)}::text[], ${list(silences, ([, ms]) => ms)}::float8[])
        as silence (of_kind, ms)`,
      sql`silence.of_kind = ${findings.kind}`,
    )
    .where(
      and(
        isNull(findings.endedAt),
        or(
          // A host that is retired is silent for good.
          and(eq(findings.kind, "host_silent"), isRetired),
          sql`case when silence.of_kind is null then ${TOLD_ONCE_KEPT_MS}::float8 else silence.ms end
          < extract(epoch from ${hosts.lastSeenAt} - ${findings.lastSeenAt}) * 1000`,
        ),
      ),
    )
    .limit(limit);
  return rows.map((row) => row.id);
}

/** How many are open of each of these hosts; one that is left out has none. */
export async function countOpenFindings(
  db: Db,
  hostIds: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  if (hostIds.length === 0) return new Map();
  const rows = await db
    .select({ hostId: findings.hostId, open: count() })
    .from(findings)
    .where(and(inArray(findings.hostId, [...hostIds]), isNull(findings.endedAt)))
    .groupBy(findings.hostId);
  return new Map(rows.map((row) => [row.hostId, row.open]));
}

/**
 * Hosts in use that were not heard of since `since` and of which that is not told yet, those first that are silent for longest.
 * Nor is it told of one whose agent says that it sees nothing of it: then that is what is amiss.
 */
export async function untoldSilentHosts(
  tx: Tx,
  since: Date,
  limit: number,
): Promise<readonly { hostId: string; lastSeenAt: Date }[]> {
  const told = tx
    .select({ one: sql`1` })
    .from(findings)
    .where(
      and(
        eq(findings.hostId, hosts.id),
        isNull(findings.endedAt),
        or(
          eq(findings.kind, "host_silent"),
          and(eq(findings.kind, "hypervisor_away"), gte(findings.lastSeenAt, since)),
        ),
      ),
    );
  const rows = await tx
    .select({ hostId: hosts.id, lastSeenAt: hosts.lastSeenAt })
    .from(hosts)
    .where(and(isSilent(since), notExists(told)))
    .orderBy(asc(hosts.heardIn))
    .limit(limit);
  return rows.flatMap(({ hostId, lastSeenAt }) => (lastSeenAt ? [{ hostId, lastSeenAt }] : []));
}

export type FindingFilter = Readonly<{
  state: "open" | "ended" | null;
  hostId: string | null;
  vmId: string | null;
  kind: string | null;
}>;

/** The newest first. */
export async function listFindings(
  db: Db,
  filter: FindingFilter,
  page: KeysetPage,
): Promise<ReadPage<Finding>> {
  const narrowings: Narrowing[] = [];
  if (filter.vmId !== null) narrowings.push(having(findings.vmId, filter.vmId, "ordered"));
  if (filter.hostId !== null) narrowings.push(having(findings.hostId, filter.hostId, "ordered"));
  if (filter.kind !== null) narrowings.push(having(findings.kind, filter.kind, "ordered"));
  if (filter.state !== null)
    narrowings.push(
      filter.state === "open"
        ? { where: isNull(findings.endedAt), index: "ordered", first: findings.id }
        : { where: isNotNull(findings.endedAt), index: null },
    );
  const order = { id: findings.id, down: true };
  const { ids, end } = await readPlaces(db, { table: findings, order, narrowings }, page);
  const rows = await db
    .select()
    .from(findings)
    .where(inArray(findings.id, [...ids]))
    .orderBy(...inOrder(order));
  return { rows, end };
}
