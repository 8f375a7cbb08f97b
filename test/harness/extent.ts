import { Dice } from "#test/sim/dice.ts";

/*
 * How much the costly tests do. `BERTH_TEST_LONG=1` (`npm run test:long`) is all of it, and with `BERTH_TEST_ONE_IN=3`
 * (`.ci/run`) a third of each long list; else a sample. What is drawn is drawn anew each day, so that in a while everything
 * has had its turn. The seed is printed before each run, and `BERTH_TEST_SEED` gives it back.
 */

/** Whether all is done, and nothing is drawn but what `ONE_IN` leaves out. */
export const LONG = process.env["BERTH_TEST_LONG"] === "1";

/** Of a list that the long form would try whole, it tries one in so many. */
const ONE_IN = Number(process.env["BERTH_TEST_ONE_IN"] ?? 1);
if (!Number.isInteger(ONE_IN) || ONE_IN < 1)
  throw new Error(`BERTH_TEST_ONE_IN is a whole number of 1 or more, not ${ONE_IN}`);

/** Whether nothing at all is left out. */
export const WHOLE = LONG && ONE_IN === 1;

/** The day's date unless it is given. Processes that are started later have the same, over midnight too. */
export const SEED = (process.env["BERTH_TEST_SEED"] ??= new Date().toISOString().slice(0, 10));

/** Chance of this run for one purpose: the same for the same seed. */
export const diceFor = (purpose: string): Dice => new Dice(`${SEED}/${purpose}`);

/** So many of them, drawn for this purpose, in their order; in the long form all of them, or one in `ONE_IN`. */
export function sampled<T>(purpose: string, all: readonly T[], least: number): readonly T[] {
  const most = LONG ? Math.max(least, Math.ceil(all.length / ONE_IN)) : least;
  if (all.length <= most) return all;
  const places = diceFor(purpose).shuffled(all.map((_, n) => n));
  return places
    .slice(0, most)
    .toSorted((a, b) => a - b)
    .flatMap((n) => all.slice(n, n + 1));
}

/**
 * Whether a costly test has its turn: one in so many has, drawn by what it is called here; in the long form each (or one
 * in `ONE_IN`). For `test.runIf`, so that what was left out is told as skipped.
 */
export function hasItsTurn(name: string, oneIn: number): boolean {
  return diceFor(name).int(1, LONG ? ONE_IN : oneIn) === 1;
}

/** So many that follow one another, of all; the first of them is drawn. */
export function drawnStart(purpose: string, all: number, many: number): number {
  return diceFor(purpose).int(1, all - many + 1);
}

/** For whoever reads the output: how to have the same again. */
export const drawnBy = `drawn by BERTH_TEST_SEED=${SEED}`;

/** How much is done, for whoever reads the output. */
export const extent = !LONG
  ? `costly tests do a sample, ${drawnBy}`
  : WHOLE
    ? "whole (BERTH_TEST_LONG=1)"
    : `one in ${ONE_IN} of each long list (BERTH_TEST_ONE_IN), ${drawnBy}`;
