import { Dice } from "#test/sim/dice.ts";

/*
 * How much the costly tests do. `BERTH_TEST_LONG=1` (`npm run test:long`, `.ci/run`) is all of it; else a sample, which
 * is drawn anew each day, so that in a while everything has had its turn. The seed is printed before each run, and
 * `BERTH_TEST_SEED` gives it back.
 */

/** Whether all is done, and nothing is drawn. */
export const LONG = process.env["BERTH_TEST_LONG"] === "1";

/** The day's date unless it is given. Processes that are started later have the same, over midnight too. */
export const SEED = (process.env["BERTH_TEST_SEED"] ??= new Date().toISOString().slice(0, 10));

/** Chance of this run for one purpose: the same for the same seed. */
export const diceFor = (purpose: string): Dice => new Dice(`${SEED}/${purpose}`);

/** All of them, or so many drawn for this purpose, in their order. */
export function sampled<T>(purpose: string, all: readonly T[], most: number): readonly T[] {
  if (LONG || all.length <= most) return all;
  const places = diceFor(purpose).shuffled(all.map((_, n) => n));
  return places
    .slice(0, most)
    .toSorted((a, b) => a - b)
    .flatMap((n) => all.slice(n, n + 1));
}

/** So many that follow one another, of all; the first of them is drawn. */
export function drawnStart(purpose: string, all: number, many: number): number {
  return diceFor(purpose).int(1, all - many + 1);
}

/** For whoever reads the output: how to have the same again. */
export const drawnBy = `drawn by BERTH_TEST_SEED=${SEED}`;
