import { mayTouch, type AccountPrincipal } from "#core/accounts/accounts.ts";
import { mayBeDropped, type PlanChange } from "#core/billing/plan-change.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { lockPlanChange, openChangeOf } from "#db/billing/plan-changes.ts";
import { inTransaction } from "#db/transaction.ts";
import { lockVm } from "#db/vms/vms.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { followPlanChange } from "./follow-plan-change.ts";
import { turnBack } from "./move-plan-change.ts";

/**
 * Drops a change that waits, for money or for the renewal, and follows it to its end: its invoice is void, and what was paid all the
 * same goes back. A repeat succeeds. One that is paid, or whose host was told, is refused.
 *
 * Throws when the provider cannot be reached; the sweep goes on with it.
 */
export async function dropPlanChange(
  deps: Deps,
  asked: { who: AccountPrincipal; vmId: string; why: "cancelled" | "replaced" },
): Promise<Result<PlanChange, Refusal<"vm_not_found" | "change_not_found" | "change_under_way">>> {
  const at = stamp(deps);
  const dropped = await inTransaction(
    deps.db,
    async (
      tx,
    ): Promise<
      Result<PlanChange, Refusal<"vm_not_found" | "change_not_found" | "change_under_way">>
    > => {
      const vm = await lockVm(tx, asked.vmId);
      if (!vm || vm.deletedAt !== null || !mayTouch(asked.who, vm.accountId))
        return refuse("vm_not_found", "no such VM");
      const open = await openChangeOf(tx, vm.id);
      const held = open && (await lockPlanChange(tx, open.id));
      if (!held || held.change.outcome !== null)
        return refuse("change_not_found", "no change of this VM waits");
      const { change } = held;
      if (change.turnedBack === "cancelled" || change.turnedBack === "replaced") return ok(change);
      if (!mayBeDropped(change))
        return refuse("change_under_way", "it is paid, or its host was told of it: it ends by itself");
      const actor = {
        kind: asked.who.role === "staff" ? ("staff" as const) : ("account" as const),
        id: asked.who.accountId,
      };
      await turnBack(tx, { vm, change, why: asked.why }, at, actor);
      return ok(change);
    },
  );
  if (dropped.ok) await followPlanChange(deps, dropped.value.id);
  return dropped;
}
