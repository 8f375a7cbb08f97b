import { and, eq, inArray, isNull, sql } from "drizzle-orm";
import type { Tx } from "#db/client.ts";
import { planChanges } from "#db/schema/billing.ts";
import { findings, unknownVms } from "#db/schema/hosts.ts";
import { ipLeases } from "#db/schema/network.ts";
import { orders, reservations } from "#db/schema/orders.ts";
import { actions, vms } from "#db/schema/vms.ts";

/** What stands on a host, or is to. Each counts by itself: what is broken may be one without the other. */
export type Holdings = Readonly<{
  vms: number;
  heldRooms: number;
  openOrders: number;
  runningActions: number;
  planChanges: number;
  leases: number;
  /** VMs that its agent shows, and that should not be there, or that nobody knows since a restore. */
  strangers: number;
}>;

const STRANGE = ["stranger", "vm_unknown_after_restore", "vm_seen_after_delete"];

/** The caller holds the host: nothing new comes meanwhile. */
export async function holdingsOf(tx: Tx, hostId: string): Promise<Holdings> {
  const bound = tx.select({ id: vms.id }).from(vms).where(eq(vms.hostId, hostId));
  const held = tx
    .select({ id: reservations.vmId })
    .from(reservations)
    .where(and(eq(reservations.hostId, hostId), isNull(reservations.releasedAt)));
  const strange = await tx.$count(
    findings,
    and(eq(findings.hostId, hostId), inArray(findings.kind, STRANGE), isNull(findings.endedAt)),
  );
  const unknown = await tx.$count(unknownVms, eq(unknownVms.hostId, hostId));
  return {
    vms: await tx.$count(vms, and(eq(vms.hostId, hostId), isNull(vms.deletedAt))),
    heldRooms: await tx.$count(
      reservations,
      and(eq(reservations.hostId, hostId), isNull(reservations.releasedAt)),
    ),
    openOrders: await tx.$count(
      orders,
      and(
        inArray(orders.vmId, held),
        inArray(orders.state, ["awaiting_payment", "paid", "active"]),
      ),
    ),
    runningActions: await tx.$count(
      actions,
      and(inArray(actions.vmId, bound), inArray(actions.status, ["waiting", "running"])),
    ),
    planChanges: await tx.$count(
      planChanges,
      and(inArray(planChanges.vmId, bound), isNull(planChanges.outcome)),
    ),
    leases: await tx.$count(
      ipLeases,
      and(
        isNull(ipLeases.releasedAt),
        sql`(${ipLeases.vmId} in ${held} or ${ipLeases.vmId} in ${bound})`,
      ),
    ),
    strangers: strange + unknown,
  };
}
