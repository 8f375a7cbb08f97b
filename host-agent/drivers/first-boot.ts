import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { administratorPassword, asksForPassword, type FirstBootSecrets } from "./driver.ts";
import { seedFiles } from "./seed.ts";
import { windowsSeedFiles } from "./windows-first-boot.ts";

/** A first-boot seed, as the volume label and the files of one CD, by their paths on it. */
export type FirstBootVolume = Readonly<{ volume: string; files: Readonly<Record<string, string>> }>;

/**
 * The seed that a VM's guest understands: NoCloud (volume `cidata`) for Linux and FreeBSD, an answer file and a config
 * drive for Windows. Asks for a password only where the VM is to have one, and holds it no longer than the
 * files. Throws `unsupported` for what the guest could not read back, and without `secrets` where they are needed.
 */
export async function firstBootVolume(
  vm: DesiredVm,
  secrets: FirstBootSecrets | undefined,
  signal?: AbortSignal,
): Promise<FirstBootVolume> {
  const password = asksForPassword(vm) ? await administratorPassword(secrets, signal) : null;
  if (vm.image.os !== "windows" || password === null)
    return { volume: "cidata", files: seedFiles(vm, password) };
  return { volume: "config-2", files: windowsSeedFiles(vm, password) };
}
