import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { VmDriver, VmRef } from "#host-agent/drivers/driver.ts";
import type { ContractKit } from "./contract-kit.ts";

/** Whose a VM is, how it ends, and what is counted. */
export function safetyContract(kit: ContractKit): void {
  const { order, created, started, look, code, outcome } = kit;

  describe("the tag", () => {
    test.each([1, 3])("a call in epoch %i for a VM of epoch 2 is refused", async (ownerEpoch) => {
      const vm = await started({ ownerEpoch: 2 });
      const before = await look(vm);
      const other = { ...vm, ownerEpoch };
      const calls = {
        create: await outcome(kit.driver.create(other)),
        start: await outcome(kit.driver.start(other)),
        gracefulStop: await outcome(kit.driver.stop(other, "graceful")),
        firmStop: await outcome(kit.driver.stop(other, "firm")),
        reset: await outcome(kit.driver.once(other, "reset")),
        resize: await outcome(
          kit.driver.resize({ ...other, size: { ...vm.size, memoryMib: 192 } }),
        ),
        destroy: await outcome(kit.driver.destroy(other)),
      };
      const refused = Object.keys(calls).map((call) => [call, "stale_epoch"]);
      expect(calls).toEqual(Object.fromEntries(refused));
      expect({ ...(await look(vm)), guest: null }).toEqual({ ...before, guest: null });
      await kit.driver.destroy(vm);
    });

    test("a VM without it is not listed, and refused to every call", async (context) => {
      const plant = kit.host.plantForeign ?? context.skip("no foreign VM can be planted here");
      const vm = order();
      await plant(vm.vmId);
      expect(await look(vm)).toBeNull();
      for (const call of [
        () => kit.driver.create(vm),
        () => kit.driver.start(vm),
        () => kit.driver.stop(vm, "firm"),
        () => kit.driver.destroy(vm),
      ])
        await expect(call()).rejects.toEqual(code("not_ours"));
    });

    // 12.7: two Berths on one hypervisor.
    test("that names another Berth makes a VM nobody's: not listed, not counted, refused to every call", async () => {
      const openFor = kit.host.openFor;
      const [theirs, ours] = [await openFor(randomUUID()), await openFor(randomUUID())];
      const vm = order({ ownerEpoch: 2 });
      await theirs.create(vm);
      await theirs.start(vm);
      const listed = async (driver: VmDriver) =>
        (await driver.list()).filter(({ vmId }) => vmId === vm.vmId);
      const [before] = await listed(theirs);
      expect(before).toMatchObject({ power: "running", ownerEpoch: 2, complete: true });
      expect(await listed(ours)).toEqual([]);
      expect((await ours.counters()).filter(({ vmId }) => vmId === vm.vmId)).toEqual([]);
      const calls = {
        create: await outcome(ours.create(vm)),
        start: await outcome(ours.start(vm)),
        gracefulStop: await outcome(ours.stop(vm, "graceful")),
        firmStop: await outcome(ours.stop(vm, "firm")),
        reset: await outcome(ours.once(vm, "reset")),
        resize: await outcome(ours.resize({ ...vm, size: { ...vm.size, memoryMib: 192 } })),
        eraseSeed: await outcome(ours.eraseSeed(vm)),
        destroy: await outcome(ours.destroy(vm)),
      };
      const refused = Object.keys(calls).map((call) => [call, "not_ours"]);
      expect(calls).toEqual(Object.fromEntries(refused));
      expect(await ours.claim([vm])).toBe(0);
      await ours.guard([vm]);
      const [after] = await listed(theirs);
      expect({ ...after, guest: null }).toEqual({ ...before, guest: null });
      await theirs.destroy(vm);
      await Promise.all([theirs.close(), ours.close()]);
    });

    test("of before there were Berths to tell apart is ours, and is given ours by a claim that no guest notices", async () => {
      const openFor = kit.host.openFor;
      const ours = await openFor(randomUUID());
      const [theirs, oldAgent] = [await openFor(randomUUID()), await openFor(null)];
      const [running, off, other] = [order(), order(), order()];
      for (const vm of [running, off, other]) await oldAgent.create(vm);
      await oldAgent.start(running);
      const listed = async (driver: VmDriver) => {
        const seen = new Map((await driver.list()).map((vm) => [vm.vmId, vm]));
        return [running, off, other].flatMap(({ vmId }) => seen.get(vmId) ?? []);
      };
      const ids = (vms: readonly VmRef[]) => vms.map(({ vmId }) => vmId);
      const before = await listed(ours);
      expect(ids(before)).toEqual(ids([running, off, other]));

      expect(await oldAgent.claim([running])).toBe(0);
      expect(await ours.claim([{ ...running, ownerEpoch: 7 }])).toBe(0);
      expect(await ours.claim([running, off])).toBe(2);
      expect(await ours.claim([running, off])).toBe(0);

      expect(ids(await listed(theirs))).toEqual([other.vmId]);
      const withoutGuest = (vms: readonly object[]) => vms.map((vm) => ({ ...vm, guest: null }));
      expect(withoutGuest(await listed(ours))).toEqual(withoutGuest(before));
      // An agent that was rolled back goes on with them.
      expect(ids(await listed(oldAgent))).toEqual(ids([running, off, other]));
      await ours.stop(running, "firm");
      await ours.start(running);
      expect(ids(await listed(theirs))).toEqual([other.vmId]);
      for (const vm of [running, off, other]) await ours.destroy(vm);
      await Promise.all([ours, theirs, oldAgent].map((driver) => driver.close()));
    });

    test("survives a restart of the agent", async (context) => {
      const reopen = kit.host.reopen ?? context.skip("this driver cannot be opened twice");
      const vm = await started({ ownerEpoch: 4 });
      const again = await reopen();
      const seen = (await again.list()).find((other) => other.vmId === vm.vmId);
      expect(seen).toMatchObject({ ownerEpoch: 4, power: "running", size: vm.size });
      await again.destroy(vm);
      await again.close();
      expect(await look(vm)).toBeNull();
    });
  });

  describe("destroy", () => {
    test("of a running VM leaves nothing to see, twice too", async () => {
      const vm = await started();
      await kit.driver.destroy(vm);
      await kit.driver.destroy(vm);
      expect(await look(vm)).toBeNull();
    });

    test("of a VM that never was succeeds, and other calls for it are refused", async () => {
      const vm = { vmId: randomUUID(), ownerEpoch: 1 };
      await kit.driver.destroy(vm);
      expect(await outcome(kit.driver.start(vm))).not.toBe("done");
      expect(await outcome(kit.driver.stop(vm, "firm"))).not.toBe("done");
      expect(await outcome(kit.driver.once(vm, "reset"))).not.toBe("done");
    });

    test("cut short goes on from where it stopped", async () => {
      const vm = await started();
      for (const afterMs of [0, 5, 20]) {
        await kit.driver.destroy(vm, AbortSignal.timeout(afterMs)).catch(() => undefined);
        expect([undefined, 1]).toContain((await look(vm))?.ownerEpoch);
      }
      await kit.driver.destroy(vm);
      expect(await look(vm)).toBeNull();
    });

    test("lets the same id be made again in another epoch", async () => {
      const vm = await started();
      await kit.driver.destroy(vm);
      const again = { ...vm, ownerEpoch: 2 };
      await kit.driver.create(again);
      expect(await look(vm)).toMatchObject({ ownerEpoch: 2, power: "off", complete: true });
      await kit.driver.destroy(again);
    });

    test("keeps the disk in the trash until that is emptied", async () => {
      const vm = await started();
      await kit.driver.destroy(vm);
      expect(await kit.driver.emptyTrash(new Date(0))).toBe(0);
      const later = new Date(Date.now() + 3_600_000);
      expect(await kit.driver.emptyTrash(later)).toBeGreaterThanOrEqual(1);
      expect(await kit.driver.emptyTrash(later)).toBe(0);
    });
  });

  test("counters are of running VMs, in their boot epoch, and only grow", async () => {
    const off = await created();
    const vm = await started();
    const of = async (ref: VmRef) =>
      (await kit.driver.counters()).filter((counters) => counters.vmId === ref.vmId);
    expect(await of(off)).toEqual([]);
    const [first] = await of(vm);
    const [second] = await of(vm);
    if (!first || !second) throw new Error("a running VM has counters");
    expect(first.bootEpoch).toBe((await look(vm))?.bootEpoch);
    expect(first.rxBytes).toHaveLength(vm.nics.length);
    expect(first.txBytes).toHaveLength(vm.nics.length);
    expect(first.memoryBytes).toBe(BigInt(vm.size.memoryMib) * 1024n * 1024n);
    // That each counts right is tested where its guest is known: counters.test.ts (KVM, Hyper-V), simulated.test.ts.
    expect(second.cpuNs).toBeGreaterThanOrEqual(first.cpuNs);
    expect(second.readBytes).toBeGreaterThanOrEqual(first.readBytes);
    expect(second.writeBytes).toBeGreaterThanOrEqual(first.writeBytes);
    await kit.driver.destroy(off);
    await kit.driver.destroy(vm);
  });

  test("ten VMs made at once are ten VMs", async () => {
    const vms = Array.from({ length: kit.host.slow ? 3 : 10 }, () => order());
    await Promise.all(vms.map((vm) => kit.driver.create(vm)));
    const listed = new Set((await kit.driver.list()).map((vm) => vm.vmId));
    expect(vms.filter((vm) => !listed.has(vm.vmId))).toEqual([]);
    await Promise.all(vms.map((vm) => kit.driver.destroy(vm)));
  });
}
