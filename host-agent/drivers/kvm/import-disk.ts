import { chmod, link, mkdir, rename, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import type { DiskFormat } from "#core/vms/disk-format.ts";
import { DriverError, type VmRef } from "../driver.ts";
import type { BaseImage } from "../move-calls.ts";
import { refuseWhatHostCannot } from "./create-vm.ts";
import { GIB, needFreeSpace, syncFile } from "./disks.ts";
import { domainXml } from "./domain-xml.ts";
import { COPY_TIMEOUT_MS, syncFolder } from "./export-disk.ts";
import { exists, filesOf, taggedFiles } from "./files.ts";
import { fileModeIn } from "./file-rights.ts";
import type { KvmHost } from "./host.ts";
import { bytesOfChain, heldBase } from "./movable-disk.ts";
import { refuseHostile } from "./received-disk.ts";
import { runProgram } from "./run-program.ts";
import { checkOwner, fileStem } from "./tag.ts";

type Received = Readonly<{ path: string; format: DiskFormat; base: BaseImage | null }>;
const MIB = 1024n ** 2n;

/**
 * Makes a VM of a disk that another host sent. The file is judged under the name it was received by, and what was judged, and made ours,
 * bears another (`taken`): whatever is under that name needs no second look. The disk in its place and `taken` are one file until the VM
 * is whole, so that an import that was cut short knows its own disk, and no other.
 */
export async function importDisk(
  host: KvmHost,
  vm: DesiredVm,
  from: Received,
  signal?: AbortSignal,
): Promise<void> {
  const domain = await host.owned(vm, signal);
  for (const file of await taggedFiles(host.folders, vm.vmId)) checkOwner(file.tag, vm);
  const files = filesOf(host.folders, vm);
  const taken = takenFile(host, vm);
  const [isTaken, isReceived, isPlaced] = await Promise.all(
    [taken, from.path, files.disk].map(exists),
  );
  if (!isTaken && !isReceived) {
    if (domain !== null && isPlaced) return;
    throw new DriverError("driver_failed", `there is no received file at ${from.path}`);
  }
  if (isPlaced) {
    const isSame = isTaken && (await inodeOf(taken)) === (await inodeOf(files.disk));
    if (!isSame)
      throw new DriverError("unsupported", `a disk of VM ${vm.vmId} lies at ${files.disk} already`);
  } else if (domain !== null)
    throw new DriverError("driver_failed", `${vm.vmId} is defined, and its disk is gone`);

  await refuseWhatHostCannot(host, vm, signal);
  // A VHDX is whole, whatever its sender could have left to us.
  const image =
    from.format === "qcow2" && from.base !== null && !isPlaced
      ? await heldBase(host, from.base)
      : null;
  const place = {
    files,
    network: host.network,
    accelerator: await host.accelerator(signal),
    installation: host.installation(),
  };
  const definition = domainXml(vm, place);
  if (!isTaken) await take(host, vm, from, taken, signal);
  if (!isPlaced) {
    await finish(host, image, taken, signal);
    await link(taken, files.disk);
    await syncFolder(host.folders.diskDir);
  }
  if (domain === null) await host.define(vm, definition, signal);
  await rm(from.path, { force: true });
  await rm(taken);
  host.log.info("vm_imported", { vm_id: vm.vmId, owner_epoch: vm.ownerEpoch });
}

/** Beside the disks, so that a move into place is a rename; in a folder of its own, so that nothing in it looks like a VM. */
export const movesFolder = ({ folders }: Pick<KvmHost, "folders">): string =>
  path.join(folders.diskDir, "moves");

const takenFile = (host: KvmHost, ref: VmRef): string =>
  path.join(movesFolder(host), `${fileStem(ref)}.taken.qcow2`);

/** Removes what an import that was given up has left. A disk in its place stays. */
export async function forgetImport(host: KvmHost, ref: VmRef): Promise<void> {
  const taken = takenFile(host, ref);
  for (const file of [taken, `${taken}.part`]) await rm(file, { force: true });
}

/** Judges what was received, and gives it the name of what was. A VHDX is copied, and goes when the VM is whole. */
async function take(
  host: KvmHost,
  vm: DesiredVm,
  { path: received, format }: Received,
  taken: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (format === "simulated") throw new DriverError("unsupported", "KVM runs no simulated disks");
  await refuseHostile(received, format, BigInt(vm.size.diskGib) * GIB, signal);
  await mkdir(path.dirname(taken), { recursive: true, mode: 0o700 });
  if (format === "qcow2") return await rename(received, taken);
  const needed = (await bytesOfChain(received)) / MIB;
  await needFreeSpace(host.folders.diskDir, host.reserveDiskMib + Number(needed));
  const part = `${taken}.part`;
  await rm(part, { force: true });
  await writeFile(part, "", { mode: 0o600 });
  const words = ["convert", "-q", "-f", "vhdx", "-O", "qcow2", received, part];
  await runProgram("qemu-img", words, { signal, timeoutMs: COPY_TIMEOUT_MS });
  await syncFile(part);
  await rename(part, taken);
}

/** Makes it a disk of this host's, over the image that it lacks. Each step may be done again. */
async function finish(
  host: KvmHost,
  image: string | null,
  taken: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (image !== null) {
    const words = ["rebase", "-q", "-u", "-f", "qcow2", "-F", "qcow2", "-b", image, taken];
    await runProgram("qemu-img", words, { signal });
  }
  await chmod(taken, await fileModeIn(host.folders.diskDir));
  await syncFile(taken);
}

const inodeOf = async (file: string): Promise<bigint> => (await stat(file, { bigint: true })).ino;
