import type { LocalClock } from "./clock.ts";
import type { RunningAgent } from "./agents.ts";
import type { ClockQueues } from "./clock-queues.ts";
import type { QueueWorker } from "./queue-worker.ts";
import type { StripeStandIn } from "./stripe/stand-in.ts";

/**
 * A week at most. What Stripe has to do is stopped at by itself; the rest only has to be found in time: an event that
 * nobody could be told of is to be had for 30 days, and a usage sample is taken for 35 (`OLDEST_SAMPLE_MS`). What ends
 * meanwhile (an order's hold, an initial password, a disk in the trash) ends by the next sweep either way.
 */
export const STEP_MS = 7 * 24 * 60 * 60_000;
/** Real time: far more than the work of one step takes (0.1 s) on a machine that is slow and busy. */
const SETTLE_LIMIT_MS = 300_000;

/** Time has moved, and what came due by it did not come to an end. */
export class NotSettled extends Error {
  override name = "NotSettled";
}

export type TimeParts = Readonly<{
  clock: LocalClock;
  sweep: () => Promise<void>;
  stripe: Pick<StripeStandIn, "runDue" | "nextDueAt"> & {
    webhooks: { pending: () => readonly { dueAt: number }[] };
  };
  held: Pick<ClockQueues, "sendHeld">;
  workers: readonly Pick<QueueWorker, "idle" | "busy">[];
  /** The hosts that are there. */
  agents: () => readonly Pick<RunningAgent, "tellAll">[];
  /** What else is still to be done by now, by kind; what waits for a later instant is not. */
  unfinished: () => Promise<Readonly<Record<string, number>>>;
  /** Returns once it would be known again after a crash. */
  keepOffset: (offsetMs: number) => Promise<void>;
}>;

/**
 * Lets time pass, to each instant at which Stripe has something to do and a week at most at a time, and does all that
 * is due by then before it goes on: deliveries, queues, sweeps. Throws `NotSettled` when that does not come to an end.
 *
 * Each step is kept before it is made: whatever ends the process, a restart's clock is never behind what Postgres and
 * the hosts have seen, and one step ahead of it at most, which it then makes.
 */
export async function passTime(parts: TimeParts, ms: number): Promise<void> {
  const { clock } = parts;
  await settle(parts);
  for (let left = ms; left > 0;) {
    const dueAt = parts.stripe.nextDueAt();
    const untilDue = dueAt === undefined ? STEP_MS : dueAt * 1000 - +clock.now();
    const step = Math.min(left, STEP_MS, Math.max(untilDue, 1000));
    await parts.keepOffset(clock.offsetMs() + step);
    clock.advance(step);
    left -= step;
    await settle(parts);
  }
  // What the hosts told is as old as the time that passed, and nobody goes by that: a VM's status would be "unknown", and
  // no host would be given another. Each that is there looks and tells anew.
  await Promise.all(parts.agents().map((agent) => agent.tellAll()));
  await settle(parts);
}

/** Until a whole round, with a sweep of its own, finds nothing to do and nothing under way. */
async function settle(parts: TimeParts): Promise<void> {
  const limit = performance.now() + SETTLE_LIMIT_MS;
  for (;;) {
    const due = parts.stripe.runDue();
    const held = await parts.held.sendHeld();
    await parts.sweep();
    const left = await allUnfinished(parts);
    const names = Object.keys(left);
    if (due === 0 && held === 0 && names.length === 0) return;
    if (performance.now() > limit)
      throw new NotSettled(
        `it is ${parts.clock.now().toISOString()} now, and some work does not end: ${names.map((n) => `${n} ${left[n]}`).join(", ")}; see the log`,
      );
    await until(() => parts.stripe.webhooks.pending().every((d) => !isDue(d, parts)), limit);
    await Promise.all(parts.workers.map((w) => w.idle()));
  }
}

const isDue = ({ dueAt }: { dueAt: number }, { clock }: TimeParts) => dueAt <= +clock.now();

async function allUnfinished(parts: TimeParts): Promise<Record<string, number>> {
  const all = {
    webhooks: parts.stripe.webhooks.pending().filter((d) => isDue(d, parts)).length,
    ...(await parts.unfinished()),
    workers: parts.workers.filter((w) => w.busy()).length,
  };
  return Object.fromEntries(Object.entries(all).filter(([, n]) => n > 0));
}

async function until(there: () => boolean, limit: number): Promise<void> {
  while (!there() && performance.now() < limit)
    await new Promise((resolve) => setTimeout(resolve, 5));
}
