import type { Duplex } from "node:stream";
import type { Clock } from "#core/ports.ts";
import { conversing, SUM_BYTES } from "./disk-frames.ts";
import type { MovedFile } from "./send-disk.ts";
import { MoveStreamError } from "./stream-error.ts";

/**
 * Tells a `sendDisk` that all of its file came before, and was taken: its agent died before it had written that down. Throws
 * `MoveStreamError` where it has another file. The channel is over.
 */
export async function confirmDisk(asked: {
  channel: Duplex;
  held: MovedFile;
  clock: Clock;
  signal: AbortSignal;
}): Promise<void> {
  const { channel, held } = asked;
  try {
    await conversing(channel, asked, async (frames) => {
      const must = async (type: "begin" | "end") => {
        const head = await frames.head();
        if (head.type !== type || head.offset !== held.bytes)
          throw new MoveStreamError("bad_frame", `${head.type} at ${head.offset}, and not ${type}`);
      };
      await must("begin");
      await frames.send("from", held.bytes);
      await must("end");
      const theirs = Buffer.alloc(SUM_BYTES);
      await frames.body(theirs);
      if (theirs.toString("hex") !== held.sha256)
        throw new MoveStreamError("wrong_checksum", "another file came before");
      await frames.send("done", held.bytes, theirs);
    });
    channel.end();
  } catch (error) {
    channel.destroy();
    throw error;
  }
}
