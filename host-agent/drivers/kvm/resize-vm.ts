import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { LIMITS } from "#core/hosts/limits.ts";
import { refuseBeyondLimits } from "../beyond-limits.ts";
import { DriverError } from "../driver.ts";
import { GIB, growOffline, readQcow2 } from "./disks.ts";
import { domainXml } from "./domain-xml.ts";
import { filesOf } from "./files.ts";
import type { KvmHost } from "./host.ts";
import { isActive } from "./parse-domain.ts";

/**
 * Gives a VM its size. The disk first and the definition last, so that a VM whose definition has the new size has
 * the new disk too; each step is passed over when it is done already.
 */
export async function resizeVm(host: KvmHost, vm: DesiredVm, signal?: AbortSignal): Promise<void> {
  const domain = await host.owned(vm, signal);
  refuseBeyondLimits(vm.size, LIMITS.kvm);
  const files = filesOf(host.folders, vm);
  const disk = await readQcow2(files.disk);
  if (domain === null || disk === null)
    throw new DriverError(
      "driver_failed",
      `${vm.vmId} is not whole: it has no definition or no disk`,
    );

  // Somebody's snapshot put a layer over the disk: the guest's data lie in it, so the definition goes on naming it.
  const top = domain.own.systemFile ?? files.disk;
  const wanted = BigInt(vm.size.diskGib) * GIB;
  if (wanted < disk.virtualSize)
    throw new DriverError("unsupported", "a disk is never shrunk: its end may hold data");
  if (wanted > disk.virtualSize && top !== files.disk)
    throw new DriverError(
      "unsupported",
      `a disk under a snapshot cannot grow: it lies under ${top}`,
    );
  if (vm.size.memoryMib < vm.image.minMemoryMib)
    throw new DriverError(
      "unsupported",
      `image ${vm.image.file} needs ${vm.image.minMemoryMib} MiB of memory`,
    );
  const sameShape =
    domain.own.vcpus === vm.size.vcpus && domain.own.memoryMib === vm.size.memoryMib;

  if (isActive(domain.power)) {
    if (!sameShape)
      throw new DriverError("must_be_off", "vCPUs and memory change only while the VM is off");
    if (wanted > disk.virtualSize)
      await host.libvirt.run(["blockresize", vm.vmId, domain.own.systemDevice, `${wanted}B`], {
        signal,
      });
    return;
  }
  const place = {
    files: { ...files, disk: top },
    network: host.network,
    accelerator: await host.accelerator(signal),
    installation: host.installation(),
  };
  const definition = domainXml(vm, place);
  if (wanted > disk.virtualSize) await growOffline(files.disk, vm.size.diskGib, signal);
  if (!sameShape || domain.own.diskGib !== vm.size.diskGib)
    await host.define(vm, definition, signal);
}
