import { mkdir, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import type { Clock } from "#core/ports.ts";
import type { FirstBootSecrets } from "../driver.ts";
import { firstBootVolume } from "../first-boot.ts";
import { isoImage } from "../iso9660.ts";

/**
 * Writes the first-boot seed of a VM as `<staging>/<vmId>.iso`, whole or not at all; `agent.ps1` moves it to the VM.
 */
export async function stageSeed(
  staging: string,
  vm: DesiredVm,
  clock: Clock,
  secrets: FirstBootSecrets | undefined,
  signal?: AbortSignal,
): Promise<void> {
  const image = isoImage({ ...(await firstBootVolume(vm, secrets, signal)), at: clock.now() });
  const file = path.join(staging, `${vm.vmId}.iso`);
  await mkdir(staging, { recursive: true });
  // Readable by the agent and by Hyper-V's service alone; on Windows the folder's own rights decide (runbook).
  await writeFile(`${file}.new`, image, { mode: 0o600 });
  await rename(`${file}.new`, file);
}
