import { settleAsked } from "#core/billing/settle-asked.ts";
import type { InvoiceState } from "#core/billing/payments.ts";
import { saveShown } from "#db/billing/invoices.ts";
import {
  lockServiceOfSubscription,
  markCancellationTried,
  saveEntitled,
  subscriptionsToSettle,
} from "#db/billing/services.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";

/**
 * Ends a subscription at the provider, now, settles what it still asks for, and remembers both. May be repeated, and of one
 * that has ended already only what it asks for is settled.
 */
export async function cancelSubscription(deps: Deps, subscriptionId: string): Promise<string> {
  const { status, version } = await endAndSettle(deps, subscriptionId);
  const at = stamp(deps);
  await inTransaction(deps.db, async (tx) => {
    const before = await lockServiceOfSubscription(tx, subscriptionId);
    if (!before || (before.subscriptionStatus === status && before.settledAt !== null)) return;
    const isSame = before.subscriptionStatus === status;
    const seen = isSame ? {} : { subscriptionStatus: status, subscriptionVersion: version };
    await saveEntitled(tx, before.vmId, { ...seen, settledAt: at.now }, at.now);
    await recordChange(
      tx,
      {
        actor: { kind: "system", id: "cancel-subscription" },
        action: isSame ? "entitlement.settle" : "entitlement.change",
        subject: { kind: "vm", id: before.vmId },
        detail: { until: before.entitledUntil.toISOString(), status },
        events: isSame ? [] : [{ name: "entitlement.changed.v1", data: { vmId: before.vmId } }],
      },
      at,
    );
  });
  return status;
}

/**
 * Ends a subscription at the provider, and settles what its customer is asked for (`settleAsked`). Nothing else is written down than
 * what became of invoices that we hold.
 */
export async function endAndSettle(
  deps: Deps,
  subscriptionId: string,
): Promise<{ status: string; version: string | null }> {
  const { payments } = deps;
  const ended = await payments.cancelSubscription(subscriptionId);
  // What is asked for is looked at after the end: a subscription that is over asks for nothing new.
  for (const step of settleAsked(subscriptionId, await payments.askedWith(subscriptionId))) {
    if (step.do === "void") await keepShown(deps, await payments.voidInvoice(step.invoiceId));
    else await payments.setCollection(step.invoiceId, step.do === "collect");
  }
  return ended;
}

/** One that was paid meanwhile is booked by whoever hears of its payment: until then it stays as it was. */
async function keepShown(deps: Deps, invoice: InvoiceState): Promise<void> {
  if (invoice.status === "void") await inTransaction(deps.db, (tx) => saveShown(tx, invoice));
}

/** Ends every subscription that still bills for a VM which is to be gone, and settles what those that ended ask for: what a lost message left behind. */
export async function retryCancellations(
  deps: Deps,
): Promise<{ canceled: number; failed: number }> {
  const count = { canceled: 0, failed: 0 };
  for (const subscriptionId of await subscriptionsToSettle(deps.db, 50)) {
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
