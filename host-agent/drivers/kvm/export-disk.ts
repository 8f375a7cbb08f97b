import { mkdir, open, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import type { DiskFormat } from "#core/vms/disk-format.ts";
import { DriverError, type VmRef } from "../driver.ts";
import type { BaseImage } from "../move-calls.ts";
import { needFreeSpace, syncFile } from "./disks.ts";
import type { KvmHost } from "./host.ts";
import { bytesOfChain, heldBase, type MovableDisk, movableDisk } from "./movable-disk.ts";
import { isActive } from "./parse-domain.ts";
import { runProgram } from "./run-program.ts";

/** A disk of terabytes, read and written once. */
export const COPY_TIMEOUT_MS = 24 * 3_600_000;
const MIB = 1024n ** 2n;

/**
 * Writes what the guest of a VM that is off sees as its disk to a file that nothing else stands on. It appears under its name whole, or
 * not at all. QEMU's own lock keeps the VM from being started meanwhile, whoever tries.
 */
export async function exportDisk(
  host: KvmHost,
  ref: VmRef,
  to: Readonly<{ path: string; format: DiskFormat; base: BaseImage | null }>,
  signal?: AbortSignal,
): Promise<void> {
  const disk = await movableDisk(host, ref, signal);
  if (isActive(disk.domain.power))
    throw new DriverError("must_be_off", `${ref.vmId} is ${disk.domain.power}`);
  if (to.format === "simulated")
    throw new DriverError("unsupported", "KVM writes no simulated disks");
  await mkdir(path.dirname(to.path), { recursive: true, mode: 0o700 });
  const needed = (await bytesOfChain(disk.top)) / MIB;
  await needFreeSpace(path.dirname(to.path), host.reserveDiskMib + Number(needed));
  const part = `${to.path}.part`;
  try {
    // qemu-img keeps the rights of a file that is there; of its own it would make one that everybody reads.
    await rm(part, { force: true });
    await writeFile(part, "", { mode: 0o600 });
    if (to.format === "qcow2" && to.base !== null)
      await writeDifference(disk, await heldBase(host, to.base), to.base.file, part, signal);
    else {
      const as = to.format === "vhdx" ? ["-O", "vhdx", "-o", "subformat=dynamic"] : ["-O", "qcow2"];
      await convert([...as, disk.top, part], signal);
    }
    await syncFile(part);
    await rename(part, to.path);
    await syncFolder(path.dirname(to.path));
  } finally {
    await rm(part, { force: true });
  }
}

/** Formats are always named: guessing them from a guest's bytes is CVE-2026-24708. */
const convert = (words: readonly string[], signal: AbortSignal | undefined) =>
  runProgram("qemu-img", ["convert", "-q", "-f", "qcow2", ...words], {
    signal,
    timeoutMs: COPY_TIMEOUT_MS,
  });

/** What differs from the image, in a file that does not name it: where it lies is each host's own. */
async function writeDifference(
  { top, image }: MovableDisk,
  imageAt: string,
  imageName: string,
  part: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const qemuImg = (...words: readonly string[]) =>
    runProgram("qemu-img", words, { signal, timeoutMs: COPY_TIMEOUT_MS });
  if (image === imageName)
    // Of the top layer alone: right only where nothing lies between it and the image.
    await convert(["-O", "qcow2", "-B", imageAt, "-F", "qcow2", top, part], signal);
  else {
    await qemuImg("create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", top, part);
    await qemuImg("rebase", "-q", "-f", "qcow2", "-F", "qcow2", "-b", imageAt, part);
  }
  await qemuImg("rebase", "-q", "-u", "-f", "qcow2", "-b", "", part);
}

/** So that a crash of the host does not take back a name that was given. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
