import { beginsAnew, FROZEN_AFTER_LOSS_MS } from "#core/billing/freeze.ts";
import type { Event } from "#core/contracts/events.ts";
import {
  beginFreeze,
  billingToFreeze,
  billingToResume,
  lockServiceOfSubscription,
  markCancellationTried,
  setFrozen,
  type Freeze,
} from "#db/billing/services.ts";
import { orderIdOfVm } from "#db/orders/orders.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";

/**
 * Bills nothing more for VMs that have been lost for a day, and again for those that are back (invariant 25). At the provider
 * first, and then here: of what a crash left it is known that it was begun, and the provider is asked for what holds by then.
 */
export async function freezeBilling(
  deps: Deps,
): Promise<{ frozen: number; resumed: number; failed: number }> {
  const count = { frozen: 0, resumed: 0, failed: 0 };
  const now = deps.clock.now();
  const each = async (list: readonly Freeze[], as: "frozen" | "resumed") => {
    for (const freeze of list) {
      try {
        if (await change(deps, freeze, as)) count[as]++;
      } catch (error) {
        count.failed++;
        const { subscriptionId } = freeze;
        deps.log.error("freeze_billing.failed", { subscription_id: subscriptionId, as, error });
        await markCancellationTried(deps.db, subscriptionId, now);
      }
    }
  };
  const lostBefore = new Date(+now - FROZEN_AFTER_LOSS_MS);
  await each(await billingToFreeze(deps.db, lostBefore, 50), "frozen");
  await each(await billingToResume(deps.db, 50), "resumed");
  return count;
}

async function change(deps: Deps, freeze: Freeze, as: "frozen" | "resumed"): Promise<boolean> {
  const { subscriptionId, since } = freeze;
  const frozenAt = as === "frozen" ? deps.clock.now() : null;
  await beginFreeze(deps.db, subscriptionId, frozenAt ?? undefined);
  if (as === "frozen") await deps.payments.pauseCollection(subscriptionId, since);
  else {
    const anew = beginsAnew(freeze, deps.clock.now());
    await deps.payments.resumeCollection(subscriptionId, { since, anew });
  }
  const at = stamp(deps);
  return inTransaction(deps.db, async (tx) => {
    const held = await lockServiceOfSubscription(tx, subscriptionId);
    const orderId = held && (await orderIdOfVm(tx, held.vmId));
    if (held === undefined || orderId === undefined) return false;
    await setFrozen(tx, held.vmId, frozenAt);
    const data = { orderId, vmId: held.vmId };
    const event: Event =
      as === "frozen" ? { name: "billing.frozen.v1", data } : { name: "billing.resumed.v1", data };
    await recordChange(
      tx,
      {
        actor: { kind: "system", id: "freeze-billing" },
        action: `billing.${as === "frozen" ? "freeze" : "resume"}`,
        subject: { kind: "vm", id: held.vmId },
        detail: { since: since.toISOString() },
        events: [event],
      },
      at,
    );
    return true;
  });
}
