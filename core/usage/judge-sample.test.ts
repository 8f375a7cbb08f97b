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
    expect(judgeSample(aSample({ rxBytes: ["1", "2"] }), VM, AT)).toMatchObject({
      ok: true,
      value: { rxBytes: 3n, txBytes: 2000n, cpuNs: 1_000_000n, bounded: false },
    });
  });

  test.each([
    { name: "that runs backwards", over: minute(0, -1), error: "not_forward" },
    { name: "of no time", over: minute(-1, -1), error: "not_forward" },
    { name: "that ends more than a minute ahead", over: minute(0, 1.1), error: "ends_in_future" },
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

  test("from a clock that is half a minute ahead is taken", () => {
    expect(judgeSample(aSample(minute(-1, 0.5)), VM, AT)).toMatchObject({ ok: true });
  });

  test("that begins before the VM was ordered from its host is refused, but for the clocks' difference", () => {
    const young = { ...VM, createdAt: minutesAfter(-2) };
    const error = "before_creation";
    expect(judgeSample(aSample(minute(-3.1, -1)), young, AT)).toEqual({ ok: false, error });
    expect(judgeSample(aSample(minute(-2.9, -1)), young, AT)).toMatchObject({ ok: true });
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
