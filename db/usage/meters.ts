import { and, asc, eq, inArray, sql } from "drizzle-orm";
import type { Spare } from "#core/usage/judge-sample.ts";
import type { Meter, MeteredBoot } from "#core/usage/take-samples.ts";
import { endOf } from "#core/usage/spans.ts";
import type { Db, Tx } from "#db/client.ts";
import { plans } from "#db/schema/catalogue.ts";
import { usageBoots, usageMeters } from "#db/schema/usage.ts";
import { vms } from "#db/schema/vms.ts";

/**
 * Loads the meters of those of the samples' VMs that this host owns, and holds them until the transaction ends: of two
 * batches of one VM the second waits. No row of `vms` is locked: nobody else waits for usage, nor usage for anybody.
 */
export async function lockMeters(
  tx: Tx,
  hostId: string,
  samples: readonly { vmId: string; bootEpoch: string }[],
): Promise<ReadonlyMap<string, Meter>> {
  const ids = [...new Set(samples.map((s) => s.vmId))];
  let rows = await metersOf(tx, hostId, ids);
  if (rows.length < ids.length) {
    await beginMeters(tx, hostId, ids);
    rows = await metersOf(tx, hostId, ids);
  }
  // By a statement of its own: that of the meters has looked at all else before it waited for them.
  const boots = await bootsOf(
    tx,
    rows.map(({ meter }) => meter.vmId),
    [...new Set(samples.map((s) => s.bootEpoch))],
  );
  return new Map(
    rows.map(({ meter: { vmId, measured, ...spare }, vm, bandwidthMbit }) => [
      vmId,
      {
        vmId,
        vm: { ...vm, bandwidthMbit },
        measured,
        spare: spareFromRow(spare),
        boots: boots.get(vmId) ?? new Map<string, MeteredBoot>(),
      },
    ]),
  );
}

const isVm = (ids: readonly string[]) => sql`${vms.id} = any(${sql.param([...ids])}::uuid[])`;

const metersOf = (tx: Tx, hostId: string, ids: readonly string[]) =>
  tx
    .select({
      meter: usageMeters,
      vm: {
        vcpus: vms.vcpus,
        memoryMib: vms.memoryMib,
        diskGib: vms.diskGib,
        createdAt: vms.createdAt,
        deletedAt: vms.deletedAt,
      },
      bandwidthMbit: plans.bandwidthMbit,
    })
    .from(vms)
    .innerJoin(plans, eq(plans.id, vms.planId))
    .innerJoin(usageMeters, eq(usageMeters.vmId, vms.id))
    .where(and(eq(vms.hostId, hostId), isVm(ids)))
    .orderBy(asc(usageMeters.vmId)) // always in one order, so that two batches never wait for each other in a ring
    .for("update", { of: usageMeters });

/** Of those that have none yet. */
const beginMeters = (tx: Tx, hostId: string, ids: readonly string[]) =>
  tx.execute(sql`
    insert into ${usageMeters} (vm_id, measured)
    select ${vms.id}, '{}' from ${vms} where ${vms.hostId} = ${hostId} and ${isVm(ids)} order by 1
    on conflict do nothing`);

async function bootsOf(
  tx: Tx,
  vmIds: readonly string[],
  bootEpochs: readonly string[],
): Promise<ReadonlyMap<string, ReadonlyMap<string, MeteredBoot>>> {
  if (vmIds.length === 0) return new Map();
  const rows = await tx
    .select()
    .from(usageBoots)
    .where(
      and(
        sql`${usageBoots.vmId} = any(${sql.param([...vmIds])}::uuid[])`,
        inArray(usageBoots.bootEpoch, [...bootEpochs]),
      ),
    );
  const boots = new Map<string, Map<string, MeteredBoot>>();
  for (const { vmId, bootEpoch, ...boot } of rows)
    boots.set(vmId, (boots.get(vmId) ?? new Map<string, MeteredBoot>()).set(bootEpoch, boot));
  return boots;
}

type SpareColumns = Omit<typeof usageMeters.$inferSelect, "vmId" | "measured">;
function spareFromRow(row: SpareColumns): Spare | null {
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

/** Until when a VM's stored samples reach. */
export async function measuredUntil(db: Db, vmId: string): Promise<Date | null> {
  const [row] = await db
    .select({ measured: usageMeters.measured })
    .from(usageMeters)
    .where(eq(usageMeters.vmId, vmId));
  const until = endOf(row?.measured ?? []);
  return until === undefined ? null : new Date(until);
}
