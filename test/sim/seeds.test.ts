import { expect, test } from "vitest";
import { FAULT_KINDS } from "./faults.ts";
import { runSeeds, seedsFrom } from "./pool.ts";
import type { SeedResult } from "./seed-run.ts";

const SEEDS = 50;
/** Another range than the usual one, for whoever wants to look further: `BERTH_SIM_FROM=1000 npm test`. */
const FROM = Number(process.env["BERTH_SIM_FROM"] ?? 1);

test(`seeds ${FROM} to ${FROM + SEEDS - 1} keep every invariant`, async () => {
  const results: SeedResult[] = [];
  await runSeeds(seedsFrom(FROM, SEEDS, { shrink: true, keepTrace: false }), {
    onResult: (result) => {
      results.push(result);
      return "go_on";
    },
  });
  expect(
    results.flatMap(({ seed, failure }) =>
      failure
        ? [{ ...failure, replay: `npm run sim -- --seed ${seed} --path ${failure.path}` }]
        : [],
    ),
  ).toEqual([]);
  expect(results).toHaveLength(SEEDS);
  // A run in which nothing happens would prove nothing.
  const happened = new Set(results.flatMap(({ faults }) => Object.keys(faults)));
  expect(FAULT_KINDS.filter((kind) => !happened.has(kind))).toEqual([]);
  const ends = new Set(results.flatMap(({ orders }) => Object.keys(orders)));
  expect([...ends]).toEqual(expect.arrayContaining(["active", "completed", "expired", "refunded"]));
});
