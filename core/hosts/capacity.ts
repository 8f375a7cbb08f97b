import type { HostFacts } from "#core/contracts/agent/report.ts";
import { limitsOf, type PlatformLimits } from "./limits.ts";
import type { VmSize } from "#core/vms/vm.ts";

/** What a host may give away. `vms`: how many VMs it may run at once. */
export type Capacity = Readonly<{
  vcpus: number;
  memoryMib: number;
  diskGib: number;
  vms: number;
}>;

/** The most that staff let a host give away, whatever it says of itself. */
export type Ceiling = Omit<Capacity, "vms">;

/** What a host that staff say nothing of may give away: a common machine of 64 threads. */
export const USUAL_CEILING: Ceiling = { vcpus: 256, memoryMib: 131_072, diskGib: 10_240 };

/** Where a hypervisor names no limit of its own: far more than any host of ours has memory for. */
const MOST_VMS = 10_000;

/** What of it is too little for one more VM of this size. */
export const lacksRoom = (free: Capacity, size: VmSize): readonly (keyof Capacity)[] => [
  ...(size.vcpus > free.vcpus ? (["vcpus"] as const) : []),
  ...(size.memoryMib > free.memoryMib ? (["memoryMib"] as const) : []),
  ...(size.diskGib > free.diskGib ? (["diskGib"] as const) : []),
  ...(free.vms < 1 ? (["vms"] as const) : []),
];

/**
 * Of a host's measured size: CPU times the overcommit that staff set; memory and disk never overcommitted, less
 * what the host itself needs (2 GiB or a sixteenth of memory, a tenth of the disk). Never more than its platform
 * supports.
 */
export function capacityOf(facts: HostFacts, cpuOvercommit: number): Capacity {
  const limits: PlatformLimits = limitsOf(facts);
  const threads = Math.min(facts.cpuThreads, limits.hostLogicalProcessors ?? Infinity);
  const memoryMib = Math.min(facts.memoryMib, limits.hostMemoryMib ?? Infinity);
  const ownMemory = Math.max(2048, Math.ceil(memoryMib / 16));
  return {
    vcpus: Math.min(threads * cpuOvercommit, limits.hostVcpus ?? Infinity),
    vms: limits.hostRunningVms ?? MOST_VMS,
    memoryMib: Math.max(0, memoryMib - ownMemory),
    diskGib: Math.floor(facts.diskGib * 0.9),
  };
}

/** What a host may give away: what it has by its own word, and never more than staff let it. */
export function trustedCapacity(
  facts: HostFacts,
  { cpuOvercommit, ceiling }: Readonly<{ cpuOvercommit: number; ceiling: Ceiling }>,
): Capacity {
  const { vcpus, memoryMib, diskGib, vms } = capacityOf(facts, cpuOvercommit);
  return {
    vcpus: Math.min(vcpus, ceiling.vcpus),
    memoryMib: Math.min(memoryMib, ceiling.memoryMib),
    diskGib: Math.min(diskGib, ceiling.diskGib),
    vms,
  };
}
