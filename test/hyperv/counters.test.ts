import { mkdir } from "node:fs/promises";
import path from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { createDiskSums } from "#host-agent/drivers/hyperv/disk-sums.ts";
import { aDesiredVm } from "../drivers/builders.ts";
import { aWorld, noPwsh, type World } from "./world.ts";

describe("what the layers of a disk did", () => {
  const row = (bootEpoch: string, ...layers: { name: string; read: bigint; write: bigint }[]) => ({
    vmId: "00000000-0000-4000-8000-000000000001",
    bootEpoch,
    cpuTicks: 0n,
    rxBytes: [],
    txBytes: [],
    memoryBytes: 0n,
    diskBytes: 0n,
    layers,
  });
  const disk = (read: bigint) => ({ name: "-disk.vhdx", read, write: read * 2n });
  const layer = (read: bigint) => ({ name: "-disk_1.avhdx", read, write: read * 2n });

  test("is added up over a checkpoint and its merge, and begins anew with the VM's process", () => {
    const sums = createDiskSums();
    const read = (...args: Parameters<typeof row>) => sums.add([row(...args)])[0]?.readBytes;
    expect(read("a", disk(100n))).toBe(100n);
    expect(read("a", layer(7n))).toBe(107n);
    expect(read("a", layer(9n))).toBe(109n);
    expect(read("a", disk(3n)), "the file comes back and counts from zero").toBe(112n);
    expect(read("a"), "no instance for a moment").toBe(112n);
    expect(read("a", disk(5n))).toBe(114n);
    expect(read("b", disk(2n))).toBe(2n);
  });
});

const skipped = noPwsh ? ` (skipped: ${noPwsh})` : "";
describe.skipIf(noPwsh !== null)(`counters of Hyper-V${skipped}`, () => {
  let world: World;
  afterEach(() => world.close());

  test("of the disk only grow within a boot epoch, over checkpoint, merge and the erasing of the seed", async () => {
    world = await aWorld();
    const driver = world.open();
    const vm = aDesiredVm({ image: world.image });
    const id = crypto.randomUUID();
    await driver.create(vm);
    await driver.start(vm);
    let last = { readBytes: 0n, writeBytes: 0n };
    const steps = [
      () => driver.checkpoint(vm, id),
      () => driver.eraseSeed(vm),
      () => driver.deleteCheckpoint(vm, id),
      () => driver.resize({ ...vm, size: { ...vm.size, diskGib: 2 } }),
      async () => undefined,
    ];
    for (const step of steps) {
      const [seen] = await driver.counters();
      if (!seen) throw new Error("a running VM has counters");
      expect(seen.readBytes).toBeGreaterThan(last.readBytes);
      expect(seen.writeBytes).toBeGreaterThan(last.writeBytes);
      // The seed's own reads, of which the stand-in claims a petabyte, are not the disk's.
      expect(seen.readBytes).toBeLessThan(2n ** 49n);
      last = seen;
      await step();
    }
  });

  test("find the VM's id wherever it stands in the path", async () => {
    world = await aWorld();
    const root = path.join(
      world.folder,
      `pool-0190f000-0000-7000-8000-0000000000ff-${"a".repeat(4)}`,
    );
    await mkdir(root);
    const driver = world.open({ root });
    const vm = aDesiredVm({ image: world.image });
    await driver.create(vm);
    await driver.start(vm);
    expect((await driver.counters())[0]?.readBytes).toBeGreaterThan(0n);
  });
});
