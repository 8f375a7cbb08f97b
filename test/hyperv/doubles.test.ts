import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { aDesiredVm } from "../drivers/builders.ts";
import { aWorld, noPwsh, type World } from "./world.ts";

const RUNNING = 2;
const OFF = 3;

/** A worker that dies leaves Hyper-V's service at work, and two VMs may come of one wish. */
const skipped = noPwsh ? ` (skipped: ${noPwsh})` : "";
describe.skipIf(noPwsh !== null)(`two VMs with one tag${skipped}`, () => {
  let world: World;
  afterEach(() => world.close());
  const named = async (vm: DesiredVm) =>
    (await world.vms()).filter((other) => other.Name === vm.vmId);

  test("come of a creation that Hyper-V finished late: the next call takes it for the only one", async () => {
    world = await aWorld();
    const driver = world.open();
    const vm = aDesiredVm({ image: world.image });
    await world.finishLate("New-VM", 0);
    await expect(driver.create(vm)).rejects.toMatchObject({ code: "hypervisor_unavailable" });
    await driver.create(vm);
    expect(await named(vm)).toHaveLength(1);
    expect((await driver.list())[0]).toMatchObject({ complete: true, power: "off" });
  });

  test("where the late one comes after the VM was made and started: it goes, and the VM runs on", async () => {
    world = await aWorld();
    const driver = world.open();
    const [vm, other] = [aDesiredVm({ image: world.image }), aDesiredVm({ image: world.image })];
    await driver.create(other);
    await driver.start(other);
    // When the test says, as nobody knows how long the calls before take.
    await world.finishLate("New-VM", 3_600_000);
    await expect(driver.create(vm)).rejects.toMatchObject({ code: "hypervisor_unavailable" });
    await driver.create(vm);
    await driver.start(vm);
    const seen = async (vmId: string) => (await driver.list()).find((one) => one.vmId === vmId);
    expect(await seen(vm.vmId)).toMatchObject({ complete: true, power: "running" });
    const { bootEpoch } = (await seen(vm.vmId)) ?? {};
    await world.finishNow();
    expect((await seen(vm.vmId))?.complete).toBe(false);
    expect(await seen(other.vmId)).toMatchObject({ complete: true, power: "running" });
    expect(await seen(vm.vmId)).toMatchObject({ power: "running", bootEpoch });
    // What the planner asks for when a VM is not whole.
    await driver.create(vm);
    expect(await named(vm)).toHaveLength(1);
    expect(await seen(vm.vmId)).toMatchObject({ complete: true, power: "running", bootEpoch });
  });

  test("that a person made run both: all others are seen, these are stopped and destroyed together", async () => {
    world = await aWorld();
    const driver = world.open();
    const [vm, other] = [aDesiredVm({ image: world.image }), aDesiredVm({ image: world.image })];
    await driver.create(vm);
    await driver.create(other);
    await driver.start(vm);
    await driver.start(other);
    const [made] = await named(vm);
    if (!made) throw new Error("it was made");
    const id = crypto.randomUUID();
    const folder = path.join(world.env["BERTH_HYPERV_STATE"] ?? "", "vms");
    await mkdir(folder, { recursive: true });
    await writeFile(path.join(folder, `${id}.json`), JSON.stringify(made).replaceAll(made.Id, id));
    const list = await driver.list();
    expect(list).toHaveLength(2);
    expect(list.find((one) => one.vmId === other.vmId)).toMatchObject({
      complete: true,
      power: "running",
    });
    expect(list.find((one) => one.vmId === vm.vmId)).toMatchObject({
      complete: false,
      power: "failed",
    });
    expect((await driver.counters()).map((one) => one.vmId)).toEqual([other.vmId]);
    await expect(driver.create(vm)).rejects.toMatchObject({ code: "driver_failed" });
    expect((await named(vm)).map((one) => one.State)).toEqual([RUNNING, RUNNING]);
    // Stopped until `list` says that it is off.
    await driver.stop(vm, "firm");
    await driver.stop(vm, "firm");
    expect((await named(vm)).map((one) => one.State)).toEqual([OFF, OFF]);
    await driver.destroy(vm);
    expect(await named(vm)).toEqual([]);
    expect(await driver.list()).toHaveLength(1);
  });
});
