import { mkdir, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import type { DesiredVm } from "#core/contracts/agent.ts";
import type { Clock } from "#core/ports.ts";
import { DriverError } from "../driver.ts";
import { isoImage } from "../iso9660.ts";
import { seedFiles } from "../seed.ts";
import { windowsSeedFiles } from "./windows-first-boot.ts";

type SeedSources = Readonly<{
  clock: Clock;
  administratorPassword?: (vm: DesiredVm) => Promise<string>;
}>;

/**
 * Writes the first-boot seed of a VM as `<staging>/<vmId>.iso`, whole or not at all; `agent.ps1` moves it to the VM.
 * Linux and FreeBSD read it as NoCloud (volume `cidata`), Windows as an answer file and a config drive.
 */
export async function stageSeed(
  staging: string,
  vm: DesiredVm,
  sources: SeedSources,
): Promise<void> {
  const image = isoImage({ ...(await seed(vm, sources)), at: sources.clock.now() });
  const file = path.join(staging, `${vm.vmId}.iso`);
  await mkdir(staging, { recursive: true });
  // Readable by the agent and by Hyper-V's service alone; on Windows the folder's own rights decide (runbook).
  await writeFile(`${file}.new`, image, { mode: 0o600 });
  await rename(`${file}.new`, file);
}

async function seed(vm: DesiredVm, sources: SeedSources) {
  if (vm.image.os !== "windows") return { volume: "cidata", files: { ...seedFiles(vm) } };
  if (!sources.administratorPassword)
    throw new DriverError("unsupported", "this host has no source of one-time passwords");
  const password = await sources.administratorPassword(vm);
  return { volume: "config-2", files: windowsSeedFiles(vm, password) };
}
