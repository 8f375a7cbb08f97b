import { expect, test } from "vitest";
import { mostExportBytes } from "./movable-disk.ts";

const GIB = 1024n ** 3n;

test("the bound of an export is above a full disk in any format, and little above it", () => {
  for (const gib of [1n, 40n, 64_000n]) {
    const bytes = gib * GIB;
    // 64 KiB clusters: 8 bytes of L2 and 2 of refcounts each, and three clusters of header, L1 and refcount table a TiB and more.
    const qcow2 = bytes + (bytes / 65_536n) * 10n + 65_536n * (3n + gib / 512n);
    // Blocks of up to 64 MiB with 8 bytes in the table, a log and tables of 1 MiB each.
    const blocks = bytes / (64n * 1024n ** 2n) + 1n;
    const vhdx = blocks * (64n * 1024n ** 2n + 8n) + 8n * 1024n ** 2n;
    for (const full of [qcow2, vhdx]) {
      expect(mostExportBytes(bytes)).toBeGreaterThan(full);
    }
    expect(mostExportBytes(bytes)).toBeLessThan(bytes + bytes / 1000n + 256n * 1024n ** 2n);
  }
});
