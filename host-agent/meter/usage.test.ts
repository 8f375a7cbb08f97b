import { describe, expect, test } from "vitest";
import type { VmCounters } from "../drivers/driver.ts";
import { firstMark, takeSample } from "./usage.ts";

const VM = "019e8313-f218-703c-8000-f45cadb518ed";
const at = (minute: number) => new Date(Date.UTC(2026, 5, 1, 12, minute));
const counters = (over: Partial<VmCounters> = {}): VmCounters => ({
  vmId: VM,
  bootEpoch: "boot-a",
  cpuNs: 1_000n,
  rxBytes: [200n, 20n],
  txBytes: [300n, 30n],
  readBytes: 4_000n,
  writeBytes: 5_000n,
  memoryBytes: 60_000n,
  diskBytes: 70_000n,
  ...over,
});
/** The sample of these counters, after one of `counters()`. */
const next = (now: VmCounters) => {
  const before = takeSample(firstMark(VM, "boot-a", at(0)), counters(), at(1));
  return before && takeSample(before.mark, now, at(2))?.sample;
};

describe("a sample", () => {
  test("is by how much each counter grew, and what memory and disk are now", () => {
    const grown = counters({
      cpuNs: 1_001n,
      rxBytes: [202n, 23n],
      txBytes: [304n, 35n],
      readBytes: 4_006n,
      writeBytes: 5_007n,
      memoryBytes: 8n,
      diskBytes: 9n,
    });
    expect(next(grown)).toEqual({
      vmId: VM,
      bootEpoch: "boot-a",
      seq: 1,
      from: at(1).toISOString(),
      to: at(2).toISOString(),
      cpuNs: "1",
      rxBytes: ["2", "3"],
      txBytes: ["4", "5"],
      readBytes: "6",
      writeBytes: "7",
      memoryBytes: "8",
      diskBytes: "9",
    });
  });

  test("of a counter that went backwards, or stood still, counts nothing", () => {
    const back = counters({ cpuNs: 999n, rxBytes: [0n, 20n], readBytes: 3_999n });
    expect(next(back)).toMatchObject({
      cpuNs: "0",
      rxBytes: ["0", "0"],
      txBytes: ["0", "0"],
      readBytes: "0",
      writeBytes: "0",
    });
  });

  test("of another boot counts all that it says, and of a new network card too", () => {
    expect(next(counters({ bootEpoch: "boot-b" }))).toMatchObject({ seq: 0, cpuNs: "1000" });
    expect(next(counters({ rxBytes: [201n, 21n, 7n] }))?.rxBytes).toEqual(["1", "1", "7"]);
  });

  test("of no time is none", () => {
    expect(takeSample(firstMark(VM, "boot-a", at(1)), counters(), at(1))).toBeNull();
    expect(takeSample(firstMark(VM, "boot-a", at(1)), counters(), at(0))).toBeNull();
  });
});
