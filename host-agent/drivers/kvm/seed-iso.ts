import { chmod, mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import type { FirstBootVolume } from "../first-boot.ts";
import { syncFile } from "./disks.ts";
import { fileModeIn } from "./file-rights.ts";
import { runProgram } from "./run-program.ts";

/**
 * Writes a first-boot volume as an ISO 9660. It holds secrets, so that only its owner may read it, or the hypervisor's group
 * (`fileModeIn`). It replaces an earlier one of the same VM as a whole, once `allowed` has come true.
 */
export async function writeSeedIso(
  { volume, files }: FirstBootVolume,
  iso: string,
  allowed: Promise<unknown>,
  signal?: AbortSignal,
): Promise<void> {
  const staging = await mkdtemp(`${iso}.part-`);
  try {
    const tree = path.join(staging, "seed");
    const part = path.join(staging, "seed.iso");
    await mkdir(tree);
    await Promise.all([
      writeFile(part, "", { mode: 0o600 }),
      ...Object.entries(files).map(async ([name, text]) => {
        await mkdir(path.dirname(path.join(tree, name)), { recursive: true });
        await writeFile(path.join(tree, name), text);
      }),
    ]);
    await runProgram(
      "genisoimage",
      ["-quiet", "-volid", volume, "-joliet", "-rock", "-output", part, tree],
      { signal },
    );
    await chmod(part, await fileModeIn(path.dirname(iso)));
    await syncFile(part);
    await allowed;
    await rename(part, iso);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}
