import { and, eq, gte, lt, max, min, sql } from "drizzle-orm";
import type { AnyPgColumn } from "drizzle-orm/pg-core";
import type { Db, Tx } from "./client.ts";
import { usageSamples } from "./schema/vms.ts";

export type StoredSample = typeof usageSamples.$inferInsert;

/** Which of the samples are stored already, by (boot epoch, sequence). */
export async function insertSample(tx: Tx, sample: StoredSample): Promise<"stored" | "duplicate"> {
  const rows = await tx
    .insert(usageSamples)
    .values(sample)
    .onConflictDoNothing({
      target: [usageSamples.vmId, usageSamples.bootEpoch, usageSamples.seq],
    })
    .returning({ seq: usageSamples.seq });
  return rows.length === 1 ? "stored" : "duplicate";
}

/** Whether another stored interval of the VM overlaps this one. */
export async function overlapsStored(
  tx: Tx,
  s: { vmId: string; bootEpoch: string; seq: number; from: Date; to: Date },
): Promise<boolean> {
  const [row] = await tx
    .select({ seq: usageSamples.seq })
    .from(usageSamples)
    .where(
      and(
        eq(usageSamples.vmId, s.vmId),
        lt(usageSamples.fromAt, s.to),
        sql`${usageSamples.toAt} > ${s.from.toISOString()}::timestamptz`,
        sql`not (${usageSamples.bootEpoch} = ${s.bootEpoch} and ${usageSamples.seq} = ${s.seq})`,
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

/** The span that a VM's stored samples cover. */
export async function usageSpan(
  db: Db,
  vmId: string,
): Promise<{ from: Date; to: Date } | undefined> {
  const [row] = await db
    .select({ from: min(usageSamples.fromAt), to: max(usageSamples.toAt) })
    .from(usageSamples)
    .where(eq(usageSamples.vmId, vmId));
  return row?.from && row.to ? { from: row.from, to: row.to } : undefined;
}
