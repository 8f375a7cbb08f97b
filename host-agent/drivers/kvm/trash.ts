import { mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { DriverError, type VmRef } from "../driver.ts";
import { errnoOf } from "./run-program.ts";
import { fileStem, tagOfFile } from "./tag.ts";

/** What the definition is called there. */
export const DEFINITION = "domain.xml";

/**
 * The host's trash: one folder a destroyed VM, named by the instant and the VM's tag, with its disk, its seed, its
 * console's log and its definition: all that is needed to bring it back by hand.
 */
const NAME = /^(\d{8}T\d{9}Z)_(.+)$/;

/** Moves files to a new folder of the trash, by renaming. Files that are gone already are passed over. */
export async function moveToTrash(
  trashDir: string,
  ref: VmRef,
  files: readonly string[],
  definition: string | null,
  now: Date,
): Promise<string> {
  const folder = path.join(trashDir, `${stamp(now)}_${fileStem(ref)}.vm`);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  // The definition first: whatever a crash leaves to the next attempt, what was moved can be read.
  if (definition !== null)
    await writeFile(path.join(folder, DEFINITION), definition, { mode: 0o600 });
  const names = new Set<string>();
  for (const [n, file] of files.entries()) {
    const name = path.basename(file);
    // Others' layers may lie in folders of their own, under one name.
    await moveOne(file, path.join(folder, names.has(name) ? `${n}-${name}` : name));
    names.add(name);
  }
  return folder;
}

async function moveOne(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return;
    if (errnoOf(error) === "EXDEV")
      throw new DriverError(
        "driver_failed",
        `the trash is on another file system than ${from}: put both on one`,
        { cause: error },
      );
    throw error;
  }
}

/** The newest folder there that holds the disk of a VM in this owner epoch; null: there is none. */
export async function findInTrash(trashDir: string, ref: VmRef): Promise<string | null> {
  const mine = (await readdir(trashDir))
    .filter((name) => NAME.exec(name)?.[2]?.startsWith(`${fileStem(ref)}.`))
    .toSorted()
    .toReversed();
  for (const name of mine) {
    const folder = path.join(trashDir, name);
    if ((await readdir(folder)).includes(`${fileStem(ref)}.qcow2`)) return folder;
  }
  return null;
}

/** Deletes what was put there of this one VM, whenever that was. */
export async function emptyTrashOf(trashDir: string, vmId: string): Promise<void> {
  for (const name of await readdir(trashDir))
    if (tagOfFile(NAME.exec(name)?.[2] ?? "")?.vmId === vmId)
      await rm(path.join(trashDir, name), { recursive: true });
}

/** Deletes what was put there before `before`. Only folders that this file named; answers how many held a disk. */
export async function emptyTrash(
  trashDir: string,
  before: Date,
  signal?: AbortSignal,
): Promise<number> {
  let disks = 0;
  for (const name of await readdir(trashDir)) {
    signal?.throwIfAborted();
    const [, instant, tag] = NAME.exec(name) ?? [];
    if (instant === undefined || tag === undefined || tagOfFile(tag) === null) continue;
    if (instant >= stamp(before)) continue;
    const folder = path.join(trashDir, name);
    if ((await readdir(folder)).some((file) => file.endsWith(".qcow2"))) disks++;
    await rm(folder, { recursive: true });
  }
  return disks;
}

/** An instant as a folder's name, to the millisecond, so that names sort as time does. */
function stamp(at: Date): string {
  return at.toISOString().replaceAll(/[-:.]/g, "");
}
