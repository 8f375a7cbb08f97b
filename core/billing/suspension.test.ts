import { describe, expect, test } from "vitest";
import { keepsData, SUSPENSION_REASONS, SUSPENSION_WORDS, withReason } from "./suspension.ts";

describe("a set of suspensions", () => {
  test("has each reason once, in one order whatever came first", () => {
    const one = withReason([], "staff", true);
    const both = withReason(one, "abuse", true);
    expect(both).toEqual(["abuse", "staff"]);
    expect(withReason(withReason([], "abuse", true), "staff", true)).toEqual(both);
    expect(withReason(both, "staff", true)).toEqual(both);
  });

  test("loses one reason at a time, and what it has not stays away", () => {
    expect(withReason(["abuse", "staff"], "staff", false)).toEqual(["abuse"]);
    expect(withReason(["abuse"], "dispute", false)).toEqual(["abuse"]);
    expect(withReason([], "abuse", false)).toEqual([]);
  });

  test("keeps data for abuse and disputes, whatever else is in it", () => {
    expect(keepsData(["bandwidth", "staff"])).toBe(false);
    expect(keepsData(["staff", "abuse"])).toBe(true);
    expect(keepsData(["dispute"])).toBe(true);
  });
});

test("each reason is told to customers in words of its own", () => {
  const words = SUSPENSION_REASONS.map((reason) => SUSPENSION_WORDS[reason]);
  expect(new Set(words).size).toBe(SUSPENSION_REASONS.length);
});
