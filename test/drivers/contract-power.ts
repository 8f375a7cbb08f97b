import { describe, expect, test } from "vitest";
import { limitsOf } from "#core/hosts/limits.ts";
import { eventually } from "./builders.ts";
import type { ContractKit } from "./contract-kit.ts";

/** Start, stop, reset, and what a VM is made of. */
export function powerAndSizeContract(kit: ContractKit): void {
  const { created, started, look, code, outcome, patience } = kit;

  describe("power", () => {
    test("start gives a boot epoch, which a second start keeps", async () => {
      const vm = await started();
      const first = await look(vm);
      expect(first).toMatchObject({ power: "running", complete: true });
      expect(first?.bootEpoch).toEqual(expect.any(String));
      await kit.driver.start(vm);
      expect(await look(vm)).toMatchObject({ power: "running", bootEpoch: first?.bootEpoch });
      await kit.driver.destroy(vm);
    });

    test("a firm stop leaves it off, twice too, and the next start has another boot epoch", async () => {
      const vm = await started();
      const first = await look(vm);
      await kit.driver.stop(vm, "firm");
      await kit.driver.stop(vm, "firm");
      expect(await look(vm)).toMatchObject({ power: "off", bootEpoch: null, guest: null });
      await kit.driver.start(vm);
      const second = await look(vm);
      expect(second?.power).toBe("running");
      expect(second?.bootEpoch).not.toBe(first?.bootEpoch);
      await kit.driver.destroy(vm);
    });

    test("a graceful stop only asks, may be asked again, and a firm one ends it", async () => {
      const vm = await started();
      const { capabilities } = await kit.driver.facts();
      const expected = capabilities.gracefulStop ? "done" : "unsupported";
      expect(await outcome(kit.driver.stop(vm, "graceful"))).toBe(expected);
      expect(await outcome(kit.driver.stop(vm, "graceful"))).toSatisfy(
        // A guest that was quick is off already, and asking it again is then no error.
        (second) => second === expected || second === "done",
      );
      expect(["running", "stopping", "off"]).toContain((await look(vm))?.power);
      await kit.driver.stop(vm, "firm");
      expect(await look(vm)).toMatchObject({ power: "off" });
      await kit.driver.stop(vm, "graceful");
      await kit.driver.destroy(vm);
    });

    test("a reset keeps the VM running, and is refused while it is off", async () => {
      const vm = await created();
      await expect(kit.driver.once(vm, "reset")).rejects.toEqual(code("unsupported"));
      await kit.driver.start(vm);
      await kit.driver.once(vm, "reset");
      expect(await look(vm)).toMatchObject({ power: "running", ownerEpoch: 1 });
      await kit.driver.destroy(vm);
    });

    test("the guest is seen under the hostname that was ordered", async (context) => {
      if (kit.host.guestSeen === false) context.skip("no evidence from this guest");
      const vm = await started({ hostname: "seen.example.com" });
      const guest = await eventually(
        "evidence from the guest",
        async () => (await look(vm))?.guest,
        patience(),
        kit.host.slow ? 500 : 20,
      );
      // A guest may keep the first label alone, as `hostname` prints it.
      expect(["seen", "seen.example.com"]).toContain(guest.hostname);
      await kit.driver.destroy(vm);
    });
  });

  describe("the seed", () => {
    test("is there until it is erased, which a running VM outlives, as do a resize and a start", async () => {
      const vm = await started();
      const before = await look(vm);
      expect(before).toMatchObject({ seeded: true });
      await kit.driver.eraseSeed(vm);
      await kit.driver.eraseSeed(vm);
      expect(await look(vm)).toMatchObject({
        power: "running",
        complete: true,
        seeded: false,
        bootEpoch: before?.bootEpoch,
      });
      await kit.driver.create(vm);
      expect(await look(vm)).toMatchObject({ seeded: false });
      await kit.driver.stop(vm, "firm");
      await kit.driver.resize({ ...vm, size: { ...vm.size, memoryMib: vm.size.memoryMib + 32 } });
      await kit.driver.start(vm);
      expect(await look(vm)).toMatchObject({ power: "running", complete: true, seeded: false });
      await kit.driver.destroy(vm);
    });

    test("of a VM that is off can be erased too, but not another epoch's", async () => {
      const vm = await created({ ownerEpoch: 2 });
      await expect(kit.driver.eraseSeed({ ...vm, ownerEpoch: 1 })).rejects.toEqual(
        code("stale_epoch"),
      );
      await kit.driver.eraseSeed(vm);
      expect(await look(vm)).toMatchObject({ power: "off", complete: true, seeded: false });
      await kit.driver.start(vm);
      await kit.driver.destroy(vm);
    });
  });

  describe("resize", () => {
    const bigger = { vcpus: 2, memoryMib: 192, diskGib: 2 };

    test("of a VM that is off gives it the size, twice too", async () => {
      const vm = await created();
      await kit.driver.resize({ ...vm, size: bigger });
      await kit.driver.resize({ ...vm, size: bigger });
      expect(await look(vm)).toMatchObject({ power: "off", size: bigger });
      await kit.driver.start(vm);
      expect(await look(vm)).toMatchObject({ power: "running", size: bigger });
      await kit.driver.destroy(vm);
    });

    test("to less memory and fewer vCPUs works while it is off", async () => {
      const vm = await created({ size: { ...bigger, diskGib: 1 } });
      await kit.driver.resize({ ...vm, size: { vcpus: 1, memoryMib: 128, diskGib: 1 } });
      expect(await look(vm)).toMatchObject({ size: { vcpus: 1, memoryMib: 128, diskGib: 1 } });
      await kit.driver.destroy(vm);
    });

    test("to a smaller disk is refused and changes nothing", async () => {
      const vm = await created({ size: { vcpus: 1, memoryMib: 128, diskGib: 2 } });
      const smaller = { vcpus: 2, memoryMib: 192, diskGib: 1 };
      await expect(kit.driver.resize({ ...vm, size: smaller })).rejects.toEqual(
        code("unsupported"),
      );
      expect(await look(vm)).toMatchObject({ size: vm.size });
      await kit.driver.destroy(vm);
    });

    test("beyond what the host's hypervisor supports is refused and changes nothing, off and on", async () => {
      const vm = await created();
      const limits = limitsOf(await kit.driver.facts());
      const sizes = [
        { ...bigger, vcpus: limits.vmVcpus + 1 },
        { ...bigger, memoryMib: limits.vmMemoryMib + limits.vmMemoryStepMib },
        // What is between the steps of its memory is as much refused, where there are steps.
        ...(limits.vmMemoryStepMib > 1 ? [{ ...bigger, memoryMib: bigger.memoryMib + 1 }] : []),
        { ...bigger, diskGib: limits.vmDiskGib + 1 },
      ];
      for (const power of ["off", "running"]) {
        if (power === "running") await kit.driver.start(vm);
        const before = await look(vm);
        for (const size of sizes)
          await expect(kit.driver.resize({ ...vm, size })).rejects.toEqual(code("beyond_limits"));
        expect(await look(vm)).toMatchObject({
          power,
          size: vm.size,
          bootEpoch: before?.bootEpoch,
        });
      }
      await kit.driver.destroy(vm);
    });

    test("of a running VM is done whole, or refused as a whole", async () => {
      const vm = await started();
      const { capabilities } = await kit.driver.facts();
      const attempts = [
        { allowed: capabilities.hotDiskGrow, size: { ...vm.size, diskGib: 2 } },
        { allowed: capabilities.hotResize, size: { ...bigger, diskGib: 2 } },
      ];
      for (const { allowed, size } of attempts) {
        const before = await look(vm);
        const came = await outcome(kit.driver.resize({ ...vm, size }));
        expect(allowed ? ["done", "must_be_off"] : ["must_be_off"]).toContain(came);
        expect(await look(vm)).toMatchObject({
          power: "running",
          bootEpoch: before?.bootEpoch,
          size: came === "done" ? size : before?.size,
        });
      }
      await kit.driver.destroy(vm);
    });
  });
}
