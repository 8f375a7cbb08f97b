import { expect, test } from "vitest";
import { isNewer } from "./report-serial.ts";

const LAST = { process: 5, seq: 70 };

test.each([
  { process: 5, seq: 71 },
  { process: 6, seq: 1 },
])("%j came later", (serial) => {
  expect(isNewer(serial, LAST)).toBe(true);
});

test.each([
  { process: 5, seq: 70 },
  { process: 5, seq: 69 },
  { process: 4, seq: 900 },
])("%j did not", (serial) => {
  expect(isNewer(serial, LAST)).toBe(false);
});

test("the first one of a host is new", () => {
  expect(isNewer({ process: 1, seq: 1 }, null)).toBe(true);
});
