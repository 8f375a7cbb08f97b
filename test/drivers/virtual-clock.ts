import { setImmediate as turn } from "node:timers/promises";
import type { Clock } from "#core/ports.ts";

/** Time that moves only when it is told to; sleepers wake in the order of their instants. */
export type VirtualClock = Clock & { advance(ms: number): Promise<void> };

export function createVirtualClock(start = "2026-06-01T12:00:00.000Z"): VirtualClock {
  let now = Date.parse(start);
  let sleepers: { at: number; wake: () => void }[] = [];
  return {
    now: () => new Date(now),
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        signal?.throwIfAborted();
        const sleeper = { at: now + ms, wake: resolve };
        sleepers.push(sleeper);
        signal?.addEventListener(
          "abort",
          () => {
            sleepers = sleepers.filter((other) => other !== sleeper);
            reject(reasonOf(signal));
          },
          { once: true },
        );
      }),
    async advance(ms) {
      const until = now + ms;
      for (;;) {
        // Lets everything run that needs no time.
        await turn();
        const due = sleepers
          .filter((sleeper) => sleeper.at <= until)
          .sort((a, b) => a.at - b.at)[0];
        if (due === undefined) break;
        sleepers = sleepers.filter((sleeper) => sleeper !== due);
        now = Math.max(now, due.at);
        due.wake();
      }
      now = until;
    },
  };
}

const reasonOf = ({ reason }: AbortSignal): Error =>
  reason instanceof Error ? reason : new Error("aborted", { cause: reason });
