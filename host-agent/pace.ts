import type { Clock } from "#core/ports.ts";

/** Waits until so many bytes may go. */
export type Pace = (bytes: number, signal: AbortSignal) => Promise<void>;

/** Its line is not made to stand still for less: timers are no finer than that. */
const LEAST_WAIT_MS = 20;

/** Lets so many bytes a second pass, of all who ask, in the order of their asking. */
export function createPace(clock: Clock, mbitPerSecond: number): Pace {
  const bytesPerSecond = (mbitPerSecond * 1_000_000) / 8;
  let freeAt = 0;
  return async (bytes, signal) => {
    const now = clock.now().getTime();
    const from = Math.max(now, freeAt);
    freeAt = from + (bytes * 1000) / bytesPerSecond;
    if (from - now >= LEAST_WAIT_MS) await clock.sleep(from - now, signal);
  };
}
