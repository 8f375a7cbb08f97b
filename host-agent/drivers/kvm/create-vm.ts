import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { LIMITS } from "#core/hosts/limits.ts";
import { refuseBeyondLimits } from "../beyond-limits.ts";
import { DriverError, type FirstBootSecrets } from "../driver.ts";
import { firstBootVolume } from "../first-boot.ts";
import { cloneImage, GIB, needFreeSpace, readQcow2 } from "./disks.ts";
import { domainXml } from "./domain-xml.ts";
import { exists, filesOf, imageFile, taggedFiles } from "./files.ts";
import type { KvmHost } from "./host.ts";
import { readImage } from "./images.ts";
import { writeSeedIso } from "./seed-iso.ts";
import { checkOwner } from "./tag.ts";

/**
 * Makes a VM. Its disk and seed come first, side by side, and its definition last: whatever stops this in the
 * middle leaves files that bear the VM's tag, from which the next attempt goes on. It follows that a definition
 * without a disk is never a half-made VM but one whose disk is lost or not mounted; it is not given a new one.
 */
export async function createVm(
  host: KvmHost,
  vm: DesiredVm,
  signal?: AbortSignal,
  secrets?: FirstBootSecrets,
): Promise<void> {
  // Everything that can be refused is refused before anything is touched.
  await refuseWhatHostCannot(host, vm, signal);
  await refuseWithoutImage(host, vm);
  const files = filesOf(host.folders, vm);
  const place = {
    files,
    network: host.network,
    accelerator: await host.accelerator(signal),
    installation: host.installation(),
  };
  const definition = domainXml(vm, place);

  for (const file of await taggedFiles(host.folders, vm.vmId)) checkOwner(file.tag, vm);
  const [disk, hasSeed] = await Promise.all([readQcow2(files.disk), exists(files.seed)]);
  if (disk === null) await needFreeSpace(host.folders.diskDir, host.reserveDiskMib);

  // A seed that waited without a disk was never read, and may belong to an older wish. One that is not there beside
  // disk and definition was erased, once its guest had read it.
  const wantsSeed = disk === null || (!hasSeed && (await host.owned(vm, signal)) === null);
  const seed = wantsSeed ? await firstBootVolume(vm, secrets, signal) : null;

  // libvirt is asked while the files are made; they appear under their names only once its answer allows it.
  const allowed = host.owned(vm, signal).then((domain) => {
    if (domain !== null && disk === null)
      throw new DriverError(
        "driver_failed",
        `${vm.vmId} is defined and its disk is not at ${files.disk}: lost, or not mounted`,
      );
    return domain;
  });
  const work: Promise<unknown>[] = [allowed];
  if (disk === null) {
    const image = imageFile(host.folders, vm.image.file);
    work.push(cloneImage(image, files.disk, vm.size.diskGib, allowed, signal));
  }
  if (seed !== null) work.push(writeSeedIso(seed, files.seed, allowed, signal));
  await allEnded(work);

  const domain = await allowed;
  if (domain === null) await host.define(vm, definition, signal);
}

/** What no VM of this kind could be on this host, wherever its disk comes from. */
export async function refuseWhatHostCannot(
  host: KvmHost,
  vm: DesiredVm,
  signal: AbortSignal | undefined,
): Promise<void> {
  refuseBeyondLimits(vm.size, LIMITS.kvm);
  if (!host.emulationAllowed && (await host.accelerator(signal)) === "tcg")
    throw new DriverError(
      "unsupported",
      "this host has no hardware virtualisation, and emulation is not allowed on it",
    );
  if (!(await host.limitsBandwidth()) && vm.nics.some((nic) => nic.bandwidthMbit !== null))
    throw new DriverError("unsupported", "this host cannot limit bandwidth");
  await refuseWithoutFirmware(host, vm);
  if (vm.size.memoryMib < vm.image.minMemoryMib)
    throw new DriverError(
      "unsupported",
      `image ${vm.image.file} needs ${vm.image.minMemoryMib} MiB of memory`,
    );
}

async function refuseWithoutImage(host: KvmHost, vm: DesiredVm): Promise<void> {
  const image = await readImage(host.folders, vm.image.file);
  await host.shelf.confirm(image);
  // In bytes: the end of an image that is half a GiB too large would be cut off.
  if (BigInt(vm.size.diskGib) * GIB < BigInt(image.virtualBytes))
    throw new DriverError(
      "unsupported",
      `image ${vm.image.file} needs ${Math.ceil(image.virtualBytes / Number(GIB))} GiB of disk`,
    );
}

async function refuseWithoutFirmware(host: KvmHost, { image }: DesiredVm): Promise<void> {
  if (image.firmware !== "uefi") return;
  const has = await host.firmware();
  const checks = image.secureBoot !== undefined && image.secureBoot !== "off";
  if (checks ? has.secureBoot : has.uefi) return;
  throw new DriverError(
    "unsupported",
    `this host has no UEFI ${checks ? "with Microsoft's keys" : "firmware"} for image ${image.file}: install the package ovmf`,
  );
}

/** Waits for all, so that nothing goes on behind a failure, and then throws the first one. */
async function allEnded(work: readonly Promise<unknown>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(work))
    if (outcome.status === "rejected") throw outcome.reason;
}
