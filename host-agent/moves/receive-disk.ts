import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import type { Duplex } from "node:stream";
import type { Clock } from "#core/ports.ts";
import { isFull } from "#host-agent/disk-full.ts";
import { pause } from "#host-agent/time-limit.ts";
import { openMoved } from "./disk-file.ts";
import { conversing, SUM_BYTES, type DiskFrames } from "./disk-frames.ts";
import { forgetReceived, readReceived, writeReceived } from "./received-so-far.ts";
import type { MovedFile } from "./send-disk.ts";
import { storeBlocks, type StoreBlocks } from "./store-blocks.ts";
import { MoveStreamError, type MoveStreamFault } from "./stream-error.ts";

export type ReceiveDisk = Readonly<{
  channel: Duplex;
  path: string;
  /** Of the move: what another one has left is not gone on from. */
  attempt: string;
  mostBytes: number;
  /** Told with each block how far it is. */
  progress: (bytes: number, total: number) => void;
  clock: Clock;
  signal: AbortSignal;
}>;

/** So long a sender that was refused is listened to: if the connection were reset, it might not hear why. */
const LINGER_MS = 5_000;
/** There is nobody who could be told. */
const NOT_TOLD: ReadonlySet<MoveStreamFault> = new Set(["cut_off", "stalled"]);

/**
 * Receives what a `sendDisk` sends into the file, and returns once both know that it is the same and it is on the disk for good.
 * Of what the sender says only the bytes are believed. Throws `MoveStreamError`: the next call with the same attempt goes on with what
 * is there, but begins anew after `wrong_checksum`; when the whole is there, it says just that. The channel is over. Nobody else
 * writes to the file meanwhile, and no former call.
 */
export async function receiveDisk(asked: ReceiveDisk): Promise<MovedFile> {
  const { channel, clock, signal } = asked;
  try {
    const received = await conversing(channel, asked, async (frames) => {
      try {
        return await receive(frames, asked);
      } catch (error) {
        const known = isFull(error)
          ? new MoveStreamError("no_room", "the disk is full", { cause: error })
          : error;
        if (known instanceof MoveStreamError && !NOT_TOLD.has(known.code))
          await refuse(frames, known.code);
        throw known;
      }
    });
    channel.end();
    return received;
  } catch (error) {
    channel.destroy();
    throw error;
  }

  async function refuse(frames: DiskFrames, code: MoveStreamFault): Promise<void> {
    if (channel.destroyed) return;
    const gone = new AbortController();
    channel.once("close", () => gone.abort());
    frames.send("refused", 0, Buffer.from(code)).catch(() => undefined);
    frames.drain();
    await pause(clock, LINGER_MS, AbortSignal.any([gone.signal, signal]));
  }
}

async function receive(frames: DiskFrames, asked: ReceiveDisk): Promise<MovedFile> {
  const { path, attempt, mostBytes } = asked;
  const { type, offset: total } = await frames.head();
  if (type !== "begin") throw new MoveStreamError("bad_frame", `${type} is no beginning`);
  if (total > mostBytes)
    throw new MoveStreamError("too_big", `${total} bytes, and ${mostBytes} are the most`);
  const file = await openMoved(path, "write");
  try {
    const had = await gatherUp(file, asked, total);
    await frames.send("from", had.upTo);
    const ours =
      had.sha256 === null
        ? await storeRest(frames, file, { ...asked, total, from: had.upTo })
        : await nothingMore(frames, total, had.sha256);
    const theirs = Buffer.alloc(SUM_BYTES);
    await frames.body(theirs);
    const sha256 = ours.toString("hex");
    if (!ours.equals(theirs)) {
      await forgetReceived(path);
      await file.truncate(0);
      throw new MoveStreamError("wrong_checksum", `${sha256}, and not ${theirs.toString("hex")}`);
    }
    await writeReceived(path, { attempt, total, upTo: total, sha256 });
    await frames.send("done", total, ours);
    return { bytes: total, sha256 };
  } finally {
    await file.close();
  }
}

/** The checksum of the whole. */
async function storeRest(
  frames: DiskFrames,
  file: FileHandle,
  asked: StoreBlocks,
): Promise<Buffer> {
  const hash = createHash("sha256");
  await storeBlocks(frames, file, asked, hash);
  return hash.digest();
}

/** All was there, and agreed on: the sender did not hear it. */
async function nothingMore(frames: DiskFrames, total: number, sha256: string): Promise<Buffer> {
  const { type, offset } = await frames.head();
  if (type !== "end" || offset !== total)
    throw new MoveStreamError("bad_frame", `${type} at ${offset}, and all is there`);
  return Buffer.from(sha256, "hex");
}

type Had = Readonly<{ upTo: number; sha256: string | null }>;

/** Makes the file ready to be gone on with: of its size, and with nothing beyond what is kept for good. */
async function gatherUp(
  file: FileHandle,
  { path, attempt }: ReceiveDisk,
  total: number,
): Promise<Had> {
  const kept = await readReceived(path, { attempt, total });
  const isThere = kept !== null && (await file.stat()).size === total;
  const had: Had = isThere ? kept : { upTo: 0, sha256: null };
  if (had.sha256 !== null) return had;
  if (!isThere) await forgetReceived(path);
  // What came later than that may be there or not; where nothing is sent, there must be a hole.
  await file.truncate(had.upTo);
  await file.truncate(total);
  return had;
}
