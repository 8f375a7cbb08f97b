import { saveSubscriptionStatus, subscriptionsToCancel } from "#db/billing.ts";
import type { Deps } from "./deps.ts";

/** Ends a subscription at the provider, now, and remembers that it has ended. May be repeated. */
export async function cancelSubscription(deps: Deps, subscriptionId: string): Promise<string> {
  const { status } = await deps.payments.cancelSubscription(subscriptionId);
  await saveSubscriptionStatus(deps.db, subscriptionId, status, deps.clock.now());
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
    }
  }
  return count;
}
