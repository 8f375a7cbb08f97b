import type { SQSClientConfig } from "@aws-sdk/client-sqs";
import type { Queues, WorkQueue } from "#core/ports.ts";
import { hostQueueName, SEND_BATCH } from "./sqs-names.ts";

/** Doorbells are worth nothing after a while: agents resync anyway. */
const DOORBELL_RETENTION_S = 3600;

/** The URL as it can be reached: an SQS at an endpoint of its own may name queues by hosts that do not resolve. */
function reachable(queueUrl: string, endpoint: SQSClientConfig["endpoint"]): string {
  return typeof endpoint === "string"
    ? new URL(new URL(queueUrl).pathname, endpoint).href
    : queueUrl;
}

/** Queues on SQS. `urls` are the product's own, of those that this program sends to; hosts' are made here, one for each host. */
export function createSqsQueues(options: {
  urls: Readonly<Partial<Record<WorkQueue, string>>>;
  /** Where SQS is, when it is not AWS's own for this Lambda's region and role. */
  client?: SQSClientConfig;
}): Queues {
  // Loaded at the first call: what only reads, sends nothing.
  const open = async () => {
    const sqs = await import("@aws-sdk/client-sqs");
    return { sqs, client: new sqs.SQSClient(options.client ?? {}) };
  };
  let opened: ReturnType<typeof open> | undefined;
  const { urls } = options;
  return {
    send: async (queue, messages, { delaySeconds } = { delaySeconds: 0 }) => {
      const QueueUrl = urls[queue];
      if (QueueUrl === undefined) throw new Error(`nothing here sends to ${queue}`);
      const { sqs, client } = await (opened ??= open());
      for (let i = 0; i < messages.length; i += SEND_BATCH) {
        const answer = await client.send(
          new sqs.SendMessageBatchCommand({
            QueueUrl,
            Entries: messages.slice(i, i + SEND_BATCH).map((m, n) => ({
              Id: String(n),
              MessageBody: JSON.stringify(m),
              DelaySeconds: delaySeconds,
            })),
          }),
        );
        // A batch may fail in part, and says so in the answer instead of throwing.
        const failed = answer.Failed ?? [];
        if (failed.length > 0)
          throw new Error(`${failed.length} messages to ${queue} failed: ${failed[0]?.Code}`);
      }
    },
    ring: async (queueUrl, doorbell) => {
      const { sqs, client } = await (opened ??= open());
      await client.send(
        new sqs.SendMessageCommand({ QueueUrl: queueUrl, MessageBody: JSON.stringify(doorbell) }),
      );
    },
    ensureHostQueue: async (hostId) => {
      const { sqs, client } = await (opened ??= open());
      const QueueName = hostQueueName(hostId);
      try {
        const found = await client.send(new sqs.GetQueueUrlCommand({ QueueName }));
        if (found.QueueUrl !== undefined)
          return reachable(found.QueueUrl, options.client?.endpoint);
      } catch (error) {
        if (!(error instanceof sqs.QueueDoesNotExist)) throw error;
      }
      const made = await client.send(
        new sqs.CreateQueueCommand({
          QueueName,
          Attributes: {
            MessageRetentionPeriod: String(DOORBELL_RETENTION_S),
            VisibilityTimeout: "30",
            ReceiveMessageWaitTimeSeconds: "20",
            SqsManagedSseEnabled: "true",
          },
        }),
      );
      if (made.QueueUrl === undefined) throw new Error(`SQS made ${QueueName} and gave no URL`);
      return reachable(made.QueueUrl, options.client?.endpoint);
    },
  };
}
