import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import type { Duplex } from "node:stream";
import type { Clock } from "#core/ports.ts";
import { createPace } from "#host-agent/pace.ts";
import { createBlockRing, type BlockRing, type Slot } from "./block-ring.ts";
import { dataRuns, openMoved, readWhole } from "./disk-file.ts";
import { BLOCK_BYTES, conversing, SUM_BYTES, type DiskFrames } from "./disk-frames.ts";
import { MoveStreamError } from "./stream-error.ts";

export type MovedFile = Readonly<{
  bytes: number;
  /** In hexadecimal, of the whole, with its holes as zeros. */
  sha256: string;
}>;

export type SendDisk = Readonly<{
  channel: Duplex;
  path: string;
  mbitPerSecond: number;
  /** Told with each block how far it is. */
  progress: (bytes: number, total: number) => void;
  clock: Clock;
  signal: AbortSignal;
}>;

/** The receiver hears of holes this often, so that it can keep up. */
const TELL_ZEROS_EVERY = 64 * BLOCK_BYTES;

/**
 * Sends the file to a `receiveDisk`, from where it was cut off, and returns once both know that the other end has the same. It does
 * not change meanwhile. Throws `MoveStreamError`; after `cut_off` and `stalled` the next attempt goes on. The channel is over.
 */
export async function sendDisk(asked: SendDisk): Promise<MovedFile> {
  const { channel, path } = asked;
  try {
    const file = await openMoved(path, "read");
    try {
      const sent = await conversing(channel, asked, (frames) => send(frames, file, asked));
      channel.end();
      return sent;
    } finally {
      await file.close();
    }
  } catch (error) {
    channel.destroy();
    throw error;
  }
}

async function send(frames: DiskFrames, file: FileHandle, asked: SendDisk): Promise<MovedFile> {
  const { size } = await file.stat();
  await frames.send("begin", size);
  const begun = await frames.head();
  if (begun.type !== "from" || begun.offset > size)
    throw new MoveStreamError("bad_frame", `${begun.type} ${begun.offset} is no beginning`);

  // The other end may refuse at any time, and nothing more is sent then.
  const refused = new AbortController();
  let isSaid = false;
  const verdict = verdictOf(frames);
  verdict.then(
    () => isSaid || refused.abort(new MoveStreamError("bad_frame", "it is done too early")),
    (error: unknown) => refused.abort(error),
  );
  const signal = AbortSignal.any([asked.signal, refused.signal]);
  const disk = { ...asked, signal, size, from: begun.offset };
  try {
    const sum = await sendBlocks(frames, file, disk);
    isSaid = true;
    await frames.send("end", size, sum);
    if (!sum.equals(await verdict))
      throw new MoveStreamError("wrong_checksum", "the other host has another file");
    return { bytes: size, sha256: sum.toString("hex") };
  } catch (error) {
    if (!(error instanceof MoveStreamError) || error.code !== "cut_off") throw error;
    // What it said before it was gone is why.
    await verdict;
    throw error;
  }
}

async function verdictOf(frames: DiskFrames): Promise<Buffer> {
  const { type } = await frames.head();
  if (type !== "done") throw new MoveStreamError("bad_frame", `${type} is no end`);
  const sum = Buffer.alloc(SUM_BYTES);
  await frames.body(sum);
  return sum;
}

/** Reads all of it, sends what is there beyond `from`, and answers the checksum of the whole. */
async function sendBlocks(
  frames: DiskFrames,
  file: FileHandle,
  { size, from, progress, signal, ...asked }: SendDisk & { size: number; from: number },
): Promise<Buffer> {
  const pace = createPace(asked.clock, asked.mbitPerSecond);
  const hash = createHash("sha256");
  const ring = createBlockRing();
  let toldUpTo = from;
  for await (const { block, at, usedUntil } of blocksOf(file, size, ring)) {
    signal.throwIfAborted();
    hash.update(block);
    const end = at + block.length;
    if (end <= from) continue;
    const first = Math.max(at, from);
    for (const [begin, until] of dataRuns(block.subarray(first - at))) {
      await pace(until - begin, signal);
      const run = block.subarray(first - at + begin, first - at + until);
      usedUntil(frames.send("data", first + begin, run));
      toldUpTo = first + until;
    }
    if (end - toldUpTo >= TELL_ZEROS_EVERY) {
      await frames.send("zeros", end);
      toldUpTo = end;
    }
    progress(end, size);
  }
  await ring.idle();
  if ((await file.stat()).size !== size)
    throw new MoveStreamError("file_changed", `it had ${size} bytes`);
  return hash.digest();
}

type Block = Readonly<{ block: Buffer; at: number; usedUntil: Slot["usedUntil"] }>;

/** Each is read while the one before is hashed and sent. */
async function* blocksOf(file: FileHandle, size: number, ring: BlockRing): AsyncGenerator<Block> {
  const read = async (at: number): Promise<Block> => {
    const { memory, usedUntil } = await ring.next();
    const block = memory.subarray(0, Math.min(BLOCK_BYTES, size - at));
    await readWhole(file, block, at);
    return { block, at, usedUntil };
  };
  let reading = size === 0 ? null : read(0);
  for (let at = 0; reading !== null; at += BLOCK_BYTES) {
    const block = await reading;
    reading = at + BLOCK_BYTES < size ? read(at + BLOCK_BYTES) : null;
    // Where it is not waited for any more, nobody need know how it ends.
    reading?.catch(() => undefined);
    yield block;
  }
}
