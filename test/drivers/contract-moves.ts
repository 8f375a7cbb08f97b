import path from "node:path";
import { describe, expect, test, type TestContext } from "vitest";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import type { VmDriver, VmRef } from "#host-agent/drivers/driver.ts";
import type { MoveCalls } from "#host-agent/drivers/move-calls.ts";
import type { ContractKit } from "./contract-kit.ts";

/** What moves between hosts ask of a driver, on two hosts of its kind. */
export function movesContract(kit: ContractKit): void {
  const { created, started, look, code, outcome } = kit;

  /** Skips where the driver takes no part in moves. */
  function ends(context: TestContext) {
    const { moves: source } = kit.driver;
    if (source === null) return context.skip("no VM leaves this host or comes to it");
    const opened = kit.host.moves;
    if (opened === undefined) throw new Error("a driver with `moves` is tested with a second host");
    const { second, format } = opened;
    const { moves: destination } = second;
    if (destination === null) throw new Error("the second host is of the same kind");
    const fileAt = (moves: MoveCalls, vm: VmRef) => path.join(moves.folder, `${vm.vmId}.contract`);
    return {
      ...opened,
      source,
      destination,
      /** What comes of the VM: its next owner is the second host. */
      moved: (vm: DesiredVm): DesiredVm => ({ ...vm, ownerEpoch: vm.ownerEpoch + 1 }),
      exported: fileAt,
      /** Exports a VM that is off, and carries the file. */
      sent: async (vm: DesiredVm) => {
        const { base } = await source.describe(vm);
        const file = fileAt(source, vm);
        await source.exportDisk(vm, { path: file, format, base });
        const received = fileAt(destination, vm);
        await opened.carry(file, received);
        return { path: received, format, base };
      },
      lookAt: async (driver: VmDriver, vm: VmRef) =>
        (await driver.list()).find((seen) => seen.vmId === vm.vmId) ?? null,
    };
  }

  describe("moves", () => {
    test("describe says what a VM is made of, off and on, and of none that it has none", async (context) => {
      const { source, second } = ends(context);
      const vm = await created();
      const { images = [] } = await kit.driver.facts();
      const off = await source.describe(vm);
      expect(off.virtualBytes).toBe(BigInt(vm.size.diskGib) * 1024n ** 3n);
      expect(off.exportBytes).toBeGreaterThan(0n);
      const image = images.find(({ file }) => file === vm.image.file);
      expect(off.base).toEqual({ file: vm.image.file, sha256: image?.sha256 });
      await kit.driver.start(vm);
      expect(await source.describe(vm)).toEqual(off);
      await kit.driver.destroy(vm);
      await expect(source.describe(vm)).rejects.toEqual(code("vm_missing"));
      await expect(second.moves?.describe(vm)).rejects.toEqual(code("vm_missing"));
    });

    test("an export of a running VM is refused", async (context) => {
      const { source, format, exported, isThere } = ends(context);
      const vm = await started();
      const to = { path: exported(source, vm), format, base: null };
      await expect(source.exportDisk(vm, to)).rejects.toEqual(code("must_be_off"));
      expect(await isThere(to.path)).toBe(false);
      expect(await look(vm)).toMatchObject({ power: "running" });
      await kit.driver.destroy(vm);
    });

    test("a VM goes to another host with what its guest has written, and is off and whole there, in its new epoch", async (context) => {
      const { source, destination, second, format, moved, ...end } = ends(context);
      for (const withBase of [true, false]) {
        const vm = await created({ ownerEpoch: 4 });
        await end.mark(vm);
        const { base } = withBase ? await source.describe(vm) : { base: null };
        const file = end.exported(source, vm);
        // An earlier attempt's file is written over.
        for (let times = 0; times < 2; times++)
          await source.exportDisk(vm, { path: file, format, base });
        const from = { path: end.exported(destination, vm), format, base };
        await end.carry(file, from.path);

        const there = moved(vm);
        await destination.importDisk(there, from);
        expect(await end.isThere(from.path)).toBe(false);
        await destination.importDisk(there, from);
        expect(await end.lookAt(second, vm)).toMatchObject({
          ownerEpoch: 5,
          power: "off",
          size: vm.size,
          complete: true,
          seeded: false,
          guest: null,
        });
        expect(await end.contentOf(second, there)).toBe(await end.contentOf(kit.driver, vm));
        // The source is as it was, and the new owner's epoch is nothing to it.
        expect(await look(vm)).toMatchObject({ ownerEpoch: 4, power: "off", complete: true });
        await second.start(there);
        expect(await end.lookAt(second, vm)).toMatchObject({ power: "running", ownerEpoch: 5 });
        // It was done before, and has run since.
        await destination.importDisk(there, from);
        expect(await end.lookAt(second, vm)).toMatchObject({ power: "running", ownerEpoch: 5 });
        await second.destroy(there);
        await kit.driver.destroy(vm);
      }
    });

    test("what was exported does not change when the VM runs on", async (context) => {
      const { destination, second, moved, ...end } = ends(context);
      const vm = await created();
      const before = await end.contentOf(kit.driver, vm);
      const from = await end.sent(vm);
      await end.mark(vm);
      expect(await end.contentOf(kit.driver, vm)).not.toBe(before);
      await destination.importDisk(moved(vm), from);
      expect(await end.contentOf(second, moved(vm))).toBe(before);
      await second.destroy(moved(vm));
      await kit.driver.destroy(vm);
    });

    test("an export and an import that were cut short are done by the same calls", async (context) => {
      const { source, destination, second, format, moved, ...end } = ends(context);
      const vm = await created();
      await end.mark(vm);
      const to = { path: end.exported(source, vm), format, base: null };
      for (const afterMs of [0, 5, 15, 40]) {
        await source.exportDisk(vm, to, AbortSignal.timeout(afterMs)).catch(() => undefined);
        expect(await look(vm)).toMatchObject({ power: "off", complete: true });
      }
      await source.exportDisk(vm, to);
      const from = { ...to, path: end.exported(destination, vm) };
      await end.carry(to.path, from.path);
      for (const afterMs of [0, 5, 15, 40]) {
        const cut = AbortSignal.timeout(afterMs);
        await destination.importDisk(moved(vm), from, cut).catch(() => undefined);
        const seen = await end.lookAt(second, vm);
        expect([undefined, 2]).toContain(seen?.ownerEpoch);
        expect([undefined, "off"]).toContain(seen?.power);
      }
      await destination.importDisk(moved(vm), from);
      expect(await end.lookAt(second, vm)).toMatchObject({ complete: true, power: "off" });
      expect(await end.contentOf(second, moved(vm))).toBe(await end.contentOf(kit.driver, vm));
      await second.destroy(moved(vm));
      await kit.driver.destroy(vm);
    });

    test("a VM that was released does not start, nor is it changed, until it is held again", async (context) => {
      const { source } = ends(context);
      const vm = await started();
      await expect(source.release(vm)).rejects.toEqual(code("must_be_off"));
      await kit.driver.stop(vm, "firm");
      for (let times = 0; times < 2; times++) await source.release(vm);
      const reopened = (await kit.host.reopen?.()) ?? kit.driver;
      for (const driver of [kit.driver, reopened])
        await expect(driver.start(vm)).rejects.toEqual(code("stale_epoch"));
      const bigger = { ...vm, size: { ...vm.size, memoryMib: vm.size.memoryMib + 64 } };
      await expect(kit.driver.resize(bigger)).rejects.toEqual(code("stale_epoch"));
      // It is reported as it is.
      expect(await look(vm)).toMatchObject({ power: "off", complete: true, ownerEpoch: 1 });
      for (let times = 0; times < 2; times++) await source.hold(vm);
      await kit.driver.start(vm);
      expect(await look(vm)).toMatchObject({ power: "running" });
      await kit.driver.stop(vm, "firm");
      await source.release(vm);
      await kit.driver.destroy(vm);
      expect(await look(vm)).toBeNull();
    });

    test("a claim leaves it released", async (context) => {
      const { source } = ends(context);
      const unclaimed = await kit.host.openFor(null);
      const vm = kit.order();
      await unclaimed.create(vm);
      await source.release(vm);
      const ours = await kit.host.openFor(crypto.randomUUID());
      expect(await ours.claim([vm])).toBe(1);
      await expect(ours.start(vm)).rejects.toEqual(code("stale_epoch"));
      await ours.destroy(vm);
      await Promise.all([unclaimed.close(), ours.close()]);
    });

    test("calls in another epoch are refused", async (context) => {
      const { source, destination, format, exported, sent, second, moved } = ends(context);
      const vm = await created({ ownerEpoch: 2 });
      for (const ownerEpoch of [1, 3]) {
        const other = { ...vm, ownerEpoch };
        const to = { path: exported(source, vm), format, base: null };
        const calls = {
          describe: await outcome(source.describe(other).then(() => undefined)),
          exportDisk: await outcome(source.exportDisk(other, to)),
          release: await outcome(source.release(other)),
          hold: await outcome(source.hold(other)),
        };
        expect(Object.values(calls)).toEqual(Array(4).fill("stale_epoch"));
      }
      await kit.driver.start(vm);
      await kit.driver.stop(vm, "firm");
      const from = await sent(vm);
      await destination.importDisk(moved(vm), from);
      await expect(destination.importDisk({ ...vm, ownerEpoch: 4 }, from)).rejects.toEqual(
        code("stale_epoch"),
      );
      await second.destroy(moved(vm));
      await kit.driver.destroy(vm);
    });

    test("an import never writes over a disk that was started", async (context) => {
      const { destination, second, moved, ...end } = ends(context);
      const vm = await created();
      const there = moved(vm);
      await second.create(there);
      await second.start(there);
      await second.stop(there, "firm");
      await end.mark(vm);
      const from = await end.sent(vm);
      const before = await end.contentOf(second, there);
      await expect(destination.importDisk(there, from)).rejects.toEqual(code("unsupported"));
      expect(await end.contentOf(second, there)).toBe(before);
      expect(await end.lookAt(second, vm)).toMatchObject({ power: "off", complete: true });
      await second.destroy(there);
      await kit.driver.destroy(vm);
    });

    test("a file that holds a disk of another size is refused, and makes nothing", async (context) => {
      const { destination, second, sent, moved, lookAt } = ends(context);
      const vm = await created({ size: { vcpus: 1, memoryMib: 128, diskGib: 2 } });
      const from = await sent(vm);
      for (const diskGib of [1, 3]) {
        const other = { ...moved(vm), size: { ...vm.size, diskGib } };
        await expect(destination.importDisk(other, from)).rejects.toEqual(code("unsupported"));
        expect(await lookAt(second, vm)).toBeNull();
      }
      await destination.importDisk(moved(vm), from);
      await second.destroy(moved(vm));
      await kit.driver.destroy(vm);
    });

    test("without a received file, and without the VM, an import fails", async (context) => {
      const { destination, format, exported } = ends(context);
      const vm = kit.order();
      const from = { path: exported(destination, vm), format, base: null };
      expect(await outcome(destination.importDisk(vm, from))).toBe("driver_failed");
      expect(await look(vm)).toBeNull();
    });
  });
}
