import type { Clock } from "#core/ports.ts";

/**
 * Why a wait ended that nobody waits for any more. Made once: an abort without a reason makes a DOMException with its stack,
 * which costs more than the timer that it ends.
 */
export const WAITED_ENOUGH = new Error("nobody waits for it any more");

/**
 * Runs `work` with a signal that is aborted with `late()` after `ms`, or with the parent's reason. It waits for
 * `work` to end, so that nothing goes on behind the caller's back, and then throws `late()` in place of what
 * the abort caused.
 */
export async function within<T>(
  limit: { clock: Clock; ms: number; late: () => Error; parent?: AbortSignal },
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { clock, ms, parent } = limit;
  parent?.throwIfAborted();
  const inner = new AbortController();
  const timer = new AbortController();
  let tooLate: Error | null = null;
  const follow = () => inner.abort(parent?.reason);
  parent?.addEventListener("abort", follow, { once: true });
  clock.sleep(ms, timer.signal).then(
    () => {
      tooLate = limit.late();
      inner.abort(tooLate);
    },
    () => undefined,
  );
  try {
    return await work(inner.signal);
  } catch (error) {
    throw tooLate ?? error;
  } finally {
    timer.abort(WAITED_ENOUGH);
    parent?.removeEventListener("abort", follow);
  }
}

/** A sleep that ends early, and quietly, when its signal is aborted. */
export async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  try {
    await clock.sleep(ms, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/**
 * At most `size()` holders at once, asked each time; the others wait in the order of their asking. Who waits, and whose signal is
 * aborted, waits no longer: its reason is thrown.
 */
export function createSlots(
  size: () => number,
): <T>(work: () => Promise<T>, signal?: AbortSignal) => Promise<T> {
  let taken = 0;
  let waiting: (() => void)[] = [];
  const turn = (signal: AbortSignal | undefined) =>
    new Promise<void>((resolve, reject) => {
      const leave = () => {
        waiting = waiting.filter((other) => other !== enter);
        reject(abortOf(signal));
      };
      const enter = () => {
        signal?.removeEventListener("abort", leave);
        resolve();
      };
      waiting.push(enter);
      signal?.addEventListener("abort", leave, { once: true });
    });
  return async (work, signal) => {
    signal?.throwIfAborted();
    if (waiting.length === 0 && taken < size()) taken += 1;
    else await turn(signal);
    try {
      return await work();
    } finally {
      taken -= 1;
      while (taken < size() && waiting.length > 0) {
        taken += 1;
        waiting.shift()?.();
      }
    }
  };
}

const abortOf = (signal: AbortSignal | undefined): Error =>
  signal?.reason instanceof Error ? signal.reason : new Error("aborted", { cause: signal?.reason });

/** Seconds 1, 2, 4 … up to `most`, for the first, second, third … failure in a row. */
export const backOffMs = (failures: number, mostMs = 60_000): number =>
  Math.min(mostMs, 1000 * 2 ** Math.min(failures - 1, 20));
