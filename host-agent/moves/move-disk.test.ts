import { mkdtemp, readFile, rm, stat, symlink, link, truncate, writeFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Clock } from "#core/ports.ts";
import { eventually, realClock } from "#test/drivers/builders.ts";
import {
  cutPair,
  patchwork,
  socketPair,
  someBytes,
  sumOf,
  turns,
} from "#test/drivers/move-stream.ts";
import { createVirtualClock } from "#test/drivers/virtual-clock.ts";
import { createDiskFrames } from "./disk-frames.ts";
import { receiveDisk, type ReceiveDisk } from "./receive-disk.ts";
import { receivedOf } from "./received-so-far.ts";
import { sendDisk, type SendDisk } from "./send-disk.ts";
import { MoveStreamError } from "./stream-error.ts";

let folder: string;
let source: string;
let target: string;
let life: AbortController;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "berth-move-"));
  source = path.join(folder, "source");
  target = path.join(folder, "target");
  life = new AbortController();
});
afterEach(async () => {
  life.abort();
  await rm(folder, { recursive: true });
});

const MIB = 1024 ** 2;
const RUNS = 15;
const ends = () => ({ clock: realClock, signal: life.signal, progress: () => undefined });
const send = (channel: Socket, over: Partial<SendDisk> = {}) =>
  sendDisk({ ...ends(), channel, path: source, mbitPerSecond: 1e6, ...over });
const receive = (channel: Socket, over: Partial<ReceiveDisk> = {}) =>
  receiveDisk({ ...ends(), channel, path: target, attempt: "a1", mostBytes: 2 ** 31, ...over });
const coded = (code: string) => expect.objectContaining({ code });
const refused = (code: string) => ({ status: "rejected", reason: coded(code) });

/** Both ends of one try, over a connection of their own. */
async function move(over: { send?: Partial<SendDisk>; receive?: Partial<ReceiveDisk> } = {}) {
  const [near, far] = await socketPair();
  const both = await Promise.allSettled([send(near, over.send), receive(far, over.receive)]);
  return { sent: both[0], received: both[1], wire: near.bytesWritten };
}
const agreed = (bytes: Buffer) => ({
  status: "fulfilled",
  value: { bytes: bytes.length, sha256: sumOf(bytes) },
});

test.each([0, 1, MIB, 3 * MIB + 12_345])(
  "a file of %i bytes arrives whole, and both ends know it",
  async (size) => {
    const bytes = someBytes(size);
    await writeFile(source, bytes);
    await writeFile(target, "what was here before is another attempt's");
    const far: number[] = [];
    const { sent, received } = await move({ receive: { progress: (at) => far.push(at) } });
    expect([sent, received]).toEqual([agreed(bytes), agreed(bytes)]);
    expect(await readFile(target)).toEqual(bytes);
    expect((await stat(target)).mode & 0o777).toBe(0o600);
    expect(far.at(-1)).toBe(size);
  },
);

test("holes are not sent, and are holes on the other side: 64 MiB of them cost neither wire nor disk", async () => {
  const head = patchwork("0101100");
  const tail = patchwork("01");
  await writeFile(source, head);
  await truncate(source, 64 * MIB);
  await writeFile(source, tail, { flag: "a" });
  const { sent, received, wire } = await move();
  const bytes = await readFile(source);
  expect([sent, received]).toEqual([agreed(bytes), agreed(bytes)]);
  expect((await readFile(target)).equals(bytes)).toBe(true);
  expect(wire).toBeLessThan(4 * 65_536 + 1000);
  expect((await stat(target)).blocks * 512).toBeLessThan(MIB);
});

test("a disk that is cut off at any byte, any number of times, is the same in the end", async () => {
  const digits = fc.string({ unit: fc.constantFrom("0", "1"), minLength: 1, maxLength: 40 });
  /** Each after this part of all that is to be sent. */
  const cuts = fc.array(fc.double({ min: 0, max: 0.99, noNaN: true }), {
    minLength: 1,
    maxLength: 4,
  });
  const faults: unknown[] = [];
  await fc.assert(
    fc.asyncProperty(digits, fc.nat(65_535), cuts, async (map, less, cutAt) => {
      const bytes = patchwork(map).subarray(less);
      await writeFile(source, bytes);
      const attempt = sumOf(bytes);
      let both: PromiseSettledResult<unknown>[] = [];
      const data = 65_536 * map.replaceAll("0", "").length - (map.startsWith("1") ? less : 0);
      for (const cut of [...cutAt, Infinity]) {
        const [near, far] = await cutPair(Math.floor(cut * (data + 1)));
        both = await Promise.allSettled([send(near), receive(far, { attempt })]);
        for (const end of both) if (end.status === "rejected") faults.push(end.reason);
      }
      expect(both).toEqual([agreed(bytes), agreed(bytes)]);
      expect((await readFile(target)).equals(bytes)).toBe(true);
    }),
    { numRuns: RUNS, endOnFailure: true },
  );
  expect(faults.length).toBeGreaterThanOrEqual(RUNS);
  expect(new Set(faults.map((fault) => fault instanceof MoveStreamError && fault.code))).toEqual(
    new Set(["cut_off"]),
  );
});

test("an answer that was lost is given again at once, and nothing is sent twice", async () => {
  const bytes = someBytes(2 * MIB);
  await writeFile(source, bytes);
  await move();
  const again = await move();
  expect([again.sent, again.received]).toEqual([agreed(bytes), agreed(bytes)]);
  expect(again.wire).toBeLessThan(1000);
});

test.each([
  ["another attempt", { attempt: "a2" }, () => Promise.resolve()],
  ["a file of another size", {}, () => truncate(target, MIB)],
  ["a note that makes no sense", {}, () => writeFile(receivedOf(target), '{"upTo":')],
  ["a note of another shape", {}, () => writeFile(receivedOf(target), '{"upTo":1e300}')],
])("%s is begun anew", async (_, over, change) => {
  const bytes = someBytes(2 * MIB);
  await writeFile(source, bytes);
  await move();
  await change();
  const again = await move({ receive: over });
  expect([again.sent, again.received]).toEqual([agreed(bytes), agreed(bytes)]);
  expect(again.wire).toBeGreaterThan(bytes.length);
});

test("what was written after the last note is not gone on from, though the source has a hole there now", async () => {
  const bytes = patchwork("1111");
  await writeFile(source, bytes);
  await move();
  const note: unknown = JSON.parse(await readFile(receivedOf(target), "utf8"));
  const half = { ...Object(note), upTo: 65_536, sha256: null };
  await writeFile(receivedOf(target), JSON.stringify(half));
  bytes.fill(0, 2 * 65_536);
  await writeFile(source, bytes);
  const { sent, received, wire } = await move();
  expect([sent, received]).toEqual([agreed(bytes), agreed(bytes)]);
  expect((await readFile(target)).equals(bytes)).toBe(true);
  expect(wire).toBeLessThan(2 * 65_536);
});

test("a source that is another file after a cut is found out at the end; the next attempt begins anew", async () => {
  await writeFile(source, someBytes(2 * MIB));
  const [near, far] = await cutPair(1.5 * MIB);
  await Promise.allSettled([send(near), receive(far)]);
  const bytes = someBytes(2 * MIB);
  await writeFile(source, bytes);
  const wrong = await move();
  expect([wrong.sent, wrong.received]).toEqual([
    refused("wrong_checksum"),
    refused("wrong_checksum"),
  ]);
  expect((await stat(target)).size).toBe(0);
  const { sent, received } = await move();
  expect([sent, received]).toEqual([agreed(bytes), agreed(bytes)]);
  expect(await readFile(target)).toEqual(bytes);
});

test("what was whole and is another file now is found out, too", async () => {
  await writeFile(source, someBytes(MIB));
  await move();
  await writeFile(source, someBytes(MIB));
  const { sent, received } = await move();
  expect([sent, received]).toEqual([refused("wrong_checksum"), refused("wrong_checksum")]);
  expect((await stat(target)).size).toBe(0);
});

test("more than the receiver takes is refused before a byte of it, and nothing is made", async () => {
  await writeFile(source, someBytes(1001));
  const { sent, received } = await move({ receive: { mostBytes: 1000 } });
  expect([sent, received]).toEqual([refused("too_big"), refused("too_big")]);
  await expect(stat(target)).rejects.toThrow("ENOENT");
});

test.each([
  ["a link", (place: string, other: string) => symlink(other, place)],
  ["a second name of a file", (place: string, other: string) => link(other, place)],
])("%s in the file's place is not written through", async (_, make) => {
  await writeFile(source, someBytes(1000));
  const other = path.join(folder, "other");
  await writeFile(other, "precious");
  await make(target, other);
  const { sent, received } = await move();
  expect([sent, received]).toEqual([refused("not_a_file"), refused("not_a_file")]);
  expect(await readFile(other, "utf8")).toBe("precious");
});

test("a note that is a link to another's is not believed, nor written through", async () => {
  const bytes = someBytes(1000);
  await writeFile(source, bytes);
  const other = path.join(folder, "other");
  await writeFile(other, "precious");
  await symlink(other, receivedOf(target));
  const { received } = await move();
  expect(received).toEqual(agreed(bytes));
  expect(await readFile(other, "utf8")).toBe("precious");
});

test("no link is read as a disk", async () => {
  await writeFile(path.join(folder, "secret"), "shadow");
  await symlink(path.join(folder, "secret"), source);
  const { sent } = await move();
  expect(sent).toEqual(refused("not_a_file"));
});

test("no more goes in a second than is allowed", async () => {
  const time = createVirtualClock();
  let waits = 0;
  const clock: Clock = {
    now: time.now,
    sleep: (ms, signal) => {
      if (ms <= 1000) waits++;
      return time.sleep(ms, signal);
    },
  };
  await writeFile(source, someBytes(5 * MIB));
  const [near, far] = await socketPair();
  let at = 0;
  // 1 MiB in a second.
  const pace = { clock, mbitPerSecond: 8.388608, progress: (bytes: number) => (at = bytes) };
  const both = Promise.all([send(near, pace), receive(far)]);
  for (let second = 1; second < 5; second++) {
    await eventually("the next block waits", () => waits === second);
    expect(at).toBe(second * MIB);
    await time.advance(999);
    expect(at).toBe(second * MIB);
    await time.advance(1);
    await eventually("it is sent", () => at > second * MIB);
  }
  await both;
  expect(waits).toBe(4);
});

test("called off, both ends end with why, and what arrived is gone on from", async () => {
  const clock = createVirtualClock();
  const bytes = someBytes(4 * MIB);
  await writeFile(source, bytes);
  const why = new Error("the move is over");
  const off = new AbortController();
  const [near, far] = await socketPair();
  let at = 0;
  const both = Promise.allSettled([
    send(near, { clock, mbitPerSecond: 8, signal: off.signal }),
    receive(far, { signal: off.signal, progress: (done) => (at = done) }),
  ]);
  await eventually("the first block is there", () => at >= MIB);
  off.abort(why);
  expect(await both).toEqual([
    { status: "rejected", reason: why },
    { status: "rejected", reason: why },
  ]);
  const { received, wire } = await move();
  expect(received).toEqual(agreed(bytes));
  expect(wire).toBeLessThan(3 * MIB + 1000);
});

test("a receiver that takes nothing more holds the sender back: no more than a few MiB are on their way", async () => {
  await writeFile(source, someBytes(32 * MIB));
  const [near, far] = await socketPair();
  let at = 0;
  const sent = send(near, { progress: (bytes) => (at = bytes) });
  const frames = createDiskFrames(far);
  await frames.head();
  await frames.send("from", 0);
  let before = -1;
  const isStill = () => at === before || ((before = at), false);
  await eventually("it stands still", isStill, 60_000, 200);
  expect(at).toBeGreaterThan(0);
  // Four blocks of ours, and what the system's buffers of both ends hold.
  expect(near.writableLength).toBeLessThanOrEqual(4 * MIB + 100);
  expect(at).toBeLessThan(24 * MIB);
  far.destroy();
  await expect(sent).rejects.toEqual(coded("cut_off"));
});

test("an end that has nothing to say says every fifteen seconds that it is alive, as a channel needs it", async () => {
  const clock = createVirtualClock();
  await writeFile(source, someBytes(1000));
  const [silent, other] = await socketPair();
  const sent = send(silent, { clock }).catch((error: unknown) => error);
  const heard = () => other.bytesRead;
  other.resume();
  await eventually("it has begun", () => heard() === 13);
  await clock.advance(14_999);
  expect(silent.bytesWritten).toBe(13);
  for (let n = 1; n < 4; n++) {
    await clock.advance(n === 1 ? 1 : 15_000);
    await eventually("it is alive", () => heard() === 13 + 13 * n);
  }
  other.destroy();
  expect(await sent).toEqual(coded("cut_off"));
});

test.each([
  ["shrinks", () => truncate(source, 0)],
  ["grows", () => truncate(source, 9 * MIB)],
])(
  "a source that %s while it is sent is told, and the receiver agrees on nothing",
  async (_, change) => {
    await writeFile(source, someBytes(8 * MIB));
    const time = createVirtualClock();
    const [near, far] = await socketPair();
    let at = 0;
    const both = Promise.allSettled([
      send(near, { clock: time, mbitPerSecond: 8, progress: (bytes) => (at = bytes) }),
      receive(far),
    ]);
    await eventually("the first block is sent", () => at > 0);
    await change();
    // By a second or so for each block.
    const isOver = both.then(() => true);
    const passing = eventually("it is over", async () => {
      await time.advance(500);
      return Promise.race([isOver, turns(1).then(() => false)]);
    });
    const [sent, received] = await both;
    await passing;
    expect([sent, received]).toEqual([refused("file_changed"), refused("cut_off")]);
  },
);
