import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { aSample, AT, minutesAfter } from "#test/builders.ts";
import { judgeSample, type Spare } from "./judge-sample.ts";

const VM = {
  vcpus: 2,
  memoryMib: 3072,
  diskGib: 30,
  bandwidthMbit: 100,
  createdAt: minutesAfter(-60 * 1440),
  deletedAt: null,
  ownedFrom: null,
  ownedUntil: null,
};
const COUNTERS = ["cpuNs", "rxBytes", "txBytes", "readBytes", "writeBytes"] as const;
const minute = (from: number, to: number) => ({
  from: minutesAfter(from).toISOString(),
  to: minutesAfter(to).toISOString(),
});

describe("a sample", () => {
  test("of what is possible is taken as it came", () => {
    expect(judgeSample(aSample({ rxBytes: ["1", "2"] }), VM, null, AT)).toEqual({
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
      // A second and a tenth of each counter: it has used none of it.
      spare: {
        cpuNs: 2_200_000_000n,
        rxBytes: 13_750_000n,
        txBytes: 13_750_000n,
        readBytes: 110_000_000_000n,
        writeBytes: 110_000_000_000n,
      },
    });
  });

  // In 60 seconds, and one of slack, and a tenth: 67.1 s of two CPUs, of 100 Mbit/s, and of 100 GB/s. 3 GiB, 30 GiB.
  test.each([
    { count: "cpuNs", most: 134_200_000_000n },
    { count: "rxBytes", most: 838_750_000n },
    { count: "txBytes", most: 838_750_000n },
    { count: "readBytes", most: 6_710_000_000_000n },
    { count: "writeBytes", most: 6_710_000_000_000n },
    { count: "memoryBytes", most: 3_221_225_472n },
    { count: "diskBytes", most: 32_212_254_720n },
  ] as const)("is taken with $most of $count, and cut when it says more", ({ count, most }) => {
    const judged = (value: bigint) => {
      const said = String(value);
      return judgeSample(
        aSample({ [count]: count.endsWith("xBytes") ? [said] : said }),
        VM,
        null,
        AT,
      );
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
    expect(judgeSample(aSample(over), VM, null, AT)).toEqual({ ok: false, error });
  });

  test("that began before the oldest day that is taken begins there, marked: a VM may have been off for long", () => {
    expect(judgeSample(aSample(minute(-36 * 1440, -1)), VM, null, AT)).toMatchObject({
      ok: true,
      value: { from: minutesAfter(-35 * 1440), txBytes: 2000n, bounded: true },
    });
  });

  test("that begins on the oldest instant that is taken is whole", () => {
    expect(judgeSample(aSample(minute(-35 * 1440, -1)), VM, null, AT)).toMatchObject({
      value: { from: minutesAfter(-35 * 1440), bounded: false },
    });
  });

  test("from a clock that is a minute ahead is taken", () => {
    expect(judgeSample(aSample(minute(-1, 1)), VM, null, AT)).toMatchObject({ ok: true });
  });

  test("that begins before the VM was ordered from its host is refused, but for the clocks' difference", () => {
    const young = { ...VM, createdAt: minutesAfter(-2) };
    const error = "before_creation";
    expect(judgeSample(aSample(minute(-3.1, -1)), young, null, AT)).toEqual({ ok: false, error });
    expect(judgeSample(aSample(minute(-3, -1)), young, null, AT)).toMatchObject({ ok: true });
  });

  test("with more NICs than the VM has counts for no more than one", () => {
    const most = judgeSample(aSample({ rxBytes: ["9".repeat(15)] }), VM, null, AT);
    const many = judgeSample(aSample({ rxBytes: Array(8).fill("9".repeat(15)) }), VM, null, AT);
    expect(many).toEqual(most);
  });

  test("of when its host did not own the VM is refused, but for the clocks' difference", () => {
    const error = "not_owned_then";
    const until = { ...VM, ownedUntil: minutesAfter(-5) };
    expect(judgeSample(aSample(minute(-5, -3.9)), until, null, AT)).toEqual({ ok: false, error });
    expect(judgeSample(aSample(minute(-5, -4)), until, null, AT)).toMatchObject({ ok: true });
    const from = { ...VM, ownedFrom: minutesAfter(-5) };
    expect(judgeSample(aSample(minute(-7, -6)), from, null, AT)).toEqual({ ok: false, error });
    expect(judgeSample(aSample(minute(-7, -5.9)), from, null, AT)).toMatchObject({ ok: true });
  });

  test("that begins when the VM was gone is refused, and one that ends then is not", () => {
    const gone = { ...VM, deletedAt: minutesAfter(-5) };
    const error = "after_destruction";
    expect(judgeSample(aSample(minute(-5, -4)), gone, null, AT)).toEqual({ ok: false, error });
    expect(judgeSample(aSample(minute(-6, -5)), gone, null, AT)).toMatchObject({ ok: true });
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
          const judged = judgeSample(sample, VM, null, AT);
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
      null,
      AT,
    );
    expect(judged).toMatchObject({ value: { rxBytes: 209_687_500_000n, bounded: true } });
  });

  test("leaves the next one what it has not used of the second's slack, and never more than the second", () => {
    const used = judgeSample(aSample({ cpuNs: "133000000000" }), VM, null, AT);
    if (!used.ok) throw new Error(used.error);
    expect(used.spare.cpuNs).toBe(1_200_000_000n);
    const next = judgeSample(aSample({ cpuNs: "9".repeat(18) }), VM, used.spare, AT);
    // Its own minute and a tenth, and what was left.
    expect(next).toMatchObject({ value: { cpuNs: 133_200_000_000n }, spare: { cpuNs: 0n } });
    expect(judgeSample(aSample(), VM, { ...used.spare, cpuNs: 10n ** 15n }, AT)).toMatchObject({
      spare: { cpuNs: 2_200_000_000n },
    });
  });

  test("4b B3: however a time is cut, its samples come to what it and one second allow, and no more", () => {
    // From milliseconds to minutes: where samples of 1 ms had a second of slack each, they booked 1,101 times the possible.
    const lengths = fc.array(fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 90_000 })), {
      minLength: 1,
      maxLength: 200,
    });
    const part = fc.double({ min: 0, max: 2, noNaN: true });
    fc.assert(
      fc.property(lengths, fc.array(part, { minLength: 200, maxLength: 200 }), (ms, parts) => {
        const whole = ms.reduce((n, each) => n + each, 0);
        let at = +AT - whole;
        let spare: Spare | null = null;
        const sums = { cpuNs: 0n, rxBytes: 0n, txBytes: 0n, readBytes: 0n, writeBytes: 0n };
        for (const [n, each] of ms.entries()) {
          const claims = (perMs: number) =>
            String(Math.round((each + 1000) * perMs * (parts[n] ?? 2)));
          const sample = aSample({
            from: new Date(at).toISOString(),
            to: new Date(at + each).toISOString(),
            cpuNs: claims(2e6),
            rxBytes: [claims(12_500)],
            txBytes: [claims(12_500)],
            readBytes: claims(1e8),
            writeBytes: claims(1e8),
          });
          const judged = judgeSample(sample, VM, spare, AT);
          if (!judged.ok) throw new Error(judged.error);
          for (const counter of COUNTERS) sums[counter] += judged.value[counter];
          spare = judged.spare;
          at += each;
        }
        const most = (perMs: bigint) => (perMs * BigInt(whole + 1000) * 11n) / 10n;
        expect(sums.cpuNs).toBeLessThanOrEqual(most(2_000_000n));
        expect(sums.rxBytes).toBeLessThanOrEqual(most(12_500n));
        expect(sums.txBytes).toBeLessThanOrEqual(most(12_500n));
        expect(sums.readBytes).toBeLessThanOrEqual(most(100_000_000n));
        expect(sums.writeBytes).toBeLessThanOrEqual(most(100_000_000n));
      }),
      { numRuns: 50 },
    );
  });
});
