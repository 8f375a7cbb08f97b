import { hostQueueName, SEND_BATCH } from "#adapters/sqs-names.ts";
import { sqsFailures, sqsRefusal, type SqsRefusal } from "./sqs-rules.ts";

/** What SQS would have refused, had the message got there. */
export class SqsWouldRefuse extends Error {
  override name = "SqsWouldRefuse";
  constructor({ code, message }: SqsRefusal) {
    super(`SQS refuses this: ${code}: ${message}`);
  }
}

/*
 * For queues without a wire: they take what the adapter (`adapters/sqs.ts`) could send to SQS, and throw
 * `SqsWouldRefuse` at the rest.
 */

export function assertSendable(messages: readonly unknown[], delaySeconds = 0): void {
  for (let i = 0; i < messages.length; i += SEND_BATCH)
    assertTaken("SendMessageBatch", {
      Entries: messages.slice(i, i + SEND_BATCH).map((message, n) => ({
        Id: String(n),
        MessageBody: JSON.stringify(message),
        DelaySeconds: delaySeconds,
      })),
    });
}

export const assertRingable = (doorbell: object): void =>
  assertTaken("SendMessage", { MessageBody: JSON.stringify(doorbell) });

export const assertQueueFor = (hostId: string): void =>
  assertTaken("CreateQueue", { QueueName: hostQueueName(hostId) });

function assertTaken(action: string, body: unknown): void {
  const refusal = sqsRefusal(action, body) ?? sqsFailures(action, body).values().next().value;
  if (refusal !== undefined) throw new SqsWouldRefuse(refusal);
}
