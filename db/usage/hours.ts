import { and, eq, gte, lt, sql } from "drizzle-orm";
import type { AnyPgColumn } from "drizzle-orm/pg-core";
import type { Db } from "#db/client.ts";
import { usageHours } from "#db/schema/usage.ts";

export type UsageBucket = Readonly<{
  from: Date;
  cpuNs: bigint;
  rxBytes: bigint;
  txBytes: bigint;
  readBytes: bigint;
  writeBytes: bigint;
}>;

/** Usage of a VM by hour or day (UTC), of the hours that begin in [from, to). */
export async function usageBuckets(
  db: Db,
  q: { vmId: string; from: Date; to: Date; by: "hour" | "day" },
): Promise<readonly UsageBucket[]> {
  const bucket = sql`date_trunc(${sql.raw(`'${q.by}'`)}, ${usageHours.hour}, 'UTC')`;
  const sum = (column: AnyPgColumn) => sql<string>`sum(${column})::text`;
  const rows = await db
    .select({
      at: sql<string>`(extract(epoch from ${bucket}) * 1000)::bigint::text`,
      cpuNs: sum(usageHours.cpuNs),
      rxBytes: sum(usageHours.rxBytes),
      txBytes: sum(usageHours.txBytes),
      readBytes: sum(usageHours.readBytes),
      writeBytes: sum(usageHours.writeBytes),
    })
    .from(usageHours)
    .where(
      and(eq(usageHours.vmId, q.vmId), gte(usageHours.hour, q.from), lt(usageHours.hour, q.to)),
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
