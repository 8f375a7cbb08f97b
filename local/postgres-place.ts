import { createHash } from "node:crypto";
import { constants } from "node:fs";
import {
  access,
  chmod,
  lstat,
  mkdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
} from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { z } from "zod";
import { PostgresError } from "./postgres-error.ts";
import { endLeftoverPostgres } from "./postgres-leftover.ts";
import { writeWhole } from "./write-whole.ts";

/** True when somebody who is not root can walk to this folder. */
export async function othersCanReach(folder: string): Promise<boolean> {
  for (let at = path.resolve(folder); ; at = path.dirname(at)) {
    const info = await stat(at).catch(() => undefined);
    if (info && (info.mode & constants.S_IXOTH) === 0) return false;
    if (at === path.dirname(at)) return true;
  }
}

/** A reboot empties `/tmp`; `/var/tmp` is kept (Filesystem Hierarchy Standard 3.0, §5.15). */
const KEPT = "/var/tmp";
const OWNER = "owner.json";
const DATA = "data";
/** Whose database it is: the folder that it was made for, and a hash of the password that is kept there. */
const Owner = z.strictObject({ folder: z.string(), proof: z.string() });

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

/**
 * Where the data of `folder` is: there, or, for root in a folder that the user `postgres` cannot enter, in a place
 * outside that is named by a hash of the whole path.
 */
export async function dataFolderOf(folder: string): Promise<{ data: string; outside?: string }> {
  const inside = path.resolve(folder);
  if (os.userInfo().uid !== 0 || (await othersCanReach(path.dirname(inside))))
    return { data: inside };
  const base = (await othersCanReach(KEPT)) && (await isThere(KEPT)) ? KEPT : os.tmpdir();
  const outside = path.join(base, `berth-data-${sha256(inside).slice(0, 32)}`);
  return { data: path.join(outside, DATA), outside };
}

/**
 * Makes the place outside, or takes it as this folder's own. One that an earlier, deleted folder left behind is
 * removed when `fresh` says that nothing was kept yet; anything else that is in the way is refused in one line. A link
 * in the folder tells that its database is elsewhere.
 */
export async function claimOutside(input: {
  folder: string;
  outside: string;
  password: string;
  fresh: boolean;
}): Promise<void> {
  const { outside, fresh } = input;
  const folder = path.resolve(input.folder);
  const owner = { folder, proof: sha256(input.password) };
  const info = await lstat(outside).catch(() => undefined);
  if (info) {
    const found = await ownerOf(outside);
    if (!info.isDirectory() || info.uid !== 0 || found?.folder !== folder)
      throw new PostgresError(
        `${outside} is where the database of ${folder} goes, and something else is there; move it away`,
      );
    if (found.proof !== owner.proof) {
      if (!fresh)
        throw new PostgresError(
          `${outside} holds the database of an earlier ${folder}, with another password; move both away to begin anew`,
        );
      await endLeftoverPostgres(path.join(outside, DATA));
      await rm(outside, { recursive: true, force: true });
    }
  }
  if (!(await isThere(outside))) {
    await mkdir(outside);
    await chmod(outside, 0o711); // whatever the umask takes away
    await writeWhole(path.join(outside, OWNER), JSON.stringify(owner));
  }
  const link = await readlink(folder).catch(() => undefined);
  if (link === undefined && !(await isThere(folder)))
    await symlink(path.join(outside, DATA), folder);
}

async function ownerOf(outside: string): Promise<z.infer<typeof Owner> | undefined> {
  try {
    return Owner.parse(JSON.parse(await readFile(path.join(outside, OWNER), "utf8")));
  } catch {
    return undefined;
  }
}

const isThere = (file: string) =>
  access(file).then(
    () => true,
    () => false,
  );
