import { readdir } from "node:fs/promises";
import path from "node:path";
import { HostImage } from "#core/contracts/agent/desired.ts";
import { DriverError } from "../driver.ts";
import type { ImageFile } from "../image-shelf.ts";
import { readQcow2 } from "./disks.ts";
import { imageFile, type Folders } from "./files.ts";

export const IMAGE_ENDING = ".qcow2";

/** The images that a VM can be made from here: whole, flat, and under a name of the catalogue's kind. */
export async function readImages({ imageDir }: Pick<Folders, "imageDir">): Promise<ImageFile[]> {
  const names = await readdir(imageDir);
  const found = await Promise.all(
    names.sort().map(async (name) => {
      const file = path.basename(name, IMAGE_ENDING);
      if (!name.endsWith(IMAGE_ENDING) || !HostImage.shape.file.safeParse(file).success) return [];
      const at = path.join(imageDir, name);
      const disk = await readQcow2(at).catch(() => null);
      return disk === null || disk.hasBackingFile || disk.virtualSize < 1n
        ? []
        : [{ file, path: at, virtualBytes: Number(disk.virtualSize) }];
    }),
  );
  return found.flat();
}

/** Throws `image_missing` for one that is not there, or not as it should be. */
export async function readImage(folders: Folders, name: string): Promise<ImageFile> {
  const at = imageFile(folders, name);
  const disk = await readQcow2(at);
  if (disk === null) throw new DriverError("image_missing", `no qcow2 image ${name} on this host`);
  if (disk.hasBackingFile)
    throw new DriverError("image_missing", `image ${name} is not flat: it has a backing file`);
  return { file: name, path: at, virtualBytes: Number(disk.virtualSize) };
}
