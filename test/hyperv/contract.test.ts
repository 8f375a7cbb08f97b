import { rename, writeFile } from "node:fs/promises";
import path from "node:path";
import { driverContract } from "../drivers/contract.ts";
import { aWorld, noPwsh, type World } from "./world.ts";

/** A VM as a person would make it by hand: named like one of ours, in a folder of its own, without a tag. */
async function plantForeign(world: World, vmId: string): Promise<void> {
  const id = crypto.randomUUID();
  const file = path.join(world.env["BERTH_HYPERV_STATE"] ?? "", "vms", `${id}.json`);
  const vm = {
    Id: id,
    Name: vmId,
    State: 3,
    Notes: "made by hand",
    Path: `/elsewhere/${vmId}`,
    Generation: 2,
    ProcessorCount: 1,
    MemoryStartup: 2 ** 30,
    AutomaticStartAction: 2,
    AutomaticStopAction: 4,
    CheckpointType: 3,
    HardDrives: [],
    DVDDrives: [],
    NetworkAdapters: [],
    StandinSnapshots: [],
  };
  await writeFile(`${file}.new`, JSON.stringify(vm));
  await rename(`${file}.new`, file);
}

for (const Windows of ["2012r2", "2022"] as const)
  driverContract(
    `Hyper-V of ${Windows}, agent.ps1 in PowerShell 7 over a stand-in module`,
    async () => {
      const world = await aWorld({ Windows });
      return {
        driver: world.open(),
        image: world.image,
        reopen: async () => world.open(),
        openFor: async (installation) => world.open({ installation: () => installation }),
        plantForeign: (vmId) => plantForeign(world, vmId),
        close: world.close,
      };
    },
    noPwsh,
  );
