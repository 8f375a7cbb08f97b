import { sql, type SQL } from "drizzle-orm";
import type { Meter, TakenSample } from "#core/usage/take-samples.ts";
import type { Db, Tx } from "#db/client.ts";
import { usageBoots, usageHours, usageMeters, usageSamples } from "#db/schema/usage.ts";

/**
 * Stores samples, adds to their hours what was stored, and moves the meters on, in one statement however many they are.
 * The caller holds the meters, and they hold the samples: a sample whose VM and beginning are stored already adds nothing.
 */
export async function storeSamples(
  tx: Tx,
  samples: readonly TakenSample[],
  meters: readonly Meter[],
  now: Date,
): Promise<void> {
  const boots = meters.flatMap(({ vmId, boots }) =>
    [...boots].map(([bootEpoch, boot]) => ({ vmId, bootEpoch, ...boot })),
  );
  const { measured } = usageMeters;
  await tx.execute(sql`
    with stored as (
      insert into ${usageSamples} (vm_id, boot_epoch, seq, from_at, to_at, cpu_ns, rx_bytes, tx_bytes, read_bytes,
        write_bytes, memory_bytes, disk_bytes, bounded, received_at)
      select *, ${now.toISOString()}::timestamptz from unnest(
        ${list("uuid", samples, (s) => s.vmId)}, ${list("text", samples, (s) => s.bootEpoch)},
        ${list("int", samples, (s) => s.seq)}, ${list("timestamptz", samples, (s) => s.from.toISOString())},
        ${list("timestamptz", samples, (s) => s.to.toISOString())}, ${list("bigint", samples, (s) => s.cpuNs)},
        ${list("bigint", samples, (s) => s.rxBytes)}, ${list("bigint", samples, (s) => s.txBytes)},
        ${list("bigint", samples, (s) => s.readBytes)}, ${list("bigint", samples, (s) => s.writeBytes)},
        ${list("bigint", samples, (s) => s.memoryBytes)}, ${list("bigint", samples, (s) => s.diskBytes)},
        ${list("bool", samples, (s) => s.bounded)})
      on conflict do nothing
      returning vm_id, from_at, to_at, cpu_ns, rx_bytes, tx_bytes, read_bytes, write_bytes, bounded
    ), hours as (
      insert into ${usageHours} as h
      select vm_id, date_trunc('hour', from_at, 'UTC'), sum(cpu_ns), sum(rx_bytes), sum(tx_bytes), sum(read_bytes),
        sum(write_bytes), sum(extract(epoch from to_at - from_at) * 1000), count(*), count(*) filter (where bounded)
      from stored group by 1, 2
      on conflict (vm_id, hour) do update set cpu_ns = h.cpu_ns + excluded.cpu_ns,
        rx_bytes = h.rx_bytes + excluded.rx_bytes, tx_bytes = h.tx_bytes + excluded.tx_bytes,
        read_bytes = h.read_bytes + excluded.read_bytes, write_bytes = h.write_bytes + excluded.write_bytes,
        measured_ms = h.measured_ms + excluded.measured_ms, samples = h.samples + excluded.samples,
        bounded = h.bounded + excluded.bounded
    ), boots as (
      insert into ${usageBoots} (vm_id, boot_epoch, seqs, ends_at)
      select * from unnest(
        ${list("uuid", boots, (b) => b.vmId)}, ${list("text", boots, (b) => b.bootEpoch)},
        ${list("int8multirange", boots, (b) => usageBoots.seqs.mapToDriverValue(b.seqs))},
        ${list("timestamptz", boots, (b) => b.endsAt.toISOString())})
      on conflict (vm_id, boot_epoch) do update set seqs = excluded.seqs, ends_at = excluded.ends_at
    )
    update ${usageMeters} as m set measured = n.measured, spare_cpu_ns = n.cpu, spare_rx_bytes = n.rx,
      spare_tx_bytes = n.tx, spare_read_bytes = n.read, spare_write_bytes = n.write
    from unnest(
      ${list("uuid", meters, (m) => m.vmId)}, ${list("int8multirange", meters, (m) => measured.mapToDriverValue(m.measured))},
      ${list("bigint", meters, (m) => m.spare?.cpuNs ?? null)}, ${list("bigint", meters, (m) => m.spare?.rxBytes ?? null)},
      ${list("bigint", meters, (m) => m.spare?.txBytes ?? null)}, ${list("bigint", meters, (m) => m.spare?.readBytes ?? null)},
      ${list("bigint", meters, (m) => m.spare?.writeBytes ?? null)}
    ) as n (vm_id, measured, cpu, rx, tx, read, write)
    where m.vm_id = n.vm_id`);
}

/** One column of many rows, as a parameter. */
const list = <T>(type: string, rows: readonly T[], of: (row: T) => unknown): SQL =>
  sql`${sql.param(rows.map(of))}::${sql.raw(type)}[]`;

/** Makes the partitions of the days to come, and drops those that ended before `keepDays` days ago (0005_usage_by_days.sql). */
export async function keepUsageDays(
  db: Db,
  q: { now: Date; aheadDays: number; keepDays: number },
): Promise<{ made: number; dropped: number }> {
  const [row] = await db
    .select({ made: sql<number>`made`, dropped: sql<number>`dropped` })
    .from(sql`keep_usage_days(${q.now.toISOString()}, ${q.aheadDays}, ${q.keepDays})`);
  return row ?? { made: 0, dropped: 0 };
}
