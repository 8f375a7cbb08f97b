import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { aSample, AT, minutesAfter } from "#test/builders.ts";
import { judgeSample } from "./judge-sample.ts";

const VM = { vcpus: 2, bandwidthMbit: 100, createdAt: minutesAfter(-60 * 1440), deletedAt: null };
const minute = (from: number, to: number) => ({
  from: minutesAfter(from).toISOString(),
  to: minutesAfter(to).toISOString(),
});

describe("a sample", () => {
  test("of what is possible is taken as it came", () => {
    expect(judgeSample(aSample({ rxBytes: ["1", "2"] }), VM, AT)).toEqual({
      ok: true,
      value: {
        from: minutesAfter(-1),
        to: AT,
        cpuNs: 1_000_000n,
        rxBytes: 3n,
        txBytes: 2000n,
        readBytes: 3000n,
        writeBytes: 4000n,
        memoryBytes: 1_073_741_824n,
        diskBytes: 5_000_000n,
        bounded: false,
      },
    });
  });

  // In 60 seconds, and one of slack, and a tenth: 67.1 s of two CPUs, of 100 Mbit/s, and of 100 GB/s.
  test.each([
    { count: "cpuNs", most: 134_200_000_000n },
    { count: "rxBytes", most: 838_750_000n },
    { count: "txBytes", most: 838_750_000n },
    { count: "readBytes", most: 6_710_000_000_000n },
    { count: "writeBytes", most: 6_710_000_000_000n },
    { count: "memoryBytes", most: 2n ** 50n },
    { count: "diskBytes", most: 2n ** 56n },
  ] as const)("is taken with $most of $count, and cut when it says more", ({ count, most }) => {
    const judged = (value: bigint) => {
      const said = String(value);
      return judgeSample(aSample({ [count]: count.endsWith("xBytes") ? [said] : said }), VM, AT);
    };
    expect(judged(most)).toMatchObject({ value: { [count]: most, bounded: false } });
    expect(judged(most + 1n)).toMatchObject({ value: { [count]: most, bounded: true } });
  });

  test.each([
    { name: "that runs backwards", over: minute(0, -1), error: "not_forward" },
    { name: "of no time", over: minute(-1, -1), error: "not_forward" },
    { name: "that ends more than a minute ahead", over: minute(0, 1.1), error: "ends_in_future" },
    { name: "that ends 35 days ago", over: minute(-50_401, -50_400), error: "too_old" },
    { name: "of 36 days ago", over: minute(-36 * 1440, -36 * 1440 + 1), error: "too_old" },
  ])("$name is refused", ({ over, error }) => {
    expect(judgeSample(aSample(over), VM, AT)).toEqual({ ok: false, error });
  });

  test("that began before the oldest day that is taken begins there, marked: a VM may have been off for long", () => {
    expect(judgeSample(aSample(minute(-36 * 1440, -1)), VM, AT)).toMatchObject({
      ok: true,
      value: { from: minutesAfter(-35 * 1440), txBytes: 2000n, bounded: true },
    });
  });

  test("that begins on the oldest instant that is taken is whole", () => {
    expect(judgeSample(aSample(minute(-35 * 1440, -1)), VM, AT)).toMatchObject({
      value: { from: minutesAfter(-35 * 1440), bounded: false },
    });
  });

  test("from a clock that is a minute ahead is taken", () => {
    expect(judgeSample(aSample(minute(-1, 1)), VM, AT)).toMatchObject({ ok: true });
  });

  test("that begins before the VM was ordered from its host is refused, but for the clocks' difference", () => {
    const young = { ...VM, createdAt: minutesAfter(-2) };
    const error = "before_creation";
    expect(judgeSample(aSample(minute(-3.1, -1)), young, AT)).toEqual({ ok: false, error });
    expect(judgeSample(aSample(minute(-3, -1)), young, AT)).toMatchObject({ ok: true });
  });

  test("with more NICs than the VM has counts for no more than one", () => {
    const most = judgeSample(aSample({ rxBytes: ["9".repeat(15)] }), VM, AT);
    const many = judgeSample(aSample({ rxBytes: Array(8).fill("9".repeat(15)) }), VM, AT);
    expect(many).toEqual(most);
  });

  test("that begins when the VM was gone is refused, and one that ends then is not", () => {
    const gone = { ...VM, deletedAt: minutesAfter(-5) };
    const error = "after_destruction";
    expect(judgeSample(aSample(minute(-5, -4)), gone, AT)).toEqual({ ok: false, error });
    expect(judgeSample(aSample(minute(-6, -5)), gone, AT)).toMatchObject({ ok: true });
  });

  test("never counts for more than NIC, CPU and disk can do in its time", () => {
    const count = fc.bigInt({ min: 0n, max: 10n ** 20n - 1n }).map(String);
    fc.assert(
      fc.property(
        fc.record({ cpuNs: count, bytes: count, disk: count }),
        ({ cpuNs, bytes, disk }) => {
          const sample = aSample({
            cpuNs,
            rxBytes: [bytes],
            txBytes: [bytes],
            readBytes: disk,
            writeBytes: disk,
          });
          const judged = judgeSample(sample, VM, AT);
          if (!judged.ok) throw new Error(judged.error);
          const { value } = judged;
          // 61 seconds and a tenth of slack.
          expect(value.cpuNs).toBeLessThanOrEqual(134_200_000_000n);
          expect(value.rxBytes).toBeLessThanOrEqual(838_750_000n);
          expect(value.txBytes).toBeLessThanOrEqual(838_750_000n);
          expect(value.readBytes).toBeLessThanOrEqual(6_710_000_000_000n);
          const cut =
            value.cpuNs < BigInt(cpuNs) ||
            value.rxBytes < BigInt(bytes) ||
            value.readBytes < BigInt(disk);
          expect(value.bounded).toBe(cut);
        },
      ),
    );
  });

  test("of a NIC without a limit is cut at what the fastest port carries", () => {
    const judged = judgeSample(
      aSample({ rxBytes: ["99999999999999999999"] }),
      { ...VM, bandwidthMbit: null },
      AT,
    );
    expect(judged).toMatchObject({ value: { rxBytes: 209_687_500_000n, bounded: true } });
  });
});
