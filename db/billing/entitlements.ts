import { and, asc, eq, isNotNull, sql } from "drizzle-orm";
import type { Db, Tx } from "#db/client.ts";
import { entitlements } from "#db/schema/billing.ts";

export type Entitlement = Readonly<{
  vmId: string;
  orderId: string;
  subscriptionId: string | null;
  /** As the provider last said; its statuses are open. */
  subscriptionStatus: string | null;
  /** What an event about it must say otherwise to be worth a look; null: each is worth one. */
  subscriptionVersion: string | null;
  until: Date;
}>;

export async function loadEntitlement(tx: Tx, vmId: string): Promise<Entitlement | undefined> {
  const [row] = await tx.select().from(entitlements).where(eq(entitlements.vmId, vmId));
  return row;
}

export async function saveEntitlement(tx: Tx, e: Entitlement, now: Date): Promise<void> {
  const set = {
    subscriptionId: e.subscriptionId,
    subscriptionStatus: e.subscriptionStatus,
    subscriptionVersion: e.subscriptionVersion,
    until: e.until,
    updatedAt: now,
  };
  await tx
    .insert(entitlements)
    .values({ vmId: e.vmId, orderId: e.orderId, ...set })
    .onConflictDoUpdate({ target: entitlements.vmId, set });
}

/** The entitlement that the subscription pays for; its order is the subscription's. */
export async function entitlementOfSubscription(
  db: Db,
  subscriptionId: string,
): Promise<Entitlement | undefined> {
  const [row] = await db
    .select()
    .from(entitlements)
    .where(eq(entitlements.subscriptionId, subscriptionId));
  return row;
}

/** The same, held until the transaction ends. */
export async function lockEntitlementOfSubscription(
  tx: Tx,
  subscriptionId: string,
): Promise<Entitlement | undefined> {
  const [row] = await tx
    .select()
    .from(entitlements)
    .where(eq(entitlements.subscriptionId, subscriptionId))
    .for("update");
  return row;
}

/** Ending the subscription failed: the next sweep takes it after those that were not tried as lately. */
export async function markCancellationTried(
  db: Db,
  subscriptionId: string,
  now: Date,
): Promise<void> {
  await db
    .update(entitlements)
    .set({ triedAt: now })
    .where(eq(entitlements.subscriptionId, subscriptionId));
}

/** Subscriptions that still bill for VMs which are to be gone. */
export async function subscriptionsToCancel(db: Db, limit: number): Promise<readonly string[]> {
  const rows = await db
    .select({ id: entitlements.subscriptionId })
    .from(entitlements)
    .where(
      and(
        sql`${entitlements.vmIsToGo}`,
        isNotNull(entitlements.subscriptionId),
        // As the index `entitlements_to_cancel_idx` says it: with parameters it would not be used.
        sql`${entitlements.subscriptionStatus} not in ('canceled', 'incomplete_expired')`,
      ),
    )
    .orderBy(asc(sql`coalesce(${entitlements.triedAt}, ${entitlements.updatedAt})`))
    .limit(limit);
  return rows.flatMap((r) => (r.id === null ? [] : [r.id]));
}
