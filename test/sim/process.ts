import { AsyncLocalStorage } from "node:async_hooks";
import { forever, type Scheduler } from "./scheduler.ts";

/**
 * One run of a Lambda: a request, a batch, a sweep. It can be killed at anything it does to the outside, before or
 * after it; what it has done until then stays done, and nobody hears from it again.
 */
export type VirtualProcess = {
  readonly name: string;
  /** How many more things it does before it dies; null: it lives. */
  livesFor: number | null;
  /** When its time is over, in milliseconds since 1970: also where days pass at once, and all that was due comes due together. */
  readonly until: number;
  dead: boolean;
  /** Told at its death, so that what it held (a connection) is taken from it. */
  readonly onDeath: Set<() => void>;
  /** What it has asked of the payment provider, and was answered, oldest first. */
  readonly asked: string[];
};

export type Death = "killed" | "out_of_time";

const current = new AsyncLocalStorage<VirtualProcess>();

export const processNow = (): VirtualProcess | undefined => current.getStore();

/**
 * Runs `work` as a process of its own, which is killed when its time is over. Never resolves when the process is
 * killed; `died` is told then.
 */
export function runProcess<T>(
  scheduler: Scheduler,
  options: {
    name: string;
    livesFor: number | null;
    limitMs: number;
    /** Told when it dies: of what it was to do (`livesFor`), or out of time. */
    died: (of: Death) => void;
  },
  work: () => Promise<T>,
): Promise<T> {
  const process: VirtualProcess = {
    name: options.name,
    livesFor: options.livesFor,
    until: scheduler.now().getTime() + options.limitMs,
    dead: false,
    onDeath: new Set([() => options.died(process.livesFor === 0 ? "killed" : "out_of_time")]),
    asked: [],
  };
  const cancel = scheduler.after(options.limitMs, `${options.name} is out of time`, () =>
    kill(process),
  );
  return current
    .run(process, work)
    .finally(cancel)
    .then((value) => (process.dead ? forever : value));
}

function kill(process: VirtualProcess): void {
  if (process.dead) return;
  process.dead = true;
  for (const tell of process.onDeath) tell();
}

/** Waits for the caller's turn to do something to the outside. A process that dies here never goes on. */
export async function outside(
  scheduler: Scheduler,
  label: string,
  ready?: () => boolean,
): Promise<void> {
  const process = processNow();
  await scheduler.turn(process ? `${process.name} ${label}` : label, ready);
  if (process) await survive(process, scheduler.now().getTime());
}

async function survive(process: VirtualProcess, now: number): Promise<void> {
  if (process.dead) return forever;
  if (now > process.until) {
    kill(process);
    return forever;
  }
  if (process.livesFor === null) return undefined;
  process.livesFor -= 1;
  if (process.livesFor > 0) return undefined;
  kill(process);
  return forever;
}
