import {
  lockServiceOfSubscription,
  markCancellationTried,
  saveEntitled,
  subscriptionsToCancel,
} from "#db/billing/services.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";

/** Ends a subscription at the provider, now, and remembers that it has ended. May be repeated. */
export async function cancelSubscription(deps: Deps, subscriptionId: string): Promise<string> {
  const { status, version } = await deps.payments.cancelSubscription(subscriptionId);
  const at = stamp(deps);
  await inTransaction(deps.db, async (tx) => {
    const before = await lockServiceOfSubscription(tx, subscriptionId);
    if (!before || before.subscriptionStatus === status) return;
    const now = { subscriptionStatus: status, subscriptionVersion: version };
    await saveEntitled(tx, before.vmId, now, at.now);
    await recordChange(
      tx,
      {
        actor: { kind: "system", id: "cancel-subscription" },
        action: "entitlement.change",
        subject: { kind: "vm", id: before.vmId },
        detail: { until: before.entitledUntil.toISOString(), status },
        events: [{ name: "entitlement.changed.v1", data: { vmId: before.vmId } }],
      },
      at,
    );
  });
  return status;
}

/** Ends every subscription that still bills for a VM which is to be gone: what a lost message left behind. */
export async function retryCancellations(
  deps: Deps,
): Promise<{ canceled: number; failed: number }> {
  const count = { canceled: 0, failed: 0 };
  for (const subscriptionId of await subscriptionsToCancel(deps.db, 50)) {
    try {
      await cancelSubscription(deps, subscriptionId);
      count.canceled++;
    } catch (error) {
      count.failed++;
      deps.log.error("retry_cancellations.failed", { subscription_id: subscriptionId, error });
      await markCancellationTried(deps.db, subscriptionId, deps.clock.now());
    }
  }
  return count;
}
