import { expect, test } from "vitest";
import { fullFrom, LIMIT_NAMES, LIMITS, nextTaken } from "./attempts.ts";

const NOW = new Date("2026-03-01T12:00:00Z");

test.each(LIMIT_NAMES)(
  "the bucket of %s takes as many at once as it says, then one at a time",
  (name) => {
    const { atOnce, everyMs } = LIMITS[name];
    /** When it runs out, with so many in it. */
    const holding = (n: number) => new Date(+NOW + n * everyMs);
    expect(holding(atOnce - 1) <= fullFrom(name, NOW)).toBe(true);
    expect(holding(atOnce) > fullFrom(name, NOW)).toBe(true);
    // One that is full waits for one attempt to run out of it.
    expect(+nextTaken(name, holding(atOnce)) - +NOW).toBe(everyMs);
    expect(+nextTaken(name, holding(atOnce - 1))).toBe(+NOW);
  },
);

// 4b B1
test("what guesses at an account from elsewhere is slower than a person, and faster than never", () => {
  const aDay = 86_400_000 / LIMITS.account_elsewhere.everyMs + LIMITS.account_elsewhere.atOnce;
  expect(aDay).toBeLessThanOrEqual(300);
  expect(LIMITS.account_elsewhere.everyMs).toBeLessThanOrEqual(15 * 60_000);
});
