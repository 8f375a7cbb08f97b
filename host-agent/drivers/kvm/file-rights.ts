import { chmod, lstat, readdir, stat } from "node:fs/promises";
import path from "node:path";
import type { Folders } from "./files.ts";
import { errnoOf } from "./run-program.ts";
import { tagOfFile } from "./tag.ts";

const SETGID = 0o2000;
const OTHERS = 0o007;

/**
 * What a VM's file in this folder is made with: it is its owner's alone, who is QEMU's user once libvirt has handed the file
 * over. Where libvirt hands nothing over (`dynamic_ownership = 0`), the folder gives its files the hypervisor's group by its
 * setgid bit, and that group may use them.
 */
export const fileModeIn = async (folder: string): Promise<number> =>
  ((await stat(folder)).mode & SETGID) === 0 ? 0o600 : 0o660;

/** Files of Berth's VMs that any user of the host could open: disks, seeds and consoles hold what customers wrote. */
export async function looseFiles(folders: Folders): Promise<string[]> {
  const { diskDir, seedDir, consoleDir } = folders;
  const found = await Promise.all(
    [...new Set([diskDir, seedDir, consoleDir])].map(async (folder) => {
      const names = (await readdir(folder)).filter((name) => tagOfFile(name) !== null);
      const loose = await Promise.all(
        names.map(async (name) => {
          const at = path.join(folder, name);
          const mode = await modeOf(at);
          return mode !== null && (mode & OTHERS) !== 0 ? [at] : [];
        }),
      );
      return loose.flat();
    }),
  );
  return found.flat();
}

/** Takes them from everybody but their owner and group. Running VMs hold theirs open and notice nothing. */
export async function tightenFiles(folders: Folders): Promise<string[]> {
  const files = await looseFiles(folders);
  for (const file of files) {
    const mode = await modeOf(file);
    if (mode !== null) await chmod(file, mode & 0o777 & ~OTHERS);
  }
  return files;
}

/** null: no plain file, or gone meanwhile. A link is not followed. */
async function modeOf(file: string): Promise<number | null> {
  try {
    const found = await lstat(file);
    return found.isFile() ? found.mode : null;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return null;
    throw error;
  }
}
