import type { Duplex } from "node:stream";
import { MoveStreamError } from "./stream-error.ts";

/** Reads a channel by as many bytes as are wanted. Throws `cut_off` when it ends before, or what it was destroyed with. */
export interface ByteReader {
  /** All of `into`. */
  fill(into: Uint8Array): Promise<void>;
  /** Up to a line feed, which is left out; what comes after it stays with the channel. Throws `bad_frame` for more than `most` bytes. */
  line(most: number): Promise<string>;
  /** It reads no more. */
  release(): void;
}

const LINE_FEED = 0x0a;
const NOTHING = Buffer.alloc(0);
const EVENTS = ["readable", "end", "close", "error"] as const;

export function createByteReader(from: Duplex): ByteReader {
  let rest: Buffer = NOTHING;
  let wake = (): void => undefined;
  const woken = () => wake();
  for (const event of EVENTS) from.on(event, woken);

  /** One byte more at the least. */
  async function more(): Promise<void> {
    for (;;) {
      const chunk: unknown = from.read();
      if (Buffer.isBuffer(chunk)) {
        rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
        return;
      }
      if (from.readableEnded || from.destroyed) throw overOf(from);
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }

  return {
    async fill(into) {
      for (let at = 0; at < into.length;) {
        if (rest.length === 0) await more();
        const copied = rest.copy(into, at);
        rest = rest.subarray(copied);
        at += copied;
      }
    },
    async line(most) {
      for (;;) {
        const end = rest.subarray(0, most + 1).indexOf(LINE_FEED);
        if (end >= 0) {
          const text = rest.toString("latin1", 0, end);
          // At once: a moment later the stream may have ended, as all of it was read.
          if (end + 1 < rest.length) from.unshift(rest.subarray(end + 1));
          rest = NOTHING;
          return text;
        }
        if (rest.length > most) throw new MoveStreamError("bad_frame", "its line has no end");
        await more();
      }
    },
    release() {
      for (const event of EVENTS) from.off(event, woken);
    },
  };
}

/** Writes to a channel. */
export interface ByteWriter {
  /** One after the other, with nothing in between. Resolves when they are the system's: until then nothing of them may change. */
  write(...parts: readonly Uint8Array[]): Promise<void>;
}

export function createByteWriter(to: Duplex): ByteWriter {
  const waiting = new Set<() => void>();
  // A write that was under way when it was destroyed need not be called back.
  to.once("close", () => {
    for (const over of waiting) over();
  });
  return {
    write: (...parts) =>
      new Promise((resolve, reject) => {
        if (!to.writable) {
          reject(overOf(to));
          return;
        }
        const over = () => {
          waiting.delete(over);
          reject(overOf(to));
        };
        waiting.add(over);
        const taken = (error: Error | null | undefined) => {
          if (error) return over();
          waiting.delete(over);
          resolve();
        };
        to.cork();
        parts.forEach((part, n) => to.write(part, n === parts.length - 1 ? taken : undefined));
        to.uncork();
      }),
  };
}

function overOf({ errored }: Duplex): Error {
  if (errored instanceof MoveStreamError) return errored;
  return new MoveStreamError("cut_off", "the other host is gone", { cause: errored });
}
