import { readFile } from "node:fs/promises";

const SECTOR = 2048;
/** The supplementary descriptor, as `isoImage` and genisoimage place it; its root's record stands at 156. */
const JOLIET = 17 * SECTOR;

/**
 * The files of a CD by their Joliet paths, as a Windows or Linux guest reads them (ECMA-119 section 9.1; Joliet
 * section 3): a reader of its own, so that nothing is compared with what wrote it.
 */
export async function readIso(file: string): Promise<ReadonlyMap<string, Buffer>> {
  const image = await readFile(file);
  const files = new Map<string, Buffer>();
  walk(image, image.subarray(JOLIET + 156), "", files);
  return files;
}

function walk(image: Buffer, record: Buffer, place: string, files: Map<string, Buffer>): void {
  const folder = extent(image, record);
  for (let at = 0; at < folder.length;) {
    const length = folder[at] ?? 0;
    // No record crosses the end of a sector; zeros fill what is left of one.
    if (length === 0) {
      at = (Math.floor(at / SECTOR) + 1) * SECTOR;
      continue;
    }
    const one = folder.subarray(at, at + length);
    at += length;
    const bytes = one[32] ?? 0;
    // The folder itself and its parent have names of one byte.
    if (bytes < 2) continue;
    const name = Buffer.from(one.subarray(33, 33 + bytes))
      .swap16()
      .toString("utf16le");
    if (((one[25] ?? 0) & 2) !== 0) walk(image, one, `${place}${name}/`, files);
    else files.set(place + name, extent(image, one));
  }
}

function extent(image: Buffer, record: Buffer): Buffer {
  const from = record.readUInt32LE(2) * SECTOR;
  return image.subarray(from, from + record.readUInt32LE(10));
}
