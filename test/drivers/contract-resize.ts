import { describe, expect, test } from "vitest";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { limitsOf } from "#core/hosts/limits.ts";
import type { ContractKit } from "./contract-kit.ts";

/** What a VM is made of, and limited to. */
export function sizeContract(kit: ContractKit): void {
  const { created, started, look, code, outcome } = kit;

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

  describe("6a 2: resize with limits", () => {
    /** As far as this host can: what it cannot limit it is not asked to. */
    async function limited(vm: DesiredVm, bandwidthMbit: number | null, diskIops: number | null) {
      const { bandwidthLimit, iopsLimit } = (await kit.driver.facts()).capabilities;
      const limits = {
        bandwidthMbit: bandwidthLimit ? bandwidthMbit : null,
        diskIops: iopsLimit ? diskIops : null,
      };
      const nics = vm.nics.map((nic) => ({ ...nic, bandwidthMbit: limits.bandwidthMbit }));
      return { limits, vm: { ...vm, nics, diskIops: limits.diskIops } };
    }

    test("a VM is made with its limits, which are seen off and on", async () => {
      const { vm, limits } = await limited(kit.order(), 40, 700);
      await kit.driver.create(vm);
      expect(await look(vm)).toMatchObject({ power: "off", size: vm.size, limits });
      await kit.driver.start(vm);
      expect(await look(vm)).toMatchObject({ power: "running", size: vm.size, limits });
      await kit.driver.destroy(vm);
    });

    test("limits are set, changed and taken away while it is off, twice too", async () => {
      const plain = await created();
      for (const [mbit, iops] of [
        [40, 700],
        [80, 300],
        [null, 300],
        [null, null],
      ] as const) {
        const { vm, limits } = await limited(plain, mbit, iops);
        for (let times = 0; times < 2; times++) {
          await kit.driver.resize(vm);
          expect(await look(vm)).toMatchObject({ power: "off", size: vm.size, limits });
        }
      }
      await kit.driver.destroy(plain);
    });

    test("limits are changed while it runs, whose guest runs on, and hold over a restart", async () => {
      const plain = await started();
      const before = await look(plain);
      for (const [mbit, iops] of [
        [40, 700],
        [80, 300],
        [null, null],
        [60, 500],
      ] as const) {
        const { vm, limits } = await limited(plain, mbit, iops);
        for (let times = 0; times < 2; times++) await kit.driver.resize(vm);
        expect(await look(vm)).toMatchObject({
          power: "running",
          bootEpoch: before?.bootEpoch,
          limits,
        });
      }
      const { limits } = await limited(plain, 60, 500);
      await kit.driver.stop(plain, "firm");
      expect(await look(plain)).toMatchObject({ power: "off", limits });
      await kit.driver.start(plain);
      expect(await look(plain)).toMatchObject({ power: "running", limits });
      await kit.driver.destroy(plain);
    });

    test("size and limits change together, and a resize that was cut short goes on", async () => {
      const plain = await created();
      const bigger = { vcpus: 2, memoryMib: 192, diskGib: 2 };
      const { vm, limits } = await limited({ ...plain, size: bigger }, 40, 700);
      for (const afterMs of [0, 5, 15, 30]) {
        await kit.driver.resize(vm, AbortSignal.timeout(afterMs)).catch(() => undefined);
        expect(await look(vm)).toMatchObject({ power: "off", complete: true });
      }
      await kit.driver.resize(vm);
      expect(await look(vm)).toMatchObject({ size: bigger, limits });
      await kit.driver.destroy(vm);
    });

    test("a limit that the host cannot hold it to is refused, and changes nothing", async () => {
      const { bandwidthLimit, iopsLimit } = (await kit.driver.facts()).capabilities;
      const vm = await created();
      const nics = vm.nics.map((nic) => ({ ...nic, bandwidthMbit: 40 }));
      const attempts = [
        { can: bandwidthLimit, wanted: { nics }, limits: { bandwidthMbit: 40, diskIops: null } },
        {
          can: iopsLimit,
          wanted: { diskIops: 700 },
          limits: { bandwidthMbit: null, diskIops: 700 },
        },
      ];
      for (const power of ["off", "running"]) {
        if (power === "running") await kit.driver.start(vm);
        for (const { can, wanted, limits } of attempts) {
          const came = await outcome(kit.driver.resize({ ...vm, ...wanted }));
          expect(came).toBe(can ? "done" : "unsupported");
          const none = { bandwidthMbit: null, diskIops: null };
          expect(await look(vm)).toMatchObject({
            power,
            size: vm.size,
            limits: can ? limits : none,
          });
          await kit.driver.resize(vm);
        }
      }
      await kit.driver.destroy(vm);
      for (const { can, wanted } of attempts) {
        const other = kit.order(wanted);
        expect(await outcome(kit.driver.create(other))).toBe(can ? "done" : "unsupported");
        await kit.driver.destroy(other);
      }
    });

    test("vCPUs come while it runs, as many as it says that may, and go only while it is off", async () => {
      const vm = await started();
      const { hotResize, hotVcpus: adds } = (await kit.driver.facts()).capabilities;
      const before = await look(vm);
      const can = hotResize && adds === true;
      const most = can ? (before?.hotVcpus ?? 1) : 1;
      expect(most > 1).toBe(can);
      const give = async (vcpus: number) => {
        const came = await outcome(kit.driver.resize({ ...vm, size: { ...vm.size, vcpus } }));
        return [came, (await look(vm))?.size.vcpus];
      };
      const has = can ? 2 : 1;
      const story = [
        ...(can ? [{ vcpus: 2, comes: "done" }] : []),
        { vcpus: most + 1, comes: "must_be_off" },
        ...(can ? [{ vcpus: 1, comes: "must_be_off" }] : []),
      ];
      for (const { vcpus, comes } of story) expect(await give(vcpus)).toEqual([comes, has]);
      expect(await look(vm)).toMatchObject({ power: "running", bootEpoch: before?.bootEpoch });
      await kit.driver.stop(vm, "firm");
      expect((await look(vm))?.size.vcpus).toBe(has);
      expect(await give(1)).toEqual(["done", 1]);
      await kit.driver.destroy(vm);
    });
  });
}
