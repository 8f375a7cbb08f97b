/**
 * A read-only CD image from a few small files, for first-boot seeds on hosts without `genisoimage`: ISO 9660 level 1
 * (ECMA-119) for the letter of the standard, and Joliet beside it for the names as they are given, which is what
 * Linux, FreeBSD and Windows read. No npm package that writes one is maintained.
 */
export type IsoContent = Readonly<{
  /** Up to 16 characters; `blkid`, cloud-init and cloudbase-init find the seed by it. */
  volume: string;
  /** Contents by path, with `/` between folders. A name has up to 64 characters of the Basic Multilingual Plane. */
  files: Readonly<Record<string, string | Uint8Array>>;
  at: Date;
}>;

const SECTOR = 2048;
/** Sixteen sectors for the system, two volume descriptors, the terminator. */
const FIRST_FREE = 19;

type File = { name: string; bytes: Uint8Array; sector: number };
type Folder = { name: string; folders: Folder[]; files: File[]; parent: Folder | null };
/** A tree as one of the two file systems sees it. */
type View = {
  nameOf: (entry: Folder | File, siblings: readonly (Folder | File)[]) => Buffer;
  folders: Folder[];
  sectors: Map<Folder, { sector: number; sectors: number }>;
  tables: { little: number; big: number; bytes: number };
};

export function isoImage({ volume, files, at }: IsoContent): Buffer {
  if (!/^[\w-]{1,16}$/.test(volume)) throw new Error(`not a volume name: ${volume}`);
  const root = tree(files);
  const views = [view(root, shortName), view(root, longName)];
  let next = FIRST_FREE;
  for (const one of views) next = place(one, next);
  const all = foldersOf(root).flatMap((folder) => folder.files);
  for (const file of all) {
    file.sector = next;
    next += Math.ceil(file.bytes.length / SECTOR);
  }

  const image = Buffer.alloc(next * SECTOR);
  for (const [n, one] of views.entries()) {
    descriptor(one, root, { volume, at, sectors: next, joliet: n === 1 }).copy(
      image,
      (16 + n) * SECTOR,
    );
    pathTable(one, "little").copy(image, one.tables.little * SECTOR);
    pathTable(one, "big").copy(image, one.tables.big * SECTOR);
    for (const folder of one.folders)
      directory(one, folder, at).copy(image, extentOf(one, folder).sector * SECTOR);
  }
  Buffer.from([255, ...Buffer.from("CD001"), 1]).copy(image, 18 * SECTOR);
  for (const file of all) image.set(file.bytes, file.sector * SECTOR);
  return image;
}

function tree(files: IsoContent["files"]): Folder {
  const root: Folder = { name: "", folders: [], files: [], parent: null };
  for (const [path, content] of Object.entries(files)) {
    const parts = path.split("/");
    for (const part of parts)
      // Joliet §3: what no name may hold. Lengths in UTF-16 units.
      if (!/^[^\p{Cc}*/:;?\\]{1,64}$/u.test(part) || part === "." || part === "..")
        throw new Error(`not a file name: ${path}`);
    const name = parts.pop() ?? "";
    let folder = root;
    for (const part of parts) {
      let inner = folder.folders.find((other) => other.name === part);
      if (!inner) {
        inner = { name: part, folders: [], files: [], parent: folder };
        folder.folders.push(inner);
      }
      folder = inner;
    }
    folder.files.push({ name, bytes: Buffer.from(content), sector: 0 });
  }
  return root;
}

/** Breadth first: the order of a path table, in which a parent stands before its children. */
function foldersOf(root: Folder): Folder[] {
  const all = [root];
  for (const folder of all) all.push(...folder.folders);
  return all;
}

/** `USERDATA.;1`: eight letters and digits, numbered where two would be the same. */
function shortName(entry: Folder | File, siblings: readonly (Folder | File)[]): Buffer {
  const plain = (name: string) =>
    name
      .toUpperCase()
      .replaceAll(/[^A-Z0-9]/g, "_")
      .slice(0, 8);
  const same = siblings.filter((other) => plain(other.name) === plain(entry.name));
  const name =
    same.length === 1
      ? plain(entry.name)
      : plain(entry.name).slice(0, 6) + String(same.indexOf(entry)).padStart(2, "0");
  return Buffer.from("bytes" in entry ? `${name}.;1` : name, "latin1");
}

/** UCS-2, big-endian, as it was given; without the ";1" of the other view, as genisoimage writes it too. */
function longName(entry: Folder | File): Buffer {
  return Buffer.from(entry.name, "utf16le").swap16();
}

function view(root: Folder, nameOf: View["nameOf"]): View {
  return {
    nameOf,
    folders: foldersOf(root),
    sectors: new Map(),
    tables: { little: 0, big: 0, bytes: 0 },
  };
}

/** Gives every folder and both path tables their sectors, from `next` on; returns the sector after them. */
function place(one: View, next: number): number {
  one.tables.bytes = pathTableEntries(one).reduce((sum, entry) => sum + entry.length, 0);
  const tableSectors = Math.ceil(one.tables.bytes / SECTOR);
  one.tables.little = next;
  one.tables.big = next + tableSectors;
  let sector = next + 2 * tableSectors;
  for (const folder of one.folders) {
    const sectors = layOut(records(one, folder)).sectors;
    one.sectors.set(folder, { sector, sectors });
    sector += sectors;
  }
  return sector;
}

const extentOf = (one: View, folder: Folder) =>
  one.sectors.get(folder) ?? { sector: 0, sectors: 1 };
const identifier = (one: View, folder: Folder): Buffer =>
  folder.parent ? one.nameOf(folder, folder.parent.folders) : Buffer.from([0]);

function pathTableEntries(one: View, order: "little" | "big" = "little"): Buffer[] {
  return one.folders.map((folder) => {
    const name = identifier(one, folder);
    const entry = Buffer.alloc(8 + name.length + (name.length % 2));
    entry[0] = name.length;
    const parent = folder.parent ? one.folders.indexOf(folder.parent) + 1 : 1;
    if (order === "little") {
      entry.writeUInt32LE(extentOf(one, folder).sector, 2);
      entry.writeUInt16LE(parent, 6);
    } else {
      entry.writeUInt32BE(extentOf(one, folder).sector, 2);
      entry.writeUInt16BE(parent, 6);
    }
    name.copy(entry, 8);
    return entry;
  });
}
const pathTable = (one: View, order: "little" | "big") =>
  Buffer.concat(pathTableEntries(one, order));

type Target = { name: Buffer; sector: number; bytes: number; isFolder: boolean };
function records(one: View, folder: Folder): Target[] {
  const self = (name: number, of: Folder): Target => {
    const { sector, sectors } = extentOf(one, of);
    return { name: Buffer.from([name]), sector, bytes: sectors * SECTOR, isFolder: true };
  };
  const inner = folder.folders.map((child): Target => {
    const { sector, sectors } = extentOf(one, child);
    return {
      name: one.nameOf(child, folder.folders),
      sector,
      bytes: sectors * SECTOR,
      isFolder: true,
    };
  });
  const files = folder.files.map((file): Target => ({
    name: one.nameOf(file, folder.files),
    sector: file.sector,
    bytes: file.bytes.length,
    isFolder: false,
  }));
  // Both orders are by the bytes of the names.
  const sorted = [...inner, ...files].sort((a, b) => Buffer.compare(a.name, b.name));
  return [self(0, folder), self(1, folder.parent ?? folder), ...sorted];
}

/** Where each record stands: none crosses a sector's end. */
function layOut(targets: readonly Target[]): { offsets: number[]; sectors: number } {
  let at = 0;
  const offsets = targets.map(({ name }) => {
    const length = recordLength(name);
    if ((at % SECTOR) + length > SECTOR) at = Math.ceil(at / SECTOR) * SECTOR;
    const offset = at;
    at += length;
    return offset;
  });
  return { offsets, sectors: Math.ceil(at / SECTOR) };
}
const recordLength = (name: Buffer): number => 33 + name.length + (name.length % 2 === 0 ? 1 : 0);

function directory(one: View, folder: Folder, at: Date): Buffer {
  const targets = records(one, folder);
  const { offsets, sectors } = layOut(targets);
  const extent = Buffer.alloc(sectors * SECTOR);
  for (const [n, target] of targets.entries()) record(target, at).copy(extent, offsets[n]);
  return extent;
}

function record({ name, sector, bytes, isFolder }: Target, at: Date): Buffer {
  const entry = Buffer.alloc(recordLength(name));
  entry[0] = entry.length;
  both32(entry, 2, sector);
  both32(entry, 10, bytes);
  Buffer.from([
    at.getUTCFullYear() - 1900,
    at.getUTCMonth() + 1,
    at.getUTCDate(),
    at.getUTCHours(),
    at.getUTCMinutes(),
    at.getUTCSeconds(),
  ]).copy(entry, 18);
  entry[25] = isFolder ? 2 : 0;
  both16(entry, 28, 1);
  entry[32] = name.length;
  name.copy(entry, 33);
  return entry;
}

type About = { volume: string; at: Date; sectors: number; joliet: boolean };
/** A primary (ECMA-119 §8.4) or, for Joliet, supplementary (§8.5) volume descriptor. */
function descriptor(one: View, root: Folder, about: About): Buffer {
  const d = Buffer.alloc(SECTOR);
  const text = (from: number, length: number, value: string) => {
    const encoded = about.joliet
      ? Buffer.from(value.padEnd(length / 2), "utf16le").swap16()
      : Buffer.from(value.padEnd(length), "latin1");
    encoded.copy(d, from, 0, length);
  };
  d[0] = about.joliet ? 2 : 1;
  d.write("CD001", 1, "latin1");
  d[6] = 1;
  text(8, 32, "");
  text(40, 32, about.volume);
  both32(d, 80, about.sectors);
  // UCS-2 level 3.
  if (about.joliet) d.write("%/E", 88, "latin1");
  both16(d, 120, 1);
  both16(d, 124, 1);
  both16(d, 128, SECTOR);
  both32(d, 132, one.tables.bytes);
  d.writeUInt32LE(one.tables.little, 140);
  d.writeUInt32BE(one.tables.big, 148);
  const { sector, sectors } = extentOf(one, root);
  record(
    { name: Buffer.from([0]), sector, bytes: sectors * SECTOR, isFolder: true },
    about.at,
  ).copy(d, 156);
  for (const [from, length] of [
    [190, 128],
    [318, 128],
    [446, 128],
    [574, 128],
    [702, 36],
    [739, 36],
    [776, 36],
  ] as const)
    text(from, length, "");
  const stamp = `${about.at.toISOString().replaceAll(/\D/g, "").slice(0, 16)}\0`;
  d.write(stamp, 813, "latin1");
  d.write(stamp, 830, "latin1");
  d.write(`${"0".repeat(16)}\0`, 847, "latin1");
  d.write(stamp, 864, "latin1");
  d[881] = 1;
  return d;
}

function both16(buffer: Buffer, at: number, value: number): void {
  buffer.writeUInt16LE(value, at);
  buffer.writeUInt16BE(value, at + 2);
}
function both32(buffer: Buffer, at: number, value: number): void {
  buffer.writeUInt32LE(value, at);
  buffer.writeUInt32BE(value, at + 4);
}
