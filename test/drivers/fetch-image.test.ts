import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { WantedImage } from "#core/contracts/agent/images.ts";
import type { Clock } from "#core/ports.ts";
import { fetchImage, partOf, type FetchPorts } from "#host-agent/images/fetch-image.ts";
import { cutAfter, serveFile, startImageServer, type Behave } from "./image-server.ts";
import { createVirtualClock } from "./virtual-clock.ts";

/* 12.7: images get to hosts, over lines and from servers that do what they want. */

const MIB = 1024 ** 2;
const BYTES = randomBytes(300_000);
const OTHER = randomBytes(300_000);
const HALF = 150_000;
const sumOf = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

let dir: string;
let server: Awaited<ReturnType<typeof startImageServer>>;
const clock = createVirtualClock();
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), "berth-images-"));
  server = await startImageServer(serveFile(BYTES));
});
afterEach(async () => {
  await server.close();
  await rm(dir, { recursive: true });
});

const folder = (ending = ".qcow2") => ({ path: dir, ending });
const wanted = (over: Partial<WantedImage> = {}): WantedImage => ({
  file: "debian-13",
  url: server.url,
  sha256: sumOf(BYTES),
  bytes: null,
  ...over,
});
const ports = (over: Partial<FetchPorts> = {}): FetchPorts => ({
  fetch,
  clock,
  freeBytes: async () => 100_000 * MIB,
  progress: () => undefined,
  ...over,
});
const get = (
  image = wanted(),
  over: Partial<FetchPorts> = {},
  signal = new AbortController().signal,
) => fetchImage(ports(over), folder(), image, { url: image.url, token: null }, signal);
const whyNot = (image = wanted(), over: Partial<FetchPorts> = {}) =>
  get(image, over).then(
    () => "fetched",
    (error: unknown) => (error instanceof Error ? error.message : ""),
  );
const target = () => path.join(dir, "debian-13.qcow2");
const isWhole = async () => (await readFile(target())).equals(BYTES);
/** Half of it, and then the line is cut. */
const cut = (bytes: Buffer) => cutAfter(bytes, HALF, arrived);
const arrived = () =>
  stat(partOf(folder(), wanted())).then(
    ({ size }) => size,
    () => 0,
  );
const names = async () => (await readdir(dir)).sort();

describe("an image", () => {
  test.each([".qcow2", ".vhdx"])(
    "is fetched whole, read-only, as *%s, and nothing else is left",
    async (ending) => {
      const seen: [number, number | null][] = [];
      const progress = (done: number, total: number | null) => void seen.push([done, total]);
      const origin = { url: server.url, token: null };
      const { signal } = new AbortController();
      await fetchImage(ports({ progress }), folder(ending), wanted(), origin, signal);
      expect(await names()).toEqual([`debian-13${ending}`]);
      const file = path.join(dir, `debian-13${ending}`);
      expect((await readFile(file)).equals(BYTES)).toBe(true);
      expect((await stat(file)).mode & 0o777).toBe(0o444);
      expect(seen.at(0)).toEqual([0, BYTES.length]);
      expect(seen.at(-1)).toEqual([BYTES.length, BYTES.length]);
      expect(server.asked).toEqual([
        expect.objectContaining({ range: undefined, encoding: "identity" }),
      ]);
    },
  );

  test("has no name before it is whole", async () => {
    server.next(cut(BYTES));
    await whyNot();
    expect((await names()).filter((name) => !name.startsWith("."))).toEqual([]);
  });

  test("whose connection was cut is gone on with from there, by the server's tag", async () => {
    server.next(cut(BYTES));
    expect(await whyNot()).toContain("unreachable: ");
    const { size } = await stat(partOf(folder(), wanted()));
    expect(size).toBe(HALF);
    server.next(serveFile(BYTES));
    await get();
    expect(await isWhole()).toBe(true);
    expect(server.asked.at(-1)).toMatchObject({ range: `bytes=${HALF}-`, ifRange: '"one"' });
    expect(await names()).toEqual(["debian-13.qcow2"]);
  });

  test("that changed on its server between two tries is fetched anew", async () => {
    server.next(cut(OTHER));
    await whyNot();
    server.next(serveFile(BYTES, '"two"'));
    await get();
    expect(await isWhole()).toBe(true);
    expect(server.asked).toHaveLength(2);
  });

  test("that changed under the same tag is fetched anew, once", async () => {
    server.next(cut(OTHER));
    await whyNot();
    server.next(serveFile(BYTES));
    await get();
    expect(await isWhole()).toBe(true);
    expect(server.asked.map(({ range }) => range)).toEqual([
      undefined,
      `bytes=${HALF}-`,
      undefined,
    ]);
  });

  test("whose server knows no ranges is fetched from its beginning", async () => {
    server.next(cut(BYTES));
    await whyNot();
    server.next((_, response) => response.writeHead(200).end(BYTES));
    await get();
    expect(await isWhole()).toBe(true);
  });

  test.each<[string, Behave]>([
    [
      "another range than was asked for",
      (_, response) => {
        response.writeHead(206, { "content-range": `bytes 0-${HALF - 1}/${BYTES.length}` });
        response.end(BYTES.subarray(0, HALF));
      },
    ],
    [
      "a range without saying which",
      (_, response) => response.writeHead(206).end(BYTES.subarray(HALF)),
    ],
    [
      "the right range with the bytes of another",
      (_, response) => {
        const range = `bytes ${HALF}-${BYTES.length - 1}/${BYTES.length}`;
        response.writeHead(206, { "content-range": range }).end(BYTES.subarray(0, HALF));
      },
    ],
    ["that there is no such range", (_, response) => response.writeHead(416).end()],
  ])("whose server answers %s is fetched from its beginning", async (_, lie) => {
    server.next(cut(BYTES));
    await whyNot();
    server.next((request, response, nth) =>
      (request.headers.range === undefined ? serveFile(BYTES) : lie)(request, response, nth),
    );
    await get();
    expect(await isWhole()).toBe(true);
    expect(server.asked.at(-1)?.range).toBeUndefined();
  });

  test("that was whole when the agent died only gets its name", async () => {
    server.next(cut(BYTES));
    await whyNot();
    await writeFile(partOf(folder(), wanted()), BYTES);
    server.next(serveFile(BYTES));
    await get();
    expect(await isWhole()).toBe(true);
    expect(server.asked).toHaveLength(2);
  });

  test("with a wrong checksum is thrown away, and never gets the name", async () => {
    server.next(serveFile(OTHER));
    expect(await whyNot()).toContain("wrong_checksum: ");
    expect(await names()).toEqual([]);
    expect(server.asked).toHaveLength(1);
  });

  test("never replaces a file that has the name already", async () => {
    await writeFile(target(), "VMs stand on this");
    expect(await whyNot()).toContain("name_taken: ");
    expect(await readFile(target(), "utf8")).toBe("VMs stand on this");
    expect(await names()).toEqual(["debian-13.qcow2"]);
  });

  test("that says it is larger than it should be is not begun", async () => {
    expect(await whyNot(wanted({ bytes: BYTES.length - 1 }))).toContain("wrong_size: ");
    expect(await names()).toEqual([]);
  });

  test("that sends more than it should is cut off and thrown away", async () => {
    const endless: Behave = (_, response) => {
      const more = () => response.write(BYTES, () => response.destroyed || setImmediate(more));
      more();
      response.on("error", () => undefined);
    };
    server.next(endless);
    expect(await whyNot(wanted({ bytes: 2 * BYTES.length }))).toContain("wrong_size: ");
    expect(await names()).toEqual([]);
  });

  test("for which there is no room is not begun, and is told", async () => {
    const free = { freeBytes: async () => 1024 * MIB + BYTES.length - 1 };
    expect(await whyNot(wanted(), free)).toContain("no_room: ");
    await get(wanted(), { freeBytes: async () => 1024 * MIB + BYTES.length });
    expect(await isWhole()).toBe(true);
  });

  test.each([
    ["from the start", 0],
    ["in the middle", HALF],
  ])(
    "whose server is silent %s is given up after a minute, and gone on with later",
    async (_, sent) => {
      server.next((_request, response) => {
        if (sent === 0) return;
        response.writeHead(200, { "content-length": BYTES.length, etag: '"one"' });
        response.write(BYTES.subarray(0, sent));
      });
      const waits = new Set<Promise<void>>();
      const watched: Clock = {
        now: clock.now,
        sleep: (ms, signal) => {
          const slept = clock.sleep(ms, signal);
          if (ms !== 60_000) return slept;
          waits.add(slept);
          const over = () => void waits.delete(slept);
          slept.then(over, over);
          return slept;
        },
      };
      const outcome = whyNot(wanted(), { clock: watched });
      // Time passes once all has come that comes, and the next is waited for.
      while (server.asked.length === 0 || (await arrived()) < sent || waits.size === 0)
        await turn();
      await clock.advance(59_000);
      expect(waits.size).toBe(1);
      await clock.advance(1000);
      expect(await outcome).toContain("stalled: ");
      server.next(serveFile(BYTES));
      await get();
      expect(await isWhole()).toBe(true);
    },
  );

  test("is let go of when its agent ends", async () => {
    const stop = new AbortController();
    server.next((_, response) => {
      response.writeHead(200);
      response.write(BYTES, () => stop.abort(new Error("told to stop")));
    });
    await expect(get(wanted(), {}, stop.signal)).rejects.toThrow("told to stop");
  });

  test("is fetched through redirects, to http(s) alone and not for ever", async () => {
    const to =
      (location: string): Behave =>
      (request, response, nth) =>
        request.url?.startsWith("/there")
          ? serveFile(BYTES)(request, response, nth)
          : response.writeHead(302, { location }).end();
    server.next(to("/there"));
    await get();
    expect(await isWhole()).toBe(true);
    await rm(target());
    for (const bad of ["file:///etc/passwd", "data:text/plain,x", "ftp://localhost/x", "/again"]) {
      server.next(to(bad));
      expect(await whyNot()).toContain("refused: ");
    }
    expect(server.asked.length).toBeLessThan(20);
    expect(await names()).toEqual([]);
  });

  test.each<[string, Behave, string]>([
    ["an error", (_, response) => response.writeHead(503).end("busy"), "answered 503"],
    ["a missing file", (_, response) => response.writeHead(404).end(), "answered 404"],
    [
      "something packed",
      (_, response) => response.writeHead(200, { "content-encoding": "br" }).end(BYTES),
      "refused: ",
    ],
  ])("whose server answers with %s is not taken", async (_, behave, why) => {
    server.next(behave);
    const told = await whyNot();
    expect(told).toContain(why);
    // A signed URL's secret is in its query.
    expect(told).not.toContain("s3cret");
    expect(await names()).toEqual([]);
  });
});
