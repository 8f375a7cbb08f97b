import { expect, test } from "vitest";
import { agentAge } from "./agent-age.ts";

/* 5 item 2: staff are told of old agents; the measure are the releases that they registered. */

const RELEASES = ["0.9.0", "1.10.0", "1.2.0", "1.2.1"];

test.each([
  ["1.10.0", "current"],
  ["2.0.0", "current"],
  ["1.2.1", "old"],
  ["1.9.9", "old"],
  ["1.2.0", "old"],
  ["1.1.9", "too_old"],
  ["0.9.0", "too_old"],
  ["simulated", null],
  ["1.2", null],
  ["1.2.0-rc1", null],
  [null, null],
] as const)("an agent of version %s is %s", (version, age) => {
  expect(agentAge(version, RELEASES)).toBe(age);
});

test("where nothing is registered, nothing is old", () => {
  expect(agentAge("0.0.1", [])).toBeNull();
});
