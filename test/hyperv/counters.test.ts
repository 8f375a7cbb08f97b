import { mkdir, stat } from "node:fs/promises";
import path from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { aDesiredVm } from "../drivers/builders.ts";
import { aWorld, noPwsh, type World } from "./world.ts";

const skipped = noPwsh ? ` (skipped: ${noPwsh})` : "";
describe.skipIf(noPwsh !== null)(`counters of Hyper-V${skipped}`, () => {
  let world: World;
  afterEach(() => world.close());

  test("are what Windows counted: its 100 ns as nanoseconds, its bytes as bytes, each in its place", async () => {
    world = await aWorld();
    const driver = world.open();
    const [vm, other] = [1, 2].map((n) =>
      aDesiredVm({
        image: world.image,
        size: { vcpus: 2, memoryMib: 256, diskGib: 1 },
        nics: [1, 2].map((nic) => ({
          mac: `52:54:00:00:0${n}:0${nic}`,
          ipv4: { address: `192.0.2.${10 * n + nic}`, prefix: 24, gateway: "192.0.2.1" },
          vlan: null,
          bandwidthMbit: null,
        })),
      }),
    );
    if (!vm || !other) throw new Error("two were ordered");
    for (const one of [vm, other]) {
      await driver.create(one);
      await driver.start(one);
    }
    await world.configure({
      Counted: {
        [vm.vmId]: {
          RunTime: [36_000_000_001, 18_000_000_010],
          Received: [2 ** 40 + 1, 2 ** 41 + 2],
          Sent: [2 ** 42 + 3, 2 ** 43 + 4],
          Read: 2 ** 44 + 5,
          Written: 2 ** 45 + 6,
        },
        [other.vmId]: { RunTime: [1, 20], Received: [300, 4], Sent: [5, 6], Read: 7, Written: 8 },
      },
    });
    const counted = await driver.counters();
    const of = (vmId: string) => counted.find((one) => one.vmId === vmId);
    expect(of(vm.vmId)).toEqual({
      vmId: vm.vmId,
      bootEpoch: (await driver.list()).find((one) => one.vmId === vm.vmId)?.bootEpoch,
      // An hour and a half on two processors, of which one 100 ns and the other 1 µs more.
      cpuNs: 5_400_000_001_100n,
      rxBytes: [2n ** 40n + 1n, 2n ** 41n + 2n],
      txBytes: [2n ** 42n + 3n, 2n ** 43n + 4n],
      readBytes: 2n ** 44n + 5n,
      writeBytes: 2n ** 45n + 6n,
      memoryBytes: 256n * 1024n * 1024n,
      diskBytes: await sizeOfDisk(world, vm.vmId),
    });
    expect(of(other.vmId)).toMatchObject({
      cpuNs: 2100n,
      rxBytes: [300n, 4n],
      txBytes: [5n, 6n],
      readBytes: 7n,
      writeBytes: 8n,
    });
    expect(counted).toHaveLength(2);
  });

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

/** Of the one file that a VM without checkpoints has for its disk. */
async function sizeOfDisk(world: World, vmId: string): Promise<bigint> {
  const [vm] = (await world.vms()).filter(({ Name }) => Name === vmId);
  return (await stat(vm?.HardDrives[0]?.Path ?? "", { bigint: true })).size;
}
