import { describe, expect, test } from "vitest";
import type { Log } from "#core/ports.ts";
import type { VmCounters } from "#host-agent/drivers/driver.ts";
import { createSpool } from "#host-agent/meter/spool.ts";
import { memoryStore } from "#host-agent/state/state-store.ts";
import { firstMark, takeSample } from "#host-agent/meter/usage.ts";

const VM = "019e8313-f218-703c-8000-f45cadb518ed";
const quiet: Log = { info: () => undefined, error: () => undefined };
const countersOf = (bootEpoch: string): VmCounters => ({
  vmId: VM,
  bootEpoch,
  cpuNs: 7n,
  rxBytes: [5n],
  txBytes: [3n],
  readBytes: 2n,
  writeBytes: 1n,
  memoryBytes: 0n,
  diskBytes: 0n,
});
const at = (minute: number) => new Date(Date.UTC(2026, 5, 1, 12, minute));

describe("the marks of the spool", () => {
  const begin = firstMark(VM, "boot-a", at(0));
  const first = takeSample(begin, countersOf("boot-a"), at(5));
  if (first === null) throw new Error("five minutes are a sample");

  test.each([
    ["of the same boot", "boot-a"],
    ["of a boot that came after it", "boot-b"],
  ])("a first look %s, written after a sample, does not begin the count anew", async (_, boot) => {
    const store = memoryStore();
    const spool = createSpool(store, quiet);
    await spool.add([first.sample], [first.mark]);
    await spool.add([], [firstMark(VM, boot, at(6))]);
    expect(spool.mark(VM)).toEqual(first.mark);
    // Nor does an agent that begins over the same pages.
    const next = createSpool(store, quiet);
    await next.load();
    expect(next.mark(VM)).toEqual(first.mark);
  });

  test("a sample that was taken before the first look was written counts on from its own end", async () => {
    const spool = createSpool(memoryStore(), quiet);
    await spool.add([], [firstMark(VM, "boot-a", at(6))]);
    await spool.add([first.sample], [first.mark]);
    expect(spool.mark(VM)).toEqual(first.mark);
  });

  test("the later of two samples is counted from", async () => {
    const spool = createSpool(memoryStore(), quiet);
    const second = takeSample(first.mark, countersOf("boot-b"), at(10));
    if (second === null) throw new Error("five minutes are a sample");
    await spool.add([first.sample], [first.mark]);
    await spool.add([second.sample], [second.mark]);
    expect(spool.mark(VM)).toEqual(second.mark);
  });
});
