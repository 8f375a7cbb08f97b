import type { ReceivedReport } from "#core/contracts/agent/report.ts";
import { MOST_COUNT } from "#core/contracts/api/values.ts";
import type { Tx } from "#db/client.ts";
import type { Host } from "#db/hosts/hosts.ts";
import { insertUnknownVm } from "#db/hosts/restores.ts";
import { leaseThis } from "#db/network/addresses.ts";
import { loadVm } from "#db/vms/vms.ts";

type Stranger = NonNullable<ReceivedReport["strangers"][number]>;

/**
 * Keeps what a host's agent knows of VMs that a restored database does not: who adopts one finds it here. Each one's address is
 * leased to it at once, so that nobody else is given it meanwhile. Part of the caller's transaction.
 */
export async function keepUnknownVms(
  tx: Tx,
  host: Pick<Host, "id" | "locationId">,
  strangers: readonly Stranger[],
  at: { now: Date; newId: () => string },
): Promise<void> {
  for (const { vmId, ownerEpoch, was } of strangers) {
    if (was === undefined || (await loadVm(tx, vmId))) continue;
    const { hostname, imageId, size, address } = was;
    // Its word, and what no machine has is no VM of ours.
    if (Math.max(ownerEpoch, size.vcpus, size.memoryMib, size.diskGib) > MOST_COUNT) continue;
    const kept = await insertUnknownVm(tx, {
      vmId,
      hostId: host.id,
      ownerEpoch,
      hostname,
      imageId,
      ...size,
      address,
      toldAt: at.now,
    });
    if (kept)
      await leaseThis(tx, {
        id: at.newId(),
        address,
        locationId: host.locationId,
        vmId,
        now: at.now,
      });
  }
}
