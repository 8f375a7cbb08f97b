import { afterEach, describe, expect, test } from "vitest";
import { PATIENCE_MS } from "#test/harness/patience.ts";
import { aDesiredVm, eventually } from "../drivers/builders.ts";
import { aWorld, noPwsh, type StandinHost, type StandinVm, type World } from "./world.ts";

const skipped = noPwsh ? ` (skipped: ${noPwsh})` : "";
describe.skipIf(noPwsh !== null)(`checkpoints${skipped}`, () => {
  let world: World;
  const open = async (host: Partial<StandinHost> = {}) => {
    world = await aWorld(host);
    return world.open();
  };
  const only = async (): Promise<StandinVm> => {
    const [vm, ...others] = await world.vms();
    if (!vm || others.length > 0) throw new Error("there is one VM");
    return vm;
  };
  afterEach(() => world.close());

  test("a checkpoint is made once, brought back in the present epoch, and deleted", async () => {
    const driver = await open();
    const vm = aDesiredVm({ image: world.image });
    const id = crypto.randomUUID();
    await driver.create(vm);
    await driver.checkpoint(vm, id);
    await driver.checkpoint(vm, id);
    expect((await driver.checkpoints(vm)).map((one) => one.checkpointId)).toEqual([id]);
    await expect(
      driver.resize({ ...vm, size: { ...vm.size, diskGib: 2 } }),
      "a disk with checkpoints cannot grow",
    ).rejects.toMatchObject({ code: "unsupported" });
    await driver.start(vm);
    await driver.revert(vm, id);
    expect((await driver.list())[0]).toMatchObject({
      power: "off",
      complete: true,
      ownerEpoch: 1,
    });
    await driver.start(vm);
    await driver.deleteCheckpoint(vm, id);
    await driver.deleteCheckpoint(vm, id);
    expect(await driver.checkpoints(vm)).toEqual([]);
    await expect(driver.revert(vm, id)).rejects.toMatchObject({ code: "driver_failed" });
    expect((await only()).HardDrives[0]?.Path).toMatch(/disk\.vhdx$/);
  });

  test("bring back the disk, and not the CPU, memory, address and limits of their time", async () => {
    const driver = await open();
    const vm = aDesiredVm({ image: world.image, diskIops: 500 });
    const id = crypto.randomUUID();
    await driver.create(vm);
    await driver.checkpoint(vm, id);
    const now = {
      ...vm,
      size: { ...vm.size, vcpus: 3, memoryMib: 512 },
      diskIops: 900,
      nics: vm.nics.map((nic) => ({
        ...nic,
        bandwidthMbit: 200,
        ipv4: { ...nic.ipv4, address: "192.0.2.77" },
      })),
    };
    await driver.resize(now);
    await driver.start(now);
    await driver.revert(now, id);
    expect((await driver.list())[0]).toMatchObject({ power: "off", size: now.size });
    const made = await only();
    expect(made.HardDrives[0]?.MaximumIOPS).toBe(900);
    expect(made.NetworkAdapters[0]).toMatchObject({
      BandwidthSetting: { MaximumBandwidth: 200_000_000 },
      AclList: [{ LocalAddress: "ANY" }, { LocalAddress: "192.0.2.77/32" }],
    });
  });

  test("of a time when the seed was there bring back a VM that starts without it", async () => {
    const driver = await open();
    const vm = aDesiredVm({ image: world.image });
    const id = crypto.randomUUID();
    await driver.create(vm);
    await driver.checkpoint(vm, id);
    await driver.eraseSeed(vm);
    await driver.revert(vm, id);
    expect((await only()).DVDDrives[0]?.Path ?? "").toBe("");
    await driver.start(vm);
    expect((await driver.list())[0]).toMatchObject({ power: "running", seeded: false });
  });

  test("are no more than Hyper-V takes", async () => {
    const driver = await open();
    const vm = aDesiredVm({ image: world.image });
    await driver.create(vm);
    const worker = world.worker();
    const make = (most: number) =>
      worker.call(
        "checkpoint",
        { vmId: vm.vmId, epoch: 1, checkpointId: crypto.randomUUID(), most },
        { timeoutMs: PATIENCE_MS },
      );
    await make(2);
    await make(2);
    await expect(make(2)).rejects.toMatchObject({ code: "beyond_limits" });
  });

  test("one that came twice, as Hyper-V goes on when a worker dies, is one again", async () => {
    const driver = await open();
    const vm = aDesiredVm({ image: world.image });
    const id = crypto.randomUUID();
    await driver.create(vm);
    await world.finishLate("Checkpoint-VM", 5000);
    await expect(driver.checkpoint(vm, id)).rejects.toMatchObject({
      code: "hypervisor_unavailable",
    });
    await driver.checkpoint(vm, id);
    const ids = async () => (await driver.checkpoints(vm)).map((one) => one.checkpointId);
    await eventually("the late one", async () => (await ids()).length === 2);
    await driver.start(vm);
    await driver.revert(vm, id);
    expect(await ids()).toEqual([id]);
    await driver.deleteCheckpoint(vm, id);
    expect(await ids()).toEqual([]);
  });
});
