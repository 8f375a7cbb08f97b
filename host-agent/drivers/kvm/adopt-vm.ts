import { realpath } from "node:fs/promises";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { DriverError } from "../driver.ts";
import { GIB, isBlank, readQcow2 } from "./disks.ts";
import { domainXml } from "./domain-xml.ts";
import { filesOf, imageFile, taggedFiles } from "./files.ts";
import type { KvmHost } from "./host.ts";
import { backingFileOf } from "./layers.ts";
import { isActive } from "./parse-domain.ts";
import { checkOwner } from "./tag.ts";

/**
 * Defines a VM again whose definition somebody took away: from what runs, while it runs, which touches no guest; else on its
 * disk as it lies, if that is the disk that the VM had. No seed is written: the guest has read its own.
 */
export async function adoptVm(host: KvmHost, vm: DesiredVm, signal?: AbortSignal): Promise<void> {
  const domain = await host.owned(vm, signal);
  if (domain !== null && isActive(domain.power)) {
    if (domain.persistent) return;
    // What it would be at its next start, without what holds for this process alone.
    const xml = await host.libvirt.run(["dumpxml", vm.vmId, "--inactive"], { signal });
    await host.define(vm, xml, signal);
    host.log.info("vm_defined_again", { vm_id: vm.vmId, from: "its live definition" });
    return;
  }
  for (const file of await taggedFiles(host.folders, vm.vmId)) checkOwner(file.tag, vm);
  await checkDisk(host, vm, filesOf(host.folders, vm).disk);
  if (domain !== null) return;
  const place = {
    files: filesOf(host.folders, vm),
    network: host.network,
    accelerator: await host.accelerator(signal),
    installation: host.installation(),
  };
  await host.define(vm, domainXml(vm, place), signal);
  host.log.info("vm_defined_again", { vm_id: vm.vmId, from: "its disk" });
}

/** Throws unless the disk is there, as large as the VM's, and lies on the VM's own image, or on none: it came from another host. */
export async function checkDisk(host: KvmHost, vm: DesiredVm, file: string): Promise<void> {
  const disk = await readQcow2(file);
  if (disk === null) throw new DriverError("vm_missing", `there is no whole disk at ${file}`);
  const wanted = BigInt(vm.size.diskGib) * GIB;
  if (disk.virtualSize !== wanted)
    throw new DriverError(
      "unsupported",
      `the disk at ${file} has ${disk.virtualSize} bytes, and the VM's has ${wanted}`,
    );
  // One that came whole from another host stands on nothing. An empty one is what somebody made in its place.
  if (!disk.hasBackingFile && !(await isBlank(file))) return;
  const image = imageFile(host.folders, vm.image.file);
  const under = await backingFileOf(file);
  const isSame = under !== null && (await realOf(under)) === (await realOf(image));
  if (!isSame)
    throw new DriverError("unsupported", `the disk at ${file} lies on ${under}, not on ${image}`);
}

/** A file that is not there is none that a disk could lie on. */
async function realOf(file: string): Promise<string> {
  return realpath(file).catch((cause: unknown) => {
    throw new DriverError("image_missing", `there is no ${file}`, { cause });
  });
}
