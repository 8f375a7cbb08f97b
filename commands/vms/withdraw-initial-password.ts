import type { Tx } from "#db/client.ts";
import { eraseInitialPassword, lockInitialPassword } from "#db/vms/initial-passwords.ts";

/** Of a making anew that came to nothing, or that nobody waits for any longer: the next one has another. */
export async function withdrawUnoffered(tx: Tx, vmId: string, now: Date): Promise<void> {
  const password = await lockInitialPassword(tx, vmId);
  if (password?.state === "for_host") await eraseInitialPassword(tx, password, "withdraw", now);
}
