import { GetQueueAttributesCommand } from "@aws-sdk/client-sqs";
import { count, isNull } from "drizzle-orm";
import type { Deps } from "#commands/deps.ts";
import { inbox, outbox } from "#db/schema/messages.ts";
import type { LocalClock } from "./clock.ts";
import type { ClockQueues } from "./clock-queues.ts";
import type { EmbeddedSqs } from "./embedded-sqs.ts";
import type { QueueWorker } from "./queue-worker.ts";
import type { StripeStandIn } from "./stripe/stand-in.ts";

/** A day at most: a jump over a month would pass by what Stripe tells for 30 days only, and what ends meanwhile. */
const STEP_MS = 24 * 60 * 60_000;
/** Real time: far more than the work of one step takes on a machine that is busy. */
const SETTLE_LIMIT_MS = 60_000;

/** Time has moved, and what came due by it did not come to an end. */
export class NotSettled extends Error {
  override name = "NotSettled";
}

export type TimeParts = Readonly<{
  deps: Deps;
  clock: LocalClock;
  sweep: () => Promise<void>;
  stripe: Pick<StripeStandIn, "runDue" | "nextDueAt" | "webhooks">;
  sqs: EmbeddedSqs;
  held: Pick<ClockQueues, "sendHeld">;
  workers: readonly QueueWorker[];
  keepOffset: (offsetMs: number) => Promise<void>;
}>;

/**
 * Lets time pass, to each instant at which Stripe has something to do and a day at most at a time, and does all that is
 * due by then before it goes on: deliveries, queues, sweeps. Throws `NotSettled` when that does not come to an end.
 */
export async function passTime(parts: TimeParts, ms: number): Promise<void> {
  const { clock } = parts;
  await settle(parts);
  for (let left = ms; left > 0;) {
    const dueAt = parts.stripe.nextDueAt();
    const untilDue = dueAt === undefined ? STEP_MS : dueAt * 1000 - +clock.now();
    const step = Math.min(left, STEP_MS, Math.max(untilDue, 1000));
    clock.advance(step);
    left -= step;
    await parts.keepOffset(clock.offsetMs());
    await settle(parts);
  }
}

/** Until a whole round, with a sweep of its own, finds nothing to do and nothing under way. */
async function settle(parts: TimeParts): Promise<void> {
  const limit = performance.now() + SETTLE_LIMIT_MS;
  for (;;) {
    const due = parts.stripe.runDue();
    const held = await parts.held.sendHeld();
    await parts.sweep();
    const left = await unfinished(parts);
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

/** What is still to be done by now; what waits for a later instant is not. */
async function unfinished(parts: TimeParts): Promise<Record<string, number>> {
  const { db } = parts.deps;
  const [unapplied, unsent, queued] = await Promise.all([
    db.select({ n: count() }).from(inbox).where(isNull(inbox.appliedAt)),
    db.select({ n: count() }).from(outbox).where(isNull(outbox.sentAt)),
    Promise.all(Object.values(parts.sqs.urls).map((url) => depth(parts.sqs, url))),
  ]);
  const all = {
    webhooks: parts.stripe.webhooks.pending().filter((d) => isDue(d, parts)).length,
    inbox: unapplied[0]?.n ?? 0,
    outbox: unsent[0]?.n ?? 0,
    queues: queued.reduce((sum, n) => sum + n, 0),
    workers: parts.workers.filter((w) => w.busy()).length,
  };
  return Object.fromEntries(Object.entries(all).filter(([, n]) => n > 0));
}

async function depth(sqs: EmbeddedSqs, QueueUrl: string): Promise<number> {
  const { Attributes = {} } = await sqs.client.send(
    new GetQueueAttributesCommand({
      QueueUrl,
      AttributeNames: [
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesDelayed",
      ],
    }),
  );
  return Object.values(Attributes).reduce((sum, n) => sum + Number(n), 0);
}

async function until(there: () => boolean, limit: number): Promise<void> {
  while (!there() && performance.now() < limit)
    await new Promise((resolve) => setTimeout(resolve, 5));
}
