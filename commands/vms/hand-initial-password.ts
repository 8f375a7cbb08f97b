import type { z } from "zod";
import type { InitialPasswordAnswer } from "#core/contracts/agent/desired.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import {
  INITIAL_PASSWORD_BYTES,
  INITIAL_PASSWORD_LIFE_MS,
  needsInitialPassword,
  nextInitialPasswordState,
  toInitialPassword,
} from "#core/vms/initial-password.ts";
import { loadImage } from "#db/catalogue/catalogue.ts";
import { runningActionOf } from "#db/vms/actions.ts";
import {
  insertInitialPassword,
  lockInitialPassword,
  renewInitialPassword,
} from "#db/vms/initial-passwords.ts";
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
 * it, and only until it has shown the VM whole. One that is made anew has the password that nobody has taken yet, or another.
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
    const isMadeAnew = (await runningActionOf(tx, vm.id))?.type === "recreate";
    if (vm.firstSeenAt !== null && !isMadeAnew) return none();
    const known = await lockInitialPassword(tx, vm.id);
    if (known && known.sealed !== null && (isMadeAnew || known.state === "for_host"))
      return ok({ password: deps.sealer.open(known.sealed, vm.id) });
    const isRenewed =
      isMadeAnew &&
      known !== undefined &&
      nextInitialPasswordState(known.state, "renew") !== undefined;
    if (known && !isRenewed) return none();
    const image = await loadImage(tx, vm.imageId);
    if (!image || !needsInitialPassword({ os: image.os, rootPassword: vm.rootPassword }))
      return none();
    const password = toInitialPassword(deps.secrets.newSecret(INITIAL_PASSWORD_BYTES));
    const keep = isRenewed ? renewInitialPassword : insertInitialPassword;
    await keep(tx, {
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
