import fc from "fast-check";
import { expect, test } from "vitest";
import { aHeldImage, aHostCandidate, AT } from "#test/builders.ts";
import { PLAIN_HARDWARE } from "#core/vms/image-hardware.ts";
import { createFreePlaces } from "./free-places.ts";
import { firstAgainst, rankHosts, type HostCandidate, type VmDemand } from "./place-vm.ts";

/* 6b 5: where many VMs would go, planned at once. */

const DEMAND: VmDemand = {
  size: { vcpus: 2, memoryMib: 2048, diskGib: 40 },
  image: {
    os: "linux",
    hypervisors: ["kvm", "hyperv"],
    file: "debian-13",
    sha256: {},
    hardware: PLAIN_HARDWARE,
  },
  needs: [],
};

const room = (least: number, most: number) => fc.integer({ min: least, max: most });
const aHost = fc.record({
  hypervisor: fc.constantFrom("kvm" as const, "hyperv" as const),
  holds: fc.boolean(),
  free: fc.record({
    vcpus: room(0, 6),
    memoryMib: room(1, 4).map((gib) => gib * 1024),
    diskGib: room(20, 120),
    vms: room(0, 3),
  }),
});
type HostSaid = typeof aHost extends fc.Arbitrary<infer T> ? T : never;
const hostsOf = (said: readonly HostSaid[]): readonly HostCandidate[] =>
  said.map(({ holds, ...host }, n) =>
    aHostCandidate({ id: `host-${n}`, ...host, images: holds ? [aHeldImage()] : [] }),
  );

/** As whoever plans one VM after the other by `rankHosts` has it. */
function oneByOne(hosts: readonly HostCandidate[], vms: number): readonly (string | null)[] {
  const left = hosts.map((host) => ({ ...host, free: { ...host.free } }));
  return Array.from({ length: vms }, () => {
    const [best = null] = rankHosts(left, DEMAND, AT);
    const host = left.find(({ id }) => id === best?.id);
    if (host === undefined) return null;
    host.free.vcpus -= DEMAND.size.vcpus;
    host.free.memoryMib -= DEMAND.size.memoryMib;
    host.free.diskGib -= DEMAND.size.diskGib;
    host.free.vms -= 1;
    return host.id;
  });
}

test("many VMs that are planned at once go where placement would put one after the other", () => {
  fc.assert(
    fc.property(fc.array(aHost, { maxLength: 6 }), (said) => {
      const hosts = hostsOf(said);
      const places = createFreePlaces(hosts.map((host) => ({ ...host, kindId: host.id })));
      const against = new Map(hosts.map((host) => [host.id, firstAgainst(host, DEMAND)]));
      const wanted = { os: "linux", size: DEMAND.size, against, isOut: () => false } as const;
      const planned = Array.from({ length: 12 }, () => {
        const found = places.best(wanted);
        if (found.hostId !== null) places.take(found.hostId, { ...DEMAND.size, vms: 1 });
        return found.hostId;
      });
      expect(planned).toEqual(oneByOne(hosts, 12));
    }),
  );
});

test("where none can take it, it is told how many stand against it and by what", () => {
  const free = { vcpus: 8, memoryMib: 8192, diskGib: 200, vms: 3 };
  const places = createFreePlaces([
    { id: "full", hypervisor: "kvm", kindId: "kvm", free: { ...free, memoryMib: 1024 } },
    { id: "full-too", hypervisor: "kvm", kindId: "kvm", free: { ...free, diskGib: 39 } },
    { id: "without-image", hypervisor: "hyperv", kindId: "hyperv", free },
    { id: "its-own", hypervisor: "kvm", kindId: "kvm", free },
    { id: "of-no-known-kind", hypervisor: "kvm", kindId: "new", free },
  ]);
  const against = new Map([
    ["kvm", null],
    ["hyperv", "image_missing"],
  ] as const);
  const isOut = (id: string) => id === "its-own";
  expect(places.best({ os: "linux", size: DEMAND.size, against, isOut })).toEqual({
    hostId: null,
    against: new Map([
      ["full_memory", 1],
      ["full_disk", 1],
      ["image_missing", 1],
    ]),
  });
});
