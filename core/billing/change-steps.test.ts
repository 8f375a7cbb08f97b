import { describe, expect, test } from "vitest";
import { AT, minutesAfter } from "#test/builders.ts";
import { aPlanChange } from "#test/plan-change-builders.ts";
import { progressOfChange, stepsOfChange } from "./change-steps.ts";
import type { PlanChange } from "./plan-change.ts";

/* 6a 2: the steps of a resize, each with its times. */

const paid = { pricedAt: minutesAfter(3), money: "applied" } as const;
const seen = { appliedAt: minutesAfter(4), seenAt: minutesAfter(9), machine: "seen" } as const;
const shown = (over: Partial<PlanChange>) =>
  stepsOfChange(aPlanChange(over)).map(({ name, status, startedAt, finishedAt }) => [
    name,
    status,
    startedAt && (+startedAt - +AT) / 60_000,
    finishedAt && (+finishedAt - +AT) / 60_000,
  ]);

describe("the steps of a change", () => {
  test("upwards: reserved, paid, made, seen, committed", () => {
    expect(shown({})).toEqual([
      ["reserve", "success", 0, 0],
      ["pay", "running", 0, null],
      ["apply", "pending", null, null],
      ["verify", "pending", null, null],
      ["commit", "pending", null, null],
    ]);
    const ended = { outcome: "committed", endedAt: minutesAfter(10) } as const;
    expect(shown({ ...paid, ...seen, ...ended })).toEqual([
      ["reserve", "success", 0, 0],
      ["pay", "success", 0, 3],
      ["apply", "success", 3, 4],
      ["verify", "success", 4, 9],
      ["commit", "success", 9, 10],
    ]);
  });

  test("downwards: made and seen first, and then priced; at renewal the room waits with it", () => {
    const names = shown({ order: "machine_first", reservedAt: null }).map(([name]) => name);
    expect(names).toEqual(["reserve", "apply", "verify", "pay", "commit"]);
    const first = shown({ order: "machine_first", reservedAt: null })[0];
    expect(first).toEqual(["reserve", "running", 0, null]);
  });

  test("without money, or without a machine, are fewer", () => {
    const names = (over: Partial<PlanChange>) => shown(over).map(([name]) => name);
    expect(names({ money: "exempt" })).toEqual(["reserve", "apply", "verify", "commit"]);
    expect(names({ machine: "none" })).toEqual(["reserve", "pay", "commit"]);
  });

  test("of one that goes back: the one that it was at has failed, and `revert` ends when all is as it was", () => {
    const back = { turnedBack: "not_seen", turnedBackAt: minutesAfter(64) } as const;
    const told = { ...paid, appliedAt: minutesAfter(4), machine: "reverting" } as const;
    expect(shown({ ...told, ...back }).slice(2)).toEqual([
      ["apply", "success", 3, 4],
      ["verify", "error", 4, 64],
      ["commit", "pending", null, null],
      ["revert", "running", 64, null],
    ]);
    const ended = { outcome: "reverted", endedAt: minutesAfter(70) } as const;
    expect(shown({ ...told, ...back, ...ended }).at(-1)).toEqual(["revert", "success", 64, 70]);
  });
});

test("progress goes by the steps that are done, and is whole only at the end", () => {
  const done = (over: Partial<PlanChange>) => progressOfChange(aPlanChange(over));
  expect(done({})).toBe(20);
  expect(done(paid)).toBe(40);
  expect(done({ ...paid, ...seen })).toBe(80);
  expect(done({ ...paid, ...seen, outcome: "committed", endedAt: AT })).toBe(100);
});
