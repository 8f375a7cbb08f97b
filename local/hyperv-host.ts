import { mkdir, readdir, writeFile } from "node:fs/promises";
import path from "node:path";
import type { VmDriver } from "#host-agent/drivers/driver.ts";
import { createHypervDriver } from "#host-agent/drivers/hyperv/driver.ts";
import { pwsh, standinModule } from "#test/hyperv/world.ts";
import type { LocalHost } from "./agents.ts";
import { imageFilesFor } from "./seed.ts";

const GIB = 2 ** 30;

/** .NET takes memory before it collects garbage, of which PowerShell makes much. What lives here are a few VMs' descriptions. */
const FRUGAL_DOTNET = {
  DOTNET_GCHeapHardLimit: "0x2800000", // 40 MiB
  DOTNET_gcConcurrent: "0",
  DOTNET_TieredPGO: "0",
};

/** More than lies between two looks at a host that has VMs. */
const IDLE_MS = 20_000;

/**
 * A host with the real Hyper-V driver: its real PowerShell script in a real PowerShell 7, over the stand-in for
 * Microsoft's module that the tests use. Undefined where there is no PowerShell (`npm run pwsh:install`).
 */
export function hypervStandInHost(name: string): LocalHost | undefined {
  const executable = pwsh;
  if (executable === undefined) return undefined;
  return {
    name,
    open: async (folder, ports) => {
      const state = path.join(folder, "standin");
      const vms = path.join(state, "vms");
      const images = path.join(folder, "images");
      await mkdir(vms, { recursive: true });
      await mkdir(images, { recursive: true });
      await writeFile(
        path.join(state, "host.json"),
        JSON.stringify({
          Windows: "2025",
          Switch: "Public",
          LogicalProcessors: 64,
          MemoryBytes: 512 * GIB,
          GuestBootMs: 3500,
          GuestShutdownMs: 1000,
          DelayMs: {},
        }),
      );
      for (const { file, diskGib } of imageFilesFor("hyperv"))
        await writeFile(
          path.join(images, `${file}.vhdx`),
          JSON.stringify({ Type: "Dynamic", Size: diskGib * GIB, Parent: null }),
        );
      const driver = createHypervDriver({
        ...ports,
        root: path.join(folder, "berth"),
        images,
        switch: "Public",
        accelerator: "simulated",
        powershell: {
          executable,
          module: standinModule,
          env: { BERTH_HYPERV_STATE: state, ...FRUGAL_DOTNET },
          idleMs: IDLE_MS,
        },
      });
      return restfulWhileEmpty(driver, vms);
    },
  };
}

/**
 * Without PowerShell, which takes 130 MB, while the stand-in holds no VM: its folder of VMs says the same then. What
 * is asked of a VM, or of the host itself, starts one; it ends when nothing is asked for a while.
 */
function restfulWhileEmpty(driver: VmDriver, vms: string): VmDriver {
  const isEmpty = async () => !(await readdir(vms)).some((name) => name.endsWith(".json"));
  return {
    ...driver,
    list: async (signal) => ((await isEmpty()) ? [] : driver.list(signal)),
    counters: async (signal) => ((await isEmpty()) ? [] : driver.counters(signal)),
    guard: async (wanted, signal) => {
      if (!(await isEmpty())) await driver.guard(wanted, signal);
    },
    claim: async (wanted, signal) => ((await isEmpty()) ? 0 : driver.claim(wanted, signal)),
  };
}
