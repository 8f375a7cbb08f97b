import type { Nic } from "#core/contracts/agent/desired.ts";
import { sameSize, type VmSize } from "./vm.ts";

/** What a plan holds beside the size, and a hypervisor enforces; null: no limit. */
export type VmLimits = Readonly<{ bandwidthMbit: number | null; diskIops: number | null }>;

/** What a VM should be, every field of its plan that a host gives. */
export type WholeSize = VmSize & VmLimits;

/** What its host showed of it. */
export type SeenSize = Readonly<{
  /** null: not seen whole. */
  size: VmSize | null;
  /** null: its agent does not say. */
  limits: VmLimits | null;
}>;

/**
 * A limit of cards, or of directions, that are not limited alike: no limit that anybody orders. A VM whose cards should differ
 * is as it should be when they do.
 */
export const NOT_ALIKE = 0;

/** The one limit that all of them have; null: none has any. */
export function commonLimit(limits: readonly (number | null)[]): number | null {
  const [first = null] = limits;
  return limits.every((limit) => limit === first) ? first : NOT_ALIKE;
}

/** The limits that a VM should have, in the words in which they are seen. */
export const desiredLimits = (vm: {
  nics: readonly Pick<Nic, "bandwidthMbit">[];
  diskIops: number | null;
}): VmLimits => ({
  bandwidthMbit: commonLimit(vm.nics.map((nic) => nic.bandwidthMbit)),
  diskIops: vm.diskIops,
});

/** All that a VM's plan gives it. */
export const wholeSize = (
  vm: { size: VmSize } & Parameters<typeof desiredLimits>[0],
): WholeSize => ({ ...vm.size, ...desiredLimits(vm) });

/**
 * Whether a VM was seen to be what is desired, in every field of its plan. `unknown`: what was seen is as desired, and not all
 * was seen: there is nothing to do, and nothing that it proves.
 */
export function sizeIsSeen(desired: WholeSize, seen: SeenSize): "seen" | "differs" | "unknown" {
  const { size, limits } = seen;
  const differs =
    (size !== null && !sameSize(desired, size)) ||
    (limits !== null &&
      (limits.bandwidthMbit !== desired.bandwidthMbit || limits.diskIops !== desired.diskIops));
  if (differs) return "differs";
  return size === null || limits === null ? "unknown" : "seen";
}

/** As it is kept of a VM. */
export type SeenColumns = Readonly<{
  /** All three are null, or none. */
  seenVcpus: number | null;
  seenMemoryMib: number | null;
  seenDiskGib: number | null;
  /** Of a VM without a limit its column is null too. */
  seenLimitsKnown: boolean;
  seenBandwidthMbit: number | null;
  seenDiskIops: number | null;
  /** So many vCPUs it may have at most without a restart; null: its host does not say. */
  seenHotVcpus: number | null;
}>;

export function seenSizeFromRow(row: SeenColumns): SeenSize {
  const { seenVcpus: vcpus, seenMemoryMib: memoryMib, seenDiskGib: diskGib } = row;
  const isSeen = vcpus !== null && memoryMib !== null && diskGib !== null;
  return {
    size: isSeen ? { vcpus, memoryMib, diskGib } : null,
    limits: row.seenLimitsKnown
      ? { bandwidthMbit: row.seenBandwidthMbit, diskIops: row.seenDiskIops }
      : null,
  };
}
