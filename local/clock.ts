import type { Clock } from "#core/ports.ts";

/** Node's timers hold 31 bits of milliseconds; longer waits are made of several. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The machine's time plus what was advanced. Whoever sleeps wakes when the advanced time reaches them. */
export type LocalClock = Clock & {
  advance: (ms: number) => void;
  offsetMs: () => number;
};

export function createLocalClock(startOffsetMs = 0): LocalClock {
  let offset = startOffsetMs;
  const sleepers = new Set<() => void>();
  const now = () => Date.now() + offset;
  return {
    now: () => new Date(now()),
    offsetMs: () => offset,
    advance: (ms) => {
      offset += ms;
      for (const wake of sleepers) wake();
    },
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        const until = now() + ms;
        let timer: NodeJS.Timeout | undefined;
        const end = () => {
          clearTimeout(timer);
          sleepers.delete(look);
          signal?.removeEventListener("abort", abort);
        };
        const abort = () => {
          end();
          reject(signal?.reason instanceof Error ? signal.reason : new Error("aborted"));
        };
        const look = () => {
          clearTimeout(timer);
          const left = until - now();
          if (left <= 0) {
            end();
            resolve();
          } else timer = setTimeout(look, Math.min(left, LONGEST_TIMER_MS));
        };
        if (signal?.aborted) {
          abort();
          return;
        }
        signal?.addEventListener("abort", abort, { once: true });
        sleepers.add(look);
        look();
      }),
  };
}
