import type { SQSEvent } from "aws-lambda";
import { hostQueueName } from "#adapters/sqs-names.ts";
import type { Queues, WorkQueue } from "#core/ports.ts";
import type { BatchHandler } from "#functions/batch.ts";
import { assertQueueFor, assertRingable, assertSendable } from "#local/held-to-sqs.ts";

/** Queues that keep what was sent until a test hands it on. They take what SQS takes. */
export type RecordedQueues = Queues & {
  readonly waiting: Record<WorkQueue, unknown[]>;
  readonly rings: { queueUrl: string; hostId: string; generation: number }[];
};

export function recordedQueues(): RecordedQueues {
  const waiting: Record<WorkQueue, unknown[]> = {
    purchases: [],
    "billing-events": [],
    "outbox-events": [],
  };
  const rings: RecordedQueues["rings"] = [];
  return {
    waiting,
    rings,
    send: async (queue, messages, options) => {
      assertSendable(messages, options?.delaySeconds);
      waiting[queue].push(...messages);
    },
    ring: async (queueUrl, doorbell) => {
      assertRingable(doorbell);
      rings.push({ queueUrl, ...doorbell });
    },
    ensureHostQueue: async (hostId) => {
      assertQueueFor(hostId);
      return `https://sqs.test/000000000000/${hostQueueName(hostId)}`;
    },
  };
}

/** Hands what waits to the handler, one by one; what is to be tried again waits again. Answers how many were done. */
export async function deliverWaiting(messages: unknown[], handler: BatchHandler): Promise<number> {
  let done = 0;
  for (const message of messages.splice(0)) {
    const { batchItemFailures } = await handler(toSqsEvent([message]));
    if (batchItemFailures.length === 0) done++;
    else messages.push(message);
  }
  return done;
}

export const toSqsEvent = (bodies: readonly unknown[]): SQSEvent => ({
  Records: bodies.map((body, n) => ({
    messageId: String(n),
    receiptHandle: String(n),
    body: typeof body === "string" ? body : JSON.stringify(body),
    attributes: {
      ApproximateReceiveCount: "1",
      SentTimestamp: "0",
      SenderId: "test",
      ApproximateFirstReceiveTimestamp: "0",
    },
    messageAttributes: {},
    md5OfBody: "",
    eventSource: "aws:sqs",
    eventSourceARN: "arn:aws:sqs:us-east-1:000000000000:test",
    awsRegion: "us-east-1",
  })),
});
