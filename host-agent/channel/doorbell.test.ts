import { CreateQueueCommand, SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import { startFauxqs } from "fauxqs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AgentSession } from "#core/contracts/agent/channel.ts";
import { realClock, randomIds } from "#test/drivers/builders.ts";
import { createSqsDoorbell } from "./doorbell.ts";
import { createMemoryDoorbell, type DoorbellSource } from "./rings.ts";

const HOST = randomIds.newId();
const QUEUE = "berth-host-test";
const KEYS = { accessKeyId: "test", secretAccessKey: "test" };
const quiet = { info: () => undefined, error: () => undefined };

describe("the doorbell of a host's queue", () => {
  let sqs: Awaited<ReturnType<typeof startFauxqs>>;
  let client: SQSClient;
  let doorbell: DoorbellSource;
  let queueUrl: string;
  beforeEach(async () => {
    sqs = await startFauxqs({ port: 0, logger: false });
    const endpoint = `http://127.0.0.1:${sqs.port}`;
    client = new SQSClient({ region: "us-east-1", endpoint, credentials: KEYS });
    await client.send(new CreateQueueCommand({ QueueName: QUEUE }));
    queueUrl = `${endpoint}/000000000000/${QUEUE}`;
    const session: AgentSession = {
      doorbell: {
        queueUrl,
        region: "us-east-1",
        credentials: { ...KEYS, sessionToken: null, expiresAt: "2099-01-01T00:00:00.000Z" },
      },
      intervals: { resyncSeconds: 60, usageSampleSeconds: 60, usageFlushSeconds: 60 },
    };
    doorbell = createSqsDoorbell({
      hostId: HOST,
      session: {
        current: async () => session,
        intervals: () => session.intervals,
        distrust: () => undefined,
      },
      clock: realClock,
      log: quiet,
    });
  });
  afterEach(async () => {
    doorbell.close();
    client.destroy();
    await sqs.stop();
  });

  const send = (text: string) =>
    client.send(new SendMessageCommand({ QueueUrl: queueUrl, MessageBody: text }));
  const ring = (hostId: string, generation: number) => send(JSON.stringify({ hostId, generation }));
  const next = () => doorbell.next(new AbortController().signal);
  const left = () => {
    const { ready, inflight } = sqs.inspectQueue(QUEUE)?.messages ?? {};
    return (ready?.length ?? 0) + (inflight?.length ?? 0);
  };

  test("names the newest generation that was rung for this host, and is deleted once it was answered", async () => {
    for (const generation of [3, 5, 4]) await ring(HOST, generation);
    await ring(randomIds.newId(), 9);
    await send("no sense");
    const rung = await next();
    expect(rung.generation).toBe(5);
    expect(left()).toBe(5);
    await rung.answered();
    expect(left()).toBe(0);
  });

  test.each(["no sense", "{}", JSON.stringify({ hostId: randomIds.newId(), generation: 9 })])(
    "that names nothing of this host still wakes it: %s",
    async (text) => {
      await send(text);
      const rung = await next();
      expect(rung.generation).toBeNull();
      await rung.answered();
      expect(left()).toBe(0);
    },
  );
});

test("a doorbell in the same process that rings again before anyone comes names the newest generation", async () => {
  const doorbell = createMemoryDoorbell();
  for (const generation of [2, 5, 4]) doorbell.ring(generation);
  const { signal } = new AbortController();
  expect((await doorbell.next(signal)).generation).toBe(5);
  const waited = doorbell.next(signal);
  doorbell.ring(6);
  expect((await waited).generation).toBe(6);
});
