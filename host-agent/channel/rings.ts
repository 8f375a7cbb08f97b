/** Where doorbells come from: a hint that a pass is worth while, never a truth. Losing any changes latency only. */
export interface DoorbellSource {
  /** The next ring, or several in one. Throws only when `signal` is aborted. */
  next(signal: AbortSignal): Promise<Ring>;
  close(): void;
}

export type Ring = Readonly<{
  /** The generation that it names; null when it names none. */
  generation: number | null;
  /** The truth has been pulled since: the ring need not come again. Never throws. */
  answered(): Promise<void>;
}>;

/** Rings by a call in the same process, for tests and the simulator. */
export function createMemoryDoorbell(): DoorbellSource & { ring(generation: number): void } {
  let rung: number | null = null;
  let listener: (() => void) | null = null;
  const take = (): Ring | null => {
    if (rung === null) return null;
    const generation = rung;
    rung = null;
    return { generation, answered: async () => undefined };
  };
  return {
    ring(generation) {
      rung = Math.max(rung ?? 0, generation);
      listener?.();
    },
    next: (signal) =>
      new Promise((resolve, reject) => {
        const ready = take();
        if (ready) {
          resolve(ready);
          return;
        }
        const end = () => reject(new Error("aborted", { cause: signal.reason }));
        if (signal.aborted) end();
        signal.addEventListener("abort", end, { once: true });
        listener = () => {
          const ring = take();
          if (ring === null) return;
          listener = null;
          signal.removeEventListener("abort", end);
          resolve(ring);
        };
      }),
    close: () => undefined,
  };
}
