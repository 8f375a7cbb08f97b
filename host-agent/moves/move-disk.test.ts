import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm, stat, symlink, link, truncate, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { eventually, realClock } from "#test/drivers/builders.ts";
import { cutPair, patchwork, socketPair, sumOf } from "#test/drivers/move-stream.ts";
import { createVirtualClock } from "#test/drivers/virtual-clock.ts";
import { receiveDisk, type ReceiveDisk } from "./receive-disk.ts";
import { receivedOf } from "./received-so-far.ts";
import { sendDisk, type SendDisk } from "./send-disk.ts";

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
    const bytes = randomBytes(size);
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
  const cuts = fc.array(fc.integer({ min: 0, max: 40 * 65_536 }), { maxLength: 4 });
  let goneOn = 0;
  await fc.assert(
    fc.asyncProperty(digits, fc.nat(65_535), cuts, async (map, less, cutAt) => {
      const bytes = patchwork(map).subarray(less);
      await writeFile(source, bytes);
      const attempt = sumOf(bytes);
      for (const cut of [...cutAt, Infinity]) {
        const [near, far] = await cutPair(cut);
        const both = await Promise.allSettled([send(near), receive(far, { attempt })]);
        const isWhole = both.every(({ status }) => status === "fulfilled");
        if (isWhole) expect(both).toEqual([agreed(bytes), agreed(bytes)]);
        else {
          expect(cut).not.toBe(Infinity);
          expect(both.filter(({ status }) => status === "rejected")).toContainEqual(
            refused("cut_off"),
          );
          goneOn++;
        }
      }
      expect((await readFile(target)).equals(bytes)).toBe(true);
    }),
    { numRuns: 25 },
  );
  expect(goneOn).toBeGreaterThan(0);
});
