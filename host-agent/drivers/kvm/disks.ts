import { chmod, link, open, rm, statfs, writeFile } from "node:fs/promises";
import path from "node:path";
import { DriverError } from "../driver.ts";
import { fileModeIn } from "./file-rights.ts";
import { errnoOf, runProgram } from "./run-program.ts";

export const GIB = 1024n ** 3n;
const MIB = 1024n ** 2n;
/** "QFI\xfb": https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.rst */
const QCOW2_MAGIC = 0x51_46_49_fb;
const CLONE_TIMEOUT_MS = 60_000;

type Qcow2 = Readonly<{
  /** What the guest sees, in bytes. */
  virtualSize: bigint;
  hasBackingFile: boolean;
}>;

/** Reads a disk's own header, also of a disk in use; null when there is no such file, or no whole qcow2 in it. */
export async function readQcow2(file: string): Promise<Qcow2 | null> {
  let disk;
  try {
    disk = await open(file, "r");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return null;
    throw error;
  }
  try {
    const { buffer, bytesRead } = await disk.read({ buffer: Buffer.alloc(32), position: 0 });
    if (bytesRead < 32 || buffer.readUInt32BE(0) !== QCOW2_MAGIC) return null;
    return {
      virtualSize: buffer.readBigUInt64BE(24),
      hasBackingFile: buffer.readBigUInt64BE(8) !== 0n,
    };
  } finally {
    await disk.close();
  }
}

/** Whether nothing was ever written to a qcow2: its table of tables is empty. */
export async function isBlank(file: string): Promise<boolean> {
  const disk = await open(file, "r");
  try {
    const head = await disk.read({ buffer: Buffer.alloc(48), position: 0 });
    if (head.bytesRead < 48) return true;
    const [entries, position] = [head.buffer.readUInt32BE(36), head.buffer.readBigUInt64BE(40)];
    // QEMU itself opens no larger one.
    const bytes = Math.min(entries * 8, MOST_L1_BYTES);
    const { buffer } = await disk.read({ buffer: Buffer.alloc(bytes), position });
    return buffer.every((byte) => byte === 0);
  } finally {
    await disk.close();
  }
}
const MOST_L1_BYTES = 32 * 1024 ** 2;

/** The size of a disk in whole GiB, as a VM's size counts it; at least one. */
export function gibOf(disk: Qcow2): number {
  return Math.max(1, Number(disk.virtualSize / GIB));
}

/**
 * Makes a disk as a linked clone of an image, which is only ever read. It appears under its name whole or not at
 * all, once `allowed` has come true, and a disk that stands there already is kept as it is: it may be a customer's.
 */
export const cloneImage = (
  image: string,
  disk: string,
  sizeGib: number,
  allowed: Promise<unknown>,
  signal?: AbortSignal,
): Promise<void> => createDisk({ image, disk, sizeGib, allowed }, signal);

/** The same; without an image it is an empty disk that stands alone. */
export async function createDisk(
  {
    image,
    disk,
    sizeGib,
    allowed,
  }: { image: string | null; disk: string; sizeGib: number; allowed?: Promise<unknown> },
  signal?: AbortSignal,
): Promise<void> {
  const part = `${disk}.part`;
  // Formats are always named: guessing them from a guest's bytes is CVE-2026-24708.
  const under = image === null ? [] : ["-F", "qcow2", "-b", image];
  try {
    // qemu-img keeps the rights of a file that is there; of its own it would make one that everybody reads.
    await writeFile(part, "", { mode: 0o600 });
    await chmod(part, await fileModeIn(path.dirname(disk)));
    await runProgram("qemu-img", ["create", "-q", "-f", "qcow2", ...under, part, `${sizeGib}G`], {
      signal,
      timeoutMs: CLONE_TIMEOUT_MS,
    });
    await syncFile(part);
    await allowed;
    // A link refuses a name that is taken; a rename would replace it.
    await link(part, disk);
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
  } finally {
    await rm(part, { force: true });
  }
}

/** Grows a disk that nothing uses. Its size never goes down: the caller has compared. */
export async function growOffline(
  disk: string,
  sizeGib: number,
  signal?: AbortSignal,
): Promise<void> {
  await runProgram("qemu-img", ["resize", "-q", "-f", "qcow2", disk, `${sizeGib}G`], { signal });
}

/** Throws `out_of_disk` when a folder's file system has less than `mib` left. */
export async function needFreeSpace(dir: string, mib: number): Promise<void> {
  const { bavail, bsize } = await statfs(dir, { bigint: true });
  const free = (bavail * bsize) / MIB;
  if (free < BigInt(mib))
    throw new DriverError("out_of_disk", `${dir} has ${free} MiB left, and ${mib} are kept free`);
}

/** A file that a crash of the host may not leave empty behind its name. */
export async function syncFile(file: string): Promise<void> {
  const handle = await open(file, "r+");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
