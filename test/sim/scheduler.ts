import { createHash } from "node:crypto";
import { setImmediate as turnOfTheLoop } from "node:timers/promises";
import type { Clock } from "#core/ports.ts";
import type { Dice } from "./dice.ts";

/** A promise that never ends: what awaits it is dead. */
export const forever = new Promise<never>(() => undefined);

type Task = Readonly<{ label: string; ready: () => boolean; run: () => void }>;
type Timer = { at: number; order: number; label: string; run: () => void; cancelled: boolean };

const always = () => true;
const START = Date.parse("2026-06-01T12:00:00.000Z");
/** Rounds of Node's loop after which nothing moves by itself any more: only microtasks and ticks are in play. */
const SETTLING_ROUNDS = 2;

/**
 * Owns time and order. Whatever touches the outside (the database, the network, a queue, a disk, a timer) waits
 * here for its turn; one of those that wait goes on at a time, chosen by the dice, after everything that it set off
 * has come to rest. Time moves only when nobody waits.
 */
export class Scheduler {
  #now = START;
  #tasks: Task[] = [];
  #timers: Timer[] = [];
  /** What happens after so many steps, whatever is under way. */
  #strokes: { at: number; label: string; run: () => void }[] = [];
  #order = 0;
  readonly #dice: Dice;
  readonly #hash = createHash("sha256");
  readonly #lines: string[] | null;
  steps = 0;

  constructor(options: { dice: Dice; keepTrace: boolean }) {
    this.#dice = options.dice;
    this.#lines = options.keepTrace ? [] : null;
  }

  readonly now = (): Date => new Date(this.#now);

  /** Everything that happened so far, as lines; only kept when asked for. */
  get lines(): readonly string[] {
    return this.#lines ?? [];
  }
  traceHash(): string {
    return this.#hash.copy().digest("hex");
  }
  /** Counts for the hash, and is too long for a line: statements, bodies. */
  absorb(bytes: string | Uint8Array): void {
    this.#hash.update(bytes);
  }
  trace(line: string): void {
    const text = `${this.#now - START} ${line}\n`;
    this.#hash.update(text);
    this.#lines?.push(text);
  }

  /** Resolves when it is this one's turn, and `ready` holds. */
  turn(label: string, ready: () => boolean = always): Promise<void> {
    return new Promise((resolve) => {
      this.#tasks.push({ label, ready, run: resolve });
    });
  }

  /** Runs `work` when its turn has come. */
  spawn(label: string, work: () => void): void {
    this.#tasks.push({ label, ready: always, run: work });
  }

  /** Runs `work` after `ms`; answers how to call it off. */
  after(ms: number, label: string, work: () => void): () => void {
    const timer = {
      at: this.#now + Math.max(0, ms),
      order: ++this.#order,
      label,
      run: work,
      cancelled: false,
    };
    // Kept in the order of time: the place is looked for from the end, where most timers belong.
    let place = this.#timers.length;
    for (; place > 0; place--) {
      const before = this.#timers[place - 1];
      if (before === undefined || before.at <= timer.at) break;
    }
    this.#timers.splice(place, 0, timer);
    return () => {
      timer.cancelled = true;
    };
  }

  /** Runs `work` after so many steps of anybody's. */
  inSteps(steps: number, label: string, work: () => void): void {
    this.#strokes.push({ at: this.steps + steps, label, run: work });
  }

  #strike(): void {
    for (const stroke of this.#strokes.filter(({ at }) => at <= this.steps)) {
      this.#strokes.splice(this.#strokes.indexOf(stroke), 1);
      this.trace(stroke.label);
      stroke.run();
    }
  }

  readonly sleep = (ms: number, signal?: AbortSignal, label = "sleep"): Promise<void> =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(reasonOf(signal));
        return;
      }
      const abort = () => {
        cancel();
        if (signal) reject(reasonOf(signal));
      };
      const cancel = this.after(ms, label, () => {
        signal?.removeEventListener("abort", abort);
        resolve();
      });
      signal?.addEventListener("abort", abort, { once: true });
    });

  readonly clock: Clock = { now: this.now, sleep: (ms, signal) => this.sleep(ms, signal) };

  /** One step of somebody, or of time up to `until`. False when nothing is left to do by then. */
  async step(until: number): Promise<boolean> {
    for (let round = 0; round < SETTLING_ROUNDS; round++) await turnOfTheLoop();
    this.#strike();
    const ready = this.#tasks.filter((task) => task.ready());
    if (ready.length > 0) {
      const task = ready.length === 1 && ready[0] ? ready[0] : this.#dice.pick(ready);
      this.#tasks.splice(this.#tasks.indexOf(task), 1);
      this.steps++;
      this.trace(task.label);
      task.run();
      return true;
    }
    if (this.#tasks.length > 0)
      throw new Error(`nobody can go on: ${this.#tasks.map((t) => t.label).join(", ")}`);
    return this.#moveTime(until);
  }

  /** The machines sleep for so long, and nobody notices until they wake: whoever waited for less is late. */
  skip(ms: number): void {
    this.#now += ms;
  }

  /** To the next instant at which a timer is due; those of one instant go on in an order of the dice. */
  #moveTime(until: number): boolean {
    let next = this.#timers[0];
    while (next?.cancelled) {
      this.#timers.shift();
      next = this.#timers[0];
    }
    if (next === undefined || next.at > until) {
      this.#now = Math.max(this.#now, until);
      return false;
    }
    this.#now = Math.max(this.#now, next.at);
    while (this.#timers[0] && this.#timers[0].at <= this.#now) {
      const timer = this.#timers.shift();
      if (timer && !timer.cancelled) this.#wake(timer);
    }
    return true;
  }

  #wake(timer: Timer): void {
    this.#tasks.push({
      label: timer.label,
      ready: always,
      run: () => {
        if (!timer.cancelled) timer.run();
      },
    });
  }
}

const reasonOf = ({ reason }: AbortSignal): Error =>
  reason instanceof Error ? reason : new Error("aborted", { cause: reason });
