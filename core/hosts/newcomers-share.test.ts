import fc from "fast-check";
import { expect, test } from "vitest";
import type { Capacity } from "./capacity.ts";
import { freeAddressesNeeded, freeRoomNeeded } from "./newcomers-share.ts";

const room = (memoryMib: number, over: Partial<Capacity> = {}): Capacity => ({
  vcpus: 1000,
  memoryMib,
  diskGib: 10_000,
  vms: 100,
  ...over,
});
const holding = (memoryMib: number, vms = 1) => [{ vcpus: 1, memoryMib, diskGib: 10, vms }];
const SMALL = { vcpus: 1, memoryMib: 1024, diskGib: 10 };
const RESOURCES = ["vcpus", "memoryMib", "diskGib", "vms"] as const;
const isWithin = (free: readonly Capacity[], held: readonly Capacity[]) => {
  const needed = freeRoomNeeded(held, SMALL, 4);
  return RESOURCES.every((r) => free.reduce((all, f) => all + f[r], 0) >= needed[r]);
};

// 4b A2
test.each([
  ["nobody holds anything: the only place there is", [room(1024)], [], true],
  ["exactly a quarter with it", [room(3072), room(4096)], holding(1024), true],
  ["a little more than a quarter with it", [room(3071), room(4096)], holding(1024), false],
  ["enough memory, and too little disk", [room(9000, { diskGib: 69 })], holding(1024), false],
  ["enough memory, and just enough disk", [room(9000, { diskGib: 70 })], holding(1024), true],
  ["enough memory, and too few virtual CPUs", [room(9000, { vcpus: 6 })], holding(1024), false],
  ["enough memory, and too few VMs", [room(9000, { vms: 6 })], holding(1024), false],
  ["what they hold on two hosts", [room(10_240)], [...holding(1024), ...holding(1024)], true],
  ["a MiB too much on two hosts", [room(10_239)], [...holding(1024), ...holding(1024)], false],
] as const)("newcomers' share: %s", (_, free, held, is) => {
  expect(isWithin(free, held)).toBe(is);
});

test("newcomers who take addresses for as long as they may hold a quarter of all, or one", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 300 }), (all) => {
      let held = 0;
      while (all - held >= freeAddressesNeeded(held, 4)) held++;
      expect(held).toBe(Math.max(1, Math.floor(all / 4)));
    }),
  );
});
