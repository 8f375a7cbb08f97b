import { createHmac, randomUUID } from "node:crypto";
import http from "node:http";
import { CreateQueueCommand } from "@aws-sdk/client-sqs";
import type pg from "pg";
import { createSqsQueues } from "#adapters/sqs.ts";
import { createStripePayments } from "#adapters/stripe.ts";
import { createStripeWebhook } from "#webhooks/stripe.ts";
import { atLeast, percentile, type BenchRow } from "./bench-row.ts";
import { freePort } from "./free-port.ts";
import { closeServer, listen } from "./listen.ts";
import type { Stack } from "./stack.ts";

const CLIENTS = 8;
const EACH = 150;
const ROUNDS = 5;
const SECRET = "whsec_of_the_benchmark";

/**
 * Stripe's deliveries, as they come: signed, over HTTP, stored and rung for. Nobody takes them from their queue, since
 * what is measured is the intake. Beside them the bare insert of the same rows, by as many clients.
 */
export async function benchWebhooks(stack: Stack, pool: pg.Pool): Promise<BenchRow[]> {
  const made = await stack.sqs.client.send(
    new CreateQueueCommand({ QueueName: "bench-deliveries" }),
  );
  const urls = { ...stack.sqs.urls, "billing-events": made.QueueUrl ?? "" };
  const webhook = createStripeWebhook({
    ...stack.deps,
    queues: createSqsQueues({ client: stack.sqs.clientConfig, urls }),
    payments: createStripePayments({
      apiKey: "sk_test_of_the_benchmark",
      webhookSecret: SECRET,
      origin: new URL(stack.stripeUrl),
      now: stack.clock.now,
    }),
  });
  const port = await freePort();
  const server = await listen(webhook.fetch, port);
  const agent = new http.Agent({ keepAlive: true, maxSockets: CLIENTS });
  try {
    const [ours, floor]: [number[], number[]] = [[], []];
    // The first round is to warm up.
    for (let round = 0; round <= ROUNDS; round++) {
      const delivered = await rate(() => deliver(agent, port, aDelivery(stack)));
      const inserted = await rate(() => insert(pool, aDelivery(stack)));
      if (round === 0) continue;
      ours.push(delivered);
      floor.push(inserted);
    }
    return [
      atLeast(0.5, {
        name: `webhooks from ${CLIENTS} clients, beside the bare insert`,
        unit: "deliveries/s",
        floor: percentile(floor, 0.5),
        ours: percentile(ours, 0.5),
      }),
    ];
  } finally {
    agent.destroy();
    await closeServer(server);
    await pool.query("delete from inbox");
  }
}

/** By all clients at once, each one after another: so many a second. */
async function rate(once: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await Promise.all(
    Array.from({ length: CLIENTS }, async () => {
      for (let n = 0; n < EACH; n++) await once();
    }),
  );
  return (CLIENTS * EACH * 1000) / (performance.now() - began);
}

type Delivery = Readonly<{ id: string; body: string; signature: string }>;

/** What most deliveries are about. */
function aDelivery(stack: Stack): Delivery {
  const id = `evt_${randomUUID()}`;
  const created = Math.floor(+stack.clock.now() / 1000);
  const body = JSON.stringify({
    id,
    object: "event",
    type: "customer.subscription.updated",
    created,
    livemode: false,
    data: { object: { id: `sub_${randomUUID()}`, object: "subscription", status: "active" } },
    padding: "x".repeat(3000), // a subscription is some 4 KB
  });
  const mac = createHmac("sha256", SECRET).update(`${created}.${body}`).digest("hex");
  return { id, body, signature: `t=${created},v1=${mac}` };
}

const deliver = (agent: http.Agent, port: number, { body, signature }: Delivery): Promise<void> =>
  new Promise((resolve, reject) => {
    const request = http.request(
      {
        agent,
        port,
        host: "127.0.0.1",
        path: "/webhooks/stripe",
        method: "POST",
        headers: { "content-type": "application/json", "stripe-signature": signature },
      },
      (answer) => {
        answer.resume();
        answer.on("error", reject);
        answer.on("end", () => {
          if (answer.statusCode === 200) resolve();
          else reject(new Error(`the webhook answered ${answer.statusCode}`));
        });
      },
    );
    request.on("error", reject);
    request.end(body);
  });

const insert = (pool: pg.Pool, { id, body }: Delivery) =>
  pool.query(
    `insert into inbox (source, message_id, type, object_kind, object_id, body, received_at)
     values ('bench', $1, 'customer.subscription.updated', 'subscription', $1, $2, now())`,
    [id, body],
  );
