import type { Clock, Log } from "#core/ports.ts";

/**
 * The control plane's time, as far as this host knows it: what an answer's `Date` said last, and the time that has passed
 * since by a clock that nobody sets. Before the first answer the host's own clock is all there is.
 */
export interface PlaneTime {
  /** What an answer of the control plane gave as its time. */
  heard(date: Date): void;
  now(): Date;
  /** What requests are signed with: corrected by at most a day, so that nobody's `Date` makes tokens of another year. */
  signingNow(): Date;
  /** The host's clock less the control plane's when it was last heard; null: not yet. */
  offsetSeconds(): number | null;
}

/** A `Date` has whole seconds, and was written before the answer went over the network: as good as the host's own clock. */
const AS_GOOD_MS = 5_000;
const MOST_CORRECTION_MS = 24 * 3_600_000;

export function createPlaneTime(ports: {
  clock: Clock;
  /** Milliseconds by a clock that only counts on, whatever is done to the host's time. Left out: the host's own clock. */
  uptimeMs?: () => number;
  log: Log;
}): PlaneTime {
  const { clock, log } = ports;
  const ownMs = () => clock.now().getTime();
  const uptimeMs = ports.uptimeMs ?? ownMs;
  let learned: { planeMs: number; uptimeMs: number; offsetMs: number } | null = null;
  let told: "good" | "off" | "too_far" = "good";

  const planeMs = () =>
    learned === null ? ownMs() : learned.planeMs + (uptimeMs() - learned.uptimeMs);

  function tell(offsetMs: number): void {
    const off = Math.abs(offsetMs);
    const is = off <= AS_GOOD_MS ? "good" : off <= MOST_CORRECTION_MS ? "off" : "too_far";
    if (is === told) return;
    told = is;
    const fields = { offset_seconds: Math.round(offsetMs / 1000) };
    if (is === "good") log.info("clock_good_again", fields);
    else if (is === "off") log.error("clock_off_corrected", fields);
    else log.error("clock_off_too_far", fields);
  }

  return {
    heard(date) {
      const heardMs = date.getTime();
      if (Number.isNaN(heardMs)) return;
      const offsetMs = ownMs() - heardMs;
      const isGood = Math.abs(offsetMs) <= AS_GOOD_MS;
      learned = { planeMs: isGood ? ownMs() : heardMs, uptimeMs: uptimeMs(), offsetMs };
      tell(offsetMs);
    },
    now: () => new Date(planeMs()),
    signingNow() {
      const correctionMs = planeMs() - ownMs();
      return Math.abs(correctionMs) <= MOST_CORRECTION_MS ? new Date(planeMs()) : clock.now();
    },
    offsetSeconds: () => (learned === null ? null : Math.round(learned.offsetMs / 1000)),
  };
}
