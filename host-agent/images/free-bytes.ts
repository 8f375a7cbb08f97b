import { statfs } from "node:fs/promises";

/** What is free for whoever is not root on the volume of this folder. */
export async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}
