import type { PlanChange } from "#core/billing/plan-change.ts";
import type { SeenOfChange } from "#core/billing/plan-change-step.ts";
import { seenSizeFromRow, sizeIsSeen } from "#core/vms/seen-size.ts";
import { billingOf } from "#db/billing/services.ts";
import type { Tx } from "#db/client.ts";
import { orderStateOfVm } from "#db/orders/orders.ts";
import { runningActionOf } from "#db/vms/actions.ts";
import type { VmRow } from "#db/vms/vms.ts";

/** What a host says of a size that it cannot make, however often it is asked. */
const REFUSED_FOR_GOOD: ReadonlySet<string | null> = new Set(["unsupported", "beyond_limits"]);
const ENDED: ReadonlySet<string> = new Set(["canceled", "incomplete_expired", "unpaid", "paused"]);

/** What is known of the world around a change. */
export async function seenOfChange(tx: Tx, change: PlanChange, vm: VmRow): Promise<SeenOfChange> {
  const billing = await billingOf(tx, vm.id);
  const running = await runningActionOf(tx, vm.id);
  const seen = seenSizeFromRow(vm);
  // What was reported before its host was told of the size proves nothing of it.
  const isHeardOf = change.generation !== null && vm.observedGeneration >= change.generation;
  return {
    isVmToGo: vm.presence === "absent",
    isVmLost: vm.lostAt !== null,
    isBillingFrozen: billing.frozenAt !== null,
    isOrderRefunded: (await orderStateOfVm(tx, vm.id)) === "refunding",
    subscription: subscriptionOf(change, billing.subscriptionStatus),
    isVmBusy: running !== undefined && running.id !== change.actionId,
    isSizeSeen: isHeardOf && sizeIsSeen(vm, seen) === "seen",
    hasDiskGrown: seen.size !== null && seen.size.diskGib > vm.diskGib,
    isRefused: isHeardOf && REFUSED_FOR_GOOD.has(vm.lastErrorCode),
  };
}

function subscriptionOf(
  { subscriptionId }: PlanChange,
  status: string | null,
): SeenOfChange["subscription"] {
  if (subscriptionId === null || status === null) return "none";
  return ENDED.has(status) ? "ended" : status === "past_due" ? "owes" : "pays";
}
