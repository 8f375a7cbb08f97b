import { and, asc, eq, gt, isNotNull, isNull, sql } from "drizzle-orm";
import type { HostFacts } from "#core/contracts/agent/report.ts";
import type { Capacity } from "#core/hosts/capacity.ts";
import type { Hypervisor } from "#core/hosts/limits.ts";
import type { HostState } from "#core/hosts/place-vm.ts";
import type { Db, Tx } from "#db/client.ts";
import { hosts, joinTokens } from "#db/schema/hosts.ts";

export type Host = Readonly<{
  id: string;
  name: string;
  locationId: string;
  state: HostState;
  testOnly: boolean;
  hypervisor: Hypervisor | null;
  accelerator: string | null;
  capacity: Capacity;
  allocated: Capacity;
  cpuOvercommit: number;
  queueUrl: string | null;
  publicKey: string | null;
  identityEpoch: number;
  desiredGeneration: number;
  lastSeenAt: Date | null;
  createdAt: Date;
}>;

const hostFromRow = (r: typeof hosts.$inferSelect): Host => ({
  id: r.id,
  name: r.name,
  locationId: r.locationId,
  state: r.state,
  testOnly: r.testOnly,
  hypervisor: r.hypervisor,
  accelerator: r.accelerator,
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
  lastSeenAt: r.lastSeenAt,
  createdAt: r.createdAt,
});

export async function insertHost(
  tx: Tx,
  host: { id: string; name: string; locationId: string; testOnly: boolean; cpuOvercommit: number },
  now: Date,
): Promise<void> {
  await tx.insert(hosts).values({ ...host, createdAt: now });
}

export async function loadHost(db: Db | Tx, id: string): Promise<Host | undefined> {
  const [row] = await db.select().from(hosts).where(eq(hosts.id, id));
  return row && hostFromRow(row);
}

export async function lockHost(tx: Tx, id: string): Promise<Host | undefined> {
  const [row] = await tx.select().from(hosts).where(eq(hosts.id, id)).for("update");
  return row && hostFromRow(row);
}

export async function listHosts(
  db: Db,
  page: { limit: number; after: string | null },
): Promise<readonly Host[]> {
  const rows = await db
    .select()
    .from(hosts)
    .where(page.after === null ? undefined : gt(hosts.id, page.after))
    .orderBy(asc(hosts.id))
    .limit(page.limit);
  return rows.map(hostFromRow);
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

/** A new identity: the old key is worth nothing as soon as `authenticate-agent.ts` looks again, some seconds later. */
export async function saveEnrolment(
  tx: Tx,
  hostId: string,
  e: { publicKey: string; facts: HostFacts; capacity: Capacity; now: Date },
): Promise<{ identityEpoch: number }> {
  const [row] = await tx
    .update(hosts)
    .set({
      publicKey: e.publicKey,
      identityEpoch: sql`${hosts.identityEpoch} + 1`,
      state: sql`case when ${hosts.state} = 'enrolling' then 'active'::host_state else ${hosts.state} end`,
      hypervisor: e.facts.hypervisor,
      accelerator: e.facts.accelerator,
      facts: e.facts,
      ...capacityFrom(e.capacity),
      lastSeenAt: e.now,
    })
    .where(eq(hosts.id, hostId))
    .returning({ identityEpoch: hosts.identityEpoch });
  if (!row) throw new Error(`host ${hostId} vanished`);
  return row;
}

/** The host was heard of. */
export async function touchHost(tx: Tx, hostId: string, now: Date): Promise<void> {
  await tx.update(hosts).set({ lastSeenAt: now }).where(eq(hosts.id, hostId));
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
  const [row] = await tx
    .update(hosts)
    .set({ desiredGeneration: sql`${hosts.desiredGeneration} + 1` })
    .where(eq(hosts.id, hostId))
    .returning({ generation: hosts.desiredGeneration });
  if (!row) throw new Error(`host ${hostId} vanished`);
  return row.generation;
}

/** What the host's agent is given now, by its hash: its generation stands for this content from here on. */
export async function saveServed(
  tx: Tx,
  hostId: string,
  served: { generation: number; hash: string },
): Promise<void> {
  await tx
    .update(hosts)
    .set({ servedGeneration: served.generation, servedHash: served.hash })
    .where(eq(hosts.id, hostId));
}

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

/** Uses a join token up; the host it is bound to, or undefined when it is unknown, used or too old. */
export async function spendJoinToken(
  tx: Tx,
  tokenHash: string,
  now: Date,
): Promise<string | undefined> {
  const [row] = await tx
    .update(joinTokens)
    .set({ usedAt: now })
    .where(
      and(
        eq(joinTokens.tokenHash, tokenHash),
        isNull(joinTokens.usedAt),
        gt(joinTokens.expiresAt, now),
      ),
    )
    .returning({ hostId: joinTokens.hostId });
  return row?.hostId;
}

/** The host of a token that was used and is not too old yet. */
export async function hostOfSpentToken(
  tx: Tx,
  tokenHash: string,
  now: Date,
): Promise<Host | undefined> {
  const [row] = await tx
    .select({ host: hosts })
    .from(joinTokens)
    .innerJoin(hosts, eq(hosts.id, joinTokens.hostId))
    .where(
      and(
        eq(joinTokens.tokenHash, tokenHash),
        isNotNull(joinTokens.usedAt),
        gt(joinTokens.expiresAt, now),
      ),
    );
  return row && hostFromRow(row.host);
}
