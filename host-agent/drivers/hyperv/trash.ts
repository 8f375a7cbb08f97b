import { readdir, rm } from "node:fs/promises";
import path from "node:path";

/** `<instant>_<vmId>_<owner epoch>`, as `agent.ps1` names what it moves there. */
const ENTRY = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(\d{3})Z_[0-9a-f-]{36}_\d{1,10}$/;

/** An instant without the characters that Windows refuses in a file name. */
export const trashStamp = (at: Date): string => at.toISOString().replaceAll(/[-:.]/g, "");

/** Deletes what was put into the trash of this one VM, whenever that was. */
export async function emptyTrashOf(folder: string, vmId: string): Promise<void> {
  for (const name of await entries(folder))
    if (ENTRY.test(name) && name.includes(`_${vmId}_`))
      await rm(path.join(folder, name), { recursive: true, force: true });
}

/** Deletes what was put into the trash before `before`; anything that Berth did not put there stays. */
export async function emptyTrash(
  folder: string,
  before: Date,
  signal?: AbortSignal,
): Promise<number> {
  let emptied = 0;
  for (const name of await entries(folder)) {
    signal?.throwIfAborted();
    const at = ENTRY.exec(name);
    if (!at) continue;
    const [, year, month, day, hour, minute, second, ms] = at;
    const stamp = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}.${ms}Z`);
    // Not "not later": an instant that is no date compares as false, and stays.
    if (!(stamp < before)) continue;
    await rm(path.join(folder, name), { recursive: true, force: true });
    emptied += 1;
  }
  return emptied;
}

/** No folder yet means that nothing was ever destroyed here. */
async function entries(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
}
