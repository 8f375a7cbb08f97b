import {
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
  writeFile,
} from "node:fs/promises";
import path from "node:path";

/**
 * Where the host's releases lie, as the launcher knows it (`packaging/linux/launcher`): `releases/<version>/`, the links `current`
 * and `previous`, and some texts of one line each. Each call is all or nothing, and on the disk when it ends.
 */
export interface ReleaseHome {
  folder: string;
  /** The version that a link names; null where it names none. */
  version(link: Link): Promise<string | null>;
  point(link: Link, version: string): Promise<void>;
  /** The words of a text; null where it is not there. */
  read(note: Note): Promise<readonly string[] | null>;
  write(note: Note, words: readonly string[]): Promise<void>;
  remove(note: Note): Promise<void>;
  /** Where the files of this version are, or are to be. */
  releaseFolder(version: string): string;
  /** Removes every release but these, and what a download left. */
  keepOnly(versions: readonly string[]): Promise<void>;
}
export type Link = "current" | "previous";
/**
 * `trial`: version, how often it was started, whether the control plane was reached before (`yes`, `no`), and the oldest version that
 * may run once this one is kept (`-`: any). `failed`: version, why. `oldest`: version.
 */
export type Note = "trial" | "failed" | "oldest";

export function openReleaseHome(folder: string): ReleaseHome {
  const releases = path.join(folder, "releases");
  const place = (name: string) => path.join(folder, name);
  const releaseFolder = (version: string) => path.join(releases, version);

  /** Beside its place, and renamed into it. */
  async function put(name: string, make: (at: string) => Promise<void>): Promise<void> {
    const unfinished = place(`.${name}.new`);
    await rm(unfinished, { force: true });
    await make(unfinished);
    await rename(unfinished, place(name));
    await flushFolder(folder);
  }
  const putText = (name: string, text: string) =>
    put(name, (at) => writeFile(at, text, { mode: 0o644, flush: true }));

  return {
    folder,
    async version(link) {
      const target = IS_LINKED
        ? await orNull(readlink(place(link)))
        : await orNull(readFile(place(link), "utf8"));
      return target === null ? null : path.basename(target.trim());
    },
    point: (link, version) =>
      // A link on Windows cannot be replaced in one step, and its launcher reads a text.
      IS_LINKED
        ? put(link, (at) => symlink(path.join("releases", version), at))
        : putText(link, `${version}\n`),
    async read(note) {
      const text = await orNull(readFile(place(note), "utf8"));
      return text === null ? null : text.trim().split(" ");
    },
    write: (note, words) => putText(note, `${words.join(" ")}\n`),
    async remove(note) {
      await rm(place(note), { force: true });
      await flushFolder(folder);
    },
    releaseFolder,
    async keepOnly(versions) {
      await mkdir(releases, { recursive: true, mode: 0o755 });
      for (const name of await readdir(releases))
        if (!versions.includes(name))
          await rm(path.join(releases, name), { recursive: true, force: true });
    },
  };
}

const IS_LINKED = process.platform !== "win32";

/** A rename is on the disk only when its folder is. Windows cannot flush a folder, and NTFS journals renames. */
export async function flushFolder(folder: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function orNull<T>(work: Promise<T>): Promise<T | null> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}

/** Whether something lies there, whatever it is. */
export const isThere = async (file: string): Promise<boolean> =>
  (await orNull(lstat(file))) !== null;
