import { describe, expect, test } from "vitest";
import { eventually } from "./builders.ts";
import type { ContractKit } from "./contract-kit.ts";

/** Start, stop, reset, and the seed. */
export function powerContract(kit: ContractKit): void {
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
}
