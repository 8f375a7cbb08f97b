import { actorOf, mayTouch, type AccountPrincipal } from "#core/accounts/accounts.ts";
import type { EventName } from "#core/contracts/events.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { loadService } from "#db/billing/services.ts";
import type { Tx } from "#db/client.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import {
  loadVmView,
  lockVm,
  saveLabel,
  saveProtection,
  type VmRow,
  type VmView,
} from "#db/vms/vms.ts";
import { stamp, type Deps } from "#commands/deps.ts";

type Wish = Readonly<{
  label?: string | null | undefined;
  deleteProtected?: boolean | undefined;
}>;
type ChangeRefusal = Refusal<"vm_not_found" | "vm_cancelled">;

/**
 * Calls a VM something else, or protects it from being deleted, for its owner or staff; what is left out stays. May be repeated; what
 * is running on it is not touched.
 */
export async function changeVm(
  deps: Deps,
  input: Wish & { who: AccountPrincipal; vmId: string },
): Promise<Result<VmView, ChangeRefusal>> {
  const at = stamp(deps);
  return inTransaction(deps.db, async (tx): Promise<Result<VmView, ChangeRefusal>> => {
    const vm = await lockVm(tx, input.vmId);
    if (!vm || vm.deletedAt !== null || !mayTouch(input.who, vm.accountId))
      return refuse("vm_not_found", "no such VM");
    const { label, deleteProtected } = input;
    const protects = deleteProtected === true && !vm.deleteProtected;
    if (protects && (await loadService(tx, vm.id)).endWanted)
      return refuse("vm_cancelled", "it ends with the period that is paid: take that back first");
    const changed = (action: string, event: "vm.relabelled.v1" | "vm.protection_changed.v1") =>
      recordChange(tx, changeOf(input.who, vm, action, event), at);
    if (label !== undefined && vm.label !== label) {
      await saveLabel(tx, vm.id, label);
      await changed("vm.relabel", "vm.relabelled.v1");
    }
    if (deleteProtected !== undefined && vm.deleteProtected !== deleteProtected) {
      await saveProtection(tx, vm.id, deleteProtected);
      await changed(deleteProtected ? "vm.protect" : "vm.unprotect", "vm.protection_changed.v1");
    }
    return ok(await viewOf(tx, vm.id));
  });
}

const changeOf = (
  who: AccountPrincipal,
  vm: VmRow,
  action: string,
  name: Extract<EventName, "vm.relabelled.v1" | "vm.protection_changed.v1">,
) => ({
  actor: actorOf(who),
  action,
  subject: { kind: "vm", id: vm.id } as const,
  events: [{ name, data: { vmId: vm.id } }],
});

async function viewOf(tx: Tx, vmId: string): Promise<VmView> {
  const view = await loadVmView(tx, vmId);
  if (!view) throw new Error(`VM ${vmId} vanished`);
  return view;
}
