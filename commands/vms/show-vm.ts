import { mayTouch, type AccountPrincipal } from "#core/accounts/accounts.ts";
import type { PlanChange } from "#core/billing/plan-change.ts";
import type { Move } from "#core/moves/move.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import type { Action } from "#core/vms/action.ts";
import type { SeenOfVm } from "#core/vms/action-steps.ts";
import { changesOfActions } from "#db/billing/plan-changes.ts";
import { movesOfActions } from "#db/moves/moves.ts";
import { loadActionWithOwner } from "#db/vms/actions.ts";
import { listVmViews, loadVm, loadVmView, type VmView } from "#db/vms/vms.ts";
import type { Deps } from "#commands/deps.ts";
import { cursorToId, cutPage, type Page, type PageRequest } from "#commands/page.ts";

export type { VmView };

type Read = Pick<Deps, "db" | "clock">;
const noVm = () => refuse("vm_not_found", "no such VM");

/** The caller's VMs that are not gone, newest first. */
export async function listVms(
  deps: Read,
  who: AccountPrincipal,
  page: PageRequest,
): Promise<Page<VmView>> {
  const rows = await listVmViews(deps.db, who.accountId, {
    limit: page.limit + 1,
    before: cursorToId(page.cursor),
  });
  return cutPage(rows, page.limit, (r) => r.vm.id);
}

/** A VM, for its owner or staff; one that is gone is "not found", as is anybody else's. */
export async function showVm(
  deps: Read,
  who: AccountPrincipal,
  vmId: string,
): Promise<Result<VmView, Refusal<"vm_not_found">>> {
  const found = await loadVmView(deps.db, vmId);
  return found && found.vm.deletedAt === null && mayTouch(who, found.vm.accountId)
    ? ok(found)
    : noVm();
}

/** An action, with what its host has shown of the VM: how far it is. */
export async function showAction(
  deps: Read,
  who: AccountPrincipal,
  actionId: string,
): Promise<
  Result<
    { action: Action; seen: SeenOfVm | null; change: PlanChange | null; move: Move | null },
    Refusal<"action_not_found">
  >
> {
  const found = await loadActionWithOwner(deps.db, actionId);
  if (!found || !mayTouch(who, found.accountId))
    return refuse("action_not_found", "no such action");
  const { action } = found;
  const [vm, changes, moves] = await Promise.all([
    loadVm(deps.db, action.vmId),
    changesOfActions(deps.db, [action]),
    movesOfActions(deps.db, [action]),
  ]);
  const [change = null, move = null] = [changes.get(actionId), moves.get(actionId)];
  return ok({ action, seen: vm ?? null, change, move });
}
