import {
  DeleteMessageBatchCommand,
  ReceiveMessageCommand,
  SQSClient,
  type Message,
} from "@aws-sdk/client-sqs";
import { Doorbell, type AgentSession } from "#core/contracts/agent/channel.ts";
import type { Clock, Log } from "#core/ports.ts";
import { isPlainToRemote } from "./plain-http.ts";
import type { DoorbellSource, Ring } from "./rings.ts";
import type { SessionKeeper } from "./session.ts";
import { backOffMs, pause } from "#host-agent/time-limit.ts";

type SqsDoorbell = NonNullable<AgentSession["doorbell"]>;

/** SQS's longest. */
const LONG_POLL_SECONDS = 20;
const NO_QUEUE_PAUSE_MS = 30_000;
/** Codes of AWS that new credentials may cure. */
const CREDENTIALS_REFUSED =
  /Expired|InvalidClientTokenId|UnrecognizedClient|AccessDenied|Signature/;

/**
 * The host's own SQS queue, long-polled. Without a queue, credentials or network it only waits: the agent's timer
 * converges all the same. A message is deleted when the pass that it asked for has the truth; until then it
 * comes again.
 */
export function createSqsDoorbell(ports: {
  hostId: string;
  session: SessionKeeper;
  clock: Clock;
  log: Log;
}): DoorbellSource {
  const { hostId, session, clock, log } = ports;
  let client: { of: string; sqs: SQSClient } | null = null;
  let failures = 0;

  function clientFor(doorbell: SqsDoorbell): SQSClient {
    const of = JSON.stringify(doorbell);
    if (client?.of === of) return client.sqs;
    const queue = new URL(doorbell.queueUrl);
    if (isPlainToRemote(queue))
      throw new Error(`the queue's address is plain http to another machine: ${queue.origin}`);
    client?.sqs.destroy();
    const { accessKeyId, secretAccessKey, sessionToken } = doorbell.credentials;
    const sqs = new SQSClient({
      region: doorbell.region,
      endpoint: queue.origin,
      credentials: { accessKeyId, secretAccessKey, ...(sessionToken ? { sessionToken } : {}) },
      // Retries are ours, so that they wait on the injected clock.
      maxAttempts: 1,
      requestHandler: { connectionTimeout: 5_000, requestTimeout: (LONG_POLL_SECONDS + 10) * 1000 },
    });
    client = { of, sqs };
    return sqs;
  }

  async function receive(doorbell: SqsDoorbell, signal: AbortSignal): Promise<readonly Message[]> {
    const answer = await clientFor(doorbell).send(
      new ReceiveMessageCommand({
        QueueUrl: doorbell.queueUrl,
        MaxNumberOfMessages: 10,
        WaitTimeSeconds: LONG_POLL_SECONDS,
      }),
      { abortSignal: signal },
    );
    return answer.Messages ?? [];
  }

  async function forget(doorbell: SqsDoorbell, messages: readonly Message[]): Promise<void> {
    const Entries = messages.map((message, at) => ({
      Id: String(at),
      ReceiptHandle: message.ReceiptHandle,
    }));
    try {
      const command = new DeleteMessageBatchCommand({ QueueUrl: doorbell.queueUrl, Entries });
      await clientFor(doorbell).send(command);
    } catch (error) {
      // It comes again, and costs one more pass.
      log.error("doorbell_delete_failed", { messages: messages.length, error: String(error) });
    }
  }

  async function failed(error: unknown, signal: AbortSignal): Promise<void> {
    failures += 1;
    const name = error instanceof Error ? error.name : "";
    if (CREDENTIALS_REFUSED.test(name)) session.distrust();
    // Only the first of a row: a night without network is one line, not ten thousand.
    if (failures === 1) log.error("doorbell_failed", { error: String(error) });
    await pause(clock, backOffMs(failures), signal);
  }

  return {
    async next(signal): Promise<Ring> {
      for (;;) {
        signal.throwIfAborted();
        try {
          const { doorbell } = await session.current(signal);
          if (doorbell === null) {
            await pause(clock, NO_QUEUE_PAUSE_MS, signal);
            continue;
          }
          const messages = await receive(doorbell, signal);
          if (failures > 0) log.info("doorbell_restored", { failures });
          failures = 0;
          if (messages.length === 0) continue;
          return {
            generation: newestOf(messages, hostId),
            answered: () => forget(doorbell, messages),
          };
        } catch (error) {
          if (signal.aborted) throw error;
          await failed(error, signal);
        }
      }
    },
    close() {
      client?.sqs.destroy();
    },
  };
}

/** The highest generation rung for this host; null when no message names one (a message that makes no sense still wakes). */
function newestOf(messages: readonly Message[], hostId: string): number | null {
  const rung = messages.flatMap((message) => {
    const doorbell = parse(message.Body);
    return doorbell?.hostId === hostId ? [doorbell.generation] : [];
  });
  return rung.length === 0 ? null : Math.max(...rung);
}

function parse(body: string | undefined): Doorbell | null {
  try {
    return Doorbell.safeParse(JSON.parse(body ?? "")).data ?? null;
  } catch {
    return null;
  }
}
