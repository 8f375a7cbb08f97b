import { describe, expect, test } from "vitest";
import { UNDERSTOOD, MOVE } from "#core/contracts/agent/protocol.ts";
import type { HostCandidate, VmDemand } from "#core/hosts/place-vm.ts";
import type { HostFacts } from "#core/contracts/agent/report.ts";
import { PLAIN_HARDWARE } from "#core/vms/image-hardware.ts";
import { ALL_CAPABILITIES, aHostCandidate, AT, hostFacts, minutesAfter } from "#test/builders.ts";
import type { MoveMethod } from "./move.ts";
import { formatBetween, MOVE_CHECKS, preflight, type End, type MovingVm } from "./preflight.ts";

/* 6b item 3: what is looked at before a move, each by itself. */

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
const VM: MovingVm = {
  id: "v",
  presence: "present",
  desiredPower: "running",
  locationId: "l",
  lostAt: null,
  guestReadyAt: minutesAfter(-15),
  silentFrom: null,
  runningAction: null,
  openMove: null,
  isSuspended: false,
};

type Over = Readonly<{
  host?: Partial<End["host"]>;
  candidate?: Partial<HostCandidate>;
  facts?: Partial<HostFacts>;
}>;
const end = (id: string, { host, candidate, facts }: Over = {}): End => ({
  host: { id, name: id, locationId: "l", ...host },
  candidate: aHostCandidate({ id, ...candidate }),
  facts: hostFacts({ migrationAddress: { host: "192.0.2.7", port: 16_555 }, ...facts }),
});

type Asked = Readonly<{
  vm?: Partial<MovingVm>;
  demand?: Partial<VmDemand>;
  source?: Over;
  destination?: Over;
  wanted?: MoveMethod | "auto";
}>;
const look = ({ vm, demand, source, destination, wanted = "auto" }: Asked) =>
  preflight(
    { ...VM, ...vm },
    { ...DEMAND, ...demand },
    { source: end("a", source), destination: end("b", destination) },
    wanted,
    AT,
  );
const against = (asked: Asked) =>
  look(asked)
    .checks.filter(({ ok }) => !ok)
    .map(({ check, detail }) => [check, detail]);
const without = (capability: "moveCold" | "moveLive") => ({
  ...ALL_CAPABILITIES,
  [capability]: false,
});
/** Of an image that says all that a move to another hypervisor asks of its guests. */
const TOLD = { ...DEMAND.image, hardware: { ...PLAIN_HARDWARE, firmware: "bios" } } as const;
const hyperv: Over = {
  candidate: { hypervisor: "hyperv", platform: "hyperv-2025" },
  facts: { hypervisor: "hyperv" },
};

const AMD = { model: "EPYC", vendor: "AMD", features: ["aes", "avx2", "sse4.2"] };

describe("the processors of two hosts", () => {
  const cpus = (source?: HostFacts["cpu"], destination?: HostFacts["cpu"]): Asked => ({
    source: { facts: { cpu: source } },
    destination: { facts: { cpu: destination } },
  });

  test.each([
    ["that lack something", { ...AMD, features: ["aes"] }, /lack avx2, sse4.2 of/],
    ["of another maker", { ...AMD, vendor: "Intel" }, /are AMD's, and that host's are Intel's/],
    ["that lack much", { ...AMD, features: [] }, /lack aes, avx2, sse4.2 of/],
  ])(
    "%s: a guest that runs does not go there, and one that is off meanwhile does",
    (_, to, why) => {
      expect(against({ ...cpus(AMD, to), wanted: "live" })).toEqual([
        ["cpu", expect.stringMatching(why)],
        ["method", expect.stringMatching(why)],
      ]);
      expect(look(cpus(AMD, to)).method).toBe("cold");
      expect(look({ ...cpus(AMD, to), wanted: "cold" }).method).toBe("cold");
    },
  );

  test.each([
    ["more", { ...AMD, model: "EPYC-Milan", features: [...AMD.features, "vaes"] }],
    ["nothing that is said", undefined],
  ])("with %s take a guest that runs", (_, to) => {
    expect(look(cpus(AMD, to)).method).toBe("live");
  });
});

test.each([
  [[7], [5, 7], []],
  [[7, null], [5], [["network", "that host has no bridge for VLAN 7"]]],
  [[7], undefined, []],
  [[null], [], []],
])("a VM with the VLANs %j at a host with %j", (vlans, there, why) => {
  expect(against({ vm: { vlans }, destination: { facts: { vlans: there } } })).toEqual(why);
});

test("a VM that nothing stands against moves, and every check is told, in order", () => {
  const { checks, method } = look({});
  expect(method).toBe("live");
  expect(checks.map(({ check }) => check)).toEqual([...MOVE_CHECKS]);
  expect(checks.filter(({ ok, detail }) => !ok || detail === "")).toEqual([]);
});

describe("it is refused, and told why, by one check alone", () => {
  test.each<[string, Asked, (typeof MOVE_CHECKS)[number], RegExp]>([
    ["a VM that is to go", { vm: { presence: "absent" } }, "vm", /deleted/],
    ["one that its host has lost", { vm: { lostAt: AT } }, "vm", /repair/],
    [
      "one that something is done with",
      { vm: { runningAction: "reboot" } },
      "running_action",
      /a reboot is running/,
    ],
    [
      "one whose last move has left something to be put away",
      { vm: { openMove: "clean" } },
      "running_action",
      /is at clean/,
    ],
    [
      "a first boot that goes on",
      { vm: { guestReadyAt: minutesAfter(-14) } },
      "first_boot",
      /15 minutes/,
    ],
    ["a guest that was never seen", { vm: { guestReadyAt: null } }, "first_boot", /not over/],
    [
      "a source that is silent",
      { source: { candidate: { lastSeenAt: minutesAfter(-6) } } },
      "source_host",
      /silent/,
    ],
    [
      "a source that gives no VM away",
      { source: { facts: { capabilities: without("moveCold") } } },
      "capabilities",
      /give a VM away/,
    ],
    [
      "a source whose agent knows no moves",
      { source: { candidate: { understands: UNDERSTOOD.filter((word) => word !== MOVE) } } },
      "agents",
      /too old/,
    ],
    [
      "a destination that is cordoned",
      { destination: { candidate: { state: "cordoned" } } },
      "destination_host",
      /nothing more/,
    ],
    [
      "a destination that is silent",
      { destination: { candidate: { lastSeenAt: minutesAfter(-6) } } },
      "destination_host",
      /five minutes|silent/,
    ],
    [
      "a host in another location",
      { destination: { host: { locationId: "m" } } },
      "location",
      /two locations/,
    ],
    [
      "a host that only simulates",
      { destination: { facts: { accelerator: "simulated" } } },
      "hypervisor",
      /simulates/,
    ],
    [
      "an image for no such hypervisor",
      { destination: hyperv, demand: { image: { ...TOLD, hypervisors: ["kvm"] } } },
      "hypervisor",
      /hypervisor/,
    ],
    [
      "an image that it does not hold",
      { destination: { candidate: { images: [] } } },
      "image",
      /image/,
    ],
    [
      "a VM beyond its limits",
      {
        demand: { size: { ...DEMAND.size, vcpus: 5000 } },
        destination: {
          candidate: { free: { vcpus: 9000, memoryMib: 65_536, diskGib: 1000, vms: 9 } },
        },
      },
      "limits",
      /./,
    ],
    [
      "a destination that takes no VM",
      { destination: { candidate: { capabilities: without("moveCold") } } },
      "capabilities",
      /./,
    ],
    [
      "no room for its disk",
      {
        destination: { candidate: { free: { vcpus: 64, memoryMib: 65_536, diskGib: 19, vms: 9 } } },
      },
      "room",
      /disk/,
    ],
    [
      "no way for its disk",
      { destination: { facts: { migrationAddress: undefined } } },
      "migration_address",
      /moves.listen/,
    ],
    [
      "a live move of what is off",
      { vm: { desiredPower: "off" }, wanted: "live" },
      "method",
      /not live: it is off/,
    ],
  ])("%s", (_, asked, check, detail) => {
    expect(look(asked).method).toBeNull();
    expect(against(asked)).toEqual([[check, expect.stringMatching(detail)]]);
  });

  test("the host that it is on", () => {
    const on = end("a");
    const { checks, method } = preflight(VM, DEMAND, { source: on, destination: on }, "auto", AT);
    expect(method).toBeNull();
    expect(checks.filter(({ ok }) => !ok)).toEqual([
      { check: "destination_host", ok: false, detail: "it is on this host already" },
    ]);
  });
});

test("all that stands against it is told, not the first alone", () => {
  const asked = {
    vm: { lostAt: AT, runningAction: "resize" as const },
    destination: { candidate: { state: "draining" as const }, host: { locationId: "m" } },
  };
  expect(against(asked).map(([check]) => check)).toEqual([
    "vm",
    "running_action",
    "destination_host",
    "location",
  ]);
});

test("a silent guest's first boot counts from when it was delivered in silence", () => {
  const silent = { guestReadyAt: null, silentFrom: minutesAfter(-15) };
  expect(against({ vm: silent })).toEqual([]);
});

describe("the method", () => {
  const chosen = (asked: Asked) => {
    const { method, checks } = look(asked);
    return [method, checks.find(({ check }) => check === "method")?.detail];
  };
  test.each<[string, Asked, MoveMethod, RegExp]>([
    ["live where both can", {}, "live", /pauses/],
    ["cold as asked", { wanted: "cold" }, "cold", /as asked/],
    ["cold of what is off", { vm: { desiredPower: "off" } }, "cold", /it is off/],
    ["cold of what is suspended", { vm: { isSuspended: true } }, "cold", /it is off/],
    [
      "cold to another hypervisor",
      { destination: hyperv, demand: { image: TOLD } },
      "cold",
      /different hypervisors/,
    ],
    [
      "cold from a host that moves none that runs",
      { source: { facts: { capabilities: without("moveLive") } } },
      "cold",
      /its host/,
    ],
    [
      "cold to a host that takes none that runs",
      { destination: { facts: { capabilities: without("moveLive") } } },
      "cold",
      /that host/,
    ],
  ])("is %s", (_, asked, method, detail) => {
    expect(chosen(asked)).toEqual([method, expect.stringMatching(detail)]);
  });
});

test("a guest that goes to another hypervisor is told with what it finds there, and refused with all that it does not", () => {
  const of = (asked: Asked) => look(asked).checks.filter(({ check }) => check === "hypervisor");
  expect(of({ destination: hyperv, demand: { image: TOLD } })).toEqual([
    {
      check: "hypervisor",
      ok: true,
      detail: expect.stringMatching(/KVM to Hyper-V.*converted; .*BIOS on both; .*drivers/),
    },
  ]);
  const windows = { ...DEMAND.image, os: "windows" } as const;
  expect(of({ source: hyperv, demand: { image: windows } })).toEqual([
    {
      check: "hypervisor",
      ok: false,
      detail: expect.stringMatching(/^Hyper-V to KVM: .*firmware/),
    },
    { check: "hypervisor", ok: false, detail: expect.stringMatching(/SATA/) },
  ]);
  // Between hosts of one kind its machine stays what it was, and what is simulated has none.
  expect(of({})).toMatchObject([{ ok: true, detail: "KVM on both" }]);
  const simulated = { facts: { accelerator: "simulated" as const } };
  const other = { ...hyperv, facts: { ...hyperv.facts, ...simulated.facts } };
  expect(of({ source: simulated, destination: other })).toMatchObject([{ ok: true }]);
});

test("of a cold move it is told that what an UEFI has stored stays behind, where there is an UEFI", () => {
  const stays = [expect.stringMatching(/default loader/)];
  const of = (firmware: "bios" | "uefi" | null, asked: Asked) =>
    look({
      demand: { image: { ...DEMAND.image, hardware: { ...PLAIN_HARDWARE, firmware } } },
      ...asked,
    }).leaves;
  const both = { source: hyperv, destination: hyperv };
  expect(of("uefi", { wanted: "cold" })).toEqual(stays);
  expect(of(null, { ...both, wanted: "cold" })).toEqual(stays);
  expect(of(null, { wanted: "cold" })).toEqual([]);
  expect(of("bios", { ...both, wanted: "cold" })).toEqual([]);
  // Hypervisors hand it over with the guest.
  expect(of("uefi", { wanted: "live" })).toEqual([]);
});

test("the disk goes as qcow2 between KVM hosts, and as VHDX where a Hyper-V host is an end", () => {
  const kvm = hostFacts();
  const other = hostFacts({ hypervisor: "hyperv" });
  const simulated = hostFacts({ accelerator: "simulated" });
  expect(formatBetween(kvm, kvm)).toBe("qcow2");
  for (const [a, b] of [
    [kvm, other],
    [other, kvm],
    [other, other],
  ] as const)
    expect(formatBetween(a, b)).toBe("vhdx");
  expect(formatBetween(simulated, simulated)).toBe("simulated");
  expect(formatBetween(kvm, simulated)).toBeNull();
  expect(formatBetween(simulated, kvm)).toBeNull();
});
