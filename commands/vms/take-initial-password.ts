import { actorOf, type AccountPrincipal } from "#core/accounts/accounts.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import {
  decideTakePassword,
  initialUserOf,
  type TakePasswordCode,
} from "#core/vms/initial-password.ts";
import { loadImage } from "#db/catalogue/catalogue.ts";
import { eraseInitialPassword, lockInitialPassword } from "#db/vms/initial-passwords.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { loadVm } from "#db/vms/vms.ts";
import { stamp, type Deps } from "#commands/deps.ts";

type Taken = Readonly<{ username: string; password: string }>;
type TakeRefusal = Refusal<"vm_not_found" | "forbidden" | TakePasswordCode>;

/**
 * Shows a VM's first password to its owner and erases it, in one transaction: nobody gets it twice, and nobody but
 * the owner gets it at all.
 */
export async function takeInitialPassword(
  deps: Deps,
  who: AccountPrincipal,
  vmId: string,
): Promise<Result<Taken, TakeRefusal>> {
  if (who.impersonator !== undefined)
    return refuse("forbidden", "a VM's first password is for its owner alone");
  const at = stamp(deps);
  return inTransaction(deps.db, async (tx): Promise<Result<Taken, TakeRefusal>> => {
    const vm = await loadVm(tx, vmId);
    if (!vm || vm.accountId !== who.accountId || vm.deletedAt !== null)
      return refuse("vm_not_found", "no such VM");
    const image = await loadImage(tx, vm.imageId);
    if (!image) throw new Error(`image ${vm.imageId} vanished`);
    const held = await lockInitialPassword(tx, vm.id);
    const decided = decideTakePassword(
      { os: image.os, rootPassword: vm.rootPassword, seen: vm.firstSeenAt !== null },
      held,
      at.now,
    );
    if (!decided.ok) return decided;
    const password = deps.sealer.open(decided.value.sealed, vm.id);
    await eraseInitialPassword(tx, held, "take", at.now);
    await recordChange(
      tx,
      {
        actor: actorOf(who),
        action: "vm.take_initial_password",
        subject: { kind: "vm", id: vm.id },
        events: [{ name: "vm.initial_password_taken.v1", data: { vmId: vm.id } }],
      },
      at,
    );
    return ok({ username: initialUserOf(image.os), password });
  });
}
