import type { DriverCapabilities, HeldImage, HostFacts } from "#core/contracts/agent/report.ts";
import type { ImageHardware } from "#core/vms/image-hardware.ts";
import type { OsFamily, VmSize } from "#core/vms/vm.ts";
import { notUnderstood, wordsOf } from "#core/vms/words.ts";
import { lacksRoom, type Capacity } from "./capacity.ts";
import { limitsOnHost, PREFERRED, withinLimits, type Hypervisor, type Platform } from "./limits.ts";
import type { HostState } from "./host-state.ts";
import { LACKING, type WhyNotHere } from "./why-not-here.ts";

/** What active hosts of a location have in common that are all one to placement but for their room. */
export type HostKind = Readonly<{
  hypervisor: Hypervisor;
  platform: Platform;
  cpuThreads: number;
  accelerator: HostFacts["accelerator"];
  capabilities: DriverCapabilities;
  /** Staff marked it for tests, so guests that are emulated, or only simulated, are good enough. */
  testOnly: boolean;
  /** The words of ours that its agent understands; null: it has not said yet, and what it can counts. */
  understands: readonly string[] | null;
  /** null: its agent does not say, and it is taken to hold every image. */
  images: readonly HeldImage[] | null;
}>;

export type HostCandidate = HostKind &
  Readonly<{ id: string; state: HostState; free: Capacity; lastSeenAt: Date | null }>;

/** A host that was silent for longer than this gets no new VMs. */
const HOST_SILENT_MS = 5 * 60_000;

export type ImageDemand = Readonly<{
  os: OsFamily;
  /** Those that it may run on. */
  hypervisors: readonly Hypervisor[];
  file: string;
  /** Of the file's bytes; for a hypervisor that is left out any file of that name will do. */
  sha256: Readonly<Partial<Record<Hypervisor, string | undefined>>>;
  hardware: ImageHardware;
}>;

export type VmDemand = Readonly<{
  size: VmSize;
  image: ImageDemand;
  /** What the plan promises, or the order asks for, and not every host can do. */
  needs: readonly (keyof DriverCapabilities)[];
}>;

const GIB = 1024 ** 3;
const NONE: ReadonlySet<string> = new Set();

/*
 * One list of what stands against a VM on a host decides where it is placed, and is what staff read. The lists are lazy: who
 * only asks whether there is anything stops at the first.
 */
type Against = Iterable<WhyNotHere>;
const isEmpty = (against: Against): boolean => against[Symbol.iterator]().next().done === true;

/** The host does not hold the image, or not as it should be, or it does not fit on a disk of this size. */
function* againstItsFile(h: HostKind, image: ImageDemand, diskBytes: number): Against {
  if (h.images === null) return;
  const held = h.images.find(({ file }) => file === image.file);
  const sha256 = image.sha256[h.hypervisor];
  if (held === undefined) return yield "image_missing";
  if (held.changed) yield "image_changed";
  if (sha256 !== undefined && held.sha256 !== sha256) yield "image_differs";
  if (held.virtualBytes > diskBytes) yield "image_beyond_disk";
}

/** An agent that does not say that it gives something is not asked for it. */
function* lacking(h: HostKind, needs: readonly (keyof DriverCapabilities)[]): Against {
  for (const need of needs)
    if (h.capabilities[need] === undefined) yield "agent_old";
    else if (!h.capabilities[need]) yield LACKING[need];
}

const neededFor = ({ firmware, secureBoot, diskBus }: ImageHardware) => [
  ...(firmware === null ? [] : [firmware]),
  ...(secureBoot === "microsoft" ? (["secureBoot"] as const) : []),
  ...(secureBoot === "uefi-ca" ? (["secureBootUefiCa"] as const) : []),
  ...(diskBus === null ? [] : (["diskBus"] as const)),
];

/** Whether its agent understands all that a new VM of the image holds, a first password of root's among it or not. */
const understands = (h: HostKind, { os, hardware }: ImageDemand, rootPassword: boolean): boolean =>
  notUnderstood(
    wordsOf({ presence: "present", isMade: false, repair: null, os, hardware, rootPassword }),
    h.understands,
  ).length === 0;

/** Customers' VMs run on hardware; anything else only where staff have marked the host for tests. */
export const isFitForCustomers = (h: Pick<HostCandidate, "accelerator" | "testOnly">): boolean =>
  h.accelerator === "hardware" || h.testOnly;

function* againstImage(
  h: HostKind,
  image: ImageDemand,
  { diskBytes, rootPassword }: { diskBytes: number; rootPassword: boolean },
): Against {
  if (!isFitForCustomers(h)) yield "emulation_without_test_mark";
  if (h.accelerator === "tcg" && h.capabilities.emulation === false) yield "emulation_not_allowed";
  if (!image.hypervisors.includes(h.hypervisor)) return yield "other_hypervisor";
  if (!understands(h, image, rootPassword)) yield "agent_old";
  yield* lacking(h, neededFor(image.hardware));
  yield* againstItsFile(h, image, diskBytes);
}

function* againstVm(h: HostKind, vm: VmDemand): Against {
  yield* againstImage(h, vm.image, {
    diskBytes: vm.size.diskGib * GIB,
    rootPassword: vm.needs.includes("rootPassword"),
  });
  if (!withinLimits(vm.size, limitsOnHost(h.platform, h))) yield "beyond_limits";
  yield* lacking(h, vm.needs);
}

/** Whether hosts of this kind could run the image at all, on whatever disk. */
export const runsImage = (h: HostKind, image: ImageDemand): boolean =>
  isEmpty(againstImage(h, image, { diskBytes: Infinity, rootPassword: false }));

/** Whether hosts of this kind could run the VM if they were empty. */
export const runsVm = (h: HostKind, vm: VmDemand): boolean => isEmpty(againstVm(h, vm));

/** The first that stands against the VM on hosts of this kind, however empty they are; null: nothing. */
export const firstAgainst = (h: HostKind, vm: VmDemand): WhyNotHere | null => {
  const [first = null] = againstVm(h, vm);
  return first;
};

/** A host that was not heard of since then gets no new VMs. */
export const silentBefore = (now: Date): Date => new Date(+now - HOST_SILENT_MS);

const AGAINST_STATE = {
  enrolling: "not_enrolled",
  active: null,
  cordoned: "cordoned",
  draining: "draining",
  maintenance: "maintenance",
  retired: "retired",
} as const satisfies Record<HostState, WhyNotHere | null>;

/** What stands against any VM on the host, whatever it is. */
export function* againstHost(
  { state, lastSeenAt }: Pick<HostCandidate, "state" | "lastSeenAt">,
  now: Date,
): Against {
  const against = AGAINST_STATE[state];
  if (against !== null) yield against;
  if (lastSeenAt === null ? state !== "enrolling" : lastSeenAt < silentBefore(now)) yield "silent";
}

/** By what a host has too little of, the code of that. */
export const FULL = {
  vcpus: "full_vcpus",
  memoryMib: "full_memory",
  diskGib: "full_disk",
  vms: "full_vms",
} as const satisfies Record<keyof Capacity, WhyNotHere>;

/** All that stands against the VM on the host: it is placed there only if there is nothing. */
export function* whyNotHere(h: HostCandidate, vm: VmDemand, now: Date): Against {
  yield* againstHost(h, now);
  yield* againstVm(h, vm);
  for (const resource of lacksRoom(h.free, vm.size)) yield FULL[resource];
}

/**
 * Hosts that can take the VM, best first: the preferred hypervisor, then the most free memory (least full). `packed`: those
 * come before others, for what is to leave the others whole.
 */
export function rankHosts(
  hosts: readonly HostCandidate[],
  vm: VmDemand,
  now: Date,
  packed: { has: (hostId: string) => boolean } = NONE,
): readonly HostCandidate[] {
  return hosts
    .filter((h) => isEmpty(whyNotHere(h, vm, now)))
    .toSorted(byScore(vm.image.os, packed));
}

type Scored = Pick<HostCandidate, "id" | "hypervisor" | "free">;

/** The better host of two that can take a VM with this system, as `rankHosts` puts it: negative, it is the first. */
export function byScore(
  os: OsFamily,
  packed: { has: (hostId: string) => boolean } = NONE,
): (a: Scored, b: Scored) => number {
  const preferred = (h: Scored) => (h.hypervisor === PREFERRED[os] ? 0 : 1);
  const last = (h: Scored) => (packed.has(h.id) ? 0 : 1);
  return (a, b) =>
    preferred(a) - preferred(b) ||
    last(a) - last(b) ||
    b.free.memoryMib - a.free.memoryMib ||
    (a.id < b.id ? -1 : 1);
}

export type NoHostCode = "no_capacity" | "image_unavailable_here" | "plan_unavailable_here";

/** Why no host took the VM: for good, as no host here runs such an image or such a plan, or only for now. */
export function whyNoHost(kinds: readonly HostKind[], vm: VmDemand): NoHostCode {
  if (!kinds.some((kind) => runsImage(kind, vm.image))) return "image_unavailable_here";
  return kinds.some((kind) => runsVm(kind, vm)) ? "no_capacity" : "plan_unavailable_here";
}

/** What a plan promises that a host must be able to do. */
export function needsOf(plan: {
  bandwidthMbit: number | null;
  diskIops: number | null;
}): readonly (keyof DriverCapabilities)[] {
  return [
    ...(plan.bandwidthMbit === null ? [] : (["bandwidthLimit"] as const)),
    ...(plan.diskIops === null ? [] : (["iopsLimit"] as const)),
  ];
}
