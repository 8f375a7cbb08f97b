import { link, readdir, rm, stat } from "node:fs/promises";
import path from "node:path";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { DriverError } from "../driver.ts";
import { adoptVm, checkDisk } from "./adopt-vm.ts";
import { exists, filesOf, taggedFiles } from "./files.ts";
import type { KvmHost } from "./host.ts";
import { checkOwner, tagOfFile } from "./tag.ts";
import { DEFINITION, findInTrash } from "./trash.ts";

/**
 * Brings a VM's disk back from the trash, and defines the VM on it. The disk has both names until the VM is whole, so that a restore
 * that was cut short knows the disk in its place for that one, and no other.
 */
export async function restoreVm(host: KvmHost, vm: DesiredVm, signal?: AbortSignal): Promise<void> {
  await host.owned(vm, signal);
  for (const file of await taggedFiles(host.folders, vm.vmId)) checkOwner(file.tag, vm);
  const folder = await findInTrash(host.folders.trashDir, vm);
  if (folder === null)
    throw new DriverError("vm_missing", `there is no disk of VM ${vm.vmId} in the trash`);
  const { disk } = filesOf(host.folders, vm);
  const held = path.join(folder, path.basename(disk));
  if (!(await exists(disk))) {
    await checkDisk(host, vm, held);
    // Layers that others had put over it hold what was written last: without them the disk is not as the guest left it.
    const layers = (await readdir(folder)).filter(
      (name) => name !== DEFINITION && tagOfFile(name) === null,
    );
    if (layers.length > 0)
      throw new DriverError(
        "unsupported",
        `the disk in ${folder} has layers over it (${layers.join(", ")}): bring them back by hand`,
      );
    await link(held, disk);
  } else if ((await stat(disk)).ino !== (await stat(held)).ino)
    throw new DriverError("unsupported", `another disk of VM ${vm.vmId} lies at ${disk}`);
  await adoptVm(host, vm, signal);
  await rm(folder, { recursive: true });
  host.log.info("vm_restored", { vm_id: vm.vmId, folder });
}
