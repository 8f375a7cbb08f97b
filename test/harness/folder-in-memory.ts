import { chmod, mkdtemp, statfs } from "node:fs/promises";
import os from "node:os";
import path from "node:path";

/** Linux' own file system in memory, which everybody may write to. */
const IN_MEMORY = "/dev/shm";
/** Several servers at once need less; a container has 64 MiB there unless it was told otherwise. */
const ENOUGH_BYTES = 1024 ** 3;

/**
 * A fresh folder for files that end with the test, in memory where there is room: a database is some 1,500 files, and to make those
 * of a clone costs a disk's file system ten times what it costs there. Others may look into it, since Postgres is no root.
 */
export async function folderInMemory(prefix: string): Promise<string> {
  const { bavail, bsize } = await statfs(IN_MEMORY).catch(() => ({ bavail: 0, bsize: 0 }));
  const root = bavail * bsize >= ENOUGH_BYTES ? IN_MEMORY : os.tmpdir();
  const folder = await mkdtemp(path.join(root, prefix));
  await chmod(folder, 0o711);
  return folder;
}
