import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { realClock } from "#test/drivers/builders.ts";
import { socketPair, someBytes, sumOf } from "#test/drivers/move-stream.ts";
import { createDiskFrames, type DiskFrames } from "./disk-frames.ts";
import { receiveDisk } from "./receive-disk.ts";
import { sendDisk } from "./send-disk.ts";

/* Whoever has the key of a move may be another host's agent that was broken into: here one end tells no truth. */

const SIZE = 1000;
const BYTES = someBytes(SIZE);
const SUM = Buffer.from(sumOf(BYTES), "hex");
const ends = { clock: realClock, progress: () => undefined, signal: new AbortController().signal };

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "berth-move-"));
});
afterEach(() => rm(folder, { recursive: true }));
const at = (name: string) => path.join(folder, name);
const coded = (code: string) => expect.objectContaining({ code });

/** A frame's head as it is on the wire, with whatever numbers. */
function rawHead(type: number, offset: bigint, length: number): Buffer {
  const head = Buffer.alloc(13);
  head.writeUInt8(type, 0);
  head.writeBigUInt64BE(offset, 1);
  head.writeUInt32BE(length, 9);
  return head;
}

describe("a sender that lies", () => {
  type Lie = (frames: DiskFrames, near: Socket) => Promise<unknown>;

  /** The receiver's end, and what the liar hears, which begins as it should. */
  async function receiverOf(lie: Lie) {
    const [near, far] = await socketPair();
    const frames = createDiskFrames(near);
    const received = receiveDisk({
      ...ends,
      channel: far,
      path: at("target"),
      attempt: "a1",
      mostBytes: 4 * SIZE,
    });
    await frames.send("begin", SIZE);
    await frames.head();
    const lied = lie(frames, near).then(() => frames.head());
    const heard = lied.catch((error: unknown) => error).finally(() => near.destroy());
    const ended = await received.catch((error: unknown) => error);
    return { ended, heard: await heard };
  }

  test.each<[string, Lie]>([
    ["sends beyond the size that it announced", (f) => f.send("data", 1, BYTES)],
    ["sends at an offset beyond it", (f) => f.send("data", SIZE, BYTES.subarray(1))],
    [
      "goes back",
      async (f) => {
        await f.send("data", 500, BYTES.subarray(500));
        await f.send("data", 0, BYTES.subarray(0, 500));
      },
    ],
    [
      "overlaps",
      async (f) => {
        await f.send("data", 0, BYTES.subarray(0, 500));
        await f.send("data", 499, BYTES.subarray(499));
      },
    ],
    ["skips beyond the end", (f) => f.send("zeros", SIZE + 1)],
    [
      "skips back",
      async (f) => {
        await f.send("zeros", 600);
        await f.send("zeros", 599);
      },
    ],
    ["ends too early", (f) => f.send("end", SIZE - 1, SUM)],
    ["begins twice", (f) => f.send("begin", SIZE)],
    ["answers in the receiver's place", (f) => f.send("done", SIZE, SUM)],
    ["has a frame of no type", async (_, near) => near.write(rawHead(8, 0n, 0))],
    ["has a frame without bytes", async (_, near) => near.write(rawHead(3, 0n, 0))],
    ["has a frame of 4 GiB", async (_, near) => near.write(rawHead(3, 0n, 2 ** 32 - 1))],
    [
      "has an offset that is no number",
      async (_, near) => near.write(rawHead(3, 2n ** 64n - 1n, 1)),
    ],
    [
      "has an offset that would be rounded",
      async (_, near) => near.write(rawHead(4, 2n ** 53n, 0)),
    ],
  ])("that %s is refused, and hears why", async (_, lie) => {
    const { ended, heard } = await receiverOf(lie);
    expect([ended, heard]).toEqual([coded("bad_frame"), coded("bad_frame")]);
    expect((await stat(at("target"))).size).toBe(SIZE);
  });

  test("that says another checksum leaves an empty file", async () => {
    const { ended, heard } = await receiverOf(async (frames) => {
      await frames.send("data", 0, BYTES);
      await frames.send("end", SIZE, someBytes(32));
    });
    expect([ended, heard]).toEqual([coded("wrong_checksum"), coded("wrong_checksum")]);
    expect((await stat(at("target"))).size).toBe(0);
  });

  test("that announces more than any disk has is refused before anything is made", async () => {
    const [near, far] = await socketPair();
    const asked = { ...ends, channel: far, path: at("target"), attempt: "a1", mostBytes: SIZE };
    const received = receiveDisk(asked);
    near.write(rawHead(1, 2n ** 60n, 0));
    const heard = await createDiskFrames(near)
      .head()
      .catch((error: unknown) => error);
    near.destroy();
    expect(heard).toEqual(coded("bad_frame"));
    await expect(received).rejects.toEqual(coded("bad_frame"));
    await expect(stat(at("target"))).rejects.toThrow("ENOENT");
  });

  test("that sends garbage gets nothing written beyond the size, whatever it is", async () => {
    const frame = fc
      .tuple(
        fc.nat(9),
        fc.oneof(fc.bigInt(0n, 2n * BigInt(SIZE)), fc.bigInt(0n, 2n ** 64n - 1n)),
        fc.uint8Array({ maxLength: 300 }),
      )
      .map(([type, offset, body]) => Buffer.concat([rawHead(type, offset, body.length), body]));
    const garbage = fc.array(
      fc.oneof(
        frame,
        fc.uint8Array({ maxLength: 100 }).map((a) => Buffer.from(a)),
      ),
      { maxLength: 12 },
    );
    await fc.assert(
      fc.asyncProperty(garbage, fc.boolean(), async (parts, begins) => {
        await rm(at("target"), { force: true });
        const [near, far] = await socketPair();
        const asked = { ...ends, channel: far, path: at("target"), attempt: "a1", mostBytes: SIZE };
        const received = receiveDisk(asked);
        if (begins) near.write(rawHead(1, BigInt(SIZE), 0));
        near.end(Buffer.concat(parts));
        near.resume();
        const ended = await received.catch((error: unknown) => error);
        expect(ended).toEqual(expect.objectContaining({ name: "MoveStreamError" }));
        const size = await stat(at("target")).then(
          (found) => found.size,
          () => 0,
        );
        expect(size).toBeLessThanOrEqual(SIZE);
      }),
      { numRuns: 60 },
    );
  });
});

describe("a receiver that lies", () => {
  async function senderOf(lie: (frames: DiskFrames, far: Socket) => Promise<unknown>) {
    await writeFile(at("source"), BYTES);
    const [near, far] = await socketPair();
    const asked = { ...ends, channel: near, path: at("source"), mbitPerSecond: 1e6 };
    const sent = sendDisk(asked).catch((error: unknown) => error);
    const frames = createDiskFrames(far);
    await frames.head();
    await lie(frames, far);
    const ended = await sent;
    far.destroy();
    return ended;
  }

  test("that has more than there is is not believed", async () => {
    expect(await senderOf((f) => f.send("from", SIZE + 1))).toEqual(coded("bad_frame"));
  });
  test("that agrees on another file is not believed", async () => {
    const ended = await senderOf(async (frames) => {
      await frames.send("from", SIZE);
      await frames.head();
      await frames.send("done", SIZE, someBytes(32));
    });
    expect(ended).toEqual(coded("wrong_checksum"));
  });
  test("that agrees before it could is not believed", async () => {
    const ended = await senderOf((frames) => frames.send("done", SIZE, SUM));
    expect(ended).toEqual(coded("bad_frame"));
  });
  test("that begins twice is not believed", async () => {
    const ended = await senderOf(async (frames) => {
      await frames.send("from", 0);
      await frames.send("from", 0);
    });
    expect(ended).toEqual(coded("bad_frame"));
  });
  test("that refuses in words of its own is told as one that refused", async () => {
    expect(await senderOf((f) => f.send("refused", 0, Buffer.from("<script>")))).toEqual(
      coded("refused"),
    );
  });
  test("that goes away before it has agreed was cut off", async () => {
    const ended = await senderOf(async (frames, far) => {
      await frames.send("from", 0);
      far.end();
    });
    expect(ended).toEqual(coded("cut_off"));
    expect((await readFile(at("source"))).equals(BYTES)).toBe(true);
  });
});
