import type { HostFacts } from "#core/contracts/agent.ts";
import type { VmSize } from "#core/vms/vm.ts";

/** What hosts run: a hypervisor in a version whose limits differ from the next one's. */
export const PLATFORMS = [
  "kvm",
  "hyperv-2012r2",
  "hyperv-2016",
  "hyperv-2019",
  "hyperv-2022",
  "hyperv-2025",
] as const;
export type Platform = (typeof PLATFORMS)[number];

export type PlatformLimits = Readonly<{
  vmVcpus: number;
  vmMemoryMib: number;
  vmDiskGib: number;
  /** On the platform's paravirtual network. */
  vmNics: number;
  vmCheckpoints: number | null;
  hostRunningVms: number | null;
  /** vCPUs of all running VMs together. */
  hostVcpus: number | null;
  hostLogicalProcessors: number | null;
  hostMemoryMib: number | null;
}>;

const TIB = 1024 * 1024; // in MiB
const HYPERV = {
  vmDiskGib: 64 * 1024,
  vmCheckpoints: 50,
  hostRunningVms: 1024,
  hostVcpus: 2048,
} as const;

/**
 * Documented limits. Hyper-V, generation 2: Microsoft, "Plan for Hyper-V scalability in Windows Server" and its
 * 2012 R2 predecessor. KVM: Red Hat's supported limits of RHEL 8 for a guest (384 vCPUs, 4 TB) capped by QEMU's
 * `pc` machine, which the driver uses (255 vCPUs); qcow2's practical limit of 64 TiB. A host may report less.
 */
export const LIMITS = {
  kvm: {
    vmVcpus: 255,
    vmMemoryMib: 4 * TIB,
    vmDiskGib: 64 * 1024,
    vmNics: 8,
    vmCheckpoints: null,
    hostRunningVms: null,
    hostVcpus: null,
    hostLogicalProcessors: null,
    hostMemoryMib: null,
  },
  "hyperv-2012r2": {
    ...HYPERV,
    vmVcpus: 64,
    vmMemoryMib: TIB,
    vmNics: 8,
    hostLogicalProcessors: 320,
    hostMemoryMib: 4 * TIB,
  },
  "hyperv-2016": {
    ...HYPERV,
    vmVcpus: 240,
    vmMemoryMib: 12 * TIB,
    vmNics: 8,
    hostLogicalProcessors: 512,
    hostMemoryMib: 24 * TIB,
  },
  "hyperv-2019": {
    ...HYPERV,
    vmVcpus: 240,
    vmMemoryMib: 12 * TIB,
    vmNics: 64,
    hostLogicalProcessors: 512,
    hostMemoryMib: 24 * TIB,
  },
  "hyperv-2022": {
    ...HYPERV,
    vmVcpus: 1024,
    vmMemoryMib: 240 * TIB,
    vmNics: 64,
    hostLogicalProcessors: 1024,
    hostMemoryMib: 4096 * TIB,
  },
  "hyperv-2025": {
    ...HYPERV,
    vmVcpus: 2048,
    vmMemoryMib: 240 * TIB,
    vmNics: 64,
    hostLogicalProcessors: 2048,
    hostMemoryMib: 4096 * TIB,
  },
} as const satisfies Record<Platform, PlatformLimits>;

/** The builds at which Windows Server's versions began ("Windows Server release information"), newest first. */
const WINDOWS_BUILDS: readonly (readonly [number, Platform])[] = [
  [26_100, "hyperv-2025"],
  [20_348, "hyperv-2022"],
  [17_763, "hyperv-2019"],
  [14_393, "hyperv-2016"],
  [0, "hyperv-2012r2"],
];

/** Which limits hold on a host. A version that cannot be read counts as the one with the least. */
export function platformOf(facts: Pick<HostFacts, "hypervisor" | "hypervisorVersion">): Platform {
  if (facts.hypervisor === "kvm") return "kvm";
  const build = Number(/\b\d+\.\d+\.(\d{4,5})\b/.exec(facts.hypervisorVersion)?.[1] ?? 0);
  return WINDOWS_BUILDS.find(([from]) => build >= from)?.[1] ?? "hyperv-2012r2";
}

/**
 * Why a VM of this size cannot be on such a host; null when it can. The one decision for a plan that is put on sale, an
 * order that is placed, and a VM that is made or resized, on both sides of the agent's wire.
 */
export function whyBeyondLimits(size: VmSize, limits: PlatformLimits): string | null {
  const past = (
    [
      ["vCPUs", size.vcpus, limits.vmVcpus],
      ["MiB of memory", size.memoryMib, limits.vmMemoryMib],
      ["GiB of disk", size.diskGib, limits.vmDiskGib],
    ] as const
  ).find(([, wanted, most]) => wanted > most);
  return past === undefined ? null : `${past[1]} ${past[0]} are more than the ${past[2]} of a VM`;
}

export const withinLimits = (size: VmSize, limits: PlatformLimits): boolean =>
  whyBeyondLimits(size, limits) === null;
