import { SAVED_STATE_PATIENCE_MS } from "../findings.ts";
import { ProgramFailed } from "./run-program.ts";
import type { KvmHost } from "./host.ts";
import type { VmRef } from "../driver.ts";

/*
 * A memory that somebody saved (`virsh managedsave`, or libvirt-guests when the host went down) is restored by the next
 * start. Where that cannot be, no start ever succeeds: it is dropped, as if the power had been cut.
 */

/** QEMU's own word that it read the saved memory and could not make anything of it. */
const NOT_LOADED = /load of migration failed/;

/**
 * Drops the VM's saved memory when it is what keeps it off: libvirt cannot read it, QEMU could not load it, or nothing has
 * helped for a while. false: there is none, or it may be restored yet.
 */
export async function dropBrokenState(
  host: KvmHost,
  ref: VmRef,
  failure: unknown,
  signal?: AbortSignal,
): Promise<boolean> {
  if (!(failure instanceof ProgramFailed) || !(await hasSavedState(host, ref, signal)))
    return false;
  const now = host.clock.now().getTime();
  const since = host.restoreFailures.get(ref.vmId) ?? now;
  host.restoreFailures.set(ref.vmId, since);
  const isBroken =
    NOT_LOADED.test(failure.stderr) ||
    now - since >= SAVED_STATE_PATIENCE_MS ||
    !(await isReadable(host, ref, signal));
  if (!isBroken) return false;
  await host.libvirt.run(["managedsave-remove", ref.vmId], { signal });
  host.restoreFailures.delete(ref.vmId);
  host.findings.add({
    vmId: ref.vmId,
    code: "saved_state_dropped",
    detail: `its saved memory could not be restored and was dropped: ${failure.stderr}`,
  });
  return true;
}

async function hasSavedState(host: KvmHost, { vmId }: VmRef, signal?: AbortSignal) {
  const answer = await host.libvirt.run(["dominfo", vmId], { signal });
  return /^Managed save:\s+yes$/m.test(answer);
}

/** Whether libvirt understands what was saved: its head, and the definition in it. */
async function isReadable(host: KvmHost, { vmId }: VmRef, signal?: AbortSignal): Promise<boolean> {
  try {
    await host.libvirt.run(["managedsave-dumpxml", vmId], { signal });
    return true;
  } catch (error) {
    if (!(error instanceof ProgramFailed) || signal?.aborted) throw error;
    return false;
  }
}
