import type { Clock, Log } from "#core/ports.ts";
import { WAITED_ENOUGH } from "#host-agent/time-limit.ts";
import type { WebhookQueue } from "./webhooks.ts";

const MOST_AT_ONCE = 8;
/** Nothing is due for longer: look again anyway, because somebody may have moved the clock. */
const LONGEST_SLEEP_MS = 60_000;

type PumpDeps = Readonly<{
  queue: WebhookQueue;
  clock: Clock;
  log: Log;
  /** Does what is due; returns when there is more, in Unix milliseconds. */
  runDue: () => number | undefined;
}>;

/**
 * Keeps the stand-in going in real time: delivers what is due, several at once, and does the work that time brings
 * about. It sleeps until the next instant that matters, or until `wake` is called.
 */
export class Pump {
  readonly #deps: PumpDeps;
  readonly #closing = new AbortController();
  readonly #underWay = new Set<Promise<void>>();
  #sleeping = new AbortController();
  #awake = false;
  #loop: Promise<void> | null = null;

  constructor(deps: PumpDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  wake(): void {
    this.#awake = true;
    this.#sleeping.abort(WAITED_ENOUGH);
  }

  /** Starts nothing more, and returns when what was under way has ended. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#loop;
    await Promise.all(this.#underWay);
  }

  async #run(): Promise<void> {
    while (!this.#closing.signal.aborted) {
      this.#awake = false;
      const workAt = this.#work();
      for (const { id } of this.#deps.queue.due()) {
        if (this.#underWay.size >= MOST_AT_ONCE) break;
        this.#launch(id);
      }
      await this.#rest(workAt);
    }
  }

  /** A failure here is a bug of the stand-in; deliveries go on, and the next look tries again. */
  #work(): number | undefined {
    try {
      return this.#deps.runDue();
    } catch (error) {
      this.#deps.log.error("stripe_due_work_threw", { error });
      return undefined;
    }
  }

  #launch(id: string): void {
    const sending = this.#deps.queue
      .deliver(id)
      .then(
        () => {},
        (error: unknown) => this.#deps.log.error("stripe_delivery_threw", { delivery: id, error }),
      )
      .finally(() => {
        this.#underWay.delete(sending);
        this.wake();
      });
    this.#underWay.add(sending);
  }

  async #rest(workAt: number | undefined): Promise<void> {
    if (this.#awake) return;
    const now = this.#deps.clock.now().getTime();
    // While as many are under way as may be, their end wakes us.
    const deliveryAt =
      this.#underWay.size >= MOST_AT_ONCE ? undefined : this.#deps.queue.nextDueAt();
    const next = Math.min(workAt ?? Infinity, deliveryAt ?? Infinity);
    const ms = Math.min(Math.max(0, next - now), LONGEST_SLEEP_MS);
    this.#sleeping = new AbortController();
    const signal = AbortSignal.any([this.#closing.signal, this.#sleeping.signal]);
    try {
      await this.#deps.clock.sleep(ms, signal);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
}
