import { EXPIRED_ORDER_KEPT_MS } from "#core/orders/unpaid-limits.ts";
import { deleteOrders, lockLongExpired } from "#db/orders/purge.ts";
import { inTransaction } from "#db/transaction.ts";
import type { Deps } from "#commands/deps.ts";

const BATCH = 500;

/**
 * Deletes orders that ran out unpaid weeks ago, with the room and the address that they held once and the answers that were
 * kept for their keys. One that was ever paid, or led to a VM, stays, and so do the audit rows of all.
 *
 * @returns how many were deleted: some hundreds at most, the next sweep goes on.
 */
export async function purgeExpiredOrders(deps: Deps): Promise<{ purged: number }> {
  const before = new Date(+deps.clock.now() - EXPIRED_ORDER_KEPT_MS);
  return inTransaction(deps.db, async (tx) => {
    const orders = await lockLongExpired(tx, before, BATCH);
    await deleteOrders(tx, orders);
    return { purged: orders.length };
  });
}
