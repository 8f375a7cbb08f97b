import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createSqsQueues } from "#adapters/sqs.ts";
import { recordedQueues } from "#test/harness/recorded-queues.ts";
import { SimQueues } from "#test/sim/queues.ts";
import { createSim } from "#test/sim/sim.ts";
import { queuesOnClock } from "./clock-queues.ts";
import { startEmbeddedSqs, type EmbeddedSqs } from "./embedded-sqs.ts";
import { freePort } from "./free-port.ts";
import { ManualClock, quietLog } from "./stripe/harness.ts";

const MIB = 1024 * 1024;
let sqs: EmbeddedSqs;
beforeAll(async () => {
  sqs = await startEmbeddedSqs(await freePort());
});
afterAll(() => sqs.stop());

describe.each([
  {
    name: "the adapter over the embedded SQS",
    queues: () => createSqsQueues({ client: sqs.clientConfig, urls: sqs.urls }),
  },
  {
    name: "queues whose delays pass on a clock",
    queues: () =>
      queuesOnClock(
        createSqsQueues({ client: sqs.clientConfig, urls: sqs.urls }),
        new ManualClock("2026-03-01T12:00:00Z"),
        quietLog(),
      ).queues,
  },
  { name: "queues that tests record", queues: () => recordedQueues() },
])("$name", ({ queues }) => {
  test("refuse what SQS refuses, and take the rest", async () => {
    const { send, ring, ensureHostQueue } = queues();
    const many = Array.from({ length: 25 }, (_, n) => ({ n }));
    await send("billing-events", many, { delaySeconds: 900 });
    await expect(send("billing-events", many, { delaySeconds: 901 })).rejects.toThrow(
      "InvalidParameterValue",
    );
    const large = [{ of: "x".repeat(MIB / 2) }, { of: "x".repeat(MIB / 2) }];
    await expect(send("billing-events", large)).rejects.toThrow(/BatchRequestTooLong|longer than/);
    await expect(
      ring(sqs.urls["billing-events"], { hostId: "\u0000\uFFFF".repeat(MIB), generation: 1 }),
    ).rejects.toThrow(/shorter than|Invalid/);
    expect(await ensureHostQueue("0199f0a2-b3c4")).toMatch(/berth-host-0199f0a2-b3c4$/);
    await expect(ensureHostQueue("a host")).rejects.toThrow(/alphanumeric/);
    await expect(ensureHostQueue("h".repeat(70))).rejects.toThrow(/1 to 80/);
  });
});

test("the simulator's queues refuse what SQS refuses", async () => {
  const sim = createSim({ seed: "1", faultKinds: [], keepTrace: false });
  const queues = new SimQueues(sim, async () => undefined);
  const late = queues.send("billing-events", [{ n: 1 }], { delaySeconds: 901 });
  await expect(late).rejects.toThrow("InvalidParameterValue");
  const doorbell = { hostId: "x".repeat(MIB), generation: 1 };
  await expect(queues.ring("https://sqs.test/q", doorbell)).rejects.toThrow(/shorter than/);
  await expect(queues.ensureHostQueue("a host")).rejects.toThrow(/alphanumeric/);
});
