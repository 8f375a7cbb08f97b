import {
  eraseInitialPassword,
  lockInitialPassword,
  vmsWithPasswordPast,
} from "#db/vms/initial-passwords.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";

const BATCH = 100;

/** Erases first passwords that nobody took in time. @returns how many. */
export async function expireInitialPasswords(deps: Deps): Promise<{ expired: number }> {
  let expired = 0;
  for (const vmId of await vmsWithPasswordPast(deps.db, deps.clock.now(), BATCH)) {
    const at = stamp(deps);
    const erased = await inTransaction(deps.db, async (tx) => {
      const held = await lockInitialPassword(tx, vmId);
      if (!(await eraseInitialPassword(tx, held, "expire", at.now))) return false;
      await recordChange(
        tx,
        {
          actor: { kind: "system", id: "expire-initial-passwords" },
          action: "vm.expire_initial_password",
          subject: { kind: "vm", id: vmId },
          events: [{ name: "vm.initial_password_expired.v1", data: { vmId } }],
        },
        at,
      );
      return true;
    });
    if (erased) expired++;
  }
  return { expired };
}
