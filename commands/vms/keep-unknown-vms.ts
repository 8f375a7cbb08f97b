import type { ReceivedReport } from "#core/contracts/agent/report.ts";
import { MOST_COUNT } from "#core/contracts/api/values.ts";
import type { Tx } from "#db/client.ts";
import type { Host } from "#db/hosts/hosts.ts";
import { insertUnknownVm, notKept } from "#db/hosts/restores.ts";
import { leaseThis } from "#db/network/addresses.ts";

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
  // Hosts tell of them with each report, and of nearly all of them it is nothing new.
  const told = strangers.flatMap(({ was, ...of }) => (was === undefined ? [] : [{ ...of, was }]));
  const isNew = await notKept(
    tx,
    told.map(({ vmId }) => vmId),
  );
  for (const { vmId, ownerEpoch, was } of told) {
    if (!isNew.has(vmId)) continue;
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
