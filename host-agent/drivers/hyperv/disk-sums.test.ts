import { describe, expect, test } from "vitest";
import { createDiskSums } from "./disk-sums.ts";

describe("what the layers of a disk did", () => {
  const row = (bootEpoch: string, ...layers: { name: string; read: bigint; write: bigint }[]) => ({
    vmId: "00000000-0000-4000-8000-000000000001",
    bootEpoch,
    cpuTicks: 0n,
    rxBytes: [],
    txBytes: [],
    memoryBytes: 0n,
    diskBytes: 0n,
    layers,
  });
  const disk = (read: bigint) => ({ name: "-disk.vhdx", read, write: read * 2n });
  const layer = (read: bigint) => ({ name: "-disk_1.avhdx", read, write: read * 2n });

  test("is added up over a checkpoint and its merge, and begins anew with the VM's process", () => {
    const sums = createDiskSums();
    const read = (...args: Parameters<typeof row>) => {
      const [sum] = sums.add([row(...args)]);
      expect(sum?.writeBytes).toBe((sum?.readBytes ?? 0n) * 2n);
      return sum?.readBytes;
    };
    expect(read("a", disk(100n))).toBe(100n);
    expect(read("a", layer(7n))).toBe(107n);
    expect(read("a", layer(9n))).toBe(109n);
    expect(read("a", disk(3n)), "the file comes back and counts from zero").toBe(112n);
    expect(read("a"), "no instance for a moment").toBe(112n);
    expect(read("a", disk(5n))).toBe(114n);
    expect(read("b", disk(2n))).toBe(2n);
  });

  test("is one VM's own, and forgotten when that VM is not counted any more", () => {
    const sums = createDiskSums();
    const other = { ...row("a", disk(5n)), vmId: "00000000-0000-4000-8000-000000000002" };
    const read = (...rows: ReturnType<typeof row>[]) =>
      sums.add(rows).map(({ readBytes }) => readBytes);
    expect(read(row("a", disk(100n)), other)).toEqual([100n, 5n]);
    expect(read(other)).toEqual([5n]);
    expect(read(row("a", disk(7n)), other)).toEqual([7n, 5n]);
  });
});
