import { and, eq } from "drizzle-orm";
import type { Downgrade } from "#core/billing/quote.ts";
import type { OrderState } from "#core/orders/order.ts";
import type { ActionType } from "#core/vms/action.ts";
import type { Db, Tx } from "#db/client.ts";
import { hostFromRow, type Host } from "#db/hosts/hosts.ts";
import { services } from "#db/schema/billing.ts";
import { images, planVersions } from "#db/schema/catalogue.ts";
import { hosts } from "#db/schema/hosts.ts";
import { orders } from "#db/schema/orders.ts";
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
  /** null: no order led to it. */
  orderState: OrderState | null;
  /** The action that runs on it. */
  running: ActionType | null;
}>;

/** By one statement, so that all of it is of one instant. */
export async function loadResizing(db: Db | Tx, vmId: string): Promise<Resizing | undefined> {
  const [row] = await db
    .select({
      vm: vms,
      service: services,
      plan: { diskGib: planVersions.diskGib, downgrade: planVersions.downgrade },
      host: hosts,
      image: { minMemoryMib: images.minMemoryMib, minDiskGib: images.minDiskGib },
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
    .leftJoin(orders, eq(orders.vmId, vms.id))
    .leftJoin(actions, and(eq(actions.vmId, vms.id), eq(actions.status, "running")))
    .where(eq(vms.id, vmId));
  return (
    row && {
      ...row,
      service: serviceFromRow(row.service),
      frozenAt: row.service.frozenAt,
      host: hostFromRow(row.host),
    }
  );
}
