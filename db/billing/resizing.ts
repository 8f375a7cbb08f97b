import { and, asc, eq, inArray, isNull, sql } from "drizzle-orm";
import type { Downgrade } from "#core/catalogue/sold.ts";
import type { OrderState } from "#core/orders/order.ts";
import type { ActionType } from "#core/vms/action.ts";
import type { VmSize } from "#core/vms/vm.ts";
import type { Db, Tx } from "#db/client.ts";
import { hostFromRow, type Host } from "#db/hosts/hosts.ts";
import { planChanges, services } from "#db/schema/billing.ts";
import { images, planVersions } from "#db/schema/catalogue.ts";
import { hosts } from "#db/schema/hosts.ts";
import { orders, reservations } from "#db/schema/orders.ts";
import { actions, vms } from "#db/schema/vms.ts";
import type { VmRow } from "#db/vms/vms.ts";
import { serviceFromRow, type Service } from "./services.ts";

/** All of ours that a change of what was bought goes by. */
export type Resizing = Readonly<{
  vm: VmRow;
  service: Service;
  /** Since when nothing is billed for it; null: it is billed. */
  frozenAt: Date | null;
  /** Of the plan version that was bought. */
  plan: Readonly<{ diskGib: number; downgrade: Downgrade }>;
  host: Host;
  image: Readonly<{ minMemoryMib: number; minDiskGib: number }>;
  /** Of its host, for it: more than it has where it was moved to become larger. null: nothing, as it is gone. */
  held: VmSize | null;
  /** null: no order led to it. */
  orderState: OrderState | null;
  /** The action that runs on it. */
  running: ActionType | null;
}>;

/** By one statement, so that all of it is of one instant. */
export async function loadResizing(db: Db | Tx, vmId: string): Promise<Resizing | undefined> {
  const [row] = await resizings(db).where(eq(vms.id, vmId));
  return row && resizingFromRow(row);
}

/** The same of many, by their ids; of what is gone there is none. `isChanging`: a change of it is open. */
export async function loadResizings(
  db: Db | Tx,
  vmIds: readonly string[],
): Promise<readonly (Resizing & { isChanging: boolean })[]> {
  if (vmIds.length === 0) return [];
  const rows = await resizings(db)
    .where(inArray(vms.id, [...vmIds]))
    .orderBy(asc(vms.id));
  const open = await db
    .select({ vmId: planChanges.vmId })
    .from(planChanges)
    .where(and(inArray(planChanges.vmId, [...vmIds]), isNull(planChanges.outcome)));
  const changing = new Set(open.map(({ vmId }) => vmId));
  return rows.map((row) => ({ ...resizingFromRow(row), isChanging: changing.has(row.vm.id) }));
}

const resizings = (db: Db | Tx) =>
  db
    .select({
      vm: vms,
      service: services,
      plan: { diskGib: planVersions.diskGib, downgrade: planVersions.downgrade },
      host: hosts,
      image: { minMemoryMib: images.minMemoryMib, minDiskGib: images.minDiskGib },
      held: {
        vcpus: reservations.vcpus,
        memoryMib: reservations.memoryMib,
        diskGib: reservations.diskGib,
      },
      orderState: orders.state,
      running: actions.type,
    })
    .from(vms)
    .innerJoin(services, eq(services.vmId, vms.id))
    .innerJoin(
      planVersions,
      and(eq(planVersions.planId, services.planId), eq(planVersions.version, services.planVersion)),
    )
    .innerJoin(hosts, eq(hosts.id, vms.hostId))
    .innerJoin(images, eq(images.id, vms.imageId))
    .leftJoin(
      reservations,
      // As the index `reservations_held_vm_key` has it.
      and(
        eq(reservations.vmId, vms.id),
        isNull(reservations.releasedAt),
        sql`not ${reservations.byMove}`,
      ),
    )
    .leftJoin(orders, eq(orders.vmId, vms.id))
    .leftJoin(actions, and(eq(actions.vmId, vms.id), eq(actions.status, "running")));

const resizingFromRow = (row: Awaited<ReturnType<typeof resizings>>[number]): Resizing => ({
  ...row,
  service: serviceFromRow(row.service),
  frozenAt: row.service.frozenAt,
  host: hostFromRow(row.host),
});
