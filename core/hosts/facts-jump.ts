import type { HostFacts } from "#core/contracts/agent/report.ts";

const SIZES = [
  ["cpuThreads", "cpu_threads"],
  ["memoryMib", "memory_mib"],
  ["diskGib", "disk_gib"],
] as const;
const WORDS = [
  ["accelerator", "accelerator"],
  ["hypervisorVersion", "hypervisor_version"],
] as const;

/** A size moves a little by itself (what firmware keeps of memory, a file system's own blocks). */
const LITTLE = 0.1;

const isJump = (from: number, to: number): boolean => Math.abs(to - from) > from * LITTLE;

/**
 * What staff should hear of: a host that grew or shrank by more than a tenth, has another hypervisor under it, or runs its
 * guests in another way. `{ memory_mib: "16384 to 32768" }`, to be logged; null when nothing of it did, or nothing was
 * known before.
 */
export function jumpOf(
  before: HostFacts | null,
  after: HostFacts,
): Readonly<Record<string, string>> | null {
  if (before === null) return null;
  const jumps: Record<string, string> = {};
  for (const [fact, name] of SIZES)
    if (isJump(before[fact], after[fact])) jumps[name] = `${before[fact]} to ${after[fact]}`;
  for (const [fact, name] of WORDS)
    if (before[fact] !== after[fact]) jumps[name] = `${before[fact]} to ${after[fact]}`;
  return Object.keys(jumps).length === 0 ? null : jumps;
}
