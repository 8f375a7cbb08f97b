import { and, eq, gt, inArray, isNull, sql } from "drizzle-orm";
import { HostFacts, type ReportSerial } from "#core/contracts/agent/report.ts";
import type { Capacity, Ceiling } from "#core/hosts/capacity.ts";
import type { Hypervisor } from "#core/hosts/limits.ts";
import type { HostState } from "#core/hosts/host-state.ts";
import type { Db, Tx } from "#db/client.ts";
import { byBytes, inOrder, type KeysetPage } from "#db/keyset.ts";
import { prepared, type Slots } from "#db/prepared.ts";
import { having, readPlaces, type Narrowing, type ReadPage } from "#db/read-places.ts";
import { isInUse } from "./in-state.ts";
import { hosts, joinTokens } from "#db/schema/hosts.ts";

export type Host = Readonly<{
  id: string;
  name: string;
  locationId: string;
  state: HostState;
  testOnly: boolean;
  hypervisor: Hypervisor | null;
  accelerator: string | null;
  /** What its agent last said of it, as it is stored: `factsOf` reads it. */
  facts: unknown;
  /** Of what placement goes by; null: it has not said yet what it is. */
  kindId: string | null;
  group: string | null;
  agentVersion: string | null;
  /** The release that it is to have; null: whatever it has. */
  wantedReleaseId: string | null;
  /** Of our words, those that its agent announced last; null: it has not yet. */
  understands: readonly string[] | null;
  ceiling: Ceiling;
  capacity: Capacity;
  allocated: Capacity;
  cpuOvercommit: number;
  queueUrl: string | null;
  publicKey: string | null;
  identityEpoch: number;
  desiredGeneration: number;
  /** The newest report that counted. */
  lastReport: ReportSerial | null;
  clockOffsetSeconds: number | null;
  /** The database was restored, and its agent has not asked for its document since (`restored_generation`). */
  restoredGeneration: number | null;
  /** Until then it is told to destroy nothing; null: it was never held back. */
  destroysHeldUntil: Date | null;
  /** Until when it was announced that somebody is at it; null: it is not in maintenance. */
  maintenanceUntil: Date | null;
  lastSeenAt: Date | null;
  createdAt: Date;
}>;

export const hostFromRow = (r: typeof hosts.$inferSelect): Host => ({
  id: r.id,
  name: r.name,
  locationId: r.locationId,
  state: r.state,
  testOnly: r.testOnly,
  hypervisor: r.hypervisor,
  accelerator: r.accelerator,
  facts: r.facts,
  kindId: r.kindId,
  group: r.hostGroup,
  agentVersion: r.agentVersion,
  wantedReleaseId: r.wantedReleaseId,
  understands: r.understands,
  ceiling: {
    vcpus: r.ceilingVcpus,
    memoryMib: r.ceilingMemoryMib,
    diskGib: r.ceilingDiskGib,
  },
  capacity: {
    vcpus: r.capacityVcpus,
    memoryMib: r.capacityMemoryMib,
    diskGib: r.capacityDiskGib,
    vms: r.capacityVms,
  },
  allocated: {
    vcpus: r.allocatedVcpus,
    memoryMib: r.allocatedMemoryMib,
    diskGib: r.allocatedDiskGib,
    vms: r.allocatedVms,
  },
  cpuOvercommit: r.cpuOvercommit,
  queueUrl: r.queueUrl,
  publicKey: r.publicKey,
  identityEpoch: r.identityEpoch,
  desiredGeneration: r.desiredGeneration,
  lastReport:
    r.reportProcess === null || r.reportSeq === null
      ? null
      : { process: r.reportProcess, seq: r.reportSeq },
  clockOffsetSeconds: r.clockOffsetSeconds,
  restoredGeneration: r.restoredGeneration,
  destroysHeldUntil: r.destroysHeldUntil,
  maintenanceUntil: r.maintenanceUntil,
  lastSeenAt: r.lastSeenAt,
  createdAt: r.createdAt,
});

/** null before it has enrolled, or when what was stored then is none of today's. */
export const factsOf = (host: Pick<Host, "facts">): HostFacts | null =>
  HostFacts.safeParse(host.facts).data ?? null;

const ceilingColumns = (ceiling: Ceiling) => ({
  ceilingVcpus: ceiling.vcpus,
  ceilingMemoryMib: ceiling.memoryMib,
  ceilingDiskGib: ceiling.diskGib,
});

export async function insertHost(
  tx: Tx,
  host: Pick<
    Host,
    "id" | "name" | "locationId" | "testOnly" | "cpuOvercommit" | "ceiling" | "group"
  >,
  now: Date,
): Promise<void> {
  const { ceiling, group, ...row } = host;
  await tx
    .insert(hosts)
    .values({ ...row, hostGroup: group, ...ceilingColumns(ceiling), createdAt: now });
}

export async function loadHost(db: Db | Tx, id: string): Promise<Host | undefined> {
  const [row] = await db.select().from(hosts).where(eq(hosts.id, id));
  return row && hostFromRow(row);
}

/** What staff read of hosts beside what is on them, by their ids. */
export async function namesOfHosts(
  db: Db | Tx,
  ids: readonly string[],
): Promise<ReadonlyMap<string, Pick<Host, "id" | "name" | "lastSeenAt">>> {
  if (ids.length === 0) return new Map();
  const { id, name, lastSeenAt } = hosts;
  const rows = await db
    .select({ id, name, lastSeenAt })
    .from(hosts)
    .where(inArray(id, [...ids]));
  return new Map(rows.map((row) => [row.id, row]));
}

export async function lockHost(tx: Tx, id: string): Promise<Host | undefined> {
  const [row] = await tx.select().from(hosts).where(eq(hosts.id, id)).for("update");
  return row && hostFromRow(row);
}

export type HostFilter = Readonly<{
  locationId: string | null;
  state: HostState | null;
  group: string | null;
}>;
export type HostSort = Readonly<{ by: "createdAt" | "name"; down: boolean }>;

export async function listHosts(
  db: Db,
  { locationId, state, group }: HostFilter,
  { by, down }: HostSort,
  page: KeysetPage,
): Promise<ReadPage<Host>> {
  const order = { id: hosts.id, down, ...(by === "name" && { by: byBytes(hosts.name) }) };
  const byId = by === "createdAt" ? "ordered" : "apart";
  const narrowings: Narrowing[] = [];
  if (group !== null) narrowings.push(having(hosts.hostGroup, group, byId));
  if (state !== null) narrowings.push(having(hosts.state, state, byId, "active"));
  if (locationId !== null) narrowings.push(having(hosts.locationId, locationId, byId));
  const { ids, end } = await readPlaces(db, { table: hosts, order, narrowings }, page);
  const rows = await db
    .select()
    .from(hosts)
    .where(inArray(hosts.id, [...ids]))
    .orderBy(...inOrder(order));
  return { rows: rows.map(hostFromRow), end };
}

/**
 * Of hosts in use: not heard of since `since`, and not in a maintenance that was to go on until then. By `hosts_heard_idx`.
 */
export const isSilent = (since: Date) =>
  and(
    isInUse,
    sql`coalesce(${hosts.maintenanceUntil} < ${since.toISOString()}::timestamptz, true)`,
    // Of the two minutes in which `since` lies, some were heard of after it.
    sql`${hosts.heardIn} <= ${since.toISOString()}::timestamptz`,
    sql`${hosts.lastSeenAt} < ${since.toISOString()}::timestamptz`,
  );

const bell = prepared("bell", (db, at: Slots<{ hostId: string }>) =>
  db
    .select({ queueUrl: hosts.queueUrl, generation: hosts.desiredGeneration })
    .from(hosts)
    .where(eq(hosts.id, at.hostId)),
);

/** Where the host is rung, null while it has no queue, and what for. */
export async function loadBell(
  db: Db,
  hostId: string,
): Promise<{ queueUrl: string | null; generation: number } | undefined> {
  const [row] = await bell(db, { hostId });
  return row;
}

export async function setQueueUrl(db: Db | Tx, hostId: string, queueUrl: string): Promise<void> {
  await db.update(hosts).set({ queueUrl }).where(eq(hosts.id, hostId));
}

/** What a host may give away from now on. One that shrank keeps what it has given away; it only gets nothing more. */
const capacityFrom = (c: Capacity) => ({
  capacityVcpus: sql`greatest(${c.vcpus}, ${hosts.allocatedVcpus})`,
  capacityMemoryMib: sql`greatest(${c.memoryMib}, ${hosts.allocatedMemoryMib})`,
  capacityDiskGib: sql`greatest(${c.diskGib}, ${hosts.allocatedDiskGib})`,
  capacityVms: sql`greatest(${c.vms}, ${hosts.allocatedVms})`,
});

/** Staff's word on what the host may give away, and what that comes to; null: it has not enrolled yet. */
export async function saveCeiling(
  tx: Tx,
  hostId: string,
  { ceiling, cpuOvercommit }: Pick<Host, "ceiling" | "cpuOvercommit">,
  capacity: Capacity | null,
): Promise<Host> {
  const [row] = await tx
    .update(hosts)
    .set({
      ...ceilingColumns(ceiling),
      cpuOvercommit,
      ...(capacity === null ? {} : capacityFrom(capacity)),
    })
    .where(eq(hosts.id, hostId))
    .returning();
  if (!row) throw new Error(`host ${hostId} vanished`);
  return hostFromRow(row);
}

/** What staff say of it besides. */
export async function saveStaffsWordOfHost(
  tx: Tx,
  hostId: string,
  change: Partial<Pick<Host, "name" | "testOnly" | "group">>,
): Promise<Host> {
  const { group, ...rest } = change;
  const [row] = await tx
    .update(hosts)
    .set({ ...rest, ...(group !== undefined && { hostGroup: group }) })
    .where(eq(hosts.id, hostId))
    .returning();
  if (!row) throw new Error(`host ${hostId} vanished`);
  return hostFromRow(row);
}

/** `maintenanceUntil`: of `maintenance` alone, until when it was announced. The caller holds the host. */
export async function saveHostState(
  tx: Tx,
  hostId: string,
  to: Pick<Host, "state" | "maintenanceUntil">,
): Promise<void> {
  await tx.update(hosts).set(to).where(eq(hosts.id, hostId));
}

/** A new identity: the old key is worth nothing as soon as `authenticate-agent.ts` looks again, some seconds later. */
export async function saveEnrolment(
  tx: Tx,
  hostId: string,
  e: {
    publicKey: string;
    state: HostState;
    facts: HostFacts;
    understands: readonly string[] | null;
    capacity: Capacity;
    now: Date;
  },
): Promise<{ identityEpoch: number }> {
  const [row] = await tx
    .update(hosts)
    .set({
      publicKey: e.publicKey,
      identityEpoch: sql`${hosts.identityEpoch} + 1`,
      state: e.state,
      hypervisor: e.facts.hypervisor,
      accelerator: e.facts.accelerator,
      facts: e.facts,
      understands: e.understands && [...e.understands],
      ...capacityFrom(e.capacity),
      // Its agent may have lost its count with its key.
      reportProcess: null,
      reportSeq: null,
      lastSeenAt: e.now,
    })
    .where(eq(hosts.id, hostId))
    .returning({ identityEpoch: hosts.identityEpoch });
  if (!row) throw new Error(`host ${hostId} vanished`);
  return row;
}

/**
 * The host was heard of; answers its row, which is held from here on. undefined: a report that is as new or newer has been taken meanwhile; it waits for whoever holds the
 * host's row and then looks again, so that of two at once the older never counts after the newer.
 */
export async function touchHost(
  tx: Tx,
  hostId: string,
  heard: {
    serial: ReportSerial | null;
    clockOffsetSeconds: number | null;
    /** false: its agent speaks, and sees nothing of it; then it counts as silent, as it tells nothing of its VMs. */
    isSeen: boolean;
    /** Left out where its agent announces what it did before: who placed by that looks no further. */
    understands?: readonly string[] | undefined;
    now: Date;
  },
): Promise<Host | undefined> {
  const { serial, clockOffsetSeconds, understands } = heard;
  const [row] = await tx
    .update(hosts)
    .set({
      ...(heard.isSeen ? { lastSeenAt: heard.now } : {}),
      clockOffsetSeconds,
      ...(understands && { understands: [...understands] }),
      ...(serial === null ? {} : { reportProcess: serial.process, reportSeq: serial.seq }),
    })
    .where(
      and(
        eq(hosts.id, hostId),
        serial === null
          ? undefined
          : sql`(${hosts.reportProcess} is null
              or (${hosts.reportProcess}, ${hosts.reportSeq}) < (${serial.process}::int, ${serial.seq}::int))`,
      ),
    )
    .returning();
  return row && hostFromRow(row);
}

/** The host was measured anew: more memory or a larger disk is for sale from now on. */
export async function saveFacts(
  tx: Tx,
  hostId: string,
  facts: HostFacts,
  capacity: Capacity,
): Promise<void> {
  await tx
    .update(hosts)
    .set({ facts, accelerator: facts.accelerator, ...capacityFrom(capacity) })
    .where(eq(hosts.id, hostId));
}

/**
 * Counts a change of the host's desired document. The last statement of its transaction: all that concerns one host
 * waits for this row until the commit.
 * @returns the new generation.
 */
export async function bumpDesiredGeneration(tx: Tx, hostId: string): Promise<number> {
  const [row] = await generationBumped(tx, { hostId });
  if (!row) throw new Error(`host ${hostId} vanished`);
  return row.generation;
}

const generationBumped = prepared("generation_bumped", (db, at: Slots<{ hostId: string }>) =>
  db
    .update(hosts)
    .set({ desiredGeneration: sql`${hosts.desiredGeneration} + 1` })
    .where(eq(hosts.id, at.hostId))
    .returning({ generation: hosts.desiredGeneration }),
);

export type Served = Readonly<{
  /** Of the document as it is desired now. */
  generation: number;
  /** What the host was last served; null: nothing yet. */
  served: { generation: number; hash: string } | null;
  restoredGeneration: number | null;
  destroysHeldUntil: Date | null;
}>;

const servedOf = (db: Db, at: Slots<{ hostId: string }>) =>
  db
    .select({
      generation: hosts.desiredGeneration,
      servedGeneration: hosts.servedGeneration,
      servedHash: hosts.servedHash,
      restoredGeneration: hosts.restoredGeneration,
      destroysHeldUntil: hosts.destroysHeldUntil,
    })
    .from(hosts)
    .where(eq(hosts.id, at.hostId));

const served = prepared("served", servedOf);
const servedHeld = prepared("served_held", (db, at: Slots<{ hostId: string }>) =>
  servedOf(db, at).for("update"),
);

function servedFrom([row]: Awaited<ReturnType<typeof servedOf>>): Served | undefined {
  if (!row) return undefined;
  const { generation, servedGeneration, servedHash, restoredGeneration, destroysHeldUntil } = row;
  const isServed = servedGeneration !== null && servedHash !== null;
  return {
    generation,
    served: isServed ? { generation: servedGeneration, hash: servedHash } : null,
    restoredGeneration,
    destroysHeldUntil,
  };
}

export const loadServed = async (db: Db, hostId: string): Promise<Served | undefined> =>
  servedFrom(await served(db, { hostId }));

/** The same, with the host held until the transaction ends. */
export const lockServed = async (tx: Tx, hostId: string): Promise<Served | undefined> =>
  servedFrom(await servedHeld(tx, { hostId }));

/** What the host's agent is given now, by its hash: its generation stands for this content from here on. */
export async function saveServed(
  tx: Tx,
  hostId: string,
  { generation, hash }: { generation: number; hash: string },
): Promise<void> {
  await servedSaved(tx, { hostId, generation, hash });
}

const servedSaved = prepared(
  "served_saved",
  (db, at: Slots<{ hostId: string; generation: number; hash: string }>) =>
    db
      .update(hosts)
      .set({ servedGeneration: at.generation, servedHash: at.hash })
      .where(eq(hosts.id, at.hostId)),
);

export async function insertJoinToken(
  tx: Tx,
  t: { tokenHash: string; hostId: string; expiresAt: Date; now: Date },
): Promise<void> {
  await tx.insert(joinTokens).values({
    tokenHash: t.tokenHash,
    hostId: t.hostId,
    expiresAt: t.expiresAt,
    createdAt: t.now,
  });
}

/** The host that a join token is bound to, used or not; undefined when it is unknown or too old. */
export async function findJoinToken(
  tx: Tx,
  tokenHash: string,
  now: Date,
): Promise<string | undefined> {
  const [row] = await tx
    .select({ hostId: joinTokens.hostId })
    .from(joinTokens)
    .where(and(eq(joinTokens.tokenHash, tokenHash), gt(joinTokens.expiresAt, now)));
  return row?.hostId;
}

/** Uses up all of the host's join tokens. The caller holds the host. @returns the hashes of those that were unused. */
export async function spendJoinTokens(
  tx: Tx,
  hostId: string,
  now: Date,
): Promise<readonly string[]> {
  const rows = await tx
    .update(joinTokens)
    .set({ usedAt: now })
    .where(and(eq(joinTokens.hostId, hostId), isNull(joinTokens.usedAt)))
    .returning({ tokenHash: joinTokens.tokenHash });
  return rows.map((row) => row.tokenHash);
}
