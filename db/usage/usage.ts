import { and, desc, eq, gte, inArray, lt, max, sql } from "drizzle-orm";
import type { AnyPgColumn } from "drizzle-orm/pg-core";
import type { Db, Tx } from "#db/client.ts";
import { plans } from "#db/schema/catalogue.ts";
import { usageSamples } from "#db/schema/usage.ts";
import { vms } from "#db/schema/vms.ts";

export type StoredSample = typeof usageSamples.$inferInsert;

type SampleKey = Readonly<{ vmId: string; bootEpoch: string; seq: number }>;
const hasKey = (key: SampleKey) =>
  and(
    eq(usageSamples.vmId, key.vmId),
    eq(usageSamples.bootEpoch, key.bootEpoch),
    eq(usageSamples.seq, key.seq),
  );

/** Throws when its key or its time is taken: the caller holds the VM, and has looked. */
export async function insertSample(tx: Tx, sample: StoredSample): Promise<void> {
  await tx.insert(usageSamples).values(sample);
}

/** The end of the sample that is stored under this key. */
export async function endOfStored(tx: Tx, key: SampleKey): Promise<Date | undefined> {
  const [row] = await tx.select({ to: usageSamples.toAt }).from(usageSamples).where(hasKey(key));
  return row?.to;
}

/** The first sequence number of a VM's boot that none of its stored samples has reached. */
export async function nextSeqOf(db: Db | Tx, boot: Omit<SampleKey, "seq">): Promise<number> {
  const [row] = await db
    .select({ last: max(usageSamples.seq) })
    .from(usageSamples)
    .where(and(eq(usageSamples.vmId, boot.vmId), eq(usageSamples.bootEpoch, boot.bootEpoch)));
  return (row?.last ?? -1) + 1;
}

/**
 * Whether a stored interval of the VM overlaps this one. Asked as the exclusion constraint is written, so that its
 * index answers, however long the VM's history is.
 */
export async function overlapsStored(
  db: Db | Tx,
  s: { vmId: string; from: Date; to: Date },
): Promise<boolean> {
  const [row] = await db
    .select({ seq: usageSamples.seq })
    .from(usageSamples)
    .where(
      and(
        eq(usageSamples.vmId, s.vmId),
        sql`tstzrange(${usageSamples.fromAt}, ${usageSamples.toAt}) && tstzrange(${s.from.toISOString()}, ${s.to.toISOString()})`,
      ),
    )
    .limit(1);
  return row !== undefined;
}

export type UsageBucket = Readonly<{
  from: Date;
  cpuNs: bigint;
  rxBytes: bigint;
  txBytes: bigint;
  readBytes: bigint;
  writeBytes: bigint;
}>;

/** Usage of a VM by hour or day (UTC), of samples that begin in [from, to). */
export async function usageBuckets(
  db: Db,
  q: { vmId: string; from: Date; to: Date; by: "hour" | "day" },
): Promise<readonly UsageBucket[]> {
  const bucket = sql`date_trunc(${sql.raw(`'${q.by}'`)}, ${usageSamples.fromAt}, 'UTC')`;
  const sum = (column: AnyPgColumn) => sql<string>`sum(${column})::text`;
  const rows = await db
    .select({
      at: sql<string>`(extract(epoch from ${bucket}) * 1000)::bigint::text`,
      cpuNs: sum(usageSamples.cpuNs),
      rxBytes: sum(usageSamples.rxBytes),
      txBytes: sum(usageSamples.txBytes),
      readBytes: sum(usageSamples.readBytes),
      writeBytes: sum(usageSamples.writeBytes),
    })
    .from(usageSamples)
    .where(
      and(
        eq(usageSamples.vmId, q.vmId),
        gte(usageSamples.fromAt, q.from),
        lt(usageSamples.fromAt, q.to),
      ),
    )
    .groupBy(bucket)
    .orderBy(bucket);
  return rows.map((r) => ({
    from: new Date(Number(r.at)),
    cpuNs: BigInt(r.cpuNs),
    rxBytes: BigInt(r.rxBytes),
    txBytes: BigInt(r.txBytes),
    readBytes: BigInt(r.readBytes),
    writeBytes: BigInt(r.writeBytes),
  }));
}

/** Until when a VM's stored samples reach. They never overlap, so the one that begins last also ends last. */
export async function measuredUntil(db: Db, vmId: string): Promise<Date | null> {
  const [row] = await db
    .select({ to: usageSamples.toAt })
    .from(usageSamples)
    .where(eq(usageSamples.vmId, vmId))
    .orderBy(desc(usageSamples.fromAt))
    .limit(1);
  return row?.to ?? null;
}

/** The bandwidth that each VM's plan allows, in Mbit/s, by VM id. */
export async function bandwidthOfVms(
  tx: Tx,
  vmIds: readonly string[],
): Promise<ReadonlyMap<string, number | null>> {
  if (vmIds.length === 0) return new Map();
  const rows = await tx
    .select({ vmId: vms.id, bandwidthMbit: plans.bandwidthMbit })
    .from(vms)
    .innerJoin(plans, eq(plans.id, vms.planId))
    .where(inArray(vms.id, [...vmIds]));
  return new Map(rows.map((r) => [r.vmId, r.bandwidthMbit]));
}
