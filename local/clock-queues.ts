import type { Clock, Log, Queues } from "#core/ports.ts";
import { assertSendable } from "./held-to-sqs.ts";

export type ClockQueues = Readonly<{
  queues: Queues;
  /** Sends what still waits for its delay, now. Returns how many sendings that were. */
  sendHeld: () => Promise<number>;
  /** Forgets what waits: SQS is in memory here, and forgets as much. */
  stop: () => void;
}>;

/** Queues whose delays pass on the stack's clock, not in SQS: a clock that is moved on moves them too. */
export function queuesOnClock(queues: Queues, clock: Clock, log: Log): ClockQueues {
  const stopping = new AbortController();
  const held = new Set<{ hurry: AbortController; sent: Promise<void> }>();
  const hold = (ms: number, send: () => Promise<void>) => {
    const hurry = new AbortController();
    const wait = clock.sleep(ms, AbortSignal.any([hurry.signal, stopping.signal]));
    const sent = wait
      .catch(() => undefined)
      .then(async () => {
        if (!stopping.signal.aborted) await send();
      })
      // The sweep finds what such a message was to tell.
      .catch((error: unknown) => log.error("queue.delayed_send_failed", { error }))
      .finally(() => held.delete(one));
    const one = { hurry, sent };
    held.add(one);
  };
  return {
    queues: {
      ...queues,
      send: async (queue, messages, options) => {
        // What is held does not come to SQS until its delay is over, and then without it.
        assertSendable(messages, options?.delaySeconds);
        const ms = (options?.delaySeconds ?? 0) * 1000;
        if (ms > 0) hold(ms, () => queues.send(queue, messages));
        else await queues.send(queue, messages);
      },
    },
    sendHeld: async () => {
      const now = [...held];
      for (const { hurry } of now) hurry.abort();
      await Promise.all(now.map(({ sent }) => sent));
      return now.length;
    },
    stop: () => stopping.abort(),
  };
}
