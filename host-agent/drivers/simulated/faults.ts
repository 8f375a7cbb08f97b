import { DriverError } from "../driver.ts";

/** A place in the simulated driver at which it may fail, stall or die: before each change it makes. */
export type FaultPoint = Readonly<{ operation: string; step: string; vmId: string | null }>;

/** Called and awaited at every point. What it throws, the operation throws; while it waits, the operation waits. */
export type FaultHook = (
  point: FaultPoint,
  signal: AbortSignal | undefined,
) => Promise<void> | void;

export const noFaults: FaultHook = () => undefined;

/** The hook at points that match, up to `times` times. */
export function when(match: Partial<FaultPoint>, hook: FaultHook, times = Infinity): FaultHook {
  let left = times;
  return async (point, signal) => {
    const hit =
      (match.operation === undefined || match.operation === point.operation) &&
      (match.step === undefined || match.step === point.step) &&
      (match.vmId === undefined || match.vmId === point.vmId);
    if (!hit || left <= 0) return;
    left -= 1;
    await hook(point, signal);
  };
}

export const throwing =
  (error: DriverError = new DriverError("driver_failed", "injected fault")): FaultHook =>
  () => {
    throw error;
  };

/** Never goes on, until the caller's signal is aborted. */
export const hanging: FaultHook = (_point, signal) =>
  new Promise((_resolve, reject) => {
    signal?.addEventListener("abort", () => reject(abortReason(signal)), { once: true });
  });

/** Runs `crash` at the `n`-th point that is reached, counted from 1. `crash` kills the process, or never returns. */
export function crashingAt(n: number, crash: () => Promise<void> | void): FaultHook {
  let reached = 0;
  return async () => {
    reached += 1;
    if (reached === n) await crash();
  };
}

function abortReason(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error("aborted");
}
