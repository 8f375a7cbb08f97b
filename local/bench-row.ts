/** One figure of a benchmark: what we take beside what it cannot be done without, measured in the same run. */
export type BenchRow = Readonly<{
  name: string;
  unit: string;
  /** null: there is none. */
  floor: number | null;
  ours: number;
  ratio: number | null;
  goal: string;
  /** null: nothing is asked of it. */
  holds: boolean | null;
}>;

type Measured = Readonly<{ name: string; unit: string; floor: number | null; ours: number }>;

const rounded = (n: number) => Number(n.toPrecision(4));
const rowOf = (m: Measured, goal: string, holds: boolean | null): BenchRow => ({
  name: m.name,
  unit: m.unit,
  floor: m.floor === null ? null : rounded(m.floor),
  ours: rounded(m.ours),
  ratio: m.floor === null ? null : rounded(m.ours / m.floor),
  goal,
  holds,
});

/** A rate that is to reach this part of its floor's. */
export const atLeast = (part: number, m: Measured & { floor: number }): BenchRow =>
  rowOf(m, `ratio >= ${part}`, m.ours / m.floor >= part);

/** A time or a size that is not to be more than this, in the row's unit. */
export const atMost = (limit: number, m: Measured): BenchRow =>
  rowOf(m, `ours <= ${limit}`, m.ours <= limit);

/** What is told beside the others. */
export const noGoal = (m: Measured): BenchRow => rowOf(m, "none", null);

/** A time that is not to be longer than so many times its floor's. */
export const growsAtMost = (times: number, m: Measured & { floor: number }): BenchRow =>
  rowOf(m, `ratio <= ${times}`, m.ours / m.floor <= times);

export const toText = (rows: readonly BenchRow[]): string =>
  rows
    .map(
      ({ name, unit, floor, ours, ratio, goal, holds }) =>
        `${holds === null ? "      " : holds ? "holds " : "MISSED"}  ${name}: ${ours} ${unit}` +
        `${floor === null ? "" : `, floor ${floor}, ratio ${ratio}`} (${goal})\n`,
    )
    .join("");

/** The value that this part of all is not above. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}
