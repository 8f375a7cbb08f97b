import { writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { HypervDriver } from "#host-agent/drivers/hyperv/driver.ts";
import { aDesiredVm } from "../drivers/builders.ts";
import { aWorld, noPwsh, type World } from "./world.ts";

/** VMState, with the numbers of the stand-in (standin/types.ps1). Only the names reach the agent. */
const STATES = {
  Running: 2,
  Off: 3,
  Stopping: 4,
  Saved: 6,
  Paused: 9,
  Starting: 10,
  Saving: 32773,
  FastSaved: 32779,
  RunningCritical: 32785,
  OffCritical: 32786,
  StoppingCritical: 32787,
  SavedCritical: 32788,
  PausedCritical: 32789,
  StartingCritical: 32790,
  SavingCritical: 32792,
  FastSavedCritical: 32795,
  FastSavingCritical: 32796,
} as const;

const skipped = noPwsh ? ` (skipped: ${noPwsh})` : "";
describe.skipIf(noPwsh !== null)(`a VM in any state of Hyper-V${skipped}`, () => {
  let world: World;
  let driver: HypervDriver;
  beforeAll(async () => {
    world = await aWorld();
    driver = world.open();
  });
  afterAll(() => world.close());

  const inState = async (State: number) => {
    const vm = aDesiredVm({ image: world.image });
    await driver.create(vm);
    const made = (await world.vms()).find((one) => one.Name === vm.vmId);
    if (!made) throw new Error("it was made");
    const file = path.join(world.env["BERTH_HYPERV_STATE"] ?? "", "vms", `${made.Id}.json`);
    await writeFile(file, JSON.stringify({ ...made, State }));
    return vm;
  };

  test.each(Object.entries(STATES))("is destroyed: %s", async (_, state) => {
    const vm = await inState(state);
    await driver.destroy(vm);
    expect((await world.vms()).filter((one) => one.Name === vm.vmId)).toEqual([]);
    expect((await driver.list()).filter((one) => one.vmId === vm.vmId)).toEqual([]);
  });

  test.each(Object.entries(STATES).filter(([name]) => name.endsWith("Critical")))(
    "is told as failed, and stopped if there is anything to stop: %s",
    async (_, state) => {
      const vm = await inState(state);
      expect((await driver.list())[0]).toMatchObject({ power: "failed" });
      await driver.stop(vm, "firm");
      await driver.stop(vm, "firm");
      expect((await world.vms())[0]).toMatchObject({ State: STATES.OffCritical });
      await driver.destroy(vm);
    },
  );
});
