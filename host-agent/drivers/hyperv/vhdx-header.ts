import { open, type FileHandle } from "node:fs/promises";
import { DriverError } from "../driver.ts";

/** What a VHDX says of itself. */
export type VhdxHeader = Readonly<{
  kind: "dynamic" | "fixed" | "differencing";
  virtualBytes: bigint;
}>;

const KIB = 1024;
const MIB = 1024 * KIB;
const HEADERS = [64 * KIB, 128 * KIB];
const REGION_TABLES = [192 * KIB, 256 * KIB];
const HEADER_BYTES = 4 * KIB;
const TABLE_BYTES = 64 * KIB;
/** [MS-VHDX] 2.2.3.1 and 2.2.6.1: no table has more entries. */
const MOST_ENTRIES = 2047;
const ENTRY_BYTES = 32;
const NO_LOG = Buffer.alloc(16);

/** [MS-VHDX] 2.2.3.2 and 2.6.2, as Windows prints a GUID. */
const BAT = "2dc27766-f623-4200-9d64-115e9bfd4a08";
const METADATA = "8b7ca206-4790-4b9a-b8fe-575f050f886e";
const FILE_PARAMETERS = "caa16737-fa36-4d43-b3b6-33f0aa44e76b";
const VIRTUAL_SIZE = "2fa54224-cd1b-4876-b211-5dbed83bf4b8";
const PARENT_LOCATOR = "a8d35f2d-b30b-454d-abf7-d3d84834ab0c";
const PLAIN_ITEMS = [
  "beca12ab-b2e6-4523-93ef-c309e000c746", // its id
  "8141bf1d-a96f-4709-ba47-f233a8faab5f", // the size of its logical sectors
  "cda348c7-445d-4471-9cc9-e9885251c556", // and of its physical ones
];

/**
 * Reads the VHDX of another host by itself, before any part of Windows does: Hyper-V opens the parent that a disk names,
 * wherever on the network that is, to say anything of the disk at all. Throws `unsupported` for what is no VHDX, for one
 * that Hyper-V could read in two ways (a log whose replay writes over what was read here), and for what it may hold and
 * this does not know. By [MS-VHDX], "Virtual Hard Disk v2 (VHDX) File Format".
 */
export async function readVhdxHeader(path: string): Promise<VhdxHeader> {
  const file = await open(path, "r");
  try {
    const id = await read(file, 0, 8);
    if (id.toString("latin1") !== "vhdxfile") refuse("it is no VHDX");
    const header = await currentHeader(file);
    if (!header.subarray(48, 64).equals(NO_LOG)) refuse("it was not closed in order");
    if (header.readUInt16LE(66) !== 1) refuse("it is of another version");
    // Hyper-V takes either table: what holds of the disk must be in each that it could take.
    const tables = (await Promise.all(REGION_TABLES.map((at) => regionTable(file, at)))).filter(
      (table) => table !== null,
    );
    const [said, ...others] = await Promise.all(tables.map((table) => readMetadata(file, table)));
    if (said === undefined) return refuse("it has no table of its regions");
    if (
      others.some(
        ({ kind, virtualBytes }) => kind !== said.kind || virtualBytes !== said.virtualBytes,
      )
    )
      refuse("its two tables name two disks");
    return said;
  } finally {
    await file.close();
  }
}

/** Of the two that are whole, the later one. */
async function currentHeader(file: FileHandle): Promise<Buffer> {
  let current: Buffer | null = null;
  for (const at of HEADERS) {
    const header = await read(file, at, HEADER_BYTES);
    if (!isWhole(header, "head")) continue;
    const sequence = header.readBigUInt64LE(8);
    const before = current?.readBigUInt64LE(8);
    if (sequence === before) refuse("it has two headers of one number");
    if (before === undefined || sequence > before) current = header;
  }
  return current ?? refuse("it has no header");
}

/** The offset and length of its metadata; null: the table is none. */
async function regionTable(file: FileHandle, at: number) {
  const table = await read(file, at, TABLE_BYTES);
  if (!isWhole(table, "regi")) return null;
  const found: { offset: bigint; length: number }[] = [];
  for (const entry of entries(table, table.readUInt32LE(8), 16)) {
    const guid = guidOf(entry);
    const required = (entry.readUInt32LE(28) & 1) === 1;
    if (guid === METADATA)
      found.push({ offset: entry.readBigUInt64LE(16), length: entry.readUInt32LE(24) });
    else if (guid !== BAT && required) refuse("it has a region that is not known");
  }
  const [metadata, ...more] = found;
  if (metadata === undefined || more.length > 0) return refuse("it has no metadata, or two");
  if (metadata.offset < MIB || metadata.length < TABLE_BYTES) refuse("its metadata lies amiss");
  return metadata;
}

async function readMetadata(
  file: FileHandle,
  region: Readonly<{ offset: bigint; length: number }>,
): Promise<VhdxHeader> {
  const table = await read(file, region.offset, TABLE_BYTES);
  if (table.toString("latin1", 0, 8) !== "metadata") refuse("it has no metadata");
  const items = new Map<string, { offset: number; length: number }>();
  for (const entry of entries(table, table.readUInt16LE(10), 32)) {
    const guid = guidOf(entry);
    const flags = entry.readUInt32LE(24);
    const [isUser, required] = [(flags & 1) === 1, (flags & 4) === 4];
    const known = [FILE_PARAMETERS, VIRTUAL_SIZE, PARENT_LOCATOR, ...PLAIN_ITEMS].includes(guid);
    if (!known && required) refuse("it has metadata that are not known");
    if (!known || isUser) continue;
    if (items.has(guid)) refuse("it says one thing of itself twice");
    items.set(guid, { offset: entry.readUInt32LE(16), length: entry.readUInt32LE(20) });
  }
  const item = async (guid: string, length: number): Promise<Buffer> => {
    const at = items.get(guid);
    if (at === undefined || at.length !== length || at.offset + length > region.length)
      return refuse("it does not say what it is");
    return read(file, region.offset + BigInt(at.offset), length);
  };
  const flags = (await item(FILE_PARAMETERS, 8)).readUInt32LE(4);
  const virtualBytes = (await item(VIRTUAL_SIZE, 8)).readBigUInt64LE();
  const hasParent = (flags & 2) === 2 || items.has(PARENT_LOCATOR);
  return {
    kind: hasParent ? "differencing" : (flags & 1) === 1 ? "fixed" : "dynamic",
    virtualBytes,
  };
}

function* entries(table: Buffer, count: number, from: number): Generator<Buffer> {
  if (count > MOST_ENTRIES) refuse("a table of it is too long");
  for (let n = 0; n < count; n++)
    yield table.subarray(from + n * ENTRY_BYTES, from + (n + 1) * ENTRY_BYTES);
}

async function read(file: FileHandle, at: number | bigint, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await file.read({ buffer, position: at });
  if (bytesRead < length) refuse("it ends too early");
  return buffer;
}

/** The first three parts of a GUID are stored as little-endian numbers. */
function guidOf(bytes: Buffer): string {
  const hex = (from: number, to: number) => bytes.toString("hex", from, to);
  const swapped = Buffer.from(bytes.subarray(0, 8));
  swapped.subarray(0, 4).reverse();
  swapped.subarray(4, 6).reverse();
  swapped.subarray(6, 8).reverse();
  const start = swapped.toString("hex");
  return `${start.slice(0, 8)}-${start.slice(8, 12)}-${start.slice(12)}-${hex(8, 10)}-${hex(10, 16)}`;
}

/** It has its signature, and the sum that it says: over all of it, as if the sum were zero. */
function isWhole(block: Buffer, signature: string): boolean {
  if (block.toString("latin1", 0, 4) !== signature) return false;
  const bare = Buffer.from(block);
  bare.writeUInt32LE(0, 4);
  return crc32c(bare) === block.readUInt32LE(4);
}

/** CRC-32C (Castagnoli, RFC 3720 appendix B.4); `zlib` has the other polynomial alone. */
export function crc32c(bytes: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ (CRC_TABLE[(crc ^ byte) & 0xff] ?? 0);
  return (crc ^ 0xffffffff) >>> 0;
}
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let crc = n;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc >>> 0;
});

function refuse(why: string): never {
  throw new DriverError("unsupported", `the disk that was received cannot be taken: ${why}`);
}
