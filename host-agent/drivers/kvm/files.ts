import { access, readdir } from "node:fs/promises";
import path from "node:path";
import { HostImage } from "#core/contracts/agent/desired.ts";
import { DriverError, type VmRef } from "../driver.ts";
import { checkedId, fileStem, tagOfFile } from "./tag.ts";

/**
 * The driver's folders. `disks`, `seeds` and `consoles` stand on one file system with `trash`, so that a move is
 * a rename. QEMU's user must be able to enter them.
 */
export type Folders = Readonly<{
  imageDir: string;
  diskDir: string;
  seedDir: string;
  consoleDir: string;
  trashDir: string;
}>;

export type VmFiles = Readonly<{
  /** The VM's own layer over its image. */
  disk: string;
  /** The NoCloud volume of its first boot. */
  seed: string;
  /** What the guest wrote to its serial port since its process started. */
  console: string;
  /** How much of `console` belongs to boots before the present one. */
  bootMark: string;
  /** The definition, or a part of it, on its way to libvirt. */
  definition: string;
}>;

export function filesOf(folders: Folders, ref: VmRef): VmFiles {
  const stem = fileStem(ref);
  return {
    disk: path.join(folders.diskDir, `${stem}.qcow2`),
    seed: path.join(folders.seedDir, `${stem}.iso`),
    console: path.join(folders.consoleDir, `${stem}.log`),
    bootMark: path.join(folders.consoleDir, `${stem}.boot.json`),
    definition: path.join(folders.seedDir, `${stem}.domain.xml.part`),
  };
}

/** An image's file, by a name that the contract allows: a bare one. Throws `image_missing` for any other. */
export function imageFile(folders: Folders, name: string): string {
  if (!HostImage.shape.file.safeParse(name).success)
    throw new DriverError("image_missing", `not the name of an image: ${name.slice(0, 100)}`);
  return path.join(folders.imageDir, `${name}.qcow2`);
}

/** What stands in the disk and seed folders, by VM. */
export type TaggedFile = Readonly<{ tag: VmRef; path: string; kind: "disk" | "seed" | "part" }>;

/**
 * Every file of Berth's VMs on this host, or of one VM. A folder that cannot be read is not an empty one:
 * it throws, because whatever lies there would else look as if it had gone.
 */
export async function taggedFiles(folders: Folders, vmId?: string): Promise<TaggedFile[]> {
  const only = vmId === undefined ? undefined : checkedId(vmId);
  const listings = await Promise.all(
    [...new Set([folders.diskDir, folders.seedDir])].map(async (dir) => {
      try {
        return (await readdir(dir)).map((name) => ({ dir, name }));
      } catch (cause) {
        throw new DriverError("hypervisor_unavailable", `${dir} cannot be read`, { cause });
      }
    }),
  );
  return listings.flat().flatMap(({ dir, name }) => {
    const tag = tagOfFile(name);
    if (tag === null || (only !== undefined && tag.vmId !== only)) return [];
    return [{ tag, path: path.join(dir, name), kind: kindOf(name) }];
  });
}

function kindOf(name: string): TaggedFile["kind"] {
  if (name.endsWith(".qcow2")) return "disk";
  return name.endsWith(".iso") ? "seed" : "part";
}

export async function exists(file: string): Promise<boolean> {
  return await access(file).then(
    () => true,
    () => false,
  );
}
