import { expect, test } from "vitest";
import { aSample } from "#test/builders.ts";
import { oneFieldMore } from "#test/compat/one-field-more.ts";
import { withField } from "#test/harness/with-field.ts";
import { UsageBatch, UsageReceipt, UsageSample } from "./usage.ts";

const SAMPLE = aSample({
  cpuNs: "1",
  rxBytes: ["2", "3"],
  txBytes: ["4", "5"],
  readBytes: "6",
  writeBytes: "7",
  memoryBytes: "8",
  diskBytes: "9",
});
const several = <T>(n: number, of: T): T[] => Array.from({ length: n }, () => of);

test("a sample is read whole, and without what is of tomorrow", () => {
  expect(UsageSample.parse(oneFieldMore(SAMPLE))).toEqual(SAMPLE);
});

test.each<[string, unknown]>([
  ["bootEpoch", "b"],
  ["bootEpoch", "b".repeat(64)],
  ["seq", 0],
  // What an integer column holds.
  ["seq", 2_147_483_647],
  ["cpuNs", "0"],
  ["cpuNs", "9".repeat(20)],
  ["rxBytes", []],
  ["rxBytes", several(8, "10")],
  ["txBytes", several(8, "10")],
])("a sample may have %s of %j", (field, value) => {
  const sample = withField(SAMPLE, field, value);
  expect(UsageSample.parse(sample)).toEqual(sample);
});

test.each<[string, unknown]>([
  ["vmId", "vm"],
  ["bootEpoch", ""],
  ["bootEpoch", "b".repeat(65)],
  ["seq", -1],
  ["seq", 2_147_483_648],
  ["from", "2026-03-01T12:00:00Z"],
  ["to", "yesterday"],
  ["cpuNs", ""],
  ["cpuNs", "9".repeat(21)],
  ["cpuNs", "-1"],
  ["cpuNs", "1.5"],
  ["cpuNs", "1\n"],
  ["cpuNs", 1],
  ["rxBytes", several(9, "10")],
  ["rxBytes", ["x"]],
  ["txBytes", several(9, "10")],
  ["txBytes", ["-1"]],
  ["readBytes", "x"],
  ["writeBytes", "x"],
  ["memoryBytes", "x"],
  ["diskBytes", undefined],
])("a sample may not have %s of %j", (field, value) => {
  expect(UsageSample.safeParse(withField(SAMPLE, field, value)).success).toBe(false);
});

test("a boot's name is kept without what no database keeps", () => {
  expect(UsageSample.parse({ ...SAMPLE, bootEpoch: "a\0\ud800b" })).toEqual({
    ...SAMPLE,
    bootEpoch: "a\ufffd\ufffdb",
  });
});

test("a batch has one sample to a thousand", () => {
  const batch = (n: number) => ({ samples: several(n, SAMPLE) });
  expect(UsageBatch.parse(oneFieldMore(batch(1)))).toEqual(batch(1));
  expect(UsageBatch.parse(batch(1000))).toEqual(batch(1000));
  expect(UsageBatch.safeParse(batch(0)).success).toBe(false);
  expect(UsageBatch.safeParse(batch(1001)).success).toBe(false);
});

test("a receipt is read whole, with the next number where there is one", () => {
  const receipt = {
    stored: 21,
    duplicates: 22,
    refused: [
      { index: 0, code: "sequence_reused", detail: "seen", nextSeq: 24 },
      { index: 3, code: "vm_unknown", detail: "not here" },
    ],
  };
  expect(UsageReceipt.parse(oneFieldMore(receipt))).toEqual(receipt);
  expect(UsageReceipt.safeParse(withField(receipt, "stored", undefined)).success).toBe(false);
  expect(UsageReceipt.safeParse(withField(receipt, "refused.1.code", 5)).success).toBe(false);
});
