import { constants } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import { openMoved, readWhole } from "./disk-file.ts";

/** What of a file is on the disk for good, whatever happens to this host. It is written beside the file, after it. */
const Received = z.object({
  /** Of which attempt at the move: another one's sender may have another file. */
  attempt: z.string(),
  total: z.int().nonnegative(),
  upTo: z.int().nonnegative(),
  /** Of the whole, once both ends have agreed on it. */
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .nullable(),
});
export type Received = z.infer<typeof Received>;

const MOST_BYTES = 1024;
export const receivedOf = (file: string): string => `${file}.received`;

/** null: nothing that could be gone on from. */
export async function readReceived(
  file: string,
  { attempt, total }: Pick<Received, "attempt" | "total">,
): Promise<Received | null> {
  try {
    const kept = await openMoved(receivedOf(file), "read");
    try {
      const { size } = await kept.stat();
      if (size > MOST_BYTES) return null;
      const bytes = Buffer.alloc(size);
      await readWhole(kept, bytes, 0);
      const received = Received.parse(JSON.parse(bytes.toString()));
      const isOurs = received.attempt === attempt && received.total === total;
      return isOurs && received.upTo <= total ? received : null;
    } finally {
      await kept.close();
    }
  } catch {
    return null;
  }
}

/** All or nothing. What it says of the file must be on the disk before. */
export async function writeReceived(file: string, received: Received): Promise<void> {
  const unfinished = `${receivedOf(file)}.new`;
  await rm(unfinished, { force: true });
  const { O_WRONLY, O_CREAT, O_EXCL } = constants;
  const kept = await open(unfinished, O_WRONLY | O_CREAT | O_EXCL, 0o600);
  try {
    await kept.writeFile(JSON.stringify(received));
    await kept.sync();
  } finally {
    await kept.close();
  }
  await rename(unfinished, receivedOf(file));
  await flushFolderOf(file);
}

/** From then on nothing is there. */
export async function forgetReceived(file: string): Promise<void> {
  await rm(receivedOf(file), { force: true });
  await flushFolderOf(file);
}

async function flushFolderOf(file: string): Promise<void> {
  // Windows opens no folder, and keeps names in a journal by itself.
  if (process.platform === "win32") return;
  const folder = await open(path.dirname(file), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
