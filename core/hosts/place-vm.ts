import type { DriverCapabilities, HostFacts } from "#core/contracts/agent/report.ts";
import type { OsFamily, VmSize } from "#core/vms/vm.ts";
import { fits, type Capacity } from "./capacity.ts";
import { limitsOnHost, PREFERRED, withinLimits, type Hypervisor, type Platform } from "./limits.ts";

export const HOST_STATES = ["enrolling", "active", "draining", "retired"] as const;
export type HostState = (typeof HOST_STATES)[number];

export type HostCandidate = Readonly<{
  id: string;
  state: HostState;
  hypervisor: Hypervisor;
  platform: Platform;
  cpuThreads: number;
  accelerator: HostFacts["accelerator"];
  capabilities: DriverCapabilities;
  /** Staff marked it for tests, so emulation is good enough. */
  testOnly: boolean;
  free: Capacity;
  lastSeenAt: Date | null;
}>;

/** A host that was silent this long gets no new VMs. */
export const HOST_SILENT_MS = 5 * 60_000;

export type VmDemand = Readonly<{
  size: VmSize;
  os: OsFamily;
  /** Those that its image may run on. */
  hypervisors: readonly Hypervisor[];
  /** What the plan promises, or the order asks for, and not every host can do. */
  needs: readonly (keyof DriverCapabilities)[];
}>;

/** Whether the host could run the image at all. */
export const runsImage = (h: HostCandidate, vm: Pick<VmDemand, "hypervisors">): boolean =>
  h.state === "active" &&
  (h.accelerator !== "tcg" || h.testOnly) &&
  vm.hypervisors.includes(h.hypervisor);

/** Whether the host could run the VM if it were empty. */
const runsVm = (h: HostCandidate, vm: VmDemand) =>
  runsImage(h, vm) &&
  withinLimits(vm.size, limitsOnHost(h.platform, h)) &&
  vm.needs.every((need) => h.capabilities[need] === true);

/** Hosts that can take the VM, best first: the preferred hypervisor, then the most free memory (least full). */
export function rankHosts(
  hosts: readonly HostCandidate[],
  vm: VmDemand,
  now: Date,
): readonly HostCandidate[] {
  const preferred = (h: HostCandidate) => (h.hypervisor === PREFERRED[vm.os] ? 0 : 1);
  return hosts
    .filter(
      (h) =>
        runsVm(h, vm) &&
        h.lastSeenAt !== null &&
        +now - +h.lastSeenAt <= HOST_SILENT_MS &&
        fits(h.free, vm.size),
    )
    .toSorted(
      (a, b) =>
        preferred(a) - preferred(b) ||
        b.free.memoryMib - a.free.memoryMib ||
        (a.id < b.id ? -1 : 1),
    );
}

export type NoHostCode = "no_capacity" | "image_unavailable_here" | "plan_unavailable_here";

/** Why no host took the VM: for good, as no host here runs such an image or such a plan, or only for now. */
export function whyNoHost(hosts: readonly HostCandidate[], vm: VmDemand): NoHostCode {
  if (!hosts.some((h) => runsImage(h, vm))) return "image_unavailable_here";
  return hosts.some((h) => runsVm(h, vm)) ? "no_capacity" : "plan_unavailable_here";
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
