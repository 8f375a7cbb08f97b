import { afterAll, beforeAll, expect, test } from "vitest";
import { keepUsageDays } from "#commands/usage/keep-usage-days.ts";
import { recordUsage } from "#commands/usage/record-usage.ts";
import { showUsage } from "#commands/usage/show-usage.ts";
import { aSample, minutesAfter } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { anActiveVm, aWorld, valueOf, type World } from "#test/harness/world.ts";

let cp: ControlPlane;
let world: World;
let vmId: string;
beforeAll(async () => {
  cp = await startControlPlane({ start: "2026-03-01T12:00:00.000Z" });
  world = await aWorld(cp);
  ({ vmId } = await anActiveVm(cp, world));
  cp.clock.advanceMinutes(10);
});
afterAll(() => cp.drop());

let seq = 0;
/** A sample of the minute that ended so many minutes ago. */
const send = (ago = 0) =>
  recordUsage(cp.deps, world.hostId, {
    samples: [
      aSample({
        vmId,
        bootEpoch: `boot-${seq}`,
        seq: seq++,
        from: minutesAfter(-ago - 1, cp.clock.now()).toISOString(),
        to: minutesAfter(-ago, cp.clock.now()).toISOString(),
        rxBytes: ["7"],
      }),
    ],
  });
const partitionsWithRows = async () =>
  (
    await cp.rows(
      "select tableoid::regclass::text as name, count(*)::int as n from usage_samples group by 1 order by 1",
    )
  ).map((row) => `${String(row["name"])} ${String(row["n"])}`);
const DAY = 24 * 60;

test("4b C1: samples lie by days, which a sweep makes before they come and drops when they are old; their hours stay", async () => {
  // Before the first sweep.
  expect(await send()).toMatchObject({ stored: 1 });
  expect(await partitionsWithRows()).toEqual(["usage_samples_rest 1"]);
  // Yesterday and a week, but for today, of which the rest has rows already.
  expect(await keepUsageDays(cp.deps)).toEqual({ made: 8, dropped: 0 });
  expect(await keepUsageDays(cp.deps)).toEqual({ made: 0, dropped: 0 });
  cp.clock.advanceMinutes(DAY);
  await send();
  expect(await keepUsageDays(cp.deps)).toEqual({ made: 1, dropped: 0 });
  expect(await partitionsWithRows()).toEqual(["usage_samples_20260302 1", "usage_samples_rest 1"]);

  // Forty days and the rest of that day after the first sample.
  cp.clock.advanceMinutes(39 * DAY + 11 * 60);
  expect(await keepUsageDays(cp.deps)).toMatchObject({ dropped: 1 }); // February's last day
  expect(await partitionsWithRows()).toEqual(["usage_samples_20260302 1", "usage_samples_rest 1"]);
  cp.clock.advanceMinutes(60);
  // What the rest has of March's first day goes with the next one's beginning.
  expect(await keepUsageDays(cp.deps)).toEqual({ made: 1, dropped: 0 });
  expect(await partitionsWithRows()).toEqual(["usage_samples_20260302 1"]);
  cp.clock.advanceMinutes(DAY);
  expect(await keepUsageDays(cp.deps)).toEqual({ made: 1, dropped: 1 });
  expect(await partitionsWithRows()).toEqual([]);
  expect(await cp.rows("select from usage_boots")).toEqual([]);

  const march = { from: new Date("2026-03-01T00:00:00Z"), to: new Date("2026-03-31T00:00:00Z") };
  const usage = valueOf(await showUsage(cp.deps, world.buyer, { vmId, ...march, by: "day" }));
  expect(usage.buckets.map((b) => [b.from.toISOString().slice(0, 10), b.rxBytes])).toEqual([
    ["2026-03-01", 7n],
    ["2026-03-02", 7n],
  ]);
});

test("what waited on a host for a month still has its day", async () => {
  expect(await send(30 * DAY)).toMatchObject({ stored: 1 });
});

test("two sweeps at once make each day once", async () => {
  cp.clock.advanceMinutes(3 * DAY);
  const both = await Promise.all([keepUsageDays(cp.deps), keepUsageDays(cp.deps)]);
  expect(both.reduce((n, { made }) => n + made, 0)).toBe(3);
});
