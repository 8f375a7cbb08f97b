import { and, asc, eq, isNull, lte, sql } from "drizzle-orm";
import { macForIpv4 } from "#core/network/address.ts";
import type { Nic } from "#core/contracts/agent/desired.ts";
import type { Db, Tx } from "#db/client.ts";
import { prepared, type Slots } from "#db/prepared.ts";
import { ipAddresses, ipLeases, networkPools } from "#db/schema/network.ts";

/**
 * Leases a free address of the location to a VM that is to be. Free rows are locked and locked ones skipped, so
 * parallel orders never wait for one address; the exclusion constraint `ip_leases_no_overlap` stands behind it.
 */
export async function leaseAddress(
  tx: Tx,
  input: { id: string; locationId: string; vmId: string; now: Date },
): Promise<string | undefined> {
  const [free] = await tx
    .select({ address: ipAddresses.address, poolId: ipAddresses.poolId })
    .from(ipAddresses)
    .where(and(eq(ipAddresses.locationId, input.locationId), lte(ipAddresses.busyUntil, input.now)))
    .orderBy(asc(ipAddresses.busyUntil), asc(ipAddresses.address))
    .limit(1)
    .for("update", { skipLocked: true });
  if (!free) return undefined;
  await tx
    .update(ipAddresses)
    .set({ busyUntil: sql`'infinity'` })
    .where(and(eq(ipAddresses.poolId, free.poolId), eq(ipAddresses.address, free.address)));
  await tx.insert(ipLeases).values({
    id: input.id,
    poolId: free.poolId,
    address: free.address,
    vmId: input.vmId,
    during: `[${input.now.toISOString()},)`,
  });
  return free.address;
}

/**
 * Leases this very address to a VM that has it already, as a restored database does not know. False: it is no address of the
 * location, or somebody else has it by now, or the VM has one.
 */
export async function leaseThis(
  tx: Tx,
  input: { id: string; address: string; locationId: string; vmId: string; now: Date },
): Promise<boolean> {
  const [mine] = await tx
    .select({ id: ipLeases.id })
    .from(ipLeases)
    .where(and(eq(ipLeases.vmId, input.vmId), isNull(ipLeases.releasedAt)));
  if (mine) return false;
  const [taken] = await tx
    .update(ipAddresses)
    .set({ busyUntil: sql`'infinity'` })
    .where(
      and(
        eq(ipAddresses.locationId, input.locationId),
        eq(ipAddresses.address, input.address),
        lte(ipAddresses.busyUntil, input.now),
      ),
    )
    .returning({ poolId: ipAddresses.poolId });
  if (!taken) return false;
  await tx.insert(ipLeases).values({
    id: input.id,
    poolId: taken.poolId,
    address: input.address,
    vmId: input.vmId,
    during: `[${input.now.toISOString()},)`,
  });
  return true;
}

/**
 * Ends a VM's leases. `restUntil` is after the quarantine; an address that no VM ever used needs none, and its
 * lease then ends now. Doing it again changes nothing.
 */
export async function releaseAddresses(
  tx: Tx,
  vmId: string,
  now: Date,
  restUntil: Date,
): Promise<void> {
  const ended = await tx
    .update(ipLeases)
    .set({
      releasedAt: now,
      during: sql`tstzrange(lower(${ipLeases.during}), greatest(${restUntil.toISOString()}::timestamptz, lower(${ipLeases.during})), '[)')`,
    })
    .where(and(eq(ipLeases.vmId, vmId), isNull(ipLeases.releasedAt)))
    .returning({ address: ipLeases.address, poolId: ipLeases.poolId });
  for (const l of ended)
    await tx
      .update(ipAddresses)
      .set({ busyUntil: restUntil })
      .where(and(eq(ipAddresses.poolId, l.poolId), eq(ipAddresses.address, l.address)));
}

/** The NICs of VMs, by VM id, from the leases they hold. */
export async function nicsOf(
  db: Db | Tx,
  vmIds: readonly string[],
  bandwidthMbit: (vmId: string) => number | null,
): Promise<ReadonlyMap<string, Nic[]>> {
  const nics = new Map<string, Nic[]>();
  if (vmIds.length === 0) return nics;
  const rows = await leasesHeld(db, { vmIds });
  for (const r of rows) {
    const nic: Nic = {
      mac: macForIpv4(r.address),
      ipv4: { address: r.address, prefix: r.prefix, gateway: r.gateway },
      vlan: r.vlan,
      bandwidthMbit: bandwidthMbit(r.vmId),
    };
    nics.set(r.vmId, [...(nics.get(r.vmId) ?? []), nic]);
  }
  return nics;
}

const leasesHeld = prepared("leases_held", (db, at: Slots<{ vmIds: readonly string[] }>) =>
  db
    .select({
      vmId: ipLeases.vmId,
      address: ipLeases.address,
      gateway: networkPools.gateway,
      prefix: networkPools.prefix,
      vlan: networkPools.vlan,
    })
    .from(ipLeases)
    .innerJoin(networkPools, eq(networkPools.id, ipLeases.poolId))
    .where(and(sql`${ipLeases.vmId} = any(${at.vmIds}::uuid[])`, isNull(ipLeases.releasedAt)))
    .orderBy(asc(ipLeases.id)),
);
