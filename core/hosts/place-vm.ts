import type { DriverCapabilities, HeldImage, HostFacts } from "#core/contracts/agent/report.ts";
import type { ImageHardware } from "#core/vms/image-hardware.ts";
import type { OsFamily, VmSize } from "#core/vms/vm.ts";
import { notUnderstood, wordsOf } from "#core/vms/words.ts";
import { fits, type Capacity } from "./capacity.ts";
import { limitsOnHost, PREFERRED, withinLimits, type Hypervisor, type Platform } from "./limits.ts";

export const HOST_STATES = ["enrolling", "active", "draining", "retired"] as const;
export type HostState = (typeof HOST_STATES)[number];

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

/** Whether the host holds the image, as it should be, and so that it fits on a disk of this size. */
function holds(h: HostKind, image: ImageDemand, diskBytes: number): boolean {
  if (h.images === null) return true;
  const held = h.images.find(({ file }) => file === image.file);
  const sha256 = image.sha256[h.hypervisor];
  return (
    held !== undefined &&
    !held.changed &&
    (sha256 === undefined || held.sha256 === sha256) &&
    held.virtualBytes <= diskBytes
  );
}

/** An agent that does not say that it gives what the image asks for is not asked for it. */
const givesHardware = (h: HostKind, { firmware, secureBoot, diskBus }: ImageHardware) =>
  (firmware === null || h.capabilities[firmware] === true) &&
  (secureBoot !== "microsoft" || h.capabilities.secureBoot === true) &&
  (secureBoot !== "uefi-ca" || h.capabilities.secureBootUefiCa === true) &&
  (diskBus === null || h.capabilities.diskBus === true);

/** Whether its agent understands all that a new VM of the image holds, a first password of root's among it or not. */
const understands = (h: HostKind, { os, hardware }: ImageDemand, rootPassword: boolean): boolean =>
  notUnderstood(
    wordsOf({ presence: "present", isMade: false, repair: null, os, hardware, rootPassword }),
    h.understands,
  ).length === 0;

/** Customers' VMs run on hardware; anything else only where staff have marked the host for tests. */
export const isFitForCustomers = (h: Pick<HostCandidate, "accelerator" | "testOnly">): boolean =>
  h.accelerator === "hardware" || h.testOnly;

/** Whether hosts of this kind could run the image at all, on whatever disk. */
export const runsImage = (h: HostKind, image: ImageDemand, diskBytes = Infinity): boolean =>
  isFitForCustomers(h) &&
  image.hypervisors.includes(h.hypervisor) &&
  givesHardware(h, image.hardware) &&
  understands(h, image, false) &&
  holds(h, image, diskBytes);

/** Whether hosts of this kind could run the VM if they were empty. */
export const runsVm = (h: HostKind, vm: VmDemand): boolean =>
  runsImage(h, vm.image, vm.size.diskGib * GIB) &&
  understands(h, vm.image, vm.needs.includes("rootPassword")) &&
  withinLimits(vm.size, limitsOnHost(h.platform, h)) &&
  vm.needs.every((need) => h.capabilities[need] === true);

/** A host that was not heard of since then gets no new VMs. */
export const silentBefore = (now: Date): Date => new Date(+now - HOST_SILENT_MS);

/** Hosts that could take the VM now, had they the room. */
const ableHosts = (
  hosts: readonly HostCandidate[],
  vm: VmDemand,
  now: Date,
): readonly HostCandidate[] =>
  hosts.filter(
    (h) =>
      h.state === "active" &&
      runsVm(h, vm) &&
      h.lastSeenAt !== null &&
      h.lastSeenAt >= silentBefore(now),
  );

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
  const preferred = (h: HostCandidate) => (h.hypervisor === PREFERRED[vm.image.os] ? 0 : 1);
  const last = (h: HostCandidate) => (packed.has(h.id) ? 0 : 1);
  return ableHosts(hosts, vm, now)
    .filter((h) => fits(h.free, vm.size))
    .toSorted(
      (a, b) =>
        preferred(a) - preferred(b) ||
        last(a) - last(b) ||
        b.free.memoryMib - a.free.memoryMib ||
        (a.id < b.id ? -1 : 1),
    );
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
