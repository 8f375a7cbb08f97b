import { createHash, createHmac, randomUUID } from "node:crypto";
import { once } from "node:events";
import http from "node:http";
import { json } from "node:stream/consumers";
import { parentPort, workerData } from "node:worker_threads";
import pg from "pg";
import { z } from "zod";

/*
 * The program of a thread: what is outside of us in the benchmark of webhooks. What stands for SQS, the clients that deliver, and the
 * clients that insert the same rows with nothing between them and Postgres.
 */

const CLIENTS = 8;
const EACH = 150;

const Told = z.object({
  databaseUrl: z.string(),
  sqsPort: z.number(),
  webhookPort: z.number(),
  secret: z.string(),
});
const Ask = z.enum(["deliver", "insert"]);

const told = Told.parse(workerData);
await takeForSqs(told.sqsPort);
const pool = new pg.Pool({ connectionString: told.databaseUrl, max: CLIENTS });
// The database ends with the benchmark.
pool.on("error", () => undefined);
const agent = new http.Agent({ keepAlive: true, maxSockets: CLIENTS });

/**
 * Takes what is sent to any queue, and keeps nothing. SQS itself is not on this machine where it matters: a whole one here would
 * take its processor's time from whoever sends to it.
 */
async function takeForSqs(port: number): Promise<void> {
  const Sent = z.object({
    Entries: z.array(z.object({ Id: z.string(), MessageBody: z.string() })),
  });
  const answer = async (request: http.IncomingMessage) => {
    const { Entries } = Sent.parse(await json(request));
    const Successful = Entries.map(({ Id, MessageBody }) => ({
      Id,
      MessageId: Id,
      MD5OfMessageBody: createHash("md5").update(MessageBody).digest("hex"), // the client looks at it
    }));
    return JSON.stringify({ Successful, Failed: [] });
  };
  const server = http.createServer((request, response) => {
    void answer(request).then((body) => {
      response.writeHead(200, { "content-type": "application/x-amz-json-1.0" }).end(body);
    });
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
}

/** By all clients at once, each one after another: so many a second. What they send is made before. */
async function rate(once: (delivery: Delivery) => Promise<unknown>): Promise<number> {
  const all = Array.from({ length: CLIENTS }, () => Array.from({ length: EACH }, aDelivery));
  const began = performance.now();
  await Promise.all(
    all.map(async (deliveries) => {
      for (const delivery of deliveries) await once(delivery);
    }),
  );
  return (CLIENTS * EACH * 1000) / (performance.now() - began);
}

type Delivery = ReturnType<typeof aDelivery>;

/** What most deliveries are about. */
function aDelivery() {
  const id = `evt_${randomUUID()}`;
  const created = Math.floor(Date.now() / 1000);
  const body = JSON.stringify({
    id,
    object: "event",
    type: "customer.subscription.updated",
    created,
    livemode: false,
    data: { object: { id: `sub_${randomUUID()}`, object: "subscription", status: "active" } },
    padding: "x".repeat(3000), // a subscription is some 4 KB
  });
  const mac = createHmac("sha256", told.secret).update(`${created}.${body}`).digest("hex");
  return { id, body, signature: `t=${created},v1=${mac}` };
}

const deliver = ({ body, signature }: Delivery): Promise<void> =>
  new Promise((resolve, reject) => {
    const request = http.request(
      {
        agent,
        port: told.webhookPort,
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

const insert = ({ id, body }: Delivery) =>
  pool.query(
    `insert into inbox (source, message_id, type, object_kind, object_id, body, received_at)
     values ('bench', $1, 'customer.subscription.updated', 'subscription', $1, $2, now())`,
    [id, body],
  );

parentPort?.on("message", (asked: unknown) => {
  void rate(Ask.parse(asked) === "deliver" ? deliver : insert).then((perSecond) =>
    parentPort?.postMessage(perSecond),
  );
});
parentPort?.postMessage("ready");
