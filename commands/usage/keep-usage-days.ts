import { keepUsageDays as keepDays } from "#db/usage/samples.ts";
import type { Deps } from "#commands/deps.ts";

/** A sweep that does not run for so long costs nothing: the days after it lie in the partition of all other days. */
const AHEAD_DAYS = 7;
/** Samples are taken for 35 days (`OLDEST_SAMPLE_MS`), and kept a little longer than that. Their hours stay. */
const KEEP_DAYS = 40;

/** Makes room for the usage of the days to come, and drops single samples that are past their time, a day at once. */
export const keepUsageDays = (
  deps: Pick<Deps, "db" | "clock">,
): Promise<{ made: number; dropped: number }> =>
  keepDays(deps.db, { now: deps.clock.now(), aheadDays: AHEAD_DAYS, keepDays: KEEP_DAYS });
