import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type pg from "pg";
import { z } from "zod";
import { createSqsQueues } from "#adapters/sqs.ts";
import { createStripePayments } from "#adapters/stripe.ts";
import { createStripeWebhook } from "#webhooks/stripe.ts";
import { atLeast, percentile, type BenchRow } from "./bench-row.ts";
import { freePort } from "./free-port.ts";
import { closeServer, listen } from "./listen.ts";
import type { Stack } from "./stack.ts";

const ROUNDS = 5;
const SECRET = "whsec_of_the_benchmark";

/**
 * Stripe's deliveries, as they come: signed, over HTTP, stored and rung for. Nobody takes them from their queue, since
 * what is measured is the intake. Beside them the bare insert of the same rows, by as many clients. The clients and what stands for
 * SQS run in a thread of their own (`bench-outside.ts`).
 */
export async function benchWebhooks(stack: Stack, pool: pg.Pool): Promise<BenchRow[]> {
  const [sqsPort, webhookPort] = [await freePort(), await freePort()];
  const outside = new Worker(new URL("./bench-outside.ts", import.meta.url), {
    workerData: { databaseUrl: stack.databaseUrl, sqsPort, webhookPort, secret: SECRET },
  });
  const answer = async (): Promise<unknown> => {
    const [said]: unknown[] = await once(outside, "message");
    return said;
  };
  const rateOf = async (what: "deliver" | "insert") => {
    outside.postMessage(what);
    return z.number().parse(await answer());
  };
  try {
    await answer();
    const queue = (name: string) => `http://127.0.0.1:${sqsPort}/000000000000/${name}`;
    const webhook = createStripeWebhook({
      ...stack.deps,
      queues: createSqsQueues({
        client: { ...stack.sqs.clientConfig, endpoint: `http://127.0.0.1:${sqsPort}` },
        urls: {
          purchases: queue("purchases"),
          "billing-events": queue("billing-events"),
          "outbox-events": queue("outbox-events"),
        },
      }),
      payments: createStripePayments({
        apiKey: "sk_test_of_the_benchmark",
        webhookSecret: SECRET,
        origin: new URL(stack.stripeUrl),
        now: stack.clock.now,
      }),
    });
    const server = await listen(webhook.fetch, webhookPort);
    try {
      const [ours, floor]: [number[], number[]] = [[], []];
      // The first round is to warm up.
      for (let round = 0; round <= ROUNDS; round++) {
        const [delivered, inserted] = [await rateOf("deliver"), await rateOf("insert")];
        if (round === 0) continue;
        ours.push(delivered);
        floor.push(inserted);
      }
      return [
        atLeast(0.5, {
          name: "webhooks from 8 clients, beside the bare insert",
          unit: "deliveries/s",
          floor: percentile(floor, 0.5),
          ours: percentile(ours, 0.5),
        }),
      ];
    } finally {
      await closeServer(server);
    }
  } finally {
    await outside.terminate();
    await pool.query("delete from inbox");
  }
}
