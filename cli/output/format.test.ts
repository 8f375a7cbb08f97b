import { expect, it } from "vitest";
import { bytes, cpuSeconds, mib, when } from "./format.ts";

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
