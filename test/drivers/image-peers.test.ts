import { createHash, randomBytes, randomUUID } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { SignJWT } from "jose";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ImagePeer, WantedImage } from "#core/contracts/agent/images.ts";
import type { Clock } from "#core/ports.ts";
import { fetchImage } from "#host-agent/images/fetch-image.ts";
import { createAgent } from "#host-agent/agent.ts";
import { createMemoryDoorbell } from "#host-agent/channel/rings.ts";
import { NO_DELAYS } from "#host-agent/drivers/simulated/delays.ts";
import { createSimulatedDriver } from "#host-agent/drivers/simulated/driver.ts";
import { memoryWorld } from "#host-agent/drivers/simulated/world.ts";
import { memoryStore } from "#host-agent/state/state-store.ts";
import { createImageKeeper } from "#host-agent/images/image-keeper.ts";
import { createImageServer, type ServeImages } from "#host-agent/images/serve-images.ts";
import { sha256Of } from "#host-agent/verified-download.ts";
import { randomIds } from "./builders.ts";
import { createFakeControlPlane } from "./fake-control-plane.ts";
import { cutAfter, serveFile, startImageServer, type Behave } from "./image-server.ts";
import { createVirtualClock } from "./virtual-clock.ts";

/* 12.7: a host can also fetch an image from another host, over real HTTP on this machine. */

const BYTES = randomBytes(600_000);
const OTHER = randomBytes(600_000);
const HALF = 300_000;
const sumOf = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
const SUM = sumOf(BYTES);

let clock: ReturnType<typeof createVirtualClock>;
let life: AbortController;
let origin: Awaited<ReturnType<typeof startImageServer>>;
let logged: string[];
const closing: (() => Promise<unknown>)[] = [];
beforeEach(async () => {
  clock = createVirtualClock();
  life = new AbortController();
  logged = [];
  origin = await startImageServer(serveFile(BYTES));
  closing.push(() => origin.close());
});
afterEach(async () => {
  life.abort();
  for (const close of closing.splice(0).toReversed()) await close();
});
const note = (event: string, fields: object = {}) =>
  void logged.push(`${event} ${JSON.stringify(fields)}`);
const log = { info: note, error: note };

const wanted = (over: Partial<WantedImage> = {}): WantedImage => ({
  file: "debian-13",
  url: origin.url,
  sha256: SUM,
  bytes: BYTES.length,
  ...over,
});

/** An agent's images: what it holds, fetches and serves. */
async function anAgent(
  over: { ending?: string; options?: Partial<ServeImages>; clock?: Clock; sum?: string } = {},
) {
  const dir = await mkdtemp(path.join(tmpdir(), "berth-images-"));
  const { ending = ".qcow2" } = over;
  const at = (file: string) => path.join(dir, `${file}${ending}`);
  const sum = async (file: string) => over.sum ?? sha256Of(at(file)).catch(() => null);
  const folder = { path: dir, ending, sumOf: sum };
  const plane = createFakeControlPlane();
  const options = {
    address: "127.0.0.1",
    port: 0,
    mbitPerSecond: 1e9,
    hostsAtOnce: 2,
    ...over.options,
  };
  const server = createImageServer({
    hostId: plane.hostId,
    folder,
    options,
    filesOf: (sha256) => keeper.filesOf(sha256),
    clock: over.clock ?? clock,
    planeNow: () => clock.now(),
    log,
    signal: life.signal,
  });
  const keeper = createImageKeeper({
    folder,
    controlPlane: plane,
    serving: () => server.serving(),
    fetch,
    freeBytes: async () => 2 ** 40,
    clock,
    log,
    signal: life.signal,
  });
  closing.push(async () => {
    await server.close();
    await keeper.idle();
    await rm(dir, { recursive: true });
  });
  const settle = async () => {
    await keeper.exchange();
    await keeper.idle();
  };
  return {
    plane,
    keeper,
    at,
    settle,
    names: async () => (await readdir(dir)).sort(),
    /** What it last told of its image. */
    told: async () => {
      await settle();
      return plane.progress.at(-1)?.fetches[0];
    },
    isWhole: async () => (await readFile(at("debian-13"))).equals(BYTES),
  };
}
type Agent = Awaited<ReturnType<typeof anAgent>>;

/** As the control plane signs it. */
async function tokenFor(
  { plane }: Agent,
  over: { key?: string; sha256?: string; aud?: string; exp?: number; sub?: string } = {},
): Promise<string> {
  const key = over.key ?? plane.progress.at(-1)?.serves?.key ?? "";
  return new SignJWT({ sha256: over.sha256 ?? SUM })
    .setProtectedHeader({ alg: "HS256" })
    .setSubject(over.sub ?? randomUUID())
    .setAudience(over.aud ?? plane.hostId)
    .setExpirationTime(over.exp ?? Math.floor(+clock.now() / 1000) + 600)
    .sign(Buffer.from(key, "base64url"));
}
const portOf = ({ plane }: Agent) => plane.progress.at(-1)?.serves?.port ?? 0;
const peerOf = async (agent: Agent): Promise<ImagePeer> => ({
  hostId: agent.plane.hostId,
  address: "127.0.0.1",
  port: portOf(agent),
  token: await tokenFor(agent),
});
async function aHolder(over: Parameters<typeof anAgent>[0] = {}) {
  const holder = await anAgent(over);
  await writeFile(holder.at("debian-13"), BYTES);
  holder.plane.wantedImages = [wanted()];
  // The address is told from the first exchange on.
  await holder.settle();
  return holder;
}
/** Another host that does as it likes. */
async function aPeer(behave: Behave) {
  const server = await startImageServer(behave);
  closing.push(() => server.close());
  const peer: ImagePeer = {
    hostId: randomUUID(),
    address: "127.0.0.1",
    port: Number(new URL(server.url).port),
    token: "s3cret-token",
  };
  return { peer, asked: server.asked, next: server.next };
}
const nobody = async (): Promise<ImagePeer> => {
  const { peer } = await aPeer(() => undefined);
  await closing.pop()?.();
  return peer;
};

describe("a host that lacks an image", () => {
  test.each([".qcow2", ".vhdx"])(
    "has it from one that holds it, as *%s, whole and read-only, and its URL is left alone",
    async (ending) => {
      const holder = await aHolder({ ending });
      const asker = await anAgent({ ending });
      asker.plane.wantedImages = [wanted({ peers: [await peerOf(holder)] })];
      await asker.settle();
      expect(await asker.names()).toEqual([`debian-13${ending}`]);
      expect(await asker.isWhole()).toBe(true);
      expect((await stat(asker.at("debian-13"))).mode & 0o777).toBe(0o444);
      expect(await asker.told()).toMatchObject({
        state: "held",
        doneBytes: BYTES.length,
        source: "peer",
        peerId: holder.plane.hostId,
      });
      expect(origin.asked).toEqual([]);
      expect(logged.join("\n")).not.toContain("eyJ");
    },
  );

  test("then serves it itself", async () => {
    const holder = await aHolder();
    const [first, second] = [await anAgent(), await anAgent()];
    first.plane.wantedImages = [wanted({ peers: [await peerOf(holder)] })];
    await first.settle();
    second.plane.wantedImages = [wanted({ peers: [await peerOf(first)] })];
    await second.settle();
    expect(await second.isWhole()).toBe(true);
    expect(await second.told()).toMatchObject({ peerId: first.plane.hostId });
  });

  test("goes on over the URL with what a peer's line broke off, and the other way round", async () => {
    const asker = await anAgent();
    const part = async () => {
      const name = (await asker.names()).find((one) => one.endsWith(".part"));
      return name === undefined ? 0 : (await stat(path.join(asker.at("x"), "..", name))).size;
    };
    const { peer } = await aPeer(cutAfter(BYTES, HALF, part));
    asker.plane.wantedImages = [wanted({ peers: [peer] })];
    await asker.settle();
    expect(await asker.isWhole()).toBe(true);
    expect(origin.asked.map(({ range }) => range)).toEqual([`bytes=${HALF}-`]);
    expect(await asker.told()).toMatchObject({ state: "held", source: "url" });

    await rm(asker.at("debian-13"));
    const holder = await aHolder();
    origin.next(cutAfter(BYTES, HALF, part));
    asker.plane.wantedImages = [wanted()];
    await asker.settle();
    await asker.settle();
    asker.plane.wantedImages = [wanted({ peers: [await peerOf(holder)] })];
    await asker.settle();
    expect(await asker.isWhole()).toBe(true);
    expect(logged.find((line) => line.startsWith("image_served"))).toContain(
      `"from":${HALF},"bytes":${BYTES.length - HALF}`,
    );
  });

  const redirect: Behave = (_, response) => response.writeHead(302, { location: origin.url }).end();
  const endless: Behave = (_, response) => {
    const more = () => response.write(BYTES, () => response.destroyed || setImmediate(more));
    more();
  };
  test.each<[string, Behave, string]>([
    ["sends another file", serveFile(OTHER), "wrong_checksum: "],
    ["sends too much", endless, "wrong_size: "],
    ["says that it has another size", serveFile(BYTES.subarray(1)), "wrong_size: "],
    [
      "sends too little",
      (_, response) => response.writeHead(200).end(BYTES.subarray(0, HALF)),
      "cut_off: ",
    ],
    ["leads elsewhere", redirect, "refused: "],
    ["does not know it", (_, response) => response.writeHead(404).end(), "refused: "],
    ["cuts the line", (asked) => asked.socket.destroy(), "unreachable: "],
  ])("passes over one that %s, for the next, and then for the URL", async (_, behave, why) => {
    const bad = await aPeer(behave);
    const holder = await aHolder();
    const asker = await anAgent();
    asker.plane.wantedImages = [wanted({ peers: [bad.peer, await peerOf(holder)] })];
    await asker.settle();
    expect(await asker.isWhole()).toBe(true);
    expect(origin.asked).toEqual([]);
    expect(logged.filter((line) => line.startsWith("image_peer_failed"))).toEqual([
      expect.stringContaining(why),
    ]);

    await rm(asker.at("debian-13"));
    asker.plane.wantedImages = [wanted({ peers: [bad.peer] })];
    await asker.settle();
    expect(await asker.isWhole()).toBe(true);
    expect(bad.asked).toHaveLength(1);
    expect(origin.asked).toHaveLength(1);
    expect(logged.join("\n")).not.toContain("s3cret");
  });

  test("asks one that is not there once, and again after five minutes", async () => {
    const asker = await anAgent();
    origin.next((_, response) => response.writeHead(404).end());
    asker.plane.wantedImages = [wanted({ peers: [await nobody()] })];
    await asker.settle();
    expect(await asker.told()).toMatchObject({
      state: "failed",
      source: "url",
      why: expect.stringContaining("answered 404"),
    });
    const failed = () => logged.filter((line) => line.startsWith("image_peer_failed")).length;
    await clock.advance(70_000);
    await asker.settle();
    expect([failed(), origin.asked.length]).toEqual([1, 2]);
    await clock.advance(300_000);
    await asker.settle();
    expect([failed(), origin.asked.length]).toEqual([2, 3]);
  });

  test("asks one that sent another file again after a day", async () => {
    const liar = await aPeer(serveFile(OTHER));
    const asker = await anAgent();
    origin.next((_, response) => response.writeHead(404).end());
    asker.plane.wantedImages = [wanted({ peers: [liar.peer] })];
    await asker.settle();
    await clock.advance(23 * 3_600_000);
    await asker.settle();
    expect([liar.asked.length, origin.asked.length]).toEqual([1, 2]);
    await clock.advance(2 * 3_600_000);
    await asker.settle();
    expect([liar.asked.length, origin.asked.length]).toEqual([2, 3]);
  });

  test.each([
    ["lets go of a peer that", "token", "too_slow: "],
    ["waits for the URL, where it", null, "fetched"],
  ])("%s brings little, and never nothing for a minute", async (_, token, outcome) => {
    const holder = await anAgent();
    const piece = BYTES.length / 10;
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      async pull(controller) {
        await clock.advance(40_000);
        controller.enqueue(BYTES.subarray(sent, sent + piece));
        sent += piece;
        if (sent === BYTES.length) controller.close();
      },
    });
    const ports = {
      fetch: async () => new Response(body),
      clock,
      freeBytes: async () => 2 ** 40,
    };
    const folder = { path: path.dirname(holder.at("debian-13")), ending: ".qcow2" };
    const said = await fetchImage(
      ports,
      folder,
      wanted(),
      { url: origin.url, token },
      life.signal,
    ).then(() => "fetched", String);
    expect(said).toContain(outcome);
  });

  test("whose URL is gone has it from the first that comes to hold it, at once", async () => {
    const asker = await anAgent();
    origin.next((_, response) => response.writeHead(404).end());
    asker.plane.wantedImages = [wanted()];
    for (let tries = 0; tries < 6; tries++) {
      await asker.settle();
      await clock.advance(3_600_000);
    }
    await asker.settle();
    const holder = await aHolder();
    asker.plane.wantedImages = [wanted({ peers: [await peerOf(holder)] })];
    await asker.settle();
    expect(await asker.isWhole()).toBe(true);
    expect(await asker.told()).toMatchObject({ state: "held", why: null });
  });

  test("waits for one that is busy, and asks the URL after two hours of it", async () => {
    const busy = await aPeer((_, response) => response.writeHead(503).end());
    const asker = await anAgent();
    asker.plane.wantedImages = [wanted({ peers: [busy.peer] })];
    await asker.settle();
    expect(await asker.told()).toMatchObject({ state: "waiting", why: null });
    expect(asker.keeper.nextMs()).toBe(30_000);
    await clock.advance(7_000_000);
    await asker.settle();
    expect([busy.asked.length, origin.asked.length]).toEqual([2, 0]);
    await clock.advance(300_000);
    await asker.settle();
    expect([busy.asked.length, origin.asked.length]).toEqual([3, 1]);
    expect(await asker.told()).toMatchObject({ state: "held", source: "url" });
  });

  test("waits for those that are about to have it, and has it from them", async () => {
    const asker = await anAgent();
    asker.plane.wantedImages = [wanted({ peersSoon: true })];
    await asker.settle();
    await asker.settle();
    expect(origin.asked).toEqual([]);
    const holder = await aHolder();
    asker.plane.wantedImages = [wanted({ peers: [await peerOf(holder)], peersSoon: false })];
    await asker.settle();
    expect(await asker.isWhole()).toBe(true);
    expect(origin.asked).toEqual([]);
  });
});

describe("a host that serves its images", () => {
  const get = async (
    agent: Agent,
    over: {
      token?: string | null;
      path?: string;
      method?: string;
      range?: string;
      ifRange?: string;
    },
  ) => {
    const { token = await tokenFor(agent), method = "GET", range, ifRange } = over;
    // Not by fetch, which tidies paths up.
    return new Promise<{ status: number; headers: object; body: Buffer }>((resolve, reject) => {
      const headers = {
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...(range === undefined ? {} : { range }),
        ...(ifRange === undefined ? {} : { "if-range": ifRange }),
      };
      const of = { host: "127.0.0.1", port: portOf(agent), method, headers, agent: false };
      request({ ...of, path: over.path ?? `/berth-images/${SUM}` }, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => void chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks),
          }),
        );
      })
        .on("error", reject)
        .end();
    });
  };
  const KEY = randomBytes(32).toString("base64url");

  test.each<[string, number, (holder: Agent) => Promise<Parameters<typeof get>[1]>]>([
    ["no token", 401, async () => ({ token: null })],
    [
      "no token of the control plane's",
      401,
      async (holder) => ({ token: await tokenFor(holder, { key: KEY }) }),
    ],
    [
      "one that is for another host",
      401,
      async (holder) => ({ token: await tokenFor(holder, { aud: randomUUID() }) }),
    ],
    [
      "one that is for another image",
      401,
      async (holder) => ({ token: await tokenFor(holder, { sha256: sumOf(OTHER) }) }),
    ],
    [
      "one that has ended",
      401,
      async (holder) => ({
        token: await tokenFor(holder, { exp: Math.floor(+clock.now() / 1000) - 61 }),
      }),
    ],
    [
      "one that is signed by nobody",
      401,
      async (holder) => {
        const [, payload] = (await tokenFor(holder)).split(".");
        const head = Buffer.from('{"alg":"none"}').toString("base64url");
        return { token: `${head}.${payload}.` };
      },
    ],
    [
      "an image that it should not hold",
      404,
      async (holder) => {
        const sha256 = sumOf(OTHER);
        await writeFile(holder.at("other"), OTHER);
        return { token: await tokenFor(holder, { sha256 }), path: `/berth-images/${sha256}` };
      },
    ],
    ["a path", 404, async () => ({ path: "/berth-images/../../../etc/passwd" })],
    ["an image's name", 404, async () => ({ path: "/berth-images/debian-13" })],
    ["more than a checksum", 404, async () => ({ path: `/berth-images/${SUM}/../x` })],
    ["something else", 404, async () => ({ path: "/" })],
    ["to take one", 405, async () => ({ method: "PUT" })],
  ])("gives nothing to who shows or asks for %s: %i", async (_, status, asked) => {
    const holder = await aHolder();
    const answer = await get(holder, await asked(holder));
    expect(answer).toMatchObject({ status, body: Buffer.alloc(0) });
  });

  test("gives nothing of a file that is not the image any more", async () => {
    const holder = await aHolder();
    await writeFile(holder.at("debian-13"), OTHER);
    expect(await get(holder, {})).toMatchObject({ status: 404, body: Buffer.alloc(0) });
  });

  test("gives the rest of it to who has some, by its tag, and says when that is nothing", async () => {
    const holder = await aHolder();
    const etag = `"${SUM}"`;
    const rest = await get(holder, { range: `bytes=${HALF}-`, ifRange: etag });
    expect(rest).toMatchObject({
      status: 206,
      headers: { etag, "content-range": `bytes ${HALF}-${BYTES.length - 1}/${BYTES.length}` },
    });
    expect(rest.body.equals(BYTES.subarray(HALF))).toBe(true);
    const anew = await get(holder, { range: `bytes=${HALF}-`, ifRange: '"other"' });
    expect([anew.status, anew.body.equals(BYTES)]).toEqual([200, true]);
    expect(await get(holder, { range: `bytes=${BYTES.length}-` })).toMatchObject({
      status: 416,
      headers: { "content-range": `bytes */${BYTES.length}` },
    });
  });

  /** More than any system keeps of a line that nobody reads. */
  const LARGE = 64 * 1024 ** 2;
  async function aLargeHolder(over: Parameters<typeof anAgent>[0] = {}) {
    const holder = await aHolder({ sum: SUM, ...over });
    await truncate(holder.at("debian-13"), LARGE);
    return holder;
  }
  /** Somebody who asks, and takes nothing of the answer. */
  async function anIdler(holder: Agent, sub: string) {
    const token = await tokenFor(holder, { sub });
    const headers = { authorization: `Bearer ${token}` };
    const of = { host: "127.0.0.1", port: portOf(holder), headers, agent: false };
    const idler = { status: 0 };
    const asked = request({ ...of, path: `/berth-images/${SUM}` }, (response) => {
      idler.status = response.statusCode ?? 0;
      response.on("error", () => undefined);
    });
    asked.on("error", () => undefined).end();
    closing.push(async () => asked.destroy());
    while (idler.status === 0) await turn();
    return idler;
  }

  test("tells who comes when so many fetch already to come again, and serves who asks again anew", async () => {
    const holder = await aLargeHolder();
    await anIdler(holder, "0199f0a2-b3c4-7d5e-8f90-00000000000a");
    await anIdler(holder, "0199f0a2-b3c4-7d5e-8f90-00000000000b");
    expect(await get(holder, {})).toMatchObject({
      status: 503,
      headers: { "retry-after": "30" },
    });
    const again = await anIdler(holder, "0199f0a2-b3c4-7d5e-8f90-00000000000a");
    expect(again.status).toBe(200);
    const cut = () => logged.filter((line) => line.includes('"whole":false'));
    while (cut().length === 0) await turn();
    expect(cut()).toHaveLength(1);
  });

  test("lets go of who takes nothing for a minute", async () => {
    const holder = await aLargeHolder({ options: { hostsAtOnce: 1 } });
    await anIdler(holder, randomUUID());
    const served = () => logged.filter((line) => line.startsWith("image_served"));
    while (served().length === 0) {
      await turn();
      await clock.advance(20_000);
    }
    expect(served()).toEqual([expect.stringContaining('"whole":false')]);
    await truncate(holder.at("debian-13"), 10);
    expect(await get(holder, {})).toMatchObject({ status: 200 });
  });

  /** Short waits are over at once, and took `each` times as long; others last until they are ended. */
  const quickClock = (each = 1) => {
    let now = 0;
    return {
      now: () => new Date(now),
      sleep: async (ms: number, signal?: AbortSignal) => {
        if (ms < 60_000) now += ms * each;
        else
          await new Promise((_, reject) =>
            signal?.addEventListener("abort", () => reject(new Error("over"))),
          );
      },
    };
  };

  test("takes no more of its line than it may", async () => {
    const quick = quickClock();
    const holder = await aLargeHolder({ clock: quick, options: { mbitPerSecond: 80 } });
    await truncate(holder.at("debian-13"), 5_000_000);
    expect((await get(holder, {})).body).toHaveLength(5_000_000);
    // 10 MB a second.
    expect(+quick.now()).toBeGreaterThan(450);
    expect(+quick.now()).toBeLessThan(550);
  });

  test("keeps a place for nobody longer than six hours", async () => {
    const holder = await aLargeHolder({
      clock: quickClock(100_000),
      options: { mbitPerSecond: 80 },
    });
    await expect(get(holder, {})).rejects.toThrow("aborted");
    const served = () => logged.find((line) => line.startsWith("image_served"));
    while (served() === undefined) await turn();
    expect(served()).toContain('"whole":false');
  });

  test("does so while its agent lives, and only when that is asked for", async () => {
    const dir = await mkdtemp(path.join(tmpdir(), "berth-images-"));
    closing.push(() => rm(dir, { recursive: true }));
    const plane = createFakeControlPlane();
    const begin = (serveImages?: ServeImages) => {
      const driver = {
        ...createSimulatedDriver({
          world: memoryWorld(),
          clock,
          ids: randomIds,
          delays: NO_DELAYS,
        }),
        imageFolder: { path: dir, ending: ".qcow2", sumOf: async () => null },
      };
      const doorbell = () => createMemoryDoorbell();
      const { hostId } = plane;
      const of = { hostId, driver, controlPlane: plane, doorbell, clock, random: () => 0.5, log };
      return createAgent({ ...of, store: memoryStore(), serveImages });
    };
    const closed = begin();
    await closed.images?.exchange();
    expect(plane.progress).toEqual([{ fetches: [] }]);
    closed.close();
    const serving = { address: "127.0.0.1", port: 0, mbitPerSecond: 10, hostsAtOnce: 1 };
    const open = begin(serving);
    await open.images?.exchange();
    const { port, key } = plane.progress.at(-1)?.serves ?? {};
    expect(key).toMatch(/^[\w-]{43}$/);
    const ask = () =>
      fetch(`http://127.0.0.1:${port}/berth-images/${SUM}`).then(({ status }) => status);
    expect(await ask()).toBe(401);
    open.close();
    await expect(ask()).rejects.toThrow("fetch failed");
  });

  test("tries again to listen where it could not, and its own images are fetched all the same", async () => {
    const taken = await startImageServer(() => undefined);
    const port = Number(new URL(taken.url).port);
    const agent = await anAgent({ options: { port } });
    agent.plane.wantedImages = [wanted()];
    await agent.settle();
    expect(await agent.isWhole()).toBe(true);
    expect(agent.plane.progress.at(-1)?.serves).toBeUndefined();
    await taken.close();
    await agent.settle();
    expect(agent.plane.progress.at(-1)?.serves).toMatchObject({ address: "127.0.0.1", port });
  });
});
