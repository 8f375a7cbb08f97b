import fc from "fast-check";
import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { UNDERSTOOD } from "#core/contracts/agent/protocol.ts";
import { HostFacts, type HeldImage } from "#core/contracts/agent/report.ts";
import type { HostState } from "#core/hosts/host-state.ts";
import { platformOf } from "#core/hosts/limits.ts";
import {
  rankHosts,
  runsVm,
  silentBefore,
  whyNoHost,
  type HostCandidate,
  type VmDemand,
} from "#core/hosts/place-vm.ts";
import { whyNoVms } from "#core/hosts/why-no-vms.ts";
import { PLAIN_HARDWARE } from "#core/vms/image-hardware.ts";
import { bestHosts, haveFreeRoom, hostsAmong, kindsWithRoom } from "#db/hosts/capacity.ts";
import { saveHeldImages } from "#db/hosts/held-images.ts";
import { forgetUnusedKinds, kindsOfHosts } from "#db/hosts/kinds.ts";
import { saveFacts } from "#db/hosts/hosts.ts";
import { heldImages, hosts } from "#db/schema/hosts.ts";
import { inTransaction } from "#db/transaction.ts";
import { aHeldImage, ALL_CAPABILITIES, hostFacts } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { meet } from "#test/harness/meet.ts";
import { anEnrolledHost, aWorld, SIZE } from "#test/harness/world.ts";

/* 4b C2: what is decided on a handful of hosts is what all of them would have decided. */

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

const GIB = 2 ** 30;
const mostly = <T>(usual: T, ...others: readonly T[]) =>
  fc.constantFrom(...Array.from({ length: 3 * others.length }, () => usual), ...others);
const anyFacts = fc.record({
  hypervisor: fc.constantFrom("kvm" as const, "hyperv" as const),
  hypervisorVersion: fc.constantFrom("10.0.17763", "10.0.20348"),
  accelerator: mostly("hardware" as const, "simulated" as const),
  cpuThreads: fc.constantFrom(2, 64),
  capabilities: fc
    .record({ iopsLimit: fc.boolean(), uefi: fc.boolean() })
    .map(({ iopsLimit, uefi }) => ({ ...ALL_CAPABILITIES, iopsLimit, uefi, secureBoot: uefi })),
});
const anyImages = fc.uniqueArray(
  fc.record({
    file: mostly("debian-13", "other"),
    virtualBytes: mostly(3 * GIB, 30 * GIB),
    sha256: mostly<string | null>("a".repeat(64), null),
    changed: mostly(false, true),
  }),
  { selector: ({ file }) => file },
);
const anyHost = fc.record({
  facts: anyFacts,
  images: fc.option(anyImages),
  understands: mostly<string[] | null>([...UNDERSTOOD], [], ["root-password"], null),
  testOnly: fc.boolean(),
  state: mostly<HostState>("active", "enrolling", "cordoned", "draining"),
  silentMinutes: mostly<number | null>(0, 5, 6, null),
  free: fc.record({
    vcpus: fc.nat(8),
    memoryMib: fc.constantFrom(0, 512, 1024, 2048, 4096),
    diskGib: mostly(40, 0, 20),
    vms: mostly(2, 0, 1),
  }),
});
type AnyHost = typeof anyHost extends fc.Arbitrary<infer T> ? T : never;

async function put(locationId: string, host: AnyHost): Promise<void> {
  const id = v7();
  const { free, silentMinutes } = host;
  const seen = silentMinutes === null ? null : new Date(+cp.clock.now() - silentMinutes * 60_000);
  await cp.deps.db.insert(hosts).values({
    id,
    name: id,
    locationId,
    state: host.state,
    testOnly: host.testOnly,
    hypervisor: host.facts.hypervisor,
    facts: hostFacts(host.facts),
    tellsImages: host.images !== null,
    understands: host.understands,
    capacityVcpus: free.vcpus + 3,
    allocatedVcpus: 3,
    capacityMemoryMib: free.memoryMib + 300,
    allocatedMemoryMib: 300,
    capacityDiskGib: free.diskGib + 30,
    allocatedDiskGib: 30,
    capacityVms: free.vms + 33,
    allocatedVms: 33,
    publicKey: "key",
    lastSeenAt: seen,
    createdAt: cp.clock.now(),
  });
  if (host.images !== null && host.images.length > 0)
    await cp.deps.db
      .insert(heldImages)
      .values(host.images.map((image) => ({ hostId: id, ...image })));
}

/** All hosts of the location as they are, from their own rows. */
async function allHosts(locationId: string): Promise<readonly HostCandidate[]> {
  const rows = (await cp.deps.db.select().from(hosts)).filter((h) => h.locationId === locationId);
  const held = await cp.deps.db.select().from(heldImages);
  return rows.map((h) => {
    const facts = HostFacts.parse(h.facts);
    const images = held.filter(({ hostId }) => hostId === h.id);
    return {
      ...facts,
      id: h.id,
      state: h.state,
      platform: platformOf(facts),
      testOnly: h.testOnly,
      understands: h.understands,
      lastSeenAt: h.lastSeenAt,
      images: h.tellsImages ? images : null,
      free: {
        vcpus: h.capacityVcpus - h.allocatedVcpus,
        memoryMib: h.capacityMemoryMib - h.allocatedMemoryMib,
        diskGib: h.capacityDiskGib - h.allocatedDiskGib,
        vms: h.capacityVms - h.allocatedVms,
      },
    };
  });
}

const demand = (
  image: Partial<VmDemand["image"]>,
  size: VmDemand["size"],
  needs: VmDemand["needs"] = [],
): VmDemand => ({
  size,
  image: {
    os: "linux",
    sha256: {},
    file: "debian-13",
    hypervisors: ["kvm", "hyperv"],
    hardware: PLAIN_HARDWARE,
    ...image,
  },
  needs,
});
const DEMANDS: readonly VmDemand[] = [
  demand({ sha256: { kvm: "a".repeat(64) } }, { vcpus: 1, memoryMib: 1024, diskGib: 20 }),
  demand({}, { vcpus: 1, memoryMib: 512, diskGib: 20 }, ["iopsLimit"]),
  demand(
    { hardware: { firmware: "uefi", secureBoot: "microsoft", diskBus: null } },
    { vcpus: 1, memoryMib: 512, diskGib: 20 },
  ),
  demand({ os: "windows" }, { vcpus: 2, memoryMib: 2048, diskGib: 40 }),
  demand({ os: "windows" }, { vcpus: 4, memoryMib: 513, diskGib: 20 }),
  demand(
    { os: "freebsd", sha256: { hyperv: "b".repeat(64) } },
    { vcpus: 1, memoryMib: 1024, diskGib: 40 },
  ),
];

describe("of a location with hosts of many kinds", () => {
  let locationId: string;
  let all: readonly HostCandidate[];
  beforeAll(async () => {
    ({ locationId } = await aWorld(cp, { places: 0, addresses: 0 }));
    await cp.rows("update hosts set state = 'retired' where location_id = $1", locationId);
    for (const host of fc.sample(anyHost, { numRuns: 150, seed: 11 })) await put(locationId, host);
    all = await allHosts(locationId);
  });
  const able = async (vm: VmDemand) => {
    const kinds = await kindsOfHosts(cp.deps.db, { locationId, files: [vm.image.file] });
    return {
      kinds: kinds.filter((kind) => runsVm(kind, vm)),
      heardSince: silentBefore(cp.clock.now()),
    };
  };
  const idsOf = (some: readonly { id: string }[]) => some.map(({ id }) => id);

  test.each(DEMANDS)("the best few are the first of all, whatever is packed (%#)", async (vm) => {
    const now = cp.clock.now();
    const among = await able(vm);
    const best = await bestHosts(cp.deps.db, among, vm.size, 2);
    expect(idsOf(rankHosts(best, vm, now)).slice(0, 2)).toEqual(
      idsOf(rankHosts(all, vm, now)).slice(0, 2),
    );
    const packedIds = new Set(idsOf(all).filter((_, n) => n % 3 === 0));
    const packed = await hostsAmong(cp.deps.db, among, [...packedIds]);
    const both = new Map([...packed, ...best].map((host) => [host.id, host]));
    const expected = idsOf(rankHosts(all, vm, now, packedIds));
    expect(idsOf(rankHosts([...both.values()], vm, now, packedIds)).slice(0, 2)).toEqual(
      expected.slice(0, 2),
    );
  });

  // 5.6
  test.each(DEMANDS)(
    "those that the database finds are those that nothing stands against (%#)",
    async (vm) => {
      const best = await bestHosts(cp.deps.db, await able(vm), vm.size, all.length);
      const free = all.filter((host) => whyNoVms(host, [vm], cp.clock.now()).all.length === 0);
      expect(idsOf(best).toSorted()).toEqual(idsOf(free).toSorted());
    },
  );

  test("some of them can take some of these, so that the tests above compare something", () => {
    const first = DEMANDS.map((vm) => rankHosts(all, vm, cp.clock.now()).length);
    expect(first.filter((n) => n > 2).length).toBeGreaterThan(2);
  });

  test.each(DEMANDS)("it has room for a plan where a host of it has (%#)", async (vm) => {
    const { kinds, heardSince } = await able(vm);
    const [withRoom] = await kindsWithRoom(cp.deps.db, { kinds, heardSince }, [vm.size]);
    const ranked = rankHosts(all, vm, cp.clock.now());
    expect((withRoom?.size ?? 0) > 0).toBe(ranked.length > 0);
    const active = all.filter(({ state }) => state === "active");
    const here = await kindsOfHosts(cp.deps.db, { locationId, files: [vm.image.file] });
    expect(whyNoHost(here, vm)).toBe(whyNoHost(active, vm));
  });

  test.each(DEMANDS)(
    "its free room is added up exactly, of those that can take the VM (%#)",
    async (vm) => {
      const among = await able(vm);
      const now = cp.clock.now();
      const fit = all.filter(
        (h) =>
          h.state === "active" &&
          h.lastSeenAt !== null &&
          h.lastSeenAt >= silentBefore(now) &&
          runsVm(h, vm),
      );
      const sum = { vcpus: 0, memoryMib: 0, diskGib: 0, vms: 0 };
      for (const { free } of fit) {
        sum.vcpus += free.vcpus;
        sum.memoryMib += free.memoryMib;
        sum.diskGib += free.diskGib;
        sum.vms += free.vms;
      }
      const have = (needed: typeof sum) => haveFreeRoom(cp.deps.db, among, needed);
      expect(await have(sum)).toBe(fit.length > 0);
      for (const resource of ["vcpus", "memoryMib", "diskGib", "vms"] as const)
        expect(await have({ ...sum, [resource]: sum[resource] + 1 })).toBe(false);
    },
  );
});

describe("the kind of a host", () => {
  const kindOf = async (hostId: string) => {
    const [row] = await cp.rows("select kind_id from hosts where id = $1", hostId);
    return row?.["kind_id"];
  };
  const save = (hostId: string, images: readonly HeldImage[] | undefined) =>
    inTransaction(cp.deps.db, (tx) => saveHeldImages(tx, hostId, images));

  test("follows what it holds and what it is, and comes back with it", async () => {
    const { hostId, locationId } = await aWorld(cp);
    const twin = await anEnrolledHost(cp, { locationId, places: 9 });
    await save(hostId, undefined);
    await save(twin, undefined);
    const before = await kindOf(hostId);
    // Its size is none of it.
    expect(await kindOf(twin)).toBe(before);
    const seen = [before];
    const differs = async () => {
      const kind = await kindOf(hostId);
      expect(seen).not.toContain(kind);
      seen.push(kind);
    };
    await save(hostId, []);
    await differs();
    await save(hostId, [aHeldImage()]);
    await differs();
    await save(hostId, [aHeldImage({ changed: true })]);
    await differs();
    await save(hostId, [aHeldImage({ changed: true }), aHeldImage({ file: "other" })]);
    await differs();
    await save(hostId, [aHeldImage()]);
    expect(await kindOf(hostId)).toBe(seen[2]);
    await save(hostId, undefined);
    expect(await kindOf(hostId)).toBe(before);
    const measured = (facts: HostFacts) =>
      inTransaction(cp.deps.db, (tx) => saveFacts(tx, hostId, facts, { ...SIZE, vms: 1 }));
    await measured(hostFacts({ memoryMib: 77_777, agentVersion: "77" }));
    expect(await kindOf(hostId)).toBe(before);
    await measured(hostFacts({ cpuThreads: 7 }));
    await differs();
    await cp.rows("update hosts set test_only = true where id = $1", hostId);
    await differs();
  });

  test("is one that a location does not share with another", async () => {
    const [here, there] = [await aWorld(cp), await aWorld(cp)];
    expect(await kindOf(here.hostId)).not.toBe(await kindOf(there.hostId));
  });

  test("is forgotten when no host is of it, and not while one is, or is about to be", async () => {
    const { hostId, locationId } = await aWorld(cp);
    await save(hostId, [aHeldImage()]);
    const forget = () => inTransaction(cp.deps.db, (tx) => forgetUnusedKinds(tx, 1000));
    const left = async () =>
      (await cp.rows("select id from host_kinds where location_id = $1", locationId)).map(
        (row) => row["id"],
      );
    await forget();
    const kind = await kindOf(hostId);
    expect(await left()).toEqual([kind]);
    await save(hostId, []);
    const other = await kindOf(hostId);
    expect(await left()).toHaveLength(2);
    const met = await meet(
      cp,
      (tx) => saveHeldImages(tx, hostId, [aHeldImage()]),
      () => forget(),
    );
    expect(met.waited).toBe(false);
    expect([kind, other]).toContain(await kindOf(hostId));
    expect(await left()).toContain(kind);
    await forget();
    expect(await left()).toEqual([kind]);
  });
});
