import type { Duplex } from "node:stream";
import type { Clock } from "#core/ports.ts";
import { pause } from "#host-agent/time-limit.ts";
import { createByteReader, createByteWriter } from "./channel-bytes.ts";
import { BEAT_MS } from "./liveness.ts";
import { MoveStreamError, MoveStreamFault } from "./stream-error.ts";

/*
 * What a disk's stream is made of: frames of a head (type, offset, length; big-endian) and that many bytes. The sender says
 * `begin` (offset: the file's size), and is answered with `from` (offset: what is there already). Then it says `data` in
 * rising order, `zeros` (up to that offset, whatever was not sent) and at last `end` (the SHA-256 of the whole), and is answered
 * with `done` (the same) or, at any time, with `refused` (a `MoveStreamFault`). Both say `alive` when they have nothing else to say.
 */

export const BLOCK_BYTES = 1024 ** 2;
export const SUM_BYTES = 32;

const HEAD_BYTES = 13;
const TYPES = ["alive", "begin", "from", "data", "zeros", "end", "done", "refused"] as const;
type Type = (typeof TYPES)[number];
/** The least and the most that a frame of the type holds. */
const LENGTHS: Readonly<Record<Type, readonly [number, number]>> = {
  alive: [0, 0],
  begin: [0, 0],
  from: [0, 0],
  data: [1, BLOCK_BYTES],
  zeros: [0, 0],
  end: [SUM_BYTES, SUM_BYTES],
  done: [SUM_BYTES, SUM_BYTES],
  refused: [1, 32],
};

export type Head = Readonly<{ type: Type; offset: number; length: number }>;

export interface DiskFrames {
  /** The next that is more than a sign of life. Throws `bad_frame` for what is none, and the fault of a `refused`. */
  head(): Promise<Head>;
  /** The bytes of the head that was read, all of them. */
  body(into: Uint8Array): Promise<void>;
  /** Resolves when the system has it: until then nothing of `bytes` may change. */
  send(type: Type, offset: number, bytes?: Uint8Array): Promise<void>;
  /** Nothing that comes is read any more. */
  drain(): void;
}

export function createDiskFrames(channel: Duplex): DiskFrames {
  const reader = createByteReader(channel);
  const writer = createByteWriter(channel);
  const bytesOfHead = Buffer.alloc(HEAD_BYTES);

  async function head(): Promise<Head> {
    for (;;) {
      await reader.fill(bytesOfHead);
      const type = TYPES[bytesOfHead.readUInt8(0)];
      const offset = Number(bytesOfHead.readBigUInt64BE(1));
      const length = bytesOfHead.readUInt32BE(9);
      if (type === undefined) throw new MoveStreamError("bad_frame", "it is of no known type");
      const [least, most] = LENGTHS[type];
      if (!Number.isSafeInteger(offset) || length < least || length > most)
        throw new MoveStreamError("bad_frame", `${type} of ${length} bytes at ${offset}`);
      if (type === "refused") throw await faultOf(length);
      if (type !== "alive") return { type, offset, length };
    }
  }

  async function faultOf(length: number): Promise<MoveStreamError> {
    const word = Buffer.alloc(length);
    await reader.fill(word);
    const { data = "refused" } = MoveStreamFault.safeParse(word.toString("latin1"));
    return new MoveStreamError(data, "says the other host");
  }

  return {
    head,
    body: (into) => reader.fill(into),
    send(type, offset, bytes) {
      const frame = Buffer.alloc(HEAD_BYTES);
      frame.writeUInt8(TYPES.indexOf(type), 0);
      frame.writeBigUInt64BE(BigInt(offset), 1);
      frame.writeUInt32BE(bytes?.length ?? 0, 9);
      return bytes === undefined ? writer.write(frame) : writer.write(frame, bytes);
    },
    drain() {
      reader.release();
      channel.resume();
    },
  };
}

/**
 * Does the work of one end, which says meanwhile that it is alive. The signal's abort ends the channel, and is what is thrown
 * then; whatever else is thrown leaves the channel to the caller.
 */
export async function conversing<T>(
  channel: Duplex,
  { clock, signal }: { clock: Clock; signal: AbortSignal },
  work: (frames: DiskFrames) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const frames = createDiskFrames(channel);
  const over = new AbortController();
  const end = () => channel.destroy();
  signal.addEventListener("abort", end, { once: true });
  void beat();
  try {
    return await work(frames);
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    over.abort();
    signal.removeEventListener("abort", end);
  }

  async function beat(): Promise<void> {
    for (;;) {
      await pause(clock, BEAT_MS, over.signal);
      if (over.signal.aborted) return;
      // Who writes next hears what is amiss.
      frames.send("alive", 0).catch(() => undefined);
    }
  }
}
