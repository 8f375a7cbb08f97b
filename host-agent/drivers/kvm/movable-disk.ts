import { realpath, stat } from "node:fs/promises";
import path from "node:path";
import { ImageFileName } from "#core/contracts/values.ts";
import { DriverError, type VmRef } from "../driver.ts";
import type { BaseImage, MovedDisk } from "../move-calls.ts";
import { readQcow2 } from "./disks.ts";
import { exists, filesOf } from "./files.ts";
import type { KvmHost } from "./host.ts";
import { IMAGE_ENDING, readImage } from "./images.ts";
import { backingFileOf } from "./layers.ts";
import type { Owned } from "./look.ts";

/** A VM's disk as it can be moved. */
export type MovableDisk = Readonly<{
  domain: Owned;
  /** Its topmost layer: the VM's own, or one that somebody's snapshot put over that. */
  top: string;
  virtualBytes: bigint;
  /** The image that the top stands on directly, by its name; null: it stands alone, or on something else. */
  image: string | null;
}>;

/** Throws `vm_missing`, and `unsupported` for a VM whose data are not in one chain of files. */
export async function movableDisk(
  host: KvmHost,
  ref: VmRef,
  signal?: AbortSignal,
): Promise<MovableDisk> {
  const domain = await host.owned(ref, signal);
  if (domain === null) throw new DriverError("vm_missing", `${ref.vmId} is not defined here`);
  const { disks, systemFile } = domain.own;
  if (disks !== 1)
    throw new DriverError("unsupported", `${ref.vmId} has ${disks} disks, and one is moved`);
  const top = systemFile ?? filesOf(host.folders, ref).disk;
  const disk = await readQcow2(top);
  if (disk === null)
    throw (await exists(top))
      ? new DriverError("unsupported", `the disk at ${top} is no qcow2`)
      : new DriverError("vm_missing", `there is no disk at ${top}`);
  return { domain, top, virtualBytes: disk.virtualSize, image: await imageUnder(host, top) };
}

/** What a move has to know of a VM. */
export async function describeDisk(
  host: KvmHost,
  ref: VmRef,
  signal?: AbortSignal,
): Promise<MovedDisk> {
  const { virtualBytes, image } = await movableDisk(host, ref, signal);
  return {
    virtualBytes,
    exportBytes: mostExportBytes(virtualBytes),
    base: image === null ? null : await baseOf(host, image),
  };
}

/** An image that is not what it was goes with the disk: no other host has the like. */
async function baseOf(host: KvmHost, file: string): Promise<BaseImage | null> {
  const sha256 = await host.shelf.readSumOf(await readImage(host.folders, file));
  return sha256 === null ? null : { file, sha256 };
}

/** The path of an image that both ends hold. Throws `image_missing` when ours is another. */
export async function heldBase(host: KvmHost, base: BaseImage): Promise<string> {
  const image = await readImage(host.folders, base.file);
  if ((await host.shelf.readSumOf(image)) !== base.sha256)
    throw new DriverError("image_missing", `image ${base.file} is not here with that checksum`);
  return image.path;
}

const MIB = 1024n ** 2n;
/** Of a VHDX, whose blocks are up to 64 MiB, and which begins with a log and its tables. */
const VHDX_SLACK = 128n * MIB;

/**
 * A bound, not an estimate, whatever the guest writes before it is off: every cluster is full. qcow2's tables are then 5/32768 of the
 * disk (8 bytes of L2 and 2 of refcounts each 64 KiB), which 1/4096 is above.
 */
export const mostExportBytes = (virtualBytes: bigint): bigint =>
  virtualBytes + virtualBytes / 4096n + VHDX_SLACK;

/** The image that a disk stands on directly: a file of the image folder's, under a name that images have. */
async function imageUnder(host: KvmHost, top: string): Promise<string | null> {
  const under = await backingFileOf(top);
  if (under === null) return null;
  const at = await realpath(under).catch(() => null);
  if (at === null || path.dirname(at) !== (await realpath(host.folders.imageDir))) return null;
  const name = path.basename(at, IMAGE_ENDING);
  return at.endsWith(IMAGE_ENDING) && ImageFileName.safeParse(name).success ? name : null;
}

/** What a disk and all that it stands on take on this host now. */
export async function bytesOfChain(top: string): Promise<bigint> {
  let bytes = 0n;
  const seen = new Set<string>();
  for (let next: string | null = top; next !== null && !seen.has(next);) {
    seen.add(next);
    const { blocks } = await stat(next, { bigint: true });
    bytes += blocks * 512n;
    next = await backingFileOf(next);
  }
  return bytes;
}
