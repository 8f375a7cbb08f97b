import type { VmSize } from "#core/vms/vm.ts";
import type { Capacity } from "./capacity.ts";

/** What newcomers hold unpaid, by host. */
export type NewcomersHolds = ReadonlyMap<string, Capacity>;

const NOTHING: Capacity = { vcpus: 0, memoryMib: 0, diskGib: 0, vms: 0 };

/**
 * How much there must be free for newcomers to take one more place of this size, on the hosts that could take it: with it they
 * hold at most one in `oneIn` of what is free there (their own holds on those hosts included), in each resource. The first
 * of their places is always within that: a small location sells to newcomers too. `held`: what they hold on those hosts.
 */
export function freeRoomNeeded(held: readonly Capacity[], size: VmSize, oneIn: number): Capacity {
  const before = held.reduce(sum, NOTHING);
  if (before.vms === 0) return NOTHING;
  const needed = (resource: keyof Capacity, asked: number) =>
    (before[resource] + asked) * oneIn - before[resource];
  return {
    vcpus: needed("vcpus", size.vcpus),
    memoryMib: needed("memoryMib", size.memoryMib),
    diskGib: needed("diskGib", size.diskGib),
    vms: needed("vms", 1),
  };
}

const sum = (a: Capacity, b: Capacity): Capacity => ({
  vcpus: a.vcpus + b.vcpus,
  memoryMib: a.memoryMib + b.memoryMib,
  diskGib: a.diskGib + b.diskGib,
  vms: a.vms + b.vms,
});

/** How many free addresses there must be for newcomers who hold `held` to take one more, by the same rule. */
export const freeAddressesNeeded = (held: number, oneIn: number): number =>
  held === 0 ? 1 : (held + 1) * oneIn - held;
