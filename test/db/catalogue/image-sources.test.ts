import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addImage } from "#commands/catalogue/add-catalogue.ts";
import { setImageSource } from "#commands/catalogue/set-image-source.ts";
import { exchangeImages, showHostsOfImage } from "#commands/hosts/exchange-images.ts";
import { AddImage } from "#core/contracts/api/catalogue.ts";
import type { ImageFetch } from "#core/contracts/agent/images.ts";
import { aHeldImage, anAgentReport, hostFacts } from "#test/builders.ts";
import { recordReport } from "#commands/moves/record-report.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { anEnrolledHost, aWorld, SYSTEM, valueOf, type World } from "#test/harness/world.ts";

/* 12.7: images get to hosts. */

let cp: ControlPlane;
let world: World;
let elsewhere: World;
beforeAll(async () => {
  cp = await startControlPlane();
  world = await aWorld(cp);
  elsewhere = await aWorld(cp);
});
afterAll(() => cp.drop());

let files = 0;
const [SUM, OTHER_SUM] = ["a".repeat(64), "b".repeat(64)];
const anImage = async (over: object = {}) => {
  const image = AddImage.parse({
    name: v7(),
    os: "linux",
    file: `alpine-${++files}`,
    hypervisors: ["kvm"],
    minMemoryMib: 256,
    minDiskGib: 3,
    ...over,
  });
  return { ...valueOf(await addImage(cp.deps, SYSTEM, image)), file: image.file };
};
const source = (imageId: string, over: object = {}) => ({
  imageId,
  hypervisor: "kvm" as const,
  url: "https://images.example.com/alpine.qcow2?secret=s3cret",
  sha256: SUM,
  bytes: 4000,
  locationIds: null,
  ...over,
});
const set = (imageId: string, over: object = {}) =>
  setImageSource(cp.deps, SYSTEM, source(imageId, over));
const wantedOf = async (hostId: string, fetches: ImageFetch[] = []) =>
  (await exchangeImages(cp.deps, hostId, { fetches })).images;
const filesOf = async (hostId: string) => (await wantedOf(hostId)).map(({ file }) => file);
const fetchOf = (file: string, over: Partial<ImageFetch> = {}): ImageFetch => ({
  file,
  sha256: SUM,
  state: "fetching",
  doneBytes: 1000,
  totalBytes: 4000,
  why: null,
  ...over,
});
const hostsOf = async (imageId: string) =>
  valueOf(await showHostsOfImage(cp.deps, imageId, { limit: 100, cursor: null })).items;
const stateOn = async (hostId: string, imageId: string) =>
  (await hostsOf(imageId)).find((host) => host.hostId === hostId);
const auditOf = (imageId: string) =>
  cp.rows(
    "select action, detail from audit_log where subject_id = $1 and action = 'image.source'",
    imageId,
  );
const refused = (code: string) => ({ ok: false, error: { code } });

describe("where an image is fetched from", () => {
  test("is said once, however often, and its checksum stands with the image", async () => {
    const image = await anImage();
    const first = valueOf(await set(image.id));
    expect(valueOf(await set(image.id))).toEqual(first);
    expect(await cp.rows("select sha256 from images where id = $1", image.id)).toEqual([
      { sha256: { kvm: SUM } },
    ]);
    const audited = await auditOf(image.id);
    expect(audited).toEqual([
      {
        action: "image.source",
        detail: { hypervisor: "kvm", sha256: SUM, host: "images.example.com" },
      },
    ]);
    expect(JSON.stringify(audited)).not.toContain("s3cret");
  });

  test("may change, and the checksum may not: VMs lie on those bytes", async () => {
    const image = await anImage({ sha256: { kvm: SUM } });
    valueOf(await set(image.id));
    expect(await set(image.id, { sha256: OTHER_SUM })).toMatchObject(refused("image_other_file"));
    const moved = "http://mirror.example.com/alpine.qcow2";
    valueOf(await set(image.id, { url: moved }));
    const [wanted] = (await wantedOf(world.hostId)).filter(({ file }) => file === image.file);
    expect(wanted).toEqual({ file: image.file, url: moved, sha256: SUM, bytes: 4000 });
  });

  test("is refused with other bytes than another image's of the same file", async () => {
    const image = await anImage({ sha256: { kvm: SUM } });
    const twin = await anImage({ file: image.file });
    expect(await set(twin.id, { sha256: OTHER_SUM })).toMatchObject(refused("image_other_file"));
    valueOf(await set(image.id));
    valueOf(await set(twin.id));
    expect((await filesOf(world.hostId)).filter((file) => file === image.file)).toHaveLength(1);
  });

  test.each([
    ["image_not_found", () => ({ imageId: v7() })],
    ["image_not_for_hypervisor", () => ({ hypervisor: "hyperv" })],
    ["location_not_found", () => ({ locationIds: [world.locationId, v7()] })],
  ] as const)("is refused with %s, and nothing is written", async (code, over) => {
    const image = await anImage();
    expect(await set(image.id, over())).toMatchObject(refused(code));
    expect(await auditOf(image.id)).toEqual([]);
    expect(await filesOf(world.hostId)).not.toContain(image.file);
  });
});

describe("a host", () => {
  test("should hold what is for its hypervisor and its location, and is on offer", async () => {
    const [everywhere, here, there, other, withdrawn] = [
      await anImage(),
      await anImage(),
      await anImage(),
      await anImage({ hypervisors: ["hyperv"] }),
      await anImage(),
    ];
    await set(everywhere.id);
    await set(here.id, { locationIds: [world.locationId, world.locationId] });
    await set(there.id, { locationIds: [elsewhere.locationId] });
    await set(other.id, { hypervisor: "hyperv" });
    await set(withdrawn.id);
    await cp.rows("update images set available = false where id = $1", withdrawn.id);
    const all = [everywhere, here, there, other, withdrawn].map(({ file }) => file);
    const among = async (hostId: string) =>
      (await filesOf(hostId)).filter((file) => all.includes(file));
    expect(await among(world.hostId)).toEqual([everywhere.file, here.file].sort());
    expect(await among(elsewhere.hostId)).toEqual([everywhere.file, there.file].sort());
    await cp.rows("update hosts set state = 'retired' where id = $1", elsewhere.hostId);
    expect(await among(elsewhere.hostId)).toEqual([]);
    await cp.rows("update hosts set state = 'active' where id = $1", elsewhere.hostId);
  });

  test("shows staff how far it is, until its facts say that it holds the file", async () => {
    const image = await anImage();
    await set(image.id);
    expect(await stateOn(world.hostId, image.id)).toMatchObject({ state: "waiting", doneBytes: 0 });
    await wantedOf(world.hostId, [fetchOf(image.file)]);
    expect(await stateOn(world.hostId, image.id)).toMatchObject({
      state: "fetching",
      doneBytes: 1000,
      totalBytes: 4000,
      why: null,
    });
    await wantedOf(world.hostId, [fetchOf(image.file, { state: "held", doneBytes: 4000 })]);
    expect(await stateOn(world.hostId, image.id)).toMatchObject({ state: "fetched" });
    const facts = hostFacts({ images: [aHeldImage({ file: image.file, sha256: SUM })] });
    await recordReport(cp.deps, world.hostId, anAgentReport({ facts }));
    expect(await stateOn(world.hostId, image.id)).toMatchObject({ state: "held" });
    const others = hostFacts({ images: [aHeldImage({ file: image.file, sha256: OTHER_SUM })] });
    await recordReport(cp.deps, world.hostId, anAgentReport({ facts: others }));
    expect(await stateOn(world.hostId, image.id)).toMatchObject({ state: "other_file" });
  });

  test("that cannot fetch is a finding, opened once, told while it is tried again, and ended when it holds the file", async () => {
    const hostId = await anEnrolledHost(cp, { locationId: world.locationId, places: 1 });
    const image = await anImage();
    await set(image.id);
    const findings = () =>
      cp.rows(
        "select kind, subject, detail, ended_at is not null as over from findings where host_id = $1",
        hostId,
      );
    const finding = { kind: "image_fetch_failed", subject: image.file };
    await wantedOf(hostId, [fetchOf(image.file)]);
    expect(await findings()).toEqual([]);
    const failed = fetchOf(image.file, { state: "failed", why: "no_room: full" });
    await wantedOf(hostId, [failed]);
    await wantedOf(hostId, [failed]);
    await wantedOf(hostId, [fetchOf(image.file, { why: "stalled: silent" })]);
    expect(await findings()).toEqual([{ ...finding, detail: "stalled: silent", over: false }]);
    expect(await stateOn(hostId, image.id)).toMatchObject({ why: "stalled: silent" });
    await wantedOf(hostId, [fetchOf(image.file, { state: "held" })]);
    expect(await findings()).toEqual([{ ...finding, detail: "stalled: silent", over: true }]);
    const events = await cp.rows(
      "select action from audit_log where subject_kind = 'finding' and detail ->> 'host_id' = $1 order by action",
      hostId,
    );
    expect(events.map(({ action }) => action)).toEqual(["finding.end", "finding.open"]);
  });

  test("counts for nothing with what it says of images that it should not hold, or with other bytes", async () => {
    const hostId = await anEnrolledHost(cp, { locationId: world.locationId, places: 1 });
    const image = await anImage();
    await set(image.id);
    const failed = { state: "failed", why: "made up" } as const;
    await wantedOf(hostId, [
      fetchOf("nobody-wants", failed),
      fetchOf(image.file, { ...failed, sha256: OTHER_SUM }),
    ]);
    expect(await cp.rows("select 1 from image_fetches where host_id = $1", hostId)).toEqual([]);
    expect(await cp.rows("select 1 from findings where host_id = $1", hostId)).toEqual([]);
  });

  test("at rest costs one look", async () => {
    const hostId = await anEnrolledHost(cp, { locationId: world.locationId, places: 1 });
    const image = await anImage();
    await set(image.id);
    const held = (await filesOf(hostId)).map((file) => fetchOf(file, { state: "held" }));
    await wantedOf(hostId, held);
    const before = cp.steps.statements;
    await wantedOf(hostId, held);
    expect(cp.steps.statements - before).toBe(1);
  });
});
