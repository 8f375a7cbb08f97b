import type { Clock } from "#core/ports.ts";

/** Time that stands still until a test moves it. Nothing that these tests run sleeps, so a sleep is a mistake. */
export type SettableClock = Clock & {
  advance: (ms: number) => void;
  advanceMinutes: (minutes: number) => void;
  advanceDays: (days: number) => void;
};

export function settableClock(start = "2026-03-01T12:00:00.000Z"): SettableClock {
  let now = Date.parse(start);
  const advance = (ms: number) => {
    now += ms;
  };
  return {
    now: () => new Date(now),
    sleep: () => Promise.reject(new Error("nothing sleeps in a test of the control plane")),
    advance,
    advanceMinutes: (minutes) => advance(minutes * 60_000),
    advanceDays: (days) => advance(days * 86_400_000),
  };
}
