import { expect, it } from "vitest";
import { bytes, cpuSeconds, mib, money, when } from "./format.ts";

it.each([
  ["0", "0.00 USD"],
  ["5", "0.05 USD"],
  ["-5", "-0.05 USD"],
  ["1234", "12.34 USD"],
  ["-123456", "-1234.56 USD"],
  // Past what a number holds exactly.
  ["900719925474099301", "9007199254740993.01 USD"],
])("writes %s cents to the cent", (minor, text) => {
  expect(money({ minor, currency: "usd" })).toBe(text);
});

it.each([
  ["0", "0 B"],
  ["1023", "1023 B"],
  ["1024", "1 KiB"],
  ["1536", "1.5 KiB"],
  ["1073741824", "1 GiB"],
  ["18446744073709551616", "16384 PiB"],
])("writes %s bytes", (count, text) => {
  expect(bytes(count)).toBe(text);
});

it("writes memory, processor time and instants", () => {
  expect(mib(1536)).toBe("1.5 GiB");
  expect(cpuSeconds("1234567890")).toBe("1.23 s");
  expect(when("2026-03-01T12:00:00.123Z")).toBe("2026-03-01 12:00:00Z");
  expect(when(null)).toBe("-");
});
