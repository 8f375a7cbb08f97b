import type { z } from "zod";
import type { InitialPasswordAnswer } from "#core/contracts/agent/desired.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import {
  INITIAL_PASSWORD_BYTES,
  INITIAL_PASSWORD_LIFE_MS,
  needsInitialPassword,
  toInitialPassword,
} from "#core/vms/initial-password.ts";
import { loadImage } from "#db/catalogue/catalogue.ts";
import { insertInitialPassword, lockInitialPassword } from "#db/vms/initial-passwords.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { lockVm } from "#db/vms/vms.ts";
import { stamp, type AgentDeps } from "#commands/deps.ts";

type Handed = Result<
  z.infer<typeof InitialPasswordAnswer>,
  Refusal<"vm_not_found" | "no_initial_password">
>;

/**
 * Gives a host the password for the seed of a VM that it is about to make. It is made at the first call and kept
 * sealed, so that a creation that was cut short goes on with the same. Only the host that the VM is bound to gets
 * it, and only until it has shown the VM whole.
 */
export async function handInitialPassword(
  deps: AgentDeps,
  hostId: string,
  vmId: string,
): Promise<Handed> {
  const at = stamp(deps);
  return inTransaction(deps.db, async (tx): Promise<Handed> => {
    const vm = await lockVm(tx, vmId);
    if (vm?.hostId !== hostId || vm.presence === "absent")
      return refuse("vm_not_found", "no such VM on this host");
    const none = () => refuse("no_initial_password", "this VM is not made with a password");
    if (vm.firstSeenAt !== null) return none();
    const known = await lockInitialPassword(tx, vm.id);
    if (known)
      return known.state === "for_host" && known.sealed !== null
        ? ok({ password: deps.sealer.open(known.sealed, vm.id) })
        : none();
    const image = await loadImage(tx, vm.imageId);
    if (!image || !needsInitialPassword({ os: image.os, rootPassword: vm.rootPassword }))
      return none();
    const password = toInitialPassword(deps.secrets.newSecret(INITIAL_PASSWORD_BYTES));
    await insertInitialPassword(tx, {
      vmId: vm.id,
      sealed: deps.sealer.seal(password, vm.id),
      createdAt: at.now,
      expiresAt: new Date(+at.now + INITIAL_PASSWORD_LIFE_MS),
    });
    await recordChange(
      tx,
      {
        actor: { kind: "agent", id: hostId },
        action: "vm.make_initial_password",
        subject: { kind: "vm", id: vm.id },
        events: [],
      },
      at,
    );
    return ok({ password });
  });
}
