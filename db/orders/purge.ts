import { and, asc, eq, exists, inArray, isNull, lt, not } from "drizzle-orm";
import type { Tx } from "#db/client.ts";
import { invoices, ledgerTransactions, services } from "#db/schema/billing.ts";
import { idempotencyKeys } from "#db/schema/messages.ts";
import { ipLeases } from "#db/schema/network.ts";
import { orders, reservations } from "#db/schema/orders.ts";

type Purged = Readonly<{ id: string; vmId: string }>;

/**
 * Orders that ran out before `before`, oldest first, and that nothing came of: no money, no VM, nothing held. Those that
 * somebody is at work on are left for another time.
 */
export async function lockLongExpired(
  tx: Tx,
  before: Date,
  limit: number,
): Promise<readonly Purged[]> {
  return tx
    .select({ id: orders.id, vmId: orders.vmId })
    .from(orders)
    .where(
      and(
        eq(orders.state, "expired"),
        lt(orders.expiresAt, before),
        isNull(orders.paidAt),
        not(exists(tx.select().from(invoices).where(eq(invoices.orderId, orders.id)))),
        not(exists(tx.select().from(services).where(eq(services.vmId, orders.vmId)))),
        not(
          exists(
            tx.select().from(ledgerTransactions).where(eq(ledgerTransactions.orderId, orders.id)),
          ),
        ),
        not(
          exists(
            tx
              .select()
              .from(reservations)
              .where(and(eq(reservations.vmId, orders.vmId), isNull(reservations.releasedAt))),
          ),
        ),
        not(
          exists(
            tx
              .select()
              .from(ipLeases)
              .where(and(eq(ipLeases.vmId, orders.vmId), isNull(ipLeases.releasedAt))),
          ),
        ),
      ),
    )
    .orderBy(asc(orders.expiresAt))
    .limit(limit)
    .for("update", { of: orders, skipLocked: true });
}

/** Deletes orders that the caller holds, with what refers to them. */
export async function deleteOrders(tx: Tx, gone: readonly Purged[]): Promise<void> {
  if (gone.length === 0) return;
  const ids = gone.map(({ id }) => id);
  const vmIds = gone.map(({ vmId }) => vmId);
  await tx.delete(reservations).where(inArray(reservations.vmId, vmIds));
  await tx.delete(ipLeases).where(inArray(ipLeases.vmId, vmIds));
  await tx.delete(idempotencyKeys).where(inArray(idempotencyKeys.resourceId, ids));
  await tx.delete(orders).where(inArray(orders.id, ids));
}
