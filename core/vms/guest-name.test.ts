import { expect, test } from "vitest";
import { computerName, firstLabel, isGivenName } from "./guest-name.ts";

// 4b A4: evidence compares with what the guest was given.

test.each([
  ["web-1.example.com", "web-1"],
  ["web-1", "web-1"],
  ["", ""],
  [`${"a".repeat(63)}.example.com`, "a".repeat(63)],
])("the first label of %s is %j", (hostname, label) => {
  expect(firstLabel(hostname)).toBe(label);
});

test.each([
  ["web-1.example.com", "web-1"],
  ["a-very-long-name-of-a-host", "a-very-long-nam"],
  ["exactly-15-char.example.com", "exactly-15-char"],
  ["fourteen-char-and-more", "fourteen-char-a"],
  ["fourteen-chars-and", "fourteen-chars"],
  ["under_score", "under-score"],
  ["12345", "vm-12345"],
  ["1234567890123456", "vm-123456789012"],
  ["-edge-", "edge"],
  ["...", null],
  ["", null],
  ["---", null],
])("the computer name of %j is %j", (hostname, name) => {
  expect(computerName(hostname)).toBe(name);
});

test.each([
  ["web-1.example.com", "web-1", true],
  ["web-1.example.com", "WEB-1.lan", true],
  ["Web-1.example.com", "web-1", true],
  ["a-very-long-name-of-a-host", "A-VERY-LONG-NAM", true],
  ["12345", "VM-12345", true],
  ["12345", "12345", true],
  ["web-1", "web-10", false],
  ["a-very-long-name-of-a-host", "a-very-long-na", false],
  ["web-1", "localhost", false],
  ["web-1", "", false],
  ["...", "", false],
])("the guest of %j that says %j is the one that was made: %s", (hostname, said, is) => {
  expect(isGivenName(hostname, said)).toBe(is);
});
