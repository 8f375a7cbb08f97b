import { randomBytes } from "node:crypto";
import { jwtVerify } from "jose";
import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addImage } from "#commands/catalogue/add-catalogue.ts";
import { setImageSource } from "#commands/catalogue/set-image-source.ts";
import { exchangeImages, showHostsOfImage } from "#commands/hosts/exchange-images.ts";
import { showHost } from "#commands/hosts/show-hosts.ts";
import { recordReport } from "#commands/moves/record-report.ts";
import { AddImage } from "#core/contracts/api/catalogue.ts";
import type { ImageFetch, ImageServing } from "#core/contracts/agent/images.ts";
import { aHeldImage, anAgentReport, hostFacts } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { anEnrolledHost, aWorld, SYSTEM, valueOf, type World } from "#test/harness/world.ts";

/* 12.7: a host can also fetch an image from another host. */

let cp: ControlPlane;
let world: World;
let elsewhere: World;
beforeAll(async () => {
  cp = await startControlPlane();
  world = await aWorld(cp);
  elsewhere = await aWorld(cp);
});
afterAll(() => cp.drop());

const [SUM, OTHER_SUM] = ["a".repeat(64), "b".repeat(64)];
let made = 0;
async function anImage(over: { locationIds?: string[] } = {}) {
  const { id } = valueOf(
    await addImage(
      cp.deps,
      SYSTEM,
      AddImage.parse({
        name: v7(),
        os: "linux",
        file: `peered-${++made}`,
        hypervisors: ["kvm", "hyperv"],
        minMemoryMib: 256,
        minDiskGib: 3,
      }),
    ),
  );
  const url = "https://images.example.com/gone.qcow2";
  const source = { url, bytes: 4000, locationIds: over.locationIds ?? null };
  for (const [hypervisor, sha256] of [["kvm", SUM] as const, ["hyperv", OTHER_SUM] as const])
    valueOf(await setImageSource(cp.deps, SYSTEM, { ...source, imageId: id, hypervisor, sha256 }));
  return { id, file: `peered-${made}` };
}
const aKey = () => randomBytes(32).toString("base64url");
const serving = (over: Partial<ImageServing> = {}): ImageServing => ({
  address: `10.1.${Math.floor(++made / 250)}.${(made % 250) + 1}`,
  port: 9110,
  key: aKey(),
  ...over,
});
/** An enrolled host that holds these files, byte for byte, and serves them. */
async function aServer(
  files: readonly string[],
  over: {
    locationId?: string;
    serves?: ImageServing;
    facts?: Parameters<typeof hostFacts>[0];
  } = {},
) {
  const { locationId = world.locationId, serves = serving() } = over;
  const images = files.map((file) => aHeldImage({ file, sha256: SUM }));
  const facts = { images, ...over.facts };
  const hostId = await anEnrolledHost(cp, { locationId, places: 1, facts });
  await report(hostId, facts);
  await exchangeImages(cp.deps, hostId, { fetches: [], serves });
  return { hostId, serves };
}
const report = (hostId: string, facts: Parameters<typeof hostFacts>[0]) =>
  recordReport(cp.deps, hostId, anAgentReport({ facts: hostFacts(facts) }));
const anAsker = (locationId = world.locationId) =>
  anEnrolledHost(cp, { locationId, places: 1, facts: { images: [] } });
const ask = async (hostId: string, file: string, more: object = {}) =>
  (await exchangeImages(cp.deps, hostId, { fetches: [], ...more })).images.find(
    (image) => image.file === file,
  );
const named = async (hostId: string, file: string) =>
  ((await ask(hostId, file))?.peers ?? []).map((peer) => peer.hostId).sort();

describe("the hosts that are named to one that lacks an image", () => {
  test("are those of its location that hold and serve it, with a token that they alone can check", async () => {
    const { file } = await anImage();
    const { hostId, serves } = await aServer([file]);
    const asker = await anAsker();
    const [peer, ...more] = (await ask(asker, file))?.peers ?? [];
    expect(more).toEqual([]);
    expect(peer).toMatchObject({ hostId, address: serves.address, port: 9110 });
    const key = Buffer.from(serves.key, "base64url");
    const { payload } = await jwtVerify(peer?.token ?? "", key, {
      algorithms: ["HS256"],
      audience: hostId,
      currentDate: cp.clock.now(),
    });
    expect(payload).toEqual({
      sub: asker,
      aud: hostId,
      sha256: SUM,
      exp: Math.floor(+cp.clock.now() / 1000) + 600,
    });
    const rows = await cp.rows("select * from image_servers where host_id = $1", hostId);
    expect(JSON.stringify(rows)).not.toContain(serves.key);
  });

  test("are of its group in other locations too, and of no other location", async () => {
    const { file } = await anImage();
    const near = await aServer([file]);
    const grouped = await aServer([file], { locationId: elsewhere.locationId });
    await aServer([file], { locationId: elsewhere.locationId });
    const asker = await anAsker();
    const group = (ids: string[], name: string) =>
      cp.rows("update hosts set host_group = $2 where id = any($1)", ids, name);
    await group([asker, grouped.hostId], "canary");
    const { peers = [] } = (await ask(asker, file)) ?? {};
    expect(peers.map(({ hostId }) => hostId)).toEqual([near.hostId, grouped.hostId]);
  });

  test.each<[string, (file: string) => Promise<unknown>]>([
    ["is silent", async (file) => silence((await aServer([file])).hostId)],
    ["serves no longer, or is an agent of before", (file) => aServer([file]).then(stop)],
    ["does not hold it", () => aServer([])],
    [
      "holds other bytes under its name",
      (file) => aServer([file], { facts: { images: [aHeldImage({ file, sha256: OTHER_SUM })] } }),
    ],
    [
      "holds what has changed",
      (file) =>
        aServer([file], { facts: { images: [aHeldImage({ file, sha256: SUM, changed: true })] } }),
    ],
    [
      "does not know the checksum yet",
      (file) => aServer([file], { facts: { images: [aHeldImage({ file, sha256: null })] } }),
    ],
    ["is of another hypervisor", (file) => aServer([file], { facts: hyperv(file) })],
    [
      "is retired",
      async (file) =>
        cp.rows("update hosts set state = 'retired' where id = $1", (await aServer([file])).hostId),
    ],
    [
      "tells an address at which others find themselves",
      (file) => aServer([file], { serves: serving({ address: "127.0.0.1" }) }),
    ],
    [
      "sealed its key under another secret",
      async (file) =>
        cp.rows(
          "update image_servers set sealed_key = 'v1.AAAA' where host_id = $1",
          (await aServer([file])).hostId,
        ),
    ],
  ])("are never one that %s", async (_, makeOne) => {
    const { file } = await anImage();
    const good = await aServer([file]);
    await makeOne(file);
    expect(await named(await anAsker(), file)).toEqual([good.hostId]);
  });
  const silence = (hostId: string) =>
    cp.rows(
      "update hosts set last_seen_at = last_seen_at - interval '6 minutes' where id = $1",
      hostId,
    );
  const stop = ({ hostId }: { hostId: string }) => exchangeImages(cp.deps, hostId, { fetches: [] });
  const hyperv = (file: string) => ({
    hypervisor: "hyperv" as const,
    images: [aHeldImage({ file, sha256: SUM })],
  });

  test("are none for an image that they should not hold", async () => {
    const { file } = await anImage({ locationIds: [world.locationId] });
    const away = await aServer([file], { locationId: elsewhere.locationId });
    const asker = await anAsker();
    await cp.rows("update hosts set host_group = 'both' where id = any($1)", [away.hostId, asker]);
    expect(await named(asker, file)).toEqual([]);
  });

  test("are three at the most, found by two statements whatever is lacked and whoever serves", async () => {
    const images = [await anImage(), await anImage(), await anImage()];
    const files = images.map(({ file }) => file);
    await aServer(files);
    const asker = await anAsker();
    const statementsOf = async () => {
      const before = cp.steps.statements;
      const { images: wanted } = await exchangeImages(cp.deps, asker, { fetches: [] });
      const most = wanted.map(({ peers = [] }) => peers.length);
      return { statements: cp.steps.statements - before, most: Math.max(...most) };
    };
    expect(await statementsOf()).toMatchObject({ statements: 2 });
    for (let more = 0; more < 4; more++) await aServer(files);
    expect(await statementsOf()).toEqual({ statements: 2, most: 3 });
  });

  test("are looked for by nobody who lacks nothing", async () => {
    const { file } = await anImage();
    const { hostId, serves } = await aServer([file]);
    const { images } = await exchangeImages(cp.deps, hostId, { fetches: [], serves });
    const fetches = images.map((image): ImageFetch => ({
      file: image.file,
      sha256: image.sha256,
      state: "held",
      doneBytes: 4000,
      totalBytes: 4000,
      why: null,
    }));
    await exchangeImages(cp.deps, hostId, { fetches, serves });
    const before = cp.steps.statements;
    await exchangeImages(cp.deps, hostId, { fetches, serves });
    expect(cp.steps.statements - before).toBe(1);
  });

  test("show askers what their agents made at their last start", async () => {
    const { file } = await anImage();
    const { hostId } = await aServer([file]);
    const anew = serving({ port: 9111 });
    await exchangeImages(cp.deps, hostId, { fetches: [], serves: anew });
    const [peer] = (await ask(await anAsker(), file))?.peers ?? [];
    expect(peer).toMatchObject({ hostId, address: anew.address, port: 9111 });
    await jwtVerify(peer?.token ?? "", Buffer.from(anew.key, "base64url"), {
      currentDate: cp.clock.now(),
    });
  });
});

test("where nobody holds an image, hosts wait for those near that will serve it, and not for who could not fetch it", async () => {
  const alone = await aWorld(cp);
  const { locationId } = alone;
  const { file } = await anImage();
  const asker = await anAsker(locationId);
  expect((await ask(asker, file))?.peersSoon ?? false).toBe(false);
  const { hostId, serves } = await aServer([], { locationId });
  expect(await ask(asker, file)).toMatchObject({ peers: [], peersSoon: true });
  expect((await ask(hostId, file, { serves }))?.peersSoon ?? false).toBe(false);
  const failed: ImageFetch = {
    file,
    sha256: SUM,
    state: "failed",
    doneBytes: 0,
    totalBytes: null,
    why: "refused: 404",
  };
  await exchangeImages(cp.deps, hostId, { fetches: [failed], serves });
  expect(await ask(asker, file)).toMatchObject({ peers: [], peersSoon: false });
});

test("staff see of each host whence it has an image, by its own word", async () => {
  const { id, file } = await anImage();
  const { hostId: peerId } = await aServer([file]);
  const asker = await anAsker();
  const tell = (over: Partial<ImageFetch>) =>
    exchangeImages(cp.deps, asker, {
      fetches: [
        { file, sha256: SUM, state: "held", doneBytes: 4000, totalBytes: 4000, why: null, ...over },
      ],
    });
  const shown = async () => {
    const { items } = valueOf(await showHostsOfImage(cp.deps, id, { limit: 100, cursor: null }));
    const { source, sourceHost } = items.find(({ hostId }) => hostId === asker) ?? {};
    return { source, sourceHost: sourceHost && sourceHost.id };
  };
  await tell({});
  expect(await shown()).toEqual({ source: null, sourceHost: null });
  await tell({ source: "url" });
  expect(await shown()).toEqual({ source: "url", sourceHost: null });
  await tell({ source: "peer", peerId });
  expect(await shown()).toEqual({ source: "peer", sourceHost: peerId });
  await report(asker, { images: [aHeldImage({ file, sha256: SUM })] });
  const { images } = valueOf(await showHost(cp.deps, asker));
  expect(images).toMatchObject([{ file, source: "peer", sourceHost: { id: peerId } }]);
  // An agent that was started anew has forgotten it.
  await tell({});
  expect(await shown()).toEqual({ source: "peer", sourceHost: peerId });
  await tell({ source: "peer", peerId: v7() });
  expect(await shown()).toEqual({ source: "peer", sourceHost: null });
  await tell({ state: "failed", source: "peer" });
  expect(await shown()).toEqual({ source: null, sourceHost: null });
});
