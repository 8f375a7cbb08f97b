import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  aHeldImage,
  aHostCandidate,
  ALL_CAPABILITIES,
  AT,
  hostFacts,
  minutesAfter,
} from "#test/builders.ts";
import { UNDERSTOOD } from "#core/contracts/agent/protocol.ts";
import { wordsOf } from "#core/vms/words.ts";
import { PLAIN_HARDWARE, type ImageHardware } from "#core/vms/image-hardware.ts";
import { capacityOf } from "./capacity.ts";
import { HOST_STATES } from "./host-state.ts";
import { needsOf, rankHosts, whyNoHost, type VmDemand } from "./place-vm.ts";

const DEMAND: VmDemand = {
  size: { vcpus: 1, memoryMib: 1024, diskGib: 20 },
  image: {
    os: "linux",
    hypervisors: ["kvm", "hyperv"],
    file: "debian-13",
    sha256: {},
    hardware: PLAIN_HARDWARE,
  },
  needs: [],
};
const of = (image: Partial<VmDemand["image"]>): VmDemand => ({
  ...DEMAND,
  image: { ...DEMAND.image, ...image },
});
const ids = (...hosts: Parameters<typeof rankHosts>[0][number][]) =>
  rankHosts(hosts, DEMAND, AT).map((h) => h.id);

/* 5 item 2: whatever a host says that it can do, it gets no VM that holds a word which its agent does not understand. */
describe("a VM that holds words", () => {
  const hardware: fc.Arbitrary<ImageHardware> = fc
    .record({
      firmware: fc.constantFrom(null, "bios" as const, "uefi" as const),
      secureBoot: fc.constantFrom(null, "off" as const, "microsoft" as const),
      diskBus: fc.constantFrom(null, "virtio" as const, "sata" as const),
    })
    .map((h) => (h.firmware === "uefi" ? h : { ...h, secureBoot: null }));
  const demand = fc.record({
    os: fc.constantFrom("linux" as const, "freebsd" as const, "windows" as const),
    hardware,
    rootPassword: fc.boolean(),
  });
  const words = fc.option(fc.subarray([...UNDERSTOOD]));

  test("is placed just where its agent understands all that it will be named with", () => {
    fc.assert(
      fc.property(demand, words, ({ os, hardware: asked, rootPassword }, understands) => {
        const vm: VmDemand = {
          ...of({ os, hardware: asked }),
          needs: rootPassword && os === "linux" ? ["rootPassword"] : [],
        };
        const named = wordsOf({
          presence: "present",
          isMade: false,
          repair: null,
          os,
          hardware: asked,
          rootPassword,
        });
        const host = aHostCandidate({ understands });
        const isPlaced = rankHosts([host], vm, AT).length === 1;
        expect(isPlaced).toBe(
          understands === null || named.every((word) => understands.includes(word)),
        );
        // Before the order, too.
        expect(whyNoHost([host], vm) === "no_capacity").toBe(isPlaced);
      }),
    );
  });

  test("is refused with the reason: the image, or what the order asks beside it", () => {
    const host = aHostCandidate({ understands: [] });
    const uefi = { ...PLAIN_HARDWARE, firmware: "uefi" } as const;
    expect(whyNoHost([host], of({ hardware: uefi }))).toBe("image_unavailable_here");
    expect(whyNoHost([host], { ...DEMAND, needs: ["rootPassword"] })).toBe("plan_unavailable_here");
    expect(rankHosts([host], DEMAND, AT)).toEqual([host]);
  });
});

describe("placing a VM", () => {
  test("prefers the hypervisor that suits the guest, then the host with the most free memory", () => {
    const free = (memoryMib: number) => ({ vcpus: 8, memoryMib, diskGib: 100, vms: 9 });
    const hyperv = aHostCandidate({
      hypervisor: "hyperv",
      platform: "hyperv-2025",
      free: free(9000),
    });
    const full = aHostCandidate({ free: free(2000) });
    const empty = aHostCandidate({ free: free(8000) });
    expect(ids(hyperv, full, empty)).toEqual([empty.id, full.id, hyperv.id]);
    const freebsd = rankHosts([hyperv, full, empty], of({ os: "freebsd" }), AT);
    expect(freebsd).toEqual([empty, full, hyperv]);
    const emptier = aHostCandidate({ free: free(10_000) });
    const windows = rankHosts([full, emptier, hyperv], of({ os: "windows" }), AT);
    expect(windows).toEqual([hyperv, emptier, full]);
  });

  test.each([
    { name: "has too few vCPUs", free: { vcpus: 0 } },
    { name: "has too little memory", free: { memoryMib: 1023 } },
    { name: "has too little disk", free: { diskGib: 19 } },
    { name: "runs as many VMs as it may", free: { vms: 0 } },
  ])("passes over a host that $name", ({ free }) => {
    const room = { vcpus: 8, memoryMib: 8192, diskGib: 100, vms: 9 };
    expect(ids(aHostCandidate({ free: { ...room, ...free } }))).toEqual([]);
    expect(ids(aHostCandidate({ free: room }))).toHaveLength(1);
  });

  test("fills a host to its last vCPU, MiB and GiB, and to the last VM that it may run", () => {
    expect(ids(aHostCandidate({ free: { ...DEMAND.size, vms: 1 } }))).toHaveLength(1);
  });

  test.each(HOST_STATES.filter((s) => s !== "active"))("passes over a host that is %s", (state) => {
    expect(ids(aHostCandidate({ state }))).toEqual([]);
  });

  test("passes over a host that was silent for more than five minutes, or never spoke", () => {
    expect(ids(aHostCandidate({ lastSeenAt: minutesAfter(-5) }))).toHaveLength(1);
    expect(ids(aHostCandidate({ lastSeenAt: minutesAfter(-6) }))).toEqual([]);
    expect(ids(aHostCandidate({ lastSeenAt: null }))).toEqual([]);
  });

  test("takes emulation only where staff marked the host for tests", () => {
    expect(ids(aHostCandidate({ accelerator: "tcg" }))).toEqual([]);
    expect(ids(aHostCandidate({ accelerator: "tcg", testOnly: true }))).toHaveLength(1);
    // 4b B2: nor does one that simulates them, as long as nobody but itself says so.
    expect(ids(aHostCandidate({ accelerator: "simulated" }))).toEqual([]);
    expect(ids(aHostCandidate({ accelerator: "simulated", testOnly: true }))).toHaveLength(1);
  });

  test("takes no host that cannot do what the plan promises", () => {
    const plain = aHostCandidate({ capabilities: { ...ALL_CAPABILITIES, iopsLimit: false } });
    const demand: VmDemand = { ...DEMAND, needs: ["iopsLimit"] };
    expect(rankHosts([plain], demand, AT)).toEqual([]);
    expect(whyNoHost([plain], demand)).toBe("plan_unavailable_here");
    const able = aHostCandidate({ capabilities: { ...plain.capabilities, iopsLimit: true } });
    expect(rankHosts([plain, able], demand, AT)).toEqual([able]);
    expect(whyNoHost([plain, able], demand)).toBe("no_capacity");
  });

  test.each([
    { plan: { bandwidthMbit: null, diskIops: null }, needs: [] },
    { plan: { bandwidthMbit: 100, diskIops: null }, needs: ["bandwidthLimit"] },
    { plan: { bandwidthMbit: null, diskIops: 500 }, needs: ["iopsLimit"] },
    { plan: { bandwidthMbit: 100, diskIops: 500 }, needs: ["bandwidthLimit", "iopsLimit"] },
  ])("a plan of $plan needs $needs of its host", ({ plan, needs }) => {
    expect(needsOf(plan)).toEqual(needs);
  });

  test("sells no VM of more vCPUs than a Hyper-V host has threads, whatever its overcommit offers", () => {
    const free = { vcpus: 16, memoryMib: 65_536, diskGib: 1000, vms: 100 };
    const small = { cpuThreads: 4, free, hypervisor: "hyperv", platform: "hyperv-2022" } as const;
    const demand = { ...DEMAND, size: { ...DEMAND.size, vcpus: 8 } };
    const host = aHostCandidate(small);
    expect(rankHosts([host], demand, AT)).toEqual([]);
    expect(whyNoHost([host], demand)).toBe("plan_unavailable_here");
    expect(rankHosts([aHostCandidate({ ...small, cpuThreads: 8 })], demand, AT)).toHaveLength(1);
    const kvm = aHostCandidate({ cpuThreads: 4, free });
    expect(rankHosts([host, kvm], demand, AT)).toEqual([kvm]);
  });

  test("sells no memory between the steps that a hypervisor gives it in", () => {
    const hyperv = aHostCandidate({ hypervisor: "hyperv", platform: "hyperv-2022" });
    const demand = { ...DEMAND, size: { ...DEMAND.size, memoryMib: 1025 } };
    expect(rankHosts([hyperv], demand, AT)).toEqual([]);
    expect(whyNoHost([hyperv], demand)).toBe("plan_unavailable_here");
  });

  test("says whether there is no host for it, or only no room now", () => {
    const full = aHostCandidate({ free: { vcpus: 0, memoryMib: 0, diskGib: 0, vms: 0 } });
    expect(whyNoHost([full], DEMAND)).toBe("no_capacity");
    expect(whyNoHost([full], of({ hypervisors: ["hyperv"] }))).toBe("image_unavailable_here");
    expect(whyNoHost([], DEMAND)).toBe("image_unavailable_here");
  });

  test.each([
    { name: "holds it", image: {}, sold: true },
    {
      name: "holds it on a disk of just its size",
      image: { virtualBytes: 20 * 2 ** 30 },
      sold: true,
    },
    { name: "holds it a byte too large", image: { virtualBytes: 20 * 2 ** 30 + 1 }, sold: false },
    { name: "holds another one", image: { file: "debian-12" }, sold: false },
    { name: "holds what changed under its VMs", image: { changed: true }, sold: false },
  ])("4b A3: where the host $name is it sold: $sold", ({ image, sold }) => {
    const host = aHostCandidate({ images: [aHeldImage({ file: "other" }), aHeldImage(image)] });
    expect(ids(host)).toEqual(sold ? [host.id] : []);
  });

  test("4b A3: a host that holds nothing sells nothing, and one that does not say is taken to hold all", () => {
    expect(ids(aHostCandidate({ images: [] }))).toEqual([]);
    expect(ids(aHostCandidate({ images: null }))).toHaveLength(1);
  });

  test("4b A3: with a sum only those bytes are sold, of the host's own hypervisor", () => {
    const sum = "a".repeat(64);
    const holding = (sha256: string | null) => aHostCandidate({ images: [aHeldImage({ sha256 })] });
    const sold = (sha256: VmDemand["image"]["sha256"], has: string | null) =>
      rankHosts([holding(has)], of({ sha256 }), AT).length === 1;
    expect(sold({ kvm: sum }, sum)).toBe(true);
    expect(sold({ kvm: sum }, "b".repeat(64))).toBe(false);
    expect(sold({ kvm: sum }, null)).toBe(false);
    expect(sold({ hyperv: sum }, "b".repeat(64))).toBe(true);
    expect(sold({}, null)).toBe(true);
  });

  test("4b A3: says that no host holds the image, or holds it too large for the plan", () => {
    const without = aHostCandidate({ images: [aHeldImage({ file: "other" })] });
    expect(whyNoHost([without], DEMAND)).toBe("image_unavailable_here");
    const large = aHostCandidate({ images: [aHeldImage({ virtualBytes: 21 * 2 ** 30 })] });
    expect(whyNoHost([large], DEMAND)).toBe("plan_unavailable_here");
  });

  test("takes the older of two hosts that are as full", () => {
    const [older, newer] = [aHostCandidate({ id: "a" }), aHostCandidate({ id: "b" })];
    expect(ids(older, newer)).toEqual(["a", "b"]);
    expect(ids(newer, older)).toEqual(["a", "b"]);
  });

  test("gives one order of hosts, however they are listed", () => {
    const host = fc.record({
      vcpus: fc.nat(4),
      memoryMib: fc.constantFrom(512, 1024, 2048),
      diskGib: fc.nat(40),
      vms: fc.nat(2),
    });
    fc.assert(
      fc.property(fc.array(host, { maxLength: 6 }), (sizes) => {
        const hosts = sizes.map((free) => aHostCandidate({ free }));
        expect(ids(...hosts.toReversed())).toEqual(ids(...hosts));
      }),
    );
  });
});

describe("what a host may give away", () => {
  test("is its CPU times the overcommit, and memory and disk less its own part", () => {
    const facts = hostFacts({ cpuThreads: 16, memoryMib: 16_384, diskGib: 1000 });
    expect(capacityOf(facts, 4)).toMatchObject({ vcpus: 64, memoryMib: 14_336, diskGib: 900 });
    expect(capacityOf(hostFacts({ memoryMib: 262_144 }), 4).memoryMib).toBe(262_144 - 16_384);
  });

  test("is never negative, and never more than there is", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1e6 }),
        fc.integer({ min: 0, max: 1e6 }),
        (memoryMib, diskGib) => {
          const capacity = capacityOf(hostFacts({ memoryMib, diskGib }), 1);
          expect(capacity.memoryMib).toBeGreaterThanOrEqual(0);
          expect(capacity.memoryMib).toBeLessThan(memoryMib);
          expect(capacity.diskGib).toBeLessThanOrEqual(diskGib);
        },
      ),
    );
  });
});

describe("4b A4: an image that asks for hardware", () => {
  const asking = (hardware: Partial<ImageHardware>) =>
    of({ hardware: { ...PLAIN_HARDWARE, ...hardware } });
  const GIVEN = {
    bios: true,
    uefi: true,
    secureBoot: true,
    secureBootUefiCa: true,
    diskBus: true,
  } as const;
  const { bios, uefi, secureBoot, secureBootUefiCa, diskBus } = GIVEN;
  const { hotResize, hotDiskGrow, gracefulStop, liveSnapshot, bandwidthLimit, iopsLimit } =
    ALL_CAPABILITIES;
  /** What an agent of before says. */
  const older = { hotResize, hotDiskGrow, gracefulStop, liveSnapshot, bandwidthLimit, iopsLimit };

  test.each([
    [{ firmware: "bios" }, { bios }],
    [{ firmware: "uefi" }, { uefi }],
    [{ firmware: "uefi", secureBoot: "off" }, { uefi }],
    [
      { firmware: "uefi", secureBoot: "microsoft" },
      { uefi, secureBoot },
    ],
    [
      { firmware: "uefi", secureBoot: "uefi-ca" },
      { uefi, secureBootUefiCa },
    ],
    [{ diskBus: "sata" }, { diskBus }],
  ] as const)("for %j is placed where the host says %j, and nowhere else", (hardware, needed) => {
    const able = aHostCandidate({ capabilities: { ...older, ...needed } });
    const lacking = Object.keys(needed).map((word) =>
      aHostCandidate({ capabilities: { ...older, ...GIVEN, [word]: false } }),
    );
    const old = aHostCandidate({ capabilities: older });
    const demand = asking(hardware);
    expect(rankHosts([...lacking, old, able], demand, AT).map((h) => h.id)).toEqual([able.id]);
    expect(whyNoHost([...lacking, old], demand)).toBe("image_unavailable_here");
  });

  test("is every other one, which hosts of before take as ever", () => {
    expect(rankHosts([aHostCandidate({ capabilities: older })], DEMAND, AT)).toHaveLength(1);
  });
});
