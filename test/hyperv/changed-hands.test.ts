import { rename, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { SAVED_STATE_PATIENCE_MS } from "#host-agent/drivers/findings.ts";
import { whyUnguarded } from "#host-agent/drivers/hyperv/answers.ts";
import { aDesiredVm } from "../drivers/builders.ts";
import { createVirtualClock, type VirtualClock } from "../drivers/virtual-clock.ts";
import { aWorld, noPwsh, type StandinVm, type World } from "./world.ts";

/* 4b B9: hosts on which others had their hands, by simulation: nothing here was tried on Windows. */

const skipped = noPwsh ? ` (skipped: ${noPwsh})` : "";
const [SAVED, RUNNING] = [6, 2];

describe.skipIf(noPwsh !== null)(`4b B9: a Hyper-V host that changed hands${skipped}`, () => {
  let world: World;
  let clock: VirtualClock;
  afterEach(() => world.close());

  const open = async () => {
    world = await aWorld();
    clock = createVirtualClock();
    const driver = world.open({ clock });
    const vm = aDesiredVm({ image: world.image });
    await driver.create(vm);
    return { driver, vm };
  };
  const only = async (): Promise<StandinVm> => {
    const [vm, ...others] = await world.vms();
    if (!vm || others.length > 0) throw new Error("there is one VM");
    return vm;
  };
  const change = async (over: object) => {
    const vm = await only();
    const file = path.join(world.env["BERTH_HYPERV_STATE"] ?? "", "vms", `${vm.Id}.json`);
    await writeFile(file, JSON.stringify({ ...vm, ...over }));
  };
  const look = async (driver: ReturnType<World["open"]>, { vmId }: DesiredVm) =>
    (await driver.list()).find((vm) => vm.vmId === vmId);

  test("a saved memory is restored; one that cannot be is dropped when that lasts, and staff are told", async () => {
    const { driver, vm } = await open();
    await change({ State: SAVED });
    await driver.start(vm);
    expect(driver.takeFindings()).toEqual([]);
    await change({ State: SAVED, StandinSpoilt: "OperationFailed" });
    await expect(driver.start(vm)).rejects.toMatchObject({ code: "driver_failed" });
    expect(await only()).toMatchObject({ State: SAVED });
    await clock.advance(SAVED_STATE_PATIENCE_MS);
    await driver.start(vm);
    expect(await only()).toMatchObject({ State: RUNNING });
    expect(driver.takeFindings()).toMatchObject([{ vmId: vm.vmId, code: "saved_state_dropped" }]);
  });

  test("a saved memory for which the host has no room is kept", async () => {
    const { driver, vm } = await open();
    await change({ State: SAVED, StandinSpoilt: "OutOfMemory" });
    for (let n = 0; n < 2; n++) {
      await expect(driver.start(vm)).rejects.toMatchObject({ code: "out_of_memory" });
      await clock.advance(SAVED_STATE_PATIENCE_MS);
    }
    expect(await only()).toMatchObject({ State: SAVED });
  });

  test("a layer that is gone makes the VM no whole one, with its reason, until somebody brings it back", async () => {
    const { driver, vm } = await open();
    await driver.checkpoint(vm, crypto.randomUUID());
    const layer = (await only()).HardDrives[0]?.Path ?? "";
    await rename(layer, `${layer}.away`);
    await expect(driver.start(vm)).rejects.toThrow(path.basename(layer));
    expect(await look(driver, vm)).toMatchObject({ complete: false, power: "off" });
    expect(driver.takeFindings()).toMatchObject([
      { code: "disk_layer_missing", detail: expect.stringContaining(path.basename(layer)) },
    ]);
    await rename(`${layer}.away`, layer);
    expect(await look(driver, vm)).toMatchObject({ complete: true });
    await driver.start(vm);
  });

  test("an image that is gone from under a VM is told as such, and tried again after a while", async () => {
    const { driver, vm } = await open();
    const image = path.join(world.options.images, `${world.image.file}.vhdx`);
    await rename(image, `${image}.away`);
    await expect(driver.start(vm)).rejects.toMatchObject({ code: "driver_failed" });
    expect(await look(driver, vm)).toMatchObject({ complete: false });
    await rename(`${image}.away`, image);
    await clock.advance(15 * 60_000);
    expect(await look(driver, vm)).toMatchObject({ complete: true });
    await driver.start(vm);
  });

  test("a merge of others' checkpoints is waited for before the VM goes", async () => {
    const { driver, vm } = await open();
    await change({ SecondaryOperationalStatus: "MergingDisks" });
    let gone = false;
    const destroyed = driver.destroy(vm).then(() => (gone = true));
    expect(await look(driver, vm)).toMatchObject({ complete: true, power: "off" });
    expect(gone).toBe(false);
    await change({ SecondaryOperationalStatus: "" });
    await destroyed;
    expect(await world.vms()).toEqual([]);
  });

  test("what keeps a guest from foreign addresses is put back where it was taken away, and told once", async () => {
    const { driver, vm } = await open();
    await driver.guard([vm]);
    expect(driver.takeFindings()).toEqual([]);
    const before = (await only()).NetworkAdapters;
    for (const taken of [{ AclList: [] }, { MacAddressSpoofing: 0 }, { DhcpGuard: 1 }]) {
      await change({ NetworkAdapters: before.map((adapter) => ({ ...adapter, ...taken })) });
      await driver.guard([{ ...vm, ownerEpoch: 9 }]);
      expect(driver.takeFindings()).toEqual([]);
      await driver.guard([vm]);
      await driver.guard([vm]);
      expect((await only()).NetworkAdapters).toEqual(before);
      expect(driver.takeFindings()).toMatchObject([
        { vmId: vm.vmId, code: "spoof_guard_restored" },
      ]);
    }
  });
});

test("4b B9: an adapter is guarded by a rule against all and one for its own address", () => {
  const allow = (local: string) => ({ action: "Allow", direction: "Outbound", local });
  const nic = (acls: { action: string; direction: string; local: string }[]) =>
    whyUnguarded(
      { name: "nic0", spoofing: "Off", dhcpGuard: "On", routerGuard: "On", acls },
      "192.0.2.7",
    );
  const deny = { action: "Deny", direction: "Outbound", local: "ANY" };
  expect(nic([deny, allow("192.0.2.7/32")])).toBeNull();
  expect(nic([allow("192.0.2.7/32")])).not.toBeNull();
  expect(nic([deny])).not.toBeNull();
  expect(nic([deny, allow("192.0.2.7/32"), allow("192.0.2.8/32")])).not.toBeNull();
  expect(nic([{ ...deny, direction: "Inbound" }, allow("192.0.2.7/32")])).not.toBeNull();
});
