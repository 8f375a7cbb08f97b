import { actorOf, mayTouch, type Asker } from "#core/accounts/accounts.ts";
import { mayBeDropped, type PlanChange } from "#core/billing/plan-change.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import type { Action } from "#core/vms/action.ts";
import { loadPlanChange, lockPlanChange, newestChangeOf } from "#db/billing/plan-changes.ts";
import { inTransaction } from "#db/transaction.ts";
import { loadActionWithOwner } from "#db/vms/actions.ts";
import { lockVm } from "#db/vms/vms.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { followPlanChange } from "./follow-plan-change.ts";
import { turnBack } from "./move-plan-change.ts";

type Dropped = Result<
  { action: Action; change: PlanChange },
  Refusal<"vm_not_found" | "change_not_found" | "change_under_way">
>;

/**
 * Drops a change that waits, for money or for the renewal, and follows it as far as it goes now: its invoice is void, and what was paid
 * all the same goes back. A repeat succeeds. One that is paid, or whose host was told, is refused. Where the provider cannot be
 * reached, the sweep goes on with it.
 */
export async function dropPlanChange(
  deps: Deps,
  asked: { who: Asker; vmId: string; why: "cancelled" | "replaced" },
): Promise<Dropped> {
  const turned = await turn(deps, asked);
  if (!turned.ok) return turned;
  const { id, actionId } = turned.value;
  await followPlanChange(deps, id).catch((error: unknown) =>
    deps.log.error("drop_plan_change.not_yet", { plan_change_id: id, error }),
  );
  const [now, action] = await Promise.all([
    loadPlanChange(deps.db, id),
    loadActionWithOwner(deps.db, actionId),
  ]);
  if (!now || !action) throw new Error(`change ${id} vanished`);
  return ok({ action: action.action, change: now.change });
}

function turn(
  deps: Deps,
  asked: { who: Asker; vmId: string; why: "cancelled" | "replaced" },
): Promise<Result<PlanChange, Refusal<"vm_not_found" | "change_not_found" | "change_under_way">>> {
  const at = stamp(deps);
  return inTransaction(deps.db, async (tx) => {
    const vm = await lockVm(tx, asked.vmId);
    if (!vm || vm.deletedAt !== null || !mayTouch(asked.who, vm.accountId))
      return refuse("vm_not_found", "no such VM");
    // The one that is open, or the newest: a repeat finds what it dropped.
    const newest = await newestChangeOf(tx, vm.id);
    const change = newest && (await lockPlanChange(tx, newest.id))?.change;
    if (!change) return refuse("change_not_found", "no change of this VM waits");
    if (change.turnedBack === "cancelled" || change.turnedBack === "replaced") return ok(change);
    if (change.outcome !== null) return refuse("change_not_found", "no change of this VM waits");
    if (!mayBeDropped(change))
      return refuse("change_under_way", "it is paid, or its host was told: it ends by itself");
    await turnBack(tx, { vm, change, why: asked.why }, at, actorOf(asked.who));
    return ok(change);
  });
}
