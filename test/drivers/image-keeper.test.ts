import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { WantedImage } from "#core/contracts/agent/images.ts";
import { ControlPlaneError } from "#host-agent/channel/control-plane.ts";
import { createImageKeeper, type ImageKeeper } from "#host-agent/images/image-keeper.ts";
import { createFakeControlPlane, unreachable } from "./fake-control-plane.ts";
import { serveFile, startImageServer, type Behave } from "./image-server.ts";
import { createVirtualClock } from "./virtual-clock.ts";

/* 12.7: what a host fetches, when, and what it tells of it. */

const files = { "debian-13": randomBytes(3000), "alma-10": randomBytes(5000) };
type File = keyof typeof files;

let dir: string;
let server: Awaited<ReturnType<typeof startImageServer>>;
let plane: ReturnType<typeof createFakeControlPlane>;
let clock: ReturnType<typeof createVirtualClock>;
let life: AbortController;
let keeper: ImageKeeper;
let logged: string[];
const serveAll: Behave = (request, response, nth) => {
  const file = request.url?.includes("alma") ? "alma-10" : "debian-13";
  serveFile(files[file])(request, response, nth);
};
const image = (file: File): WantedImage => ({
  file,
  url: new URL(`/${file}?secret=s3cret`, server.url).href,
  sha256: createHash("sha256").update(files[file]).digest("hex"),
  bytes: null,
});
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), "berth-images-"));
  server = await startImageServer(serveAll);
  plane = createFakeControlPlane();
  clock = createVirtualClock();
  life = new AbortController();
  logged = [];
  const note = (event: string, fields: object = {}) =>
    void logged.push(`${event} ${JSON.stringify(fields)}`);
  keeper = createImageKeeper({
    folder: { path: dir, ending: ".vhdx" },
    controlPlane: plane,
    fetch,
    freeBytes: async () => 2 ** 40,
    clock,
    log: { info: note, error: note },
    signal: life.signal,
  });
});
afterEach(async () => {
  life.abort();
  await server.close();
  await keeper.idle();
  await rm(dir, { recursive: true });
});
const names = async () => (await readdir(dir)).sort();
const told = () =>
  plane.progress.at(-1)?.fetches.map(({ file, state, doneBytes }) => [file, state, doneBytes]);

test("what is wanted is fetched one after another, and told", async () => {
  plane.wantedImages = [image("debian-13"), image("alma-10")];
  let atOnce = 0;
  let most = 0;
  server.next((request, response, nth) => {
    most = Math.max(most, ++atOnce);
    response.on("close", () => void (atOnce -= 1));
    serveAll(request, response, nth);
  });
  expect(keeper.nextMs()).toBeLessThan(60_000);
  expect(await keeper.exchange()).toBe(2);
  expect(keeper.nextMs()).toBe(30_000);
  await keeper.idle();
  expect(await names()).toEqual(["alma-10.vhdx", "debian-13.vhdx"]);
  expect(most).toBe(1);
  expect(keeper.nextMs()).toBe(5 * 60_000);
  await keeper.exchange();
  expect(told()).toEqual([
    ["debian-13", "held", 3000],
    ["alma-10", "held", 5000],
  ]);
  await keeper.idle();
  expect(server.asked).toHaveLength(2);
});

test("how far it is is told while it is fetched, and that the next one waits", async () => {
  plane.wantedImages = [image("debian-13"), image("alma-10")];
  const reached = new Promise<void>((resolve) => {
    server.next((_, response) => {
      response.writeHead(200, { "content-length": 3000 });
      response.write(files["debian-13"].subarray(0, 1000), () => resolve());
    });
  });
  await keeper.exchange();
  await reached;
  await keeper.exchange();
  expect(plane.progress.at(-1)?.fetches).toMatchObject([
    { file: "debian-13", state: "fetching", why: null },
    { file: "alma-10", state: "waiting", doneBytes: 0, totalBytes: null, why: null },
  ]);
});

test("what fails is told with its reason, keeps no other waiting, and is tried again later and later", async () => {
  plane.wantedImages = [image("debian-13"), image("alma-10")];
  server.next((request, response, nth) =>
    request.url?.includes("debian")
      ? response.writeHead(503).end()
      : serveAll(request, response, nth),
  );
  await keeper.exchange();
  await keeper.idle();
  expect(await names()).toEqual(["alma-10.vhdx"]);
  await keeper.exchange();
  await keeper.idle();
  expect(server.asked).toHaveLength(2);
  expect(plane.progress.at(-1)?.fetches).toMatchObject([
    { file: "debian-13", state: "failed", why: expect.stringContaining("answered 503") },
    { file: "alma-10", state: "held" },
  ]);
  await clock.advance(40_000);
  await keeper.exchange();
  await keeper.idle();
  expect(server.asked).toHaveLength(3);
  await clock.advance(40_000);
  await keeper.exchange();
  await keeper.idle();
  expect(server.asked).toHaveLength(3);

  server.next(serveAll);
  await clock.advance(3_600_000);
  await keeper.exchange();
  await keeper.idle();
  await keeper.exchange();
  expect(plane.progress.at(-1)?.fetches).toMatchObject([
    { state: "held", why: null },
    { state: "held" },
  ]);
  expect(logged.join("\n")).not.toContain("s3cret");
});

test("what is wanted no longer is not gone on with, and its beginning is cleared away; no image ever is", async () => {
  await writeFile(path.join(dir, "debian-12.vhdx"), "VMs stand on this");
  plane.wantedImages = [image("debian-13")];
  const reached = new Promise<void>((resolve) => {
    server.next((_, response) => {
      response.writeHead(200, { "content-length": 3000 });
      response.write(files["debian-13"].subarray(0, 1000), () => resolve());
    });
  });
  await keeper.exchange();
  await reached;
  plane.wantedImages = [];
  await keeper.exchange();
  await keeper.idle();
  await keeper.exchange();
  expect(await names()).toEqual(["debian-12.vhdx"]);
});

test("a file that lies there already is held as it is, whatever it is", async () => {
  await writeFile(path.join(dir, "debian-13.vhdx"), "put here by hand");
  plane.wantedImages = [image("debian-13")];
  await keeper.exchange();
  await keeper.idle();
  await keeper.exchange();
  expect(told()).toEqual([["debian-13", "held", 0]]);
  expect(server.asked).toEqual([]);
  expect(await readFile(path.join(dir, "debian-13.vhdx"), "utf8")).toBe("put here by hand");
});

test("a control plane of before asks for nothing, and that is no failure; an outage is one, and stops no fetch", async () => {
  plane.outage = new ControlPlaneError(404, "not_found", "no such route");
  expect(await keeper.exchange()).toBe(0);
  plane.outage = null;
  plane.wantedImages = [image("debian-13")];
  await keeper.exchange();
  plane.outage = unreachable();
  await expect(keeper.exchange()).rejects.toThrow("down for the test");
  await keeper.idle();
  expect(await names()).toEqual(["debian-13.vhdx"]);
});
