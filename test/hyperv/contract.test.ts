import { existsSync } from "node:fs";
import { copyFile, mkdir, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import type { VmDriver, VmRef } from "#host-agent/drivers/driver.ts";
import type { OpenedMoves } from "../drivers/contract-kit.ts";
import { driverContract } from "../drivers/contract.ts";
import { diskOf, sumOfContent, writeTo } from "./moved-disks.ts";
import { aWorld, noPwsh, noQemuImg, type World } from "./world.ts";

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

/** Another host, and what guests on either see of their disks. */
async function openMoves(world: World, second: World, driver: VmDriver): Promise<OpenedMoves> {
  const hosts = new Map([[driver, world]]);
  const other = second.open();
  hosts.set(other, second);
  for (const { moves } of hosts.keys())
    if (moves !== null) await mkdir(moves.folder, { recursive: true });
  let marks = 0;
  return {
    format: "vhdx",
    second: other,
    mark: (vm: VmRef) => writeTo(diskOf(world, vm), 512 * ++marks, `mark ${marks}`),
    contentOf: (on, vm) => sumOfContent(diskOf(hosts.get(on) ?? world, vm)),
    carry: copyFile,
    isThere: async (file) => existsSync(file),
  };
}

for (const Windows of ["2012r2", "2022"] as const)
  driverContract(
    `Hyper-V of ${Windows}, agent.ps1 in PowerShell 7 over a stand-in module`,
    async () => {
      const [world, second] = await Promise.all([aWorld({ Windows }), aWorld({ Windows })]);
      const driver = world.open();
      return {
        // On one version: each call that is cut short costs a PowerShell, and moves ask for the same cmdlets on both.
        // Without qemu-img the stand-in's disks are none that could be moved.
        ...(noQemuImg === null && Windows === "2022"
          ? { driver, moves: await openMoves(world, second, driver) }
          : { driver: { ...driver, moves: null } }),
        image: world.image,
        reopen: async () => world.open(),
        openFor: async (installation) => world.open({ installation: () => installation }),
        plantForeign: (vmId) => plantForeign(world, vmId),
        close: async () => {
          await Promise.all([world.close(), second.close()]);
        },
      };
    },
    noPwsh,
  );
