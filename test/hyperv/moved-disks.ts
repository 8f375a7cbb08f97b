import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFile, open, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import type { VmRef } from "#host-agent/drivers/driver.ts";
import { crc32c } from "#host-agent/drivers/hyperv/vhdx-header.ts";
import type { World } from "./world.ts";

export const GIB = 2 ** 30;
const MIB = 2 ** 20;

export const diskOf = (world: World, { vmId }: VmRef): string =>
  path.join(world.root, "vms", vmId, "disk.vhdx");

export const qemuImg = (...args: string[]): string =>
  execFileSync("qemu-img", args, { encoding: "utf8" });

/** A disk of the stand-in's that is no real one; see StandinVhd in standin/disks.ps1. */
type DiskRecord = Readonly<{
  Size: number;
  Parent: string | null;
  Written?: readonly { Offset: number; Text: string }[] | null;
}>;
async function readRecord(disk: string): Promise<DiskRecord> {
  const record: DiskRecord = JSON.parse(await readFile(disk, "utf8"));
  return record;
}

/** What a guest, or who made an image, writes to a disk that is a record of the stand-in's. */
export async function writeTo(disk: string, offset: number, text: string): Promise<void> {
  const record = await readRecord(disk);
  const written = [...(record.Written ?? []), { Offset: offset, Text: text }];
  await writeFile(disk, JSON.stringify({ ...record, Written: written }));
}

/** What a guest sees there, by qemu-img and nothing of ours. */
export async function readFrom(
  disk: string,
  format: "vhdx" | "qcow2",
  offset: number,
  length: number,
): Promise<string> {
  qemuImg("convert", "-f", format, "-O", "raw", disk, `${disk}.raw`);
  const raw = await open(`${disk}.raw`);
  try {
    const { buffer } = await raw.read({ buffer: Buffer.alloc(length), position: offset });
    return buffer.toString("latin1");
  } finally {
    await raw.close();
    await rm(`${disk}.raw`);
  }
}

/**
 * The same for disks whose guests see the same, whatever they are: a VHDX or a qcow2, over an image or alone, or a record of the
 * stand-in's. It is a sum of all that is not zero.
 */
export async function sumOfContent(disk: string): Promise<string> {
  const blocks = new Map<number, Buffer>();
  const bytes = await collect(disk, blocks);
  const sum = createHash("sha256").update(`${bytes}`);
  for (const [at, block] of [...blocks].toSorted(([a], [b]) => a - b))
    if (block.some((byte) => byte !== 0)) sum.update(`${at}`).update(block);
  return sum.digest("hex");
}

const BLOCK = 4096;
/** Puts what is written to the disk, and under it, into `blocks`; answers its size. */
async function collect(disk: string, blocks: Map<number, Buffer>): Promise<number> {
  const format = await realFormat(disk);
  if (format !== null) return collectReal(disk, format, blocks);
  const { Size, Parent, Written } = await readRecord(disk);
  if (Parent) await collect(Parent, blocks);
  for (const { Offset, Text } of Written ?? [])
    for (const [n, byte] of Buffer.from(Text, "latin1").entries()) {
      const at = Math.floor((Offset + n) / BLOCK);
      const block = blocks.get(at) ?? Buffer.alloc(BLOCK);
      block[(Offset + n) % BLOCK] = byte;
      blocks.set(at, block);
    }
  return Size;
}
/** By its first bytes; null: it is a record. */
export async function realFormat(disk: string): Promise<"vhdx" | "qcow2" | null> {
  const file = await open(disk);
  try {
    const { buffer } = await file.read({ buffer: Buffer.alloc(8), position: 0 });
    const head = buffer.toString("latin1");
    return head === "vhdxfile" ? "vhdx" : head.startsWith("QFI\xfb") ? "qcow2" : null;
  } finally {
    await file.close();
  }
}
async function collectReal(
  disk: string,
  format: "vhdx" | "qcow2",
  blocks: Map<number, Buffer>,
): Promise<number> {
  qemuImg("convert", "-f", format, "-O", "raw", disk, `${disk}.raw`);
  const extents: { start: number; length: number; data: boolean; zero: boolean }[] = JSON.parse(
    qemuImg("map", "-f", "raw", "--output=json", `${disk}.raw`),
  );
  const raw = await open(`${disk}.raw`);
  try {
    for (const { start, length } of extents.filter(({ data, zero }) => data && !zero))
      for (let at = start; at < start + length; at += BLOCK) {
        const block = Buffer.alloc(BLOCK);
        await raw.read({ buffer: block, position: at });
        blocks.set(at / BLOCK, block);
      }
  } finally {
    await raw.close();
    await rm(`${disk}.raw`);
  }
  return sizeOf(disk).bytes;
}

export const sizeOf = (disk: string): { format: string; bytes: number } => {
  const info: { format: string; "virtual-size": number } = JSON.parse(
    qemuImg("info", "--output=json", disk),
  );
  return { format: info.format, bytes: info["virtual-size"] };
};

/** A dynamic VHDX of 1 GiB as a KVM host converts one, with a word at its start. */
export async function aVhdx(file: string): Promise<void> {
  await writeFile(`${file}.raw`, "from a KVM host");
  qemuImg("resize", "-f", "raw", `${file}.raw`, "1G");
  qemuImg("convert", "-f", "raw", "-O", "qcow2", `${file}.raw`, `${file}.qcow2`);
  qemuImg("convert", "-f", "qcow2", "-O", "vhdx", "-o", "subformat=dynamic", `${file}.qcow2`, file);
  await Promise.all([rm(`${file}.raw`), rm(`${file}.qcow2`)]);
}

/** One file that must not be taken, made out of a good one. */
type Hostile = Readonly<{ what: string; make: (file: string, good: string) => Promise<void> }>;

const spoilt = (what: string, spoil: (bytes: Buffer) => Buffer | void): Hostile => ({
  what,
  make: async (file, good) => {
    const bytes = await readFile(good);
    await writeFile(file, spoil(bytes) ?? bytes);
  },
});
const converted = (what: string, ...args: string[]): Hostile => ({
  what,
  make: async (file, good) => {
    qemuImg("convert", "-f", "vhdx", ...args, good, file);
  },
});

export const HOSTILE_DISKS: readonly Hostile[] = [
  spoilt("nothing", () => Buffer.alloc(0)),
  spoilt("a text", () => Buffer.from('{"Type":"Dynamic","Size":1073741824}')),
  spoilt("a VHDX that ends early", (bytes) => bytes.subarray(0, MIB)),
  {
    what: "a qcow2 that names the host's own files",
    make: async (file) => {
      qemuImg("create", "-f", "qcow2", "-u", "-b", "/etc/passwd", "-F", "raw", file, "1G");
    },
  },
  converted("a VHD of before", "-O", "vpc"),
  converted("a fixed disk", "-O", "vhdx", "-o", "subformat=fixed"),
  {
    what: "a disk of another size",
    make: async (file) => {
      qemuImg("create", "-f", "vhdx", file, "2G");
    },
  },
  spoilt("one that says that it has a parent", (bytes) =>
    makeDifferencing(bytes, metadataOf(bytes)),
  ),
  spoilt("one with a parent locator", (bytes) => rename(bytes, PAGE_83, PARENT_LOCATOR)),
  spoilt("one with metadata that nobody knows", (bytes) =>
    rename(bytes, PAGE_83, Buffer.alloc(16, 7)),
  ),
  spoilt("one that says its kind twice", (bytes) => rename(bytes, PAGE_83, FILE_PARAMETERS)),
  spoilt("one whose log would be replayed over it", (bytes) => {
    for (const at of HEADERS) {
      bytes.fill(7, at + 48, at + 64);
      sign(bytes, at, HEADER_BYTES);
    }
  }),
  spoilt("one of two headers that are broken", (bytes) => {
    for (const at of HEADERS) bytes.writeUInt32LE(1, at + 4);
  }),
  spoilt("one whose second table names another disk", (bytes) =>
    withOtherTable(bytes, REGION_TABLES[1]),
  ),
  spoilt("one whose only whole table names a disk with a parent", (bytes) => {
    const other = withOtherTable(bytes, REGION_TABLES[1]);
    other.writeUInt32LE(1, REGION_TABLES[0] + 4);
    return other;
  }),
  spoilt("one whose tables have no end", (bytes) => {
    for (const at of REGION_TABLES) {
      bytes.writeUInt32LE(0xffffffff, at + 8);
      sign(bytes, at, TABLE_BYTES);
    }
  }),
];

const HEADERS = [64 * 1024, 128 * 1024] as const;
const REGION_TABLES = [192 * 1024, 256 * 1024] as const;
const HEADER_BYTES = 4096;
const TABLE_BYTES = 65_536;
// As they lie in the file.
const FILE_PARAMETERS = Buffer.from("3767a1ca36fa434db3b633f0aa44e76b", "hex");
const PAGE_83 = Buffer.from("ab12cabee6b2234593efc309e000c746", "hex");
const PARENT_LOCATOR = Buffer.from("2d5fd3a80bb34d45abf7d3d84834ab0c", "hex");
const METADATA = Buffer.from("06a27c8b90479a4bb8fe575f050f886e", "hex");

const metadataOf = (bytes: Buffer): number => found(bytes.indexOf("metadata", MIB));

function makeDifferencing(bytes: Buffer, metadata: number): void {
  const entry = found(bytes.indexOf(FILE_PARAMETERS, metadata));
  const flags = metadata + bytes.readUInt32LE(entry + 16) + 4;
  bytes.writeUInt32LE(bytes.readUInt32LE(flags) | 2, flags);
}

/** One of its metadata becomes another. */
function rename(bytes: Buffer, guid: Buffer, other: Buffer): void {
  other.copy(bytes, found(bytes.indexOf(guid, metadataOf(bytes))));
}

/** The table at `at` names metadata at the end of the file: those of a disk that has a parent. */
function withOtherTable(bytes: Buffer, at: number): Buffer {
  const from = metadataOf(bytes);
  const both = Buffer.concat([bytes, bytes.subarray(from, from + MIB)]);
  makeDifferencing(both, bytes.length);
  both.writeBigUInt64LE(BigInt(bytes.length), found(both.indexOf(METADATA, at)) + 16);
  sign(both, at, TABLE_BYTES);
  return both;
}

function sign(bytes: Buffer, at: number, length: number): void {
  bytes.writeUInt32LE(0, at + 4);
  bytes.writeUInt32LE(crc32c(bytes.subarray(at, at + length)), at + 4);
}

function found(at: number): number {
  if (at < 0) throw new Error("the good disk is another than was thought");
  return at;
}

/** What the agents' stream does. */
export async function carry(
  from: Readonly<{ world: World; file: string }>,
  to: Readonly<{ world: World; file: string }>,
): Promise<string> {
  const received = path.join(to.world.root, "moves", to.file);
  await copyFile(path.join(from.world.root, "moves", from.file), received);
  return received;
}
