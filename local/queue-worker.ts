import {
  DeleteMessageBatchCommand,
  ReceiveMessageCommand,
  type Message,
  type SQSClient,
} from "@aws-sdk/client-sqs";
import type { SQSEvent, SQSRecord } from "aws-lambda";
import { inGroups } from "#commands/in-groups.ts";
import type { Clock, Log } from "#core/ports.ts";
import type { BatchHandler } from "#functions/batch.ts";

/**
 * What Lambda's event source mapping does with batches of one: hands each message to the handler, and deletes what it has done.
 * No message waits for another one that takes long, unless that many take long at once.
 */
export type QueueWorker = Readonly<{
  /** Resolves when the handler has nothing in work. */
  idle: () => Promise<void>;
  busy: () => boolean;
  stop: () => Promise<void>;
}>;

const WAIT_SECONDS = 20;
/** SQS's own limit, of a receipt and of a deletion. */
const MOST_AT_ONCE = 10;

/** Works a queue with `parallel` messages at once, until it is stopped. */
export function startQueueWorker(options: {
  client: SQSClient;
  queueUrl: string;
  handler: BatchHandler;
  clock: Clock;
  log: Log;
  parallel: number;
}): QueueWorker {
  const { client, queueUrl, log, parallel } = options;
  const stopping = new AbortController();
  const inWork = new Set<Promise<void>>();

  const receive = async (most: number): Promise<Message[]> => {
    const answer = await client.send(
      new ReceiveMessageCommand({
        QueueUrl: queueUrl,
        MaxNumberOfMessages: Math.min(most, MOST_AT_ONCE),
        WaitTimeSeconds: WAIT_SECONDS,
        MessageSystemAttributeNames: ["All"],
      }),
      { abortSignal: stopping.signal },
    );
    return answer.Messages ?? [];
  };

  const remove = inGroups<Message, void>(MOST_AT_ONCE, async (done) => {
    await client.send(
      new DeleteMessageBatchCommand({
        QueueUrl: queueUrl,
        Entries: done.map((m, n) => ({ Id: String(n), ReceiptHandle: m.ReceiptHandle })),
      }),
    );
    return done.map(() => undefined);
  });

  const failed = (error: unknown) =>
    log.error("queue_worker.failed", { queue_url: queueUrl, error });
  const work = async (message: Message) => {
    const { batchItemFailures } = await options.handler(toEvent([message], queueUrl));
    if (batchItemFailures.length === 0) await remove(message);
  };

  const receiveAll = async () => {
    while (!stopping.signal.aborted) {
      try {
        for (const message of await receive(parallel - inWork.size)) {
          const working = work(message)
            .catch(failed)
            .finally(() => inWork.delete(working));
          inWork.add(working);
        }
      } catch (error) {
        if (stopping.signal.aborted) break;
        failed(error);
        await options.clock.sleep(1000, stopping.signal).catch(() => undefined);
      }
      if (inWork.size >= parallel) await Promise.race(inWork);
    }
    await Promise.all(inWork);
  };
  const received = receiveAll();
  return {
    busy: () => inWork.size > 0,
    idle: async () => {
      while (inWork.size > 0) await Promise.all(inWork);
    },
    stop: async () => {
      stopping.abort();
      await received;
    },
  };
}

const toEvent = (messages: Message[], queueUrl: string): SQSEvent => ({
  Records: messages.map((m): SQSRecord => ({
    messageId: m.MessageId ?? "",
    receiptHandle: m.ReceiptHandle ?? "",
    body: m.Body ?? "",
    attributes: {
      ApproximateReceiveCount: m.Attributes?.ApproximateReceiveCount ?? "1",
      SentTimestamp: m.Attributes?.SentTimestamp ?? "0",
      SenderId: m.Attributes?.SenderId ?? "local",
      ApproximateFirstReceiveTimestamp: m.Attributes?.ApproximateFirstReceiveTimestamp ?? "0",
    },
    messageAttributes: {},
    md5OfBody: m.MD5OfBody ?? "",
    eventSource: "aws:sqs",
    eventSourceARN: queueUrl,
    awsRegion: "us-east-1",
  })),
});
