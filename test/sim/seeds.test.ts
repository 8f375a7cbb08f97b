import { expect, test } from "vitest";
import { drawnStart, WHOLE } from "#test/harness/extent.ts";
import { FAULT_KINDS, SELDOM } from "./faults.ts";
import { FULL_RUN, runSeeds, seedsFrom } from "./pool.ts";
import type { SeedResult } from "./seed-run.ts";

/** As many as have shown every kind of fault; in the short form some of those of a whole run (`run.ts`). */
const SEEDS = WHOLE ? 50 : 4;
/** Another range than the usual one, for whoever wants to look further: `BERTH_SIM_FROM=1000 npm test`. */
const FROM = Number(
  process.env["BERTH_SIM_FROM"] ?? (WHOLE ? 1 : drawnStart("seeds", FULL_RUN, SEEDS)),
);

/** So many kinds of faults happen: in the short form as many as one eventful seed has. */
const LEAST_KINDS = WHOLE ? FAULT_KINDS.length - SELDOM.size : 10;
const ENDS = ["active", "completed", "expired", "refunded"];

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
  const kinds = FAULT_KINDS.filter((kind) => !SELDOM.has(kind));
  const missed = kinds.filter((kind) => !happened.has(kind));
  expect(
    kinds.length - missed.length,
    `these never happened: ${missed.join(", ")}`,
  ).toBeGreaterThanOrEqual(LEAST_KINDS);
  const ends = new Set(results.flatMap(({ orders }) => Object.keys(orders)));
  expect([...ends]).toEqual(expect.arrayContaining(WHOLE ? ENDS : ENDS.slice(0, 1)));
});
