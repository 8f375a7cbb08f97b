/** A host's clock may be off by this much: its requests are still taken, and nobody is told. */
export const CLOCK_SKEW_S = 30;

export const isClockOff = (offsetSeconds: number | null): boolean =>
  offsetSeconds !== null && Math.abs(offsetSeconds) > CLOCK_SKEW_S;

/** For people: `95 s behind`. */
export const toldOffset = (offsetSeconds: number): string =>
  `${Math.abs(offsetSeconds)} s ${offsetSeconds < 0 ? "behind" : "ahead of"}`;
