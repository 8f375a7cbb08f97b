import { openDriver } from "#host-agent/drivers/open-driver.ts";
import { NO_DELAYS } from "#host-agent/drivers/simulated/delays.ts";
import { createSimulatedDriver } from "#host-agent/drivers/simulated/driver.ts";
import { memoryWorld } from "#host-agent/drivers/simulated/world.ts";
import type { LocalHost } from "./agents.ts";
import { hypervStandInHost } from "./hyperv-host.ts";
import { imageFilesFor } from "./seed.ts";

/** The size of a simulated host: two sockets of a common server. */
const SIZE = { cpuThreads: 64, memoryMib: 262_144, diskGib: 8000 };

const simulated = (
  name: string,
  hypervisor: "kvm" | "hyperv",
  delays: "realistic" | "off",
): LocalHost => ({
  name,
  open: (folder, ports) =>
    openDriver(
      "simulated",
      {
        world: `${folder}/world`,
        hypervisor,
        delays,
        host: SIZE,
        images: imageFilesFor(hypervisor).map(({ file }) => file),
      },
      ports,
    ),
});

/** What `npm start` runs: a simulated KVM host, and Hyper-V's real driver where there is a PowerShell for it. */
export const startedHosts = (): readonly LocalHost[] => [
  simulated("kvm-1", "kvm", "realistic"),
  hypervStandInHost("hyperv-1") ?? simulated("hyperv-1", "hyperv", "realistic"),
];

/** One host of each hypervisor, both simulated. */
export const simulatedHosts = (): readonly LocalHost[] => [
  simulated("kvm-1", "kvm", "realistic"),
  simulated("hyperv-1", "hyperv", "realistic"),
];

export const instant = (name: string, hypervisor: "kvm" | "hyperv"): LocalHost => ({
  name,
  open: async (folder, ports) =>
    createSimulatedDriver({
      ...ports,
      hypervisor,
      delays: NO_DELAYS,
      host: SIZE,
      images: imageFilesFor(hypervisor).map(({ file }) => file),
      world: memoryWorld(),
      moves: { folder: `${folder}/moves` },
    }),
});

/** The same without delays and in memory: what a benchmark of the line measures is then the line. */
export const instantHosts = (): readonly LocalHost[] => [
  instant("kvm-1", "kvm"),
  instant("hyperv-1", "hyperv"),
];
