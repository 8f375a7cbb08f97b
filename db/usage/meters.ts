import { and, eq, isNotNull, sql } from "drizzle-orm";
import type { Spare } from "#core/usage/judge-sample.ts";
import type { Meter, MeteredBoot } from "#core/usage/take-samples.ts";
import type { Spans } from "#core/usage/spans.ts";
import type { Db } from "#db/client.ts";
import { usageBoots, usageMeters } from "#db/schema/usage.ts";
import { moves } from "#db/schema/moves.ts";
import { vms } from "#db/schema/vms.ts";

/** What a batch speaks of: its VMs, and their boots. */
type Named = readonly { vmId: string; bootEpoch: string }[];

/**
 * Loads the meters of those of the samples' VMs that this host owns, or owned. Nothing is locked, here and when the samples are
 * stored, but the meters: nobody waits for usage but usage of the same VM, nor usage for anybody else.
 */
export async function loadMeters(
  db: Db,
  hostId: string,
  samples: Named,
): Promise<ReadonlyMap<string, Meter>> {
  const ids = [...new Set(samples.map((s) => s.vmId))];
  const bootEpochs = [...new Set(samples.map((s) => s.bootEpoch))];
  const rows = await metersOf(db, hostId, ids, bootEpochs);
  if (rows.every(({ meter }) => meter !== null)) return fromRows(rows);
  await beginMeters(db, hostId, ids);
  return fromRows(await metersOf(db, hostId, ids, bootEpochs));
}

/**
 * The host owns the VM, or did: until it released it for a move, and what it measured till then counts however late it comes
 * (invariant 24).
 */
const isOrWasOf = (hostId: string, ids: readonly string[]) =>
  sql`(${vms.hostId} = ${hostId} or ${vms.id} in (
    select ${moves.vmId} from ${moves} where ${moves.sourceHostId} = ${hostId} and ${moves.releasedAt} is not null
      and ${moves.vmId} = any(${sql.param([...ids])}::uuid[])))`;

/** Since when: null of the host that it was made on. */
const ownedFrom = (hostId: string) =>
  sql<Date | null>`(select min(m.released_at) from ${moves} m
    where m.vm_id = ${vms.id} and m.destination_host_id = ${hostId} and m.released_at is not null
      and not exists (select from ${moves} before where before.vm_id = m.vm_id and before.source_host_id = ${hostId}
        and before.released_at < m.released_at))`.mapWith(moves.releasedAt);
/** Until when: null of the host that it is on. */
const ownedUntil = (hostId: string) =>
  sql<Date | null>`(case when ${vms.hostId} <> ${hostId} then (select max(m.released_at) from ${moves} m
    where m.vm_id = ${vms.id} and m.source_host_id = ${hostId}) end)`.mapWith(moves.releasedAt);

const isVm = (ids: readonly string[]) => sql`${vms.id} = any(${sql.param([...ids])}::uuid[])`;

/** A row for each VM and each of these boots of it that is known; by one statement, so that they fit each other. */
const metersOf = (db: Db, hostId: string, ids: readonly string[], bootEpochs: readonly string[]) =>
  db
    .select({
      vmId: vms.id,
      vm: {
        vcpus: vms.vcpus,
        memoryMib: vms.memoryMib,
        diskGib: vms.diskGib,
        createdAt: vms.createdAt,
        deletedAt: vms.deletedAt,
        ownedFrom: ownedFrom(hostId),
        ownedUntil: ownedUntil(hostId),
      },
      bandwidthMbit: vms.bandwidthMbit,
      meter: usageMeters,
      boot: usageBoots,
    })
    .from(vms)
    .leftJoin(usageMeters, eq(usageMeters.vmId, vms.id))
    .leftJoin(
      usageBoots,
      and(
        eq(usageBoots.vmId, vms.id),
        sql`${usageBoots.bootEpoch} = any(${sql.param([...bootEpochs])}::text[])`,
      ),
    )
    .where(and(isOrWasOf(hostId, ids), isVm(ids)))
    .prepare("meters_of")
    .execute();
type Row = Awaited<ReturnType<typeof metersOf>>[number];

/** Of those that have none yet. */
const beginMeters = (db: Db, hostId: string, ids: readonly string[]) =>
  db.execute(sql`
    insert into ${usageMeters} (vm_id, measured)
    select ${vms.id}, '{}' from ${vms} where ${isOrWasOf(hostId, ids)} and ${isVm(ids)} order by 1
    on conflict do nothing`);

function fromRows(rows: readonly Row[]): ReadonlyMap<string, Meter> {
  const meters = new Map<string, Meter & { boots: Map<string, MeteredBoot> }>();
  for (const { vmId, vm, bandwidthMbit, meter, boot } of rows) {
    const known = meters.get(vmId) ?? {
      vmId,
      vm: { ...vm, bandwidthMbit },
      measured: meter?.measured ?? [],
      spare: meter && spareFromRow(meter),
      boots: lastBootFromRow(meter),
    };
    if (boot && boot.bootEpoch !== meter?.bootEpoch)
      known.boots.set(boot.bootEpoch, { seqs: boot.seqs, endsAt: boot.endsAt });
    meters.set(vmId, known);
  }
  return meters;
}

function lastBootFromRow(row: Row["meter"]): Map<string, MeteredBoot> {
  const { bootEpoch, seqs, bootEndsAt: endsAt } = row ?? {};
  return bootEpoch && seqs && endsAt ? new Map([[bootEpoch, { seqs, endsAt }]]) : new Map();
}

function spareFromRow(row: typeof usageMeters.$inferSelect): Spare | null {
  const { spareCpuNs, spareRxBytes, spareTxBytes, spareReadBytes, spareWriteBytes } = row;
  return spareCpuNs === null ||
    spareRxBytes === null ||
    spareTxBytes === null ||
    spareReadBytes === null ||
    spareWriteBytes === null
    ? null
    : {
        cpuNs: spareCpuNs,
        rxBytes: spareRxBytes,
        txBytes: spareTxBytes,
        readBytes: spareReadBytes,
        writeBytes: spareWriteBytes,
      };
}

/** Of when a VM's usage is stored, and when it was given from one host to another: both in milliseconds. */
export async function measuredOf(
  db: Db,
  vmId: string,
): Promise<{ measured: Spans; releases: readonly number[] }> {
  const [row] = await db
    .select({ measured: usageMeters.measured })
    .from(usageMeters)
    .where(eq(usageMeters.vmId, vmId));
  const releases = await db
    .select({ at: moves.releasedAt })
    .from(moves)
    .where(and(eq(moves.vmId, vmId), isNotNull(moves.releasedAt)));
  return {
    measured: row?.measured ?? [],
    releases: releases.flatMap(({ at }) => (at === null ? [] : [+at])),
  };
}
