import type { VmSize } from "#core/vms/vm.ts";
import type { Capacity } from "./capacity.ts";
import type { HostCandidate } from "./place-vm.ts";

/** What newcomers hold unpaid, by host. */
export type NewcomersHolds = ReadonlyMap<string, Capacity>;

const NOTHING: Capacity = { vcpus: 0, memoryMib: 0, diskGib: 0, vms: 0 };
const RESOURCES = ["vcpus", "memoryMib", "diskGib", "vms"] as const;

/**
 * Whether newcomers, with one more place of this size, hold at most one in `oneIn` of what is free (their own holds
 * included) on the hosts that could take it, in each resource. The first of their places is always within it: a small
 * location sells to newcomers too.
 */
export function isWithinShare(
  able: readonly Pick<HostCandidate, "id" | "free">[],
  holds: NewcomersHolds,
  size: VmSize,
  oneIn: number,
): boolean {
  const held = able.map(({ id }) => holds.get(id) ?? NOTHING);
  if (held.every(({ vms }) => vms === 0)) return true;
  const asked: Capacity = { ...size, vms: 1 };
  return RESOURCES.every((resource) => {
    const before = sum(held.map((h) => h[resource]));
    const room = before + sum(able.map(({ free }) => Math.max(0, free[resource])));
    return (before + asked[resource]) * oneIn <= room;
  });
}

/** How many free addresses there must be for newcomers who hold `held` to take one more, by the same rule. */
export const freeAddressesNeeded = (held: number, oneIn: number): number =>
  held === 0 ? 1 : (held + 1) * oneIn - held;

const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);
