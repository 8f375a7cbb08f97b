import {
  DeleteMessageBatchCommand,
  ReceiveMessageCommand,
  type Message,
  type SQSClient,
} from "@aws-sdk/client-sqs";
import type { SQSEvent, SQSRecord } from "aws-lambda";
import type { Clock, Log } from "#core/ports.ts";
import type { BatchHandler } from "#functions/batch.ts";

/** What Lambda's event source mapping does: takes batches, calls the handler, deletes what it has done. */
export type QueueWorker = Readonly<{
  /** Resolves when the handler has nothing in work. */
  idle: () => Promise<void>;
  busy: () => boolean;
  stop: () => Promise<void>;
}>;

const WAIT_SECONDS = 20;

/** Works a queue with `parallel` batches at once, until it is stopped. */
export function startQueueWorker(options: {
  client: SQSClient;
  queueUrl: string;
  handler: BatchHandler;
  clock: Clock;
  log: Log;
  parallel: number;
}): QueueWorker {
  const { client, queueUrl, log } = options;
  const stopping = new AbortController();
  let inWork = 0;
  const idlers = new Set<() => void>();

  const receive = async (): Promise<Message[]> => {
    const answer = await client.send(
      new ReceiveMessageCommand({
        QueueUrl: queueUrl,
        MaxNumberOfMessages: 10,
        WaitTimeSeconds: WAIT_SECONDS,
        MessageSystemAttributeNames: ["All"],
      }),
      { abortSignal: stopping.signal },
    );
    return answer.Messages ?? [];
  };

  const work = async (messages: Message[]) => {
    inWork++;
    try {
      const { batchItemFailures } = await options.handler(toEvent(messages, queueUrl));
      const failed = new Set(batchItemFailures.map((f) => f.itemIdentifier));
      const done = messages.filter((m) => m.MessageId !== undefined && !failed.has(m.MessageId));
      if (done.length > 0)
        await client.send(
          new DeleteMessageBatchCommand({
            QueueUrl: queueUrl,
            Entries: done.map((m, n) => ({ Id: String(n), ReceiptHandle: m.ReceiptHandle })),
          }),
        );
    } finally {
      inWork--;
      if (inWork === 0) for (const wake of idlers) wake();
    }
  };

  const loop = async () => {
    while (!stopping.signal.aborted) {
      try {
        const messages = await receive();
        if (messages.length > 0) await work(messages);
      } catch (error) {
        if (stopping.signal.aborted) return;
        log.error("queue_worker.failed", { queue_url: queueUrl, error });
        await options.clock.sleep(1000, stopping.signal).catch(() => undefined);
      }
    }
  };
  const loops = Array.from({ length: options.parallel }, loop);
  return {
    busy: () => inWork > 0,
    idle: () =>
      new Promise((resolve) => {
        if (inWork === 0) resolve();
        else {
          const wake = () => {
            idlers.delete(wake);
            resolve();
          };
          idlers.add(wake);
        }
      }),
    stop: async () => {
      stopping.abort();
      await Promise.all(loops);
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
