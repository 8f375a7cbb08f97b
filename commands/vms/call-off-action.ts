import type { AccountPrincipal } from "#core/accounts/accounts.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import type { Action } from "#core/vms/action.ts";
import { callOff } from "#core/vms/call-off.ts";
import { bumpDesiredGeneration, lockServed } from "#db/hosts/hosts.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { finishAction, loadKeptAction } from "#db/vms/actions.ts";
import { lockVm, saveDesire } from "#db/vms/vms.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { withdrawUnoffered } from "./withdraw-initial-password.ts";

type CalledOff = Result<
  Action,
  Refusal<
    | "vm_not_found"
    | "action_not_found"
    | "action_ended"
    | "action_not_cancellable"
    | "action_may_be_under_way"
  >
>;

/**
 * Staff call off an action that runs: what it asked for is asked for no longer, and its host is rung. One that its host may have
 * begun is refused, unless they abandon it, and then it ends with that word. A repeat answers with the action as it ended.
 */
export async function callOffAction(
  deps: Deps,
  asked: { who: AccountPrincipal; vmId: string; actionId: string; abandon: boolean },
): Promise<CalledOff> {
  const at = stamp(deps);
  return inTransaction(deps.db, async (tx): Promise<CalledOff> => {
    const vm = await lockVm(tx, asked.vmId);
    if (!vm) return refuse("vm_not_found", "no such VM");
    const kept = await loadKeptAction(tx, asked);
    if (!kept) return refuse("action_not_found", "no such action of this VM");
    // Held until the commit: its host is given no document meanwhile that holds the action.
    const { served } = (await lockServed(tx, vm.hostId)) ?? {};
    const how = asked.abandon ? "abandon" : "cancel";
    const decided = callOff(
      { ...vm, power: vm.desiredPower },
      kept,
      served?.generation ?? null,
      how,
    );
    if (!decided.ok) return decided;
    const { end, desire } = decided.value;
    if (end === null) return ok(kept.action);
    if (!(await finishAction(tx, asked.actionId, { error: end, now: at.now })))
      throw new Error(`action ${asked.actionId} ended while its VM was held`);
    await saveDesire(tx, vm.id, desire);
    if (kept.action.type === "recreate") await withdrawUnoffered(tx, vm.id, at.now);
    await recordChange(
      tx,
      {
        actor: { kind: "staff", id: asked.who.accountId },
        action: asked.abandon ? "action.abandon" : "action.cancel",
        subject: { kind: "action", id: asked.actionId },
        detail: { vm_id: vm.id, type: kept.action.type, code: end.code, power: desire.power },
        events: [
          { name: "action.finished.v1", data: { actionId: asked.actionId, vmId: vm.id } },
          { name: "vm.change_requested.v1", data: { vmId: vm.id, hostId: vm.hostId } },
        ],
      },
      at,
    );
    await bumpDesiredGeneration(tx, vm.hostId);
    return ok({ ...kept.action, status: "error", finishedAt: at.now, error: end });
  });
}
