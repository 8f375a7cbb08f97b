import { and, asc, eq, inArray, isNotNull, isNull, lt, lte, or, sql } from "drizzle-orm";
import type { LossToSettle } from "#core/billing/give-back.ts";
import type { Db, Tx } from "#db/client.ts";
import { orderIdOfVm } from "#db/orders/orders.ts";
import { losses, services } from "#db/schema/billing.ts";
import { orders } from "#db/schema/orders.ts";
import { vms } from "#db/schema/vms.ts";

/** A loss that is not settled, with what pays for its VM. */
export type Loss = LossToSettle &
  Readonly<{
    id: string;
    vmId: string;
    orderId: string;
    /** Its order's. */
    accountId: string;
    subscriptionId: string | null;
  }>;

/**
 * A VM is lost. One whose loss is open already stays as it is, and so does one that no order led to: what is given back is given
 * of an order's payments.
 */
export async function openLoss(
  tx: Tx,
  { id, vmId, since }: { id: string; vmId: string; since: Date },
): Promise<void> {
  const orderId = await orderIdOfVm(tx, vmId);
  if (orderId === undefined) return;
  await tx
    .insert(losses)
    .values({ id, vmId, orderId, since, settledUntil: since })
    .onConflictDoNothing();
}

/** It is whole again. */
export async function endLoss(tx: Tx, vmId: string, until: Date): Promise<void> {
  await tx
    .update(losses)
    .set({ until })
    .where(and(eq(losses.vmId, vmId), isNull(losses.until), isNull(losses.settledAt)));
}

const unsettled = (db: Db | Tx) =>
  db
    .select({
      id: losses.id,
      vmId: losses.vmId,
      orderId: losses.orderId,
      subscriptionId: services.subscriptionId,
      until: losses.until,
      settledUntil: losses.settledUntil,
      presence: vms.presence,
      orderState: orders.state,
      accountId: orders.accountId,
      paidUntil: services.entitledUntil,
    })
    .from(losses)
    .innerJoin(vms, eq(vms.id, losses.vmId))
    .innerJoin(orders, eq(orders.id, losses.orderId))
    .innerJoin(services, eq(services.vmId, losses.vmId));

const lossFromRow = ({
  presence,
  ...row
}: Awaited<ReturnType<typeof unsettled>>[number]): Loss => ({
  ...row,
  vmIsToGo: presence === "absent",
});

/** Losses of which something may be settled now, as `whatToSettle` says it. */
export async function lossesToSettle(db: Db, now: Date, limit: number): Promise<readonly Loss[]> {
  const isOver = and(isNotNull(losses.until), lte(losses.until, services.entitledUntil));
  const timeIsOver = and(
    isNull(losses.until),
    lte(services.entitledUntil, now),
    lt(losses.settledUntil, services.entitledUntil),
  );
  const rows = await unsettled(db)
    .where(
      and(
        isNull(losses.settledAt),
        inArray(orders.state, ["active", "completed"]),
        or(eq(vms.presence, "absent"), isOver, timeIsOver),
      ),
    )
    .orderBy(asc(sql`coalesce(${losses.triedAt}, ${losses.since})`))
    .limit(limit);
  return rows.map(lossFromRow);
}

/** The loss as it is now, held until the transaction ends; undefined: it is settled. */
export async function lockLoss(tx: Tx, id: string): Promise<Loss | undefined> {
  const [row] = await unsettled(tx)
    .where(and(eq(losses.id, id), isNull(losses.settledAt)))
    .for("update", { of: losses });
  return row && lossFromRow(row);
}

/** So much of it is settled; `isAll`: there is nothing more to come. The caller holds it. */
export async function saveSettled(
  tx: Tx,
  id: string,
  settled: { until: Date; isAll: boolean; now: Date },
): Promise<void> {
  await tx
    .update(losses)
    .set({
      settledUntil: settled.until,
      settledAt: settled.isAll ? settled.now : null,
      triedAt: null,
    })
    .where(eq(losses.id, id));
}

/** Settling it failed: the next sweep takes it after those that were not tried as lately. */
export async function markLossTried(db: Db, id: string, now: Date): Promise<void> {
  await db
    .update(losses)
    .set({ triedAt: now })
    .where(and(eq(losses.id, id), isNull(losses.settledAt)));
}
