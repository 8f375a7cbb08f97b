import { SendMessageBatchCommand } from "@aws-sdk/client-sqs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { systemClock } from "#adapters/clock.ts";
import { startEmbeddedSqs, type EmbeddedSqs } from "./embedded-sqs.ts";
import { freePort } from "./free-port.ts";
import { startQueueWorker } from "./queue-worker.ts";

let sqs: EmbeddedSqs;
beforeAll(async () => {
  sqs = await startEmbeddedSqs(await freePort());
});
afterAll(() => sqs.stop());

test("4b C1: a message that takes long keeps none waiting, of its own batch or a later one", async () => {
  const QueueUrl = sqs.urls.purchases;
  const names = ["slow", ...Array.from({ length: 19 }, (_, n) => `fast-${n}`)];
  for (const half of [names.slice(0, 10), names.slice(10)])
    await sqs.client.send(
      new SendMessageBatchCommand({
        QueueUrl,
        Entries: half.map((MessageBody) => ({ Id: MessageBody, MessageBody })),
      }),
    );
  const done: string[] = [];
  const slowMayEnd = Promise.withResolvers<void>();
  const slowEnded = Promise.withResolvers<void>();
  const worker = startQueueWorker({
    client: sqs.client,
    queueUrl: QueueUrl,
    clock: systemClock,
    log: { info: () => undefined, error: () => undefined },
    parallel: 3,
    handler: async ({ Records }) => {
      expect(Records).toHaveLength(1);
      const body = Records[0]?.body ?? "";
      if (body === "slow") await slowMayEnd.promise;
      done.push(body);
      if (done.length === names.length - 1) slowMayEnd.resolve();
      if (body === "slow") slowEnded.resolve();
      return { batchItemFailures: [] };
    },
  });
  await slowEnded.promise;
  expect(done.at(-1)).toBe("slow");
  expect(done.toSorted()).toEqual(names.toSorted());
  await worker.idle();
  await worker.stop();
});
