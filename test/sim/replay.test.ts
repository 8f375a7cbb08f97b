import { readdir } from "node:fs/promises";
import { stripTypeScriptTypes } from "node:module";
import path from "node:path";
import { expect, test } from "vitest";
import { LONG, sampled } from "#test/harness/extent.ts";
import { MUTANTS } from "./mutants/mutants.ts";
import { withDefect } from "./mutants/plant.ts";
import { runSeeds } from "./pool.ts";
import { readPlan } from "./read-plan.ts";
import type { SeedRequest, SeedResult } from "./seed-run.ts";

const REGRESSIONS = path.join(import.meta.dirname, "regressions");

type Asked = Pick<SeedRequest, "seed" | "path" | "shrink" | "plan">;

/** Runs what is asked for on one thread, in this order; `more` is asked for what comes next with what has come. */
async function runInTurn(
  requests: readonly Asked[],
  { mutant, more }: { mutant?: string; more?: (so: readonly SeedResult[]) => Asked } = {},
): Promise<readonly SeedResult[]> {
  const results: SeedResult[] = [];
  function* inTurn() {
    for (const request of requests) yield { ...request, keepTrace: true };
    if (more) yield { ...more(results), keepTrace: true };
  }
  await runSeeds(inTurn(), {
    threads: 1,
    ...(mutant === undefined ? {} : { mutant }),
    onResult: (result) => {
      results.push(result);
      return "go_on";
    },
  });
  return results;
}
const plainly = (seed: number) => ({ seed, path: null, shrink: false });
const fromFile = async (name: string) => ({
  ...plainly(0),
  plan: await readPlan(path.join(REGRESSIONS, name)),
});
/** Two worlds in which much happens; in the short form two short ones. */
const TWO = LONG
  ? [plainly(7), plainly(11)]
  : await Promise.all(["reboot-done-twice.json", "undone-vm-entitled-anew.json"].map(fromFile));
const toldBy = ({ traceHash, trace, faults, steps }: SeedResult) => ({
  traceHash,
  trace: trace.join(""),
  faults,
  steps,
});

test("a seed has one trace, byte for byte, after whichever seeds and on whichever thread", async () => {
  const [one, other] = TWO;
  if (!one || !other) throw new Error("there are no two");
  const [[first, second, again], [secondAlone, firstAfter]] = await Promise.all([
    runInTurn([one, other, one]),
    runInTurn([other, one]),
  ]);
  if (!first || !second || !again || !secondAlone || !firstAfter) throw new Error("not all ran");
  expect(toldBy(again)).toEqual(toldBy(first));
  expect(toldBy(firstAfter)).toEqual(toldBy(first));
  expect(toldBy(secondAlone)).toEqual(toldBy(second));
  expect(first.traceHash).not.toBe(second.traceHash);
  expect(first.trace.length).toBeGreaterThan(100);
});

// Tries up to 120 plans to make one smaller.
test.runIf(LONG)(
  "a planted defect is caught, becomes a few steps, and its printed path replays it",
  async () => {
    const mutant = "reservation: room is held and not counted";
    const asPrinted = (by: SeedResult | undefined) => ({
      seed: 4,
      path: by?.failure?.path ?? "",
      shrink: false,
    });
    const [found, replayed] = await runInTurn([{ seed: 4, path: null, shrink: true }], {
      mutant,
      more: ([first]) => asPrinted(first),
    });
    const failure = found?.failure;
    expect(failure).toMatchObject({ invariant: 14 });
    expect(failure?.plan.steps.length).toBeLessThanOrEqual(8);
    expect(replayed?.failure).toEqual(failure);
    const [healthy] = await runInTurn([asPrinted(found)]);
    expect(healthy?.failure).toBeNull();
  },
);

test("each mutant has a name of its own, stands once in its file, and is a program with it", () => {
  const wrong: string[] = [];
  for (const mutant of MUTANTS)
    try {
      stripTypeScriptTypes(withDefect(mutant));
    } catch (error) {
      wrong.push(`${mutant.name}: ${String(error)}`);
    }
  expect(wrong).toEqual([]);
  expect(new Set(MUTANTS.map(({ name }) => name)).size).toBe(MUTANTS.length);
});

test("what was once broken stays mended", async () => {
  const all = (await readdir(REGRESSIONS)).filter((name) => name.endsWith(".json")).sort();
  const files = sampled("regressions", all, 3);
  expect(files.length).toBeGreaterThan(0);
  const plans = await Promise.all(files.map((name) => readPlan(path.join(REGRESSIONS, name))));
  const results = await runInTurn(
    plans.map((plan, seed) => ({ seed, path: null, shrink: false, plan })),
  );
  expect(
    results.flatMap(({ seed, failure }) =>
      failure ? [`${files[seed]}: ${failure.invariant}: ${failure.detail}`] : [],
    ),
  ).toEqual([]);
  expect(results).toHaveLength(files.length);
});
