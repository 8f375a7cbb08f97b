import { mayTouch, type AccountPrincipal } from "#core/accounts/accounts.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { loadVmView, lockVm, saveLabel, type VmView } from "#db/vms/vms.ts";
import { stamp, type Deps } from "#commands/deps.ts";

/** Calls a VM something else, for its owner or staff. May be repeated; what is running on it is not touched. */
export async function relabelVm(
  deps: Deps,
  input: { who: AccountPrincipal; vmId: string; label: string | null },
): Promise<Result<VmView, Refusal<"vm_not_found">>> {
  const at = stamp(deps);
  return inTransaction(deps.db, async (tx): Promise<Result<VmView, Refusal<"vm_not_found">>> => {
    const vm = await lockVm(tx, input.vmId);
    if (!vm || vm.deletedAt !== null || !mayTouch(input.who, vm.accountId))
      return refuse("vm_not_found", "no such VM");
    if (vm.label !== input.label) {
      await saveLabel(tx, vm.id, input.label);
      await recordChange(
        tx,
        {
          actor: { kind: "account", id: input.who.accountId },
          action: "vm.relabel",
          subject: { kind: "vm", id: vm.id },
          events: [{ name: "vm.relabelled.v1", data: { vmId: vm.id } }],
        },
        at,
      );
    }
    const view = await loadVmView(tx, vm.id);
    if (!view) throw new Error(`VM ${vm.id} vanished`);
    return ok(view);
  });
}
