import type { DiskFormat } from "#core/vms/disk-format.ts";
import type { OsFamily, VmSize } from "#core/vms/vm.ts";

/** What a host may run: the words on the wire, in the database, and of the drivers. */
export const HYPERVISORS = ["kvm", "hyperv"] as const;
export type Hypervisor = (typeof HYPERVISORS)[number];

/** As people write them. */
export const HYPERVISOR_NAMES: Readonly<Record<Hypervisor, string>> = {
  kvm: "KVM",
  hyperv: "Hyper-V",
};

/** In what the disks of each lie, and go from one host of it to another. */
const DISKS_OF: Readonly<Record<Hypervisor, DiskFormat>> = { kvm: "qcow2", hyperv: "vhdx" };
/** Between two that differ: of the programs that convert disks, only KVM's hosts have one, and it writes and reads this. */
const DISKS_BETWEEN: DiskFormat = "vhdx";

/** In what a disk goes from a host of one hypervisor to one of another. */
export const diskFormatBetween = (from: Hypervisor, to: Hypervisor): DiskFormat =>
  from === to ? DISKS_OF[from] : DISKS_BETWEEN;

/** Linux and FreeBSD run best on KVM, Windows on Hyper-V; the other may still serve when the image allows it. */
export const PREFERRED: Readonly<Record<OsFamily, Hypervisor>> = {
  linux: "kvm",
  freebsd: "kvm",
  windows: "hyperv",
};

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
  /** Whether a VM may have more vCPUs than the host has threads. */
  vmVcpusPastThreads: boolean;
  vmMemoryMib: number;
  vmLeastMemoryMib: number;
  /** A VM's memory is a whole number of these. */
  vmMemoryStepMib: number;
  vmDiskGib: number;
  /** null: the driver makes none. */
  vmCheckpoints: number | null;
  hostRunningVms: number | null;
  /** vCPUs of all running VMs together. */
  hostVcpus: number | null;
  hostLogicalProcessors: number | null;
  hostMemoryMib: number | null;
}>;

const TIB = 1024 * 1024; // in MiB
const HYPERV = {
  vmVcpusPastThreads: false,
  vmLeastMemoryMib: 32,
  vmMemoryStepMib: 2,
  vmDiskGib: 64 * 1024,
  vmCheckpoints: 50,
  hostRunningVms: 1024,
  hostVcpus: 2048,
} as const;

/**
 * Documented limits. Hyper-V, generation 2: Microsoft, "Plan for Hyper-V scalability in Windows Server" and its
 * 2012 R2 predecessor; memory in whole 2 MiB from 32 MiB on: `Set-VMMemory`, and Msvm_MemorySettingData ("must be a
 * multiple of 2"); a VM with more virtual processors than the host has logical ones does not start: Microsoft, "Set
 * virtual processors" (event 3122 of Hyper-V-VMMS and its kin). KVM: Red Hat's supported limits of RHEL 8 for a guest
 * (384 vCPUs, 4 TB) capped by QEMU's `pc` machine, which the driver uses (255 vCPUs); qcow2's practical limit of
 * 64 TiB; more vCPUs than threads is a warning of QEMU (`soft_vcpus_limit` in accel/kvm/kvm-all.c) and no more. A host
 * may report less.
 */
export const LIMITS = {
  kvm: {
    vmVcpus: 255,
    vmVcpusPastThreads: true,
    vmLeastMemoryMib: 1,
    vmMemoryStepMib: 1,
    vmMemoryMib: 4 * TIB,
    vmDiskGib: 64 * 1024,
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
    hostLogicalProcessors: 320,
    hostMemoryMib: 4 * TIB,
  },
  "hyperv-2016": {
    ...HYPERV,
    vmVcpus: 240,
    vmMemoryMib: 12 * TIB,
    hostLogicalProcessors: 512,
    hostMemoryMib: 24 * TIB,
  },
  "hyperv-2019": {
    ...HYPERV,
    vmVcpus: 240,
    vmMemoryMib: 12 * TIB,
    hostLogicalProcessors: 512,
    hostMemoryMib: 24 * TIB,
  },
  "hyperv-2022": {
    ...HYPERV,
    vmVcpus: 1024,
    vmMemoryMib: 240 * TIB,
    hostLogicalProcessors: 1024,
    hostMemoryMib: 4096 * TIB,
  },
  "hyperv-2025": {
    ...HYPERV,
    vmVcpus: 2048,
    vmMemoryMib: 240 * TIB,
    hostLogicalProcessors: 2048,
    hostMemoryMib: 4096 * TIB,
  },
} as const satisfies Record<Platform, PlatformLimits>;

/** The builds at which the versions after 2012 R2 began ("Windows Server release information"), newest first. */
const WINDOWS_BUILDS: readonly (readonly [number, Platform])[] = [
  [26_100, "hyperv-2025"],
  [20_348, "hyperv-2022"],
  [17_763, "hyperv-2019"],
  [14_393, "hyperv-2016"],
];

const PLATFORM_OF: Readonly<Record<Hypervisor, (version: string) => Platform>> = {
  kvm: () => "kvm",
  hyperv: (version) => {
    const build = Number(/\b\d+\.\d+\.(\d{4,5})\b/.exec(version)?.[1] ?? 0);
    return WINDOWS_BUILDS.find(([from]) => build >= from)?.[1] ?? "hyperv-2012r2";
  },
};

/** What an agent said of its host's hypervisor. */
type HypervisorFacts = Readonly<{ hypervisor: Hypervisor; hypervisorVersion: string }>;

/** What a host runs. A version that cannot be read counts as the one with the least. */
export const platformOf = (facts: HypervisorFacts): Platform =>
  PLATFORM_OF[facts.hypervisor](facts.hypervisorVersion);

/** What a platform supports on a host of so many threads. */
export function limitsOnHost(platform: Platform, { cpuThreads }: { cpuThreads: number }) {
  const limits: PlatformLimits = LIMITS[platform];
  const most = limits.vmVcpusPastThreads ? limits.vmVcpus : Math.min(limits.vmVcpus, cpuThreads);
  return { ...limits, vmVcpus: most };
}

/** What a host supports, by its own facts. */
export const limitsOf = (facts: HypervisorFacts & { cpuThreads: number }): PlatformLimits =>
  limitsOnHost(platformOf(facts), facts);

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
  if (past !== undefined) return `${past[1]} ${past[0]} are more than the ${past[2]} of a VM here`;
  if (size.memoryMib < limits.vmLeastMemoryMib)
    return `${size.memoryMib} MiB of memory are less than the ${limits.vmLeastMemoryMib} of a VM here`;
  if (size.memoryMib % limits.vmMemoryStepMib !== 0)
    return `${size.memoryMib} MiB of memory are no multiple of ${limits.vmMemoryStepMib} MiB`;
  return null;
}

export const withinLimits = (size: VmSize, limits: PlatformLimits): boolean =>
  whyBeyondLimits(size, limits) === null;
