import { chmod, mkdir, stat } from "node:fs/promises";
import path from "node:path";
import { tightenFiles } from "#host-agent/drivers/kvm/file-rights.ts";
import type { Folders as FolderPaths } from "#host-agent/drivers/kvm/files.ts";
import { errnoOf } from "#host-agent/drivers/kvm/run-program.ts";
import { look } from "./check.ts";
import { isOpen } from "./judge-kvm-files.ts";
import type { Folders, FolderSeen } from "./kvm-facts.ts";

/** Missing folders and rights. Answers what it did, a sentence each. */
export async function fixKvm(config: FolderPaths): Promise<{ check: string; did: string }[]> {
  const done: { check: string; did: string }[] = [];
  const folders = await seeFolders(config);
  for (const [name, folder] of Object.entries(folders)) {
    if (folder.at === null) {
      const mode = name === "trash" ? 0o700 : 0o711;
      // Only beneath a folder that is there: a volume that is not mounted shall not be taken for an empty one.
      const made = await orNull(async () => {
        await mkdir(folder.path);
        // Whatever the umask takes away.
        await chmod(folder.path, mode);
        return true;
      });
      if (made === true)
        done.push({ check: "folders", did: `made ${folder.path} (0${mode.toString(8)})` });
    } else if (isOpen(folder.at.mode)) {
      await chmod(folder.path, folder.at.mode & 0o7777 & ~0o006);
      done.push({ check: "folder-rights", did: `took ${folder.path} from others` });
    }
  }
  const files = await look(() => tightenFiles(config));
  if ("seen" in files && files.seen.length > 0)
    done.push({ check: "file-rights", did: `took ${files.seen.length} files from others` });
  return done;
}

export async function seeFolders(config: FolderPaths): Promise<Folders> {
  const see = async (name: keyof Folders): Promise<FolderSeen> => {
    const folder = config[`${name}Dir`];
    const at = await orNull(async () => {
      const { mode, dev } = await stat(folder);
      return { mode, device: dev };
    });
    return { path: folder, at, closed: await closedOnTheWay(folder) };
  };
  return {
    image: await see("image"),
    disk: await see("disk"),
    seed: await see("seed"),
    console: await see("console"),
    trash: await see("trash"),
  };
}

/** The first folder from the top that only its owner enters; a folder's own group is taken to be QEMU's where it has setgid. */
async function closedOnTheWay(folder: string): Promise<string | null> {
  const parts = path.resolve(folder).split(path.sep);
  for (let length = 1; length <= parts.length; length++) {
    const at = parts.slice(0, length).join(path.sep) || path.sep;
    const mode = await orNull(async () => (await stat(at)).mode);
    if (mode === null) return null;
    const byGroup = (mode & 0o2010) === 0o2010;
    if ((mode & 0o001) === 0 && !byGroup) return at;
  }
  return null;
}

/** null: there is none. */
export async function orNull<T>(work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return null;
    throw error;
  }
}
