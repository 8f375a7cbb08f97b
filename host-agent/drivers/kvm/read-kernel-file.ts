import { open } from "node:fs/promises";

/** A line of `stat`, and most of a QEMU's arguments. */
const PART_BYTES = 4096;

/**
 * The text of a file that the kernel makes while it is read, as those of `/proc`. Such a file says that it has no size, and
 * for each Node's own `readFile` takes 64 KiB, until the next collection: 39 MB in a look at 200 VMs.
 */
export async function readKernelFile(path: string): Promise<string> {
  const file = await open(path, "r");
  try {
    const part = Buffer.allocUnsafe(PART_BYTES);
    const parts: Buffer[] = [];
    for (;;) {
      const { bytesRead } = await file.read(part, 0, PART_BYTES, null);
      if (bytesRead === 0) return Buffer.concat(parts).toString();
      parts.push(Buffer.from(part.subarray(0, bytesRead)));
    }
  } finally {
    await file.close();
  }
}
