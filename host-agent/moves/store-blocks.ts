import type { Hash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import type { Clock } from "#core/ports.ts";
import { createBlockRing } from "./block-ring.ts";
import { hashZeros, readWhole, writeWhole } from "./disk-file.ts";
import { BLOCK_BYTES, type DiskFrames } from "./disk-frames.ts";
import { writeReceived } from "./received-so-far.ts";
import { MoveStreamError } from "./stream-error.ts";

/** A cut of the power takes no more than twice that back. */
const KEEP_EVERY = 64 * BLOCK_BYTES;

export type StoreBlocks = Readonly<{
  path: string;
  attempt: string;
  total: number;
  /** Of the file that is there already. */
  from: number;
  progress: (bytes: number, total: number) => void;
  clock: Clock;
  signal: AbortSignal;
}>;

/**
 * Takes the frames up to `end`, whose body is left to be read. What was written then is on the disk for good, and `hash` has all of
 * the file. Where it throws, as much as can be is kept for the next time.
 */
export async function storeBlocks(
  frames: DiskFrames,
  file: FileHandle,
  { path, attempt, total, from, progress, clock, signal }: StoreBlocks,
  hash: Hash,
): Promise<void> {
  const ring = createBlockRing();
  let at = from;
  let keptUpTo = from;
  let keeping = Promise.resolve();

  /** All up to `upTo` was handed to the disk before this was called. */
  async function keep(upTo: number): Promise<void> {
    await ring.idle();
    await file.datasync();
    await writeReceived(path, { attempt, total, upTo, sha256: null });
  }

  async function store(offset: number, length: number): Promise<void> {
    const { memory, usedUntil } = await ring.next();
    const block = memory.subarray(0, length);
    await frames.body(block);
    hash.update(block);
    usedUntil(writeWhole(file, block, offset));
  }

  try {
    await hashStart(file, from, hash, signal);
    for (;;) {
      const { type, offset, length } = await frames.head();
      const isSo = type === "end" ? offset === total : type === "data" || type === "zeros";
      const end = type === "end" ? total : offset + length;
      if (!isSo || offset < at || end > total)
        throw new MoveStreamError("bad_frame", `${type} at ${offset}, after ${at} of ${total}`);
      await hashZeros(hash, at, offset, { clock, signal });
      if (type === "data") await store(offset, length);
      at = end;
      progress(at, total);
      if (type === "end") {
        await keeping;
        await ring.idle();
        await file.sync();
        return;
      }
      if (at - keptUpTo < KEEP_EVERY) continue;
      // The next blocks come meanwhile, but no more of them than that.
      await keeping;
      keptUpTo = at;
      keeping = keep(at);
      keeping.catch(() => undefined);
    }
  } catch (error) {
    // Of what could not be written nothing is said, and why it is over is said already.
    await keeping.then(() => (at > keptUpTo ? keep(at) : undefined)).catch(() => undefined);
    throw error;
  }
}

/** What is there already, as it is on the disk. */
async function hashStart(
  file: FileHandle,
  bytes: number,
  hash: Hash,
  signal: AbortSignal,
): Promise<void> {
  const block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  for (let at = 0; at < bytes; at += BLOCK_BYTES) {
    const part = block.subarray(0, Math.min(BLOCK_BYTES, bytes - at));
    await readWhole(file, part, at);
    hash.update(part);
    signal.throwIfAborted();
  }
}
