import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, test } from "vitest";
import type { VmDriver } from "#host-agent/drivers/driver.ts";
import { CAPABILITIES } from "#host-agent/drivers/capabilities.ts";
import { simulatedHosts, startedHosts } from "#local/hosts.ts";
import { imageFilesFor } from "#local/seed.ts";
import { aDesiredVm, anImage, randomIds, realClock, SECRETS } from "../drivers/builders.ts";
import { noPwsh } from "./world.ts";

const ports = {
  clock: realClock,
  ids: randomIds,
  log: { info: () => undefined, error: () => undefined },
  agentVersion: "test",
};
async function onHost(
  hosts: typeof startedHosts,
  use: (driver: VmDriver) => Promise<void>,
): Promise<void> {
  const host = hosts().find((one) => one.name === "hyperv-1");
  const folder = await mkdtemp(path.join(tmpdir(), "berth-local-"));
  const driver = await host?.open(folder, ports);
  if (!driver) throw new Error("there is a Hyper-V host");
  await use(driver);
  await driver.close();
  await rm(folder, { recursive: true, force: true });
}

describe("the Hyper-V host of `npm start`", () => {
  test.skipIf(noPwsh !== null)(
    `makes a VM of every image that is sold on Hyper-V, Windows among them${noPwsh ? ` (skipped: ${noPwsh})` : ""}`,
    () =>
      onHost(startedHosts, async (driver) => {
        const files = imageFilesFor("hyperv");
        expect(files.map(({ file }) => file)).toContain("windows-server-2025");
        for (const { file, diskGib } of files) {
          const os = file.startsWith("windows") ? "windows" : "linux";
          const size = { vcpus: 2, memoryMib: 4096, diskGib: Math.max(40, diskGib) };
          const vm = aDesiredVm({ image: anImage({ file, os }), size });
          await driver.create(vm, undefined, SECRETS);
          await driver.start(vm);
          expect((await driver.list()).find((one) => one.vmId === vm.vmId)).toMatchObject({
            power: "running",
            complete: true,
            size,
          });
        }
      }),
  );

  test.skipIf(noPwsh !== null)("needs no PowerShell to say that it holds no VM", () =>
    onHost(startedHosts, async (driver) => {
      await driver.facts();
      await driver.close(); // from here on whatever asks PowerShell is refused
      expect(await driver.list()).toEqual([]);
      expect(await driver.counters()).toEqual([]);
      await driver.guard([aDesiredVm()]);
      expect(await driver.claim([aDesiredVm()])).toBe(0);
    }),
  );

  test("is simulated where there is no PowerShell, and can do what the real driver can", () =>
    onHost(simulatedHosts, async (driver) => {
      expect(await driver.facts()).toMatchObject({
        hypervisor: "hyperv",
        capabilities: CAPABILITIES.hyperv,
      });
      const vm = aDesiredVm({ size: { vcpus: 1, memoryMib: 131, diskGib: 1 } });
      await expect(driver.create(vm)).rejects.toMatchObject({ code: "beyond_limits" });
    }));
});
