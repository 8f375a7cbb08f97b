import type { VmRef } from "../driver.ts";
import { powerOff } from "./change-power.ts";
import { filesOf, taggedFiles } from "./files.ts";
import type { KvmHost } from "./host.ts";
import { forgetImport } from "./import-disk.ts";
import { foreignLayers } from "./layers.ts";
import { isActive } from "./parse-domain.ts";
import { checkOwner } from "./tag.ts";
import { moveToTrash } from "./trash.ts";

const NONE = { inside: [], outside: [] } as const;

/**
 * Destroys a VM into the trash, with the layers that others put over its disk. The definition goes last, because it bears the tag: a destroy that was cut short
 * leaves a VM that `list` shows and that the same call, and no other, may go on destroying.
 */
export async function destroyVm(host: KvmHost, ref: VmRef, signal?: AbortSignal): Promise<void> {
  const domain = await host.owned(ref, signal);
  const held = await taggedFiles(host.folders, ref.vmId);
  for (const file of held) checkOwner(file.tag, ref);
  await forgetImport(host, ref);
  if (domain === null && held.length === 0) return;

  // Asked while it runs, when libvirt knows the whole chain.
  const layers = domain === null ? NONE : await foreignLayers(host, domain, signal);
  if (domain !== null && isActive(domain.power)) await powerOff(host, ref, signal);
  const { console, bootMark } = filesOf(host.folders, ref);
  const folder = await moveToTrash(
    host.folders.trashDir,
    ref,
    [...layers.inside, ...held.map((file) => file.path), console, bootMark],
    domain?.xml ?? null,
    host.clock.now(),
  );
  if (layers.outside.length > 0)
    host.findings.add({
      vmId: ref.vmId,
      code: "layers_left",
      detail: `files with its data outside ${host.folders.diskDir} are left: ${layers.outside.join(", ")}`,
    });
  if (domain !== null) await undefine(host, ref, signal);
  host.evidence.forget(ref.vmId);
  host.restoreFailures.delete(ref.vmId);
  host.log.info("vm_trashed", { vm_id: ref.vmId, owner_epoch: ref.ownerEpoch, folder });
}

async function undefine(host: KvmHost, ref: VmRef, signal: AbortSignal | undefined): Promise<void> {
  try {
    await host.libvirt.run(
      [
        "undefine",
        ref.vmId,
        "--managed-save",
        "--nvram",
        "--snapshots-metadata",
        "--checkpoints-metadata",
      ],
      { signal },
    );
  } catch (error) {
    if (signal?.aborted || (await host.owned(ref, signal)) !== null) throw error;
  }
}
