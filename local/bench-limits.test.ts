import { expect, test } from "vitest";
import { exceeded, withinLimits } from "./bench-limits.ts";

test("figures at their limits are within them; what was not measured is neither", () => {
  const within = withinLimits({
    serial: { p50Ms: 150 },
    burst: { allRunningMs: 2000 },
    kvm: { skipped: "no libvirt" },
  });
  expect(within).toEqual({ serialP50Ms: true, burstAllRunningMs: true, kvmRatio: null });
  expect(exceeded(within)).toEqual([]);
});

test("each figure beyond its limit is named with it", () => {
  const within = withinLimits({
    serial: { p50Ms: 150.1 },
    burst: { allRunningMs: 2001 },
    kvm: { ratio: 1.31 },
  });
  expect(within).toEqual({ serialP50Ms: false, burstAllRunningMs: false, kvmRatio: false });
  expect(exceeded(within)).toEqual([
    "serialP50Ms is more than 150",
    "burstAllRunningMs is more than 2000",
    "kvmRatio is more than 1.3",
  ]);
});
