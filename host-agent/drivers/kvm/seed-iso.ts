import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import type { SeedFiles } from "../seed.ts";
import { syncFile } from "./disks.ts";
import { runProgram } from "./run-program.ts";

/**
 * Writes a NoCloud volume: the four files on an ISO 9660 labelled `cidata`. It holds the customer's own secrets, so
 * that only its owner may read it. It replaces an earlier one of the same VM as a whole, once `allowed` has come true.
 */
export async function writeSeedIso(
  files: SeedFiles,
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
      ...Object.entries(files).map(([name, text]) => writeFile(path.join(tree, name), text)),
    ]);
    await runProgram(
      "genisoimage",
      ["-quiet", "-volid", "cidata", "-joliet", "-rock", "-output", part, tree],
      { signal },
    );
    await syncFile(part);
    await allowed;
    await rename(part, iso);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}
