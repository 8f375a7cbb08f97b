import { open, rename } from "node:fs/promises";
import path from "node:path";

/** Writes a file that only its owner reads: all of it or nothing, whatever kills the process or the machine. */
export async function writeWhole(file: string, text: string): Promise<void> {
  const unfinished = `${file}.${process.pid}.tmp`;
  const handle = await open(unfinished, "w", 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(unfinished, file);
  if (process.platform === "win32") return; // a folder cannot be flushed there
  const folder = await open(path.dirname(file), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
