import { expect, test } from "vitest";
import { Instant, Ipv4, storable, Text } from "./values.ts";

test.each(["2026-03-01T12:00:00.000Z", "1970-01-01T00:00:00.001Z", "2024-02-29T23:59:59.999Z"])(
  "%s is an instant",
  (text) => {
    expect(Instant.parse(text)).toBe(text);
  },
);

test.each([
  "2026-03-01T12:00:00Z",
  "2026-03-01T12:00:00.0000Z",
  "2026-03-01T12:00:00.000",
  "2026-03-01T12:00:00.000+00:00",
  "2026-03-01T24:00:00.000Z",
  "2026-02-29T12:00:00.000Z",
  "2026-03-01 12:00:00.000Z",
  "2026-03-01",
])("%s is none", (text) => {
  expect(Instant.safeParse(text).success).toBe(false);
});

test.each(["0.0.0.0", "192.0.2.1", "255.255.255.255"])("%s is an address", (text) => {
  expect(Ipv4.parse(text)).toBe(text);
});

test.each(["192.0.2", "192.0.2.256", "192.0.2.01", "192.0.2.1/24", "::ffff:192.0.2.1", ""])(
  "%j is none",
  (text) => {
    expect(Ipv4.safeParse(text).success).toBe(false);
  },
);

test.each([
  ["", ""],
  ["a 🚀 b\n", "a 🚀 b\n"],
  ["\0a\0", "\ufffda\ufffd"],
  ["\ud83d and \ude80", "\ufffd and \ufffd"],
])("%j can be stored as %j", (text, stored) => {
  expect(storable(text)).toBe(stored);
});

test("a host's text is refused for its length, and for nothing that is in it", () => {
  expect(Text(3).parse("\0bc")).toBe("\ufffdbc");
  expect(Text(3).safeParse("abcd").success).toBe(false);
});
