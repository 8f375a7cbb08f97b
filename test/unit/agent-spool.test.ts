import { describe, expect, test } from "vitest";
import type { Log } from "#core/ports.ts";
import type { VmCounters } from "#host-agent/drivers/driver.ts";
import { createSpool, type Spool } from "#host-agent/meter/spool.ts";
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

describe("what lies aside", () => {
  const sampleAt = (minute: number) => {
    const taken = takeSample(firstMark(VM, "boot-a", at(0)), countersOf("boot-a"), at(minute));
    if (taken === null) throw new Error("some minutes are a sample");
    return taken.sample;
  };
  async function refuse(spool: Spool, minute: number) {
    await spool.add([sampleAt(minute)], []);
    const batch = await spool.oldest();
    if (batch === null) throw new Error("a sample waits");
    await spool.settle(batch, { refused: batch.samples, waiting: [] });
  }

  test("is not overwritten by what is put aside after a restart", async () => {
    const store = memoryStore();
    for (let life = 1; life <= 3; life++) {
      const spool = createSpool(store, quiet);
      await spool.load();
      await refuse(spool, life);
      expect(spool.aside()).toHaveLength(life);
    }
    const spool = createSpool(store, quiet);
    await spool.load();
    const kept = await Promise.all(spool.aside().map((name) => spool.readAside(name)));
    expect(kept.flat()).toEqual([sampleAt(1), sampleAt(2), sampleAt(3)]);
  });

  test("is not overwritten by a page of the same number that cannot be read", async () => {
    const store = memoryStore();
    const first = createSpool(store, quiet);
    await refuse(first, 1);
    const [name = ""] = first.aside();
    await store.write(`spool/${name}`, '{"samples":[{"vmId');
    const second = createSpool(store, quiet);
    await second.load();
    expect(second.aside()).toEqual([name]);
    expect(await second.readAside(name)).toEqual([sampleAt(1)]);
    expect(await store.list("spool-refused")).toHaveLength(2);
    expect(await store.list("spool")).toEqual([]);
  });

  test("is bounded: the oldest is given up, and whose usage that was is told", async () => {
    const store = memoryStore();
    const given: Record<string, unknown>[] = [];
    const log: Log = {
      info: () => undefined,
      error: (event, fields) => void given.push({ event, ...fields }),
    };
    const spool = createSpool(store, log, { mostAside: 2 });
    for (const minute of [1, 2, 3]) await refuse(spool, minute);
    const kept = await Promise.all(spool.aside().map((name) => spool.readAside(name)));
    expect(kept.flat()).toEqual([sampleAt(2), sampleAt(3)]);
    expect(await store.list("spool-refused")).toHaveLength(2);
    const { from, to } = sampleAt(1);
    expect(given).toEqual([{ event: "usage_given_up", samples: 1, vm_ids: [VM], from, to }]);
  });

  test("leaves what was not asked about in its place, as the oldest, over a restart too", async () => {
    const store = memoryStore();
    const spool = createSpool(store, quiet);
    for (const minute of [1, 2, 3]) await spool.add([sampleAt(minute)], []);
    const batch = await spool.oldest();
    if (batch === null) throw new Error("samples wait");
    await spool.settle(batch, { refused: [sampleAt(2)], waiting: [sampleAt(3)] });
    await spool.add([sampleAt(4)], []);
    const again = createSpool(store, quiet);
    await again.load();
    for (const each of [spool, again]) {
      expect(each.size()).toBe(2);
      expect((await each.oldest())?.samples).toEqual([sampleAt(3), sampleAt(4)]);
    }
  });

  test("is what is still refused of it, over a restart too", async () => {
    const store = memoryStore();
    const spool = createSpool(store, quiet);
    await spool.add([sampleAt(1), sampleAt(2)], []);
    const batch = await spool.oldest();
    if (batch === null) throw new Error("samples wait");
    await spool.settle(batch, { refused: batch.samples, waiting: [] });
    const [name = ""] = spool.aside();
    await spool.settleAside(name, [sampleAt(2)]);
    const again = createSpool(store, quiet);
    await again.load();
    for (const each of [spool, again]) {
      expect(each.aside()).toEqual([name]);
      expect(await each.readAside(name)).toEqual([sampleAt(2)]);
    }
  });

  test("takes no room any more once it was taken: nothing is given up for it", async () => {
    const given: string[] = [];
    const log: Log = { info: () => undefined, error: (event) => void given.push(event) };
    const spool = createSpool(memoryStore(), log, { mostAside: 2 });
    await refuse(spool, 1);
    await refuse(spool, 2);
    const [first = ""] = spool.aside();
    await spool.settleAside(first, []);
    expect(spool.aside()).not.toContain(first);
    await refuse(spool, 3);
    const kept = await Promise.all(spool.aside().map((name) => spool.readAside(name)));
    expect(kept.flat()).toEqual([sampleAt(2), sampleAt(3)]);
    expect(given).toEqual([]);
  });

  test("is nothing, where a page of it is gone", async () => {
    expect(await createSpool(memoryStore(), quiet).readAside("000000000001.json")).toEqual([]);
  });
});

describe("what waits", () => {
  const sampleOf = (minute: number) => {
    const taken = takeSample(firstMark(VM, "boot-a", at(0)), countersOf("boot-a"), at(minute));
    if (taken === null) throw new Error("some minutes are a sample");
    return taken.sample;
  };

  test("goes oldest first over a restart, however many pages there are", async () => {
    const store = memoryStore();
    const before = createSpool(store, quiet);
    const samples = Array.from({ length: 12 }, (_, n) => sampleOf(n + 1));
    for (const sample of samples) await before.add([sample], []);
    const spool = createSpool(store, quiet);
    await spool.load();
    expect((await spool.oldest())?.samples).toEqual(samples);
    expect(await spool.newest()).toEqual(samples.slice(-1));
  });

  test("goes no more at once than the wire takes", async () => {
    const spool = createSpool(memoryStore(), quiet);
    const many = (length: number) => Array.from({ length }, () => sampleOf(1));
    for (const length of [600, 400, 1]) await spool.add(many(length), []);
    expect((await spool.oldest())?.samples).toHaveLength(1000);
    expect(spool.size()).toBe(1001);
  });
});

describe("a count that goes on from another number", () => {
  const mark = (bootEpoch: string, nextSeq: number) => ({
    ...firstMark(VM, bootEpoch, at(0)),
    nextSeq,
  });

  test.each([
    ["of this boot, further on", "boot-a", 7, 7],
    ["of this boot, that is behind", "boot-a", 1, 3],
    ["of another boot", "boot-b", 7, 3],
  ])("%s", async (_, bootEpoch, nextSeq, goesOn) => {
    const spool = createSpool(memoryStore(), quiet);
    await spool.add([], [mark("boot-a", 3)]);
    spool.goOnFrom({ vmId: VM, bootEpoch }, nextSeq);
    expect(spool.mark(VM)).toEqual(mark("boot-a", goesOn));
  });

  test("of a VM that is not known begins no count", () => {
    const spool = createSpool(memoryStore(), quiet);
    spool.goOnFrom({ vmId: VM, bootEpoch: "boot-a" }, 7);
    expect(spool.mark(VM)).toBeNull();
  });
});
