import { and, eq, isNull, sql } from "drizzle-orm";
import { HostFacts } from "#core/contracts/agent/report.ts";
import { platformOf } from "#core/hosts/limits.ts";
import type { HostCandidate } from "#core/hosts/place-vm.ts";
import type { VmSize } from "#core/vms/vm.ts";
import type { Db, Tx } from "#db/client.ts";
import { heldInLocation } from "./held-images.ts";
import { hosts } from "#db/schema/hosts.ts";
import { reservations } from "#db/schema/orders.ts";

/**
 * The hosts of a location as placement sees them, with what they hold of one image's file, or all. Unlocked: `reserve`
 * decides, this only suggests.
 */
export async function hostCandidates(
  db: Db | Tx,
  locationId: string,
  file?: string,
): Promise<readonly HostCandidate[]> {
  const rows = await db
    .select()
    .from(hosts)
    .where(and(eq(hosts.locationId, locationId), eq(hosts.state, "active")));
  const held = await heldInLocation(db, locationId, file);
  return rows.flatMap((h) => {
    const facts = HostFacts.safeParse(h.facts);
    return h.hypervisor === null || !facts.success
      ? []
      : [
          {
            id: h.id,
            state: h.state,
            hypervisor: h.hypervisor,
            platform: platformOf(facts.data),
            cpuThreads: facts.data.cpuThreads,
            accelerator: facts.data.accelerator,
            capabilities: facts.data.capabilities,
            testOnly: h.testOnly,
            lastSeenAt: h.lastSeenAt,
            images: h.tellsImages ? (held.get(h.id) ?? []) : null,
            free: {
              vcpus: h.capacityVcpus - h.allocatedVcpus,
              memoryMib: h.capacityMemoryMib - h.allocatedMemoryMib,
              diskGib: h.capacityDiskGib - h.allocatedDiskGib,
              vms: h.capacityVms - h.allocatedVms,
            },
          },
        ];
  });
}

/**
 * Takes the room on a host, if it is still there. One conditional update: it waits for whoever holds the host's
 * row and then looks again, so parallel orders cannot both have the last place; the check constraint
 * `hosts_never_oversold` stands behind it (invariant 14).
 */
export async function reserve(
  tx: Tx,
  input: { id: string; orderId: string; hostId: string; size: VmSize; now: Date },
): Promise<boolean> {
  const { vcpus, memoryMib, diskGib } = input.size;
  const taken = await tx
    .update(hosts)
    .set({
      allocatedVcpus: sql`${hosts.allocatedVcpus} + ${vcpus}`,
      allocatedMemoryMib: sql`${hosts.allocatedMemoryMib} + ${memoryMib}`,
      allocatedDiskGib: sql`${hosts.allocatedDiskGib} + ${diskGib}`,
      allocatedVms: sql`${hosts.allocatedVms} + 1`,
    })
    .where(
      and(
        eq(hosts.id, input.hostId),
        eq(hosts.state, "active"),
        sql`${hosts.allocatedVcpus} + ${vcpus} <= ${hosts.capacityVcpus}`,
        sql`${hosts.allocatedMemoryMib} + ${memoryMib} <= ${hosts.capacityMemoryMib}`,
        sql`${hosts.allocatedDiskGib} + ${diskGib} <= ${hosts.capacityDiskGib}`,
        sql`${hosts.allocatedVms} < ${hosts.capacityVms}`,
      ),
    )
    .returning({ id: hosts.id });
  if (taken.length === 0) return false;
  await tx.insert(reservations).values({
    id: input.id,
    orderId: input.orderId,
    hostId: input.hostId,
    vcpus,
    memoryMib,
    diskGib,
    createdAt: input.now,
  });
  return true;
}

export async function heldReservation(
  tx: Tx,
  orderId: string,
): Promise<{ hostId: string; size: VmSize } | undefined> {
  const [row] = await tx
    .select()
    .from(reservations)
    .where(and(eq(reservations.orderId, orderId), isNull(reservations.releasedAt)));
  return (
    row && {
      hostId: row.hostId,
      size: { vcpus: row.vcpus, memoryMib: row.memoryMib, diskGib: row.diskGib },
    }
  );
}

/** Gives an order's room back. Doing it again changes nothing. */
export async function releaseReservation(tx: Tx, orderId: string, now: Date): Promise<void> {
  const released = await tx
    .update(reservations)
    .set({ releasedAt: now })
    .where(and(eq(reservations.orderId, orderId), isNull(reservations.releasedAt)))
    .returning();
  for (const r of released)
    await tx
      .update(hosts)
      .set({
        allocatedVcpus: sql`${hosts.allocatedVcpus} - ${r.vcpus}`,
        allocatedMemoryMib: sql`${hosts.allocatedMemoryMib} - ${r.memoryMib}`,
        allocatedDiskGib: sql`${hosts.allocatedDiskGib} - ${r.diskGib}`,
        allocatedVms: sql`${hosts.allocatedVms} - 1`,
      })
      .where(eq(hosts.id, r.hostId));
}
