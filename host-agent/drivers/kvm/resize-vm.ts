import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { LIMITS } from "#core/hosts/limits.ts";
import { desiredLimits, sizeIsSeen, wholeSize } from "#core/vms/seen-size.ts";
import { refuseBeyondLimits } from "../beyond-limits.ts";
import { DriverError } from "../driver.ts";
import { GIB, growOffline, readQcow2 } from "./disks.ts";
import { domainXml, kilobytesOf } from "./domain-xml.ts";
import { filesOf } from "./files.ts";
import type { KvmHost } from "./host.ts";
import type { Owned } from "./look.ts";
import { isActive } from "./parse-domain.ts";
import { refuseReleased } from "./tag.ts";

/**
 * Gives a VM its size and its limits. While it is off, the disk first and the definition last, so that a VM whose definition has
 * the new size has the new disk too; each step is passed over when it is done already.
 */
export async function resizeVm(host: KvmHost, vm: DesiredVm, signal?: AbortSignal): Promise<void> {
  const domain = await host.owned(vm, signal);
  // It would be defined anew, without the mark.
  if (domain !== null) refuseReleased(domain.own);
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
  await refuseLimits(host, vm, domain);
  const grown = wanted > disk.virtualSize;
  if (isActive(domain.power))
    return await resizeLive(host, vm, domain, grown ? wanted : null, signal);

  const isSo =
    sizeIsSeen(wholeSize(vm), {
      size: {
        vcpus: domain.own.vcpus,
        memoryMib: domain.own.memoryMib,
        diskGib: domain.own.diskGib,
      },
      limits: domain.own.limits,
    }) === "seen";
  const place = {
    files: { ...files, disk: top },
    network: host.network,
    accelerator: await host.accelerator(signal),
    installation: host.installation(),
  };
  const definition = domainXml(vm, place);
  if (grown) await growOffline(files.disk, vm.size.diskGib, signal);
  if (!isSo) await host.define(vm, definition, signal);
}

/** A limit that it has already, or is to lose, needs nothing of the host. */
async function refuseLimits(host: KvmHost, vm: DesiredVm, { own }: Owned): Promise<void> {
  const { bandwidthMbit } = desiredLimits(vm);
  if (bandwidthMbit === null || bandwidthMbit === own.limits.bandwidthMbit) return;
  if (!(await host.limitsBandwidth()))
    throw new DriverError("unsupported", "this host cannot limit bandwidth");
}

/**
 * Changes what runs and its definition in one, each part by itself. All refusals come first; what was cut short goes on with the
 * same call. `diskBytes`: null where it stays as it is.
 */
async function resizeLive(
  host: KvmHost,
  vm: DesiredVm,
  { own }: Owned,
  diskBytes: bigint | null,
  signal?: AbortSignal,
): Promise<void> {
  const { vcpus, memoryMib } = vm.size;
  if (own.memoryMib !== memoryMib)
    throw new DriverError("must_be_off", "memory changes only while the VM is off");
  if (vcpus < own.vcpus || vcpus > own.mostVcpus)
    throw new DriverError(
      "must_be_off",
      `while it runs it may have ${own.vcpus} to ${own.mostVcpus} vCPUs`,
    );
  const run = (...command: readonly string[]) => host.libvirt.run(command, { signal });
  const both = ["--live", "--config"];
  const limits = desiredLimits(vm);
  if (diskBytes !== null) await run("blockresize", vm.vmId, own.systemDevice, `${diskBytes}B`);
  if (limits.diskIops !== own.limits.diskIops) {
    // Beside a limit of reads or writes alone, which somebody may have set, there can be none of both together.
    const none = ["--read-iops-sec", "0", "--write-iops-sec", "0"];
    const total = ["--total-iops-sec", String(limits.diskIops ?? 0)];
    await run("blkdeviotune", vm.vmId, own.systemDevice, ...total, ...none, ...both);
  }
  if (limits.bandwidthMbit !== own.limits.bandwidthMbit)
    for (const { mac, bandwidthMbit } of vm.nics) {
      const average = String(bandwidthMbit === null ? 0 : kilobytesOf(bandwidthMbit));
      await run("domiftune", vm.vmId, mac, "--inbound", average, "--outbound", average, ...both);
    }
  if (vcpus === own.vcpus) return;
  await run("setvcpus", vm.vmId, String(vcpus), ...both);
  // A guest's kernel sees them now, and takes them into use by a rule of its own (`seed.ts`) or when its agent is told to.
  if (own.agentConnected)
    await run("setvcpus", vm.vmId, String(vcpus), "--guest").catch((error: unknown) => {
      if (signal?.aborted) throw error;
      host.log.error("guest_vcpus_failed", { vm_id: vm.vmId, error: String(error) });
    });
}
