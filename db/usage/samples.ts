import { sql } from "drizzle-orm";
import { z } from "zod";
import type { Meter, MeteredBoot, Taken } from "#core/usage/take-samples.ts";
import type { Db } from "#db/client.ts";
import { list, runNamed } from "#db/named.ts";
import { spansToText } from "#db/usage/spans-text.ts";
import { usageBoots, usageHours, usageMeters, usageSamples } from "#db/schema/usage.ts";

/**
 * Stores what was decided of a batch, in one statement however many samples it has: it locks the meters of their VMs, and
 * if they still say what was decided on, stores the samples, adds them to their hours, and moves the meters on.
 *
 * @returns false: a batch of one of the VMs came between, and nothing was stored. Load the meters and decide again.
 */
export async function storeSamples(
  db: Db,
  before: ReadonlyMap<string, Meter>,
  { samples, meters }: Pick<Taken, "samples" | "meters">,
  now: Date,
): Promise<boolean> {
  const last = new Map(meters.map((meter) => [meter, lastBootOf(meter)]));
  const boots = meters.flatMap((meter) =>
    [...meter.boots]
      .filter(([bootEpoch]) => bootEpoch !== last.get(meter)?.bootEpoch)
      .map(([bootEpoch, boot]) => ({ vmId: meter.vmId, bootEpoch, ...boot })),
  );
  // What is measured only grows, and grows with every sample that is stored: it is its own version.
  const statement = sql`
    with moved as (
      select * from unnest(${list(meters, (m) => m.vmId)}::uuid[],
        ${list(meters, (m) => spansToText(before.get(m.vmId)?.measured ?? []))}::int8multirange[],
        ${list(meters, (m) => spansToText(m.measured))}::int8multirange[],
        ${list(meters, (m) => last.get(m)?.bootEpoch)}::text[],
        ${list(meters, (m) => spansToText(last.get(m)?.seqs ?? []))}::int8multirange[],
        ${list(meters, (m) => last.get(m)?.endsAt)}::timestamptz[],
        ${list(meters, (m) => m.spare?.cpuNs)}::bigint[], ${list(meters, (m) => m.spare?.rxBytes)}::bigint[],
        ${list(meters, (m) => m.spare?.txBytes)}::bigint[], ${list(meters, (m) => m.spare?.readBytes)}::bigint[],
        ${list(meters, (m) => m.spare?.writeBytes)}::bigint[]
      ) as n (vm_id, before, measured, boot_epoch, seqs, boot_ends_at, cpu, rx, tx, read, write)
    ), held as (
      select m.vm_id from ${usageMeters} m join moved n on n.vm_id = m.vm_id and n.before = m.measured
      order by m.vm_id for update of m
    ), all_held as (
      select from held having count(*) = ${meters.length}
    ), stored as (
      insert into ${usageSamples} (vm_id, boot_epoch, seq, from_at, to_at, cpu_ns, rx_bytes, tx_bytes, read_bytes,
        write_bytes, memory_bytes, disk_bytes, bounded, received_at)
      select n.*, ${now.toISOString()}::timestamptz from all_held, unnest(
        ${list(samples, (s) => s.vmId)}::uuid[], ${list(samples, (s) => s.bootEpoch)}::text[],
        ${list(samples, (s) => s.seq)}::int[], ${list(samples, (s) => s.from)}::timestamptz[],
        ${list(samples, (s) => s.to)}::timestamptz[], ${list(samples, (s) => s.cpuNs)}::bigint[],
        ${list(samples, (s) => s.rxBytes)}::bigint[], ${list(samples, (s) => s.txBytes)}::bigint[],
        ${list(samples, (s) => s.readBytes)}::bigint[], ${list(samples, (s) => s.writeBytes)}::bigint[],
        ${list(samples, (s) => s.memoryBytes)}::bigint[], ${list(samples, (s) => s.diskBytes)}::bigint[],
        ${list(samples, (s) => s.bounded)}::bool[]) as n
      returning vm_id, from_at, to_at, cpu_ns, rx_bytes, tx_bytes, read_bytes, write_bytes, bounded
    ), hours as (
      insert into ${usageHours} as h
      select vm_id, date_bin('1 hour', from_at, 'epoch'), sum(cpu_ns), sum(rx_bytes), sum(tx_bytes), sum(read_bytes),
        sum(write_bytes), extract(epoch from sum(to_at - from_at)) * 1000, count(*), count(*) filter (where bounded)
      from stored group by 1, 2
      on conflict (vm_id, hour) do update set cpu_ns = h.cpu_ns + excluded.cpu_ns,
        rx_bytes = h.rx_bytes + excluded.rx_bytes, tx_bytes = h.tx_bytes + excluded.tx_bytes,
        read_bytes = h.read_bytes + excluded.read_bytes, write_bytes = h.write_bytes + excluded.write_bytes,
        measured_ms = h.measured_ms + excluded.measured_ms, samples = h.samples + excluded.samples,
        bounded = h.bounded + excluded.bounded
    ), boots as (
      insert into ${usageBoots} (vm_id, boot_epoch, seqs, ends_at)
      select n.* from all_held, unnest(
        ${list(boots, (b) => b.vmId)}::uuid[], ${list(boots, (b) => b.bootEpoch)}::text[],
        ${list(boots, (b) => spansToText(b.seqs))}::int8multirange[],
        ${list(boots, (b) => b.endsAt)}::timestamptz[]) as n
      on conflict (vm_id, boot_epoch) do update set seqs = excluded.seqs, ends_at = excluded.ends_at
    )
    update ${usageMeters} as m set measured = n.measured, boot_epoch = n.boot_epoch,
      seqs = n.seqs, boot_ends_at = n.boot_ends_at, spare_cpu_ns = n.cpu, spare_rx_bytes = n.rx,
      spare_tx_bytes = n.tx, spare_read_bytes = n.read, spare_write_bytes = n.write
    from all_held, moved n where m.vm_id = n.vm_id
    returning m.vm_id`;
  return Answer.parse(await runNamed(db, "store_samples", statement)).rows.length > 0;
}

const Answer = z.object({ rows: z.array(z.unknown()) });

function lastBootOf({ boots }: Meter) {
  let last: (MeteredBoot & { bootEpoch: string }) | undefined;
  for (const [bootEpoch, boot] of boots)
    if (!last || boot.endsAt > last.endsAt) last = { bootEpoch, ...boot };
  return last;
}

/** Makes the partitions of the days to come, and drops those that ended before `keepDays` days ago (0011_usage_by_days.sql). */
export async function keepUsageDays(
  db: Db,
  q: { now: Date; aheadDays: number; keepDays: number },
): Promise<{ made: number; dropped: number }> {
  const [row] = await db
    .select({ made: sql<number>`made`, dropped: sql<number>`dropped` })
    .from(sql`keep_usage_days(${q.now.toISOString()}, ${q.aheadDays}, ${q.keepDays})`);
  return row ?? { made: 0, dropped: 0 };
}
