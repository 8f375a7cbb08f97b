import { CLOCK_SKEW_MS } from "./judge-sample.ts";
import type { Spans } from "./spans.ts";

/**
 * Of what is measured of a VM, the holes in which it was given from one host to another (`releases`, in milliseconds): its source had stopped it or
 * could not read its counters any more, and its destination had not seen it yet. Nobody measured then and nothing will come: its counters count as
 * zero there (invariants 10, 24). Every other hole is filled as soon as what lies in a host's spool has come, and one of these shrinks by it.
 */
export const unmeasuredIn = (measured: Spans, releases: readonly number[]): Spans =>
  measured.slice(1).flatMap(([begins], n) => {
    const ended = measured[n]?.[1] ?? begins;
    // Clocks of the two hosts may differ by as much, and ours from both.
    const isHandover = releases.some(
      (at) => ended - CLOCK_SKEW_MS <= at && at <= begins + CLOCK_SKEW_MS,
    );
    return isHandover ? [[ended, begins] as const] : [];
  });
