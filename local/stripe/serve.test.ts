import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { Stripe } from "stripe";
import { afterEach, expect, test, vi } from "vitest";
import { PATIENCE_MS } from "#test/harness/patience.ts";
import {
  API_KEY,
  aSession,
  CARDS,
  ManualClock,
  quietLog,
  refusal,
  WEBHOOK_SECRET,
} from "./harness.ts";
import { serveStripeStandIn, type ServedStandIn } from "./serve.ts";
import { CorruptStateFile } from "./state-file.ts";

/** Until what is expected is so. */
const eventually = (expected: () => unknown) => vi.waitFor(expected, { timeout: PATIENCE_MS });

const open: { close: () => Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).toReversed()) await each.close();
});

/** A real HTTP receiver, as Berth's own webhook route will be. */
async function aReceiver(): Promise<{ url: string; events: Stripe.Event[]; status: number }> {
  const receiver = { url: "", events: [] as Stripe.Event[], status: 200 };
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const signature = request.headers["stripe-signature"] ?? "";
      receiver.events.push(
        Stripe.webhooks.constructEvent(
          Buffer.concat(chunks),
          signature,
          WEBHOOK_SECRET,
          // The manual clock stands at another time than this process: no tolerance check.
          0,
        ),
      );
      response.writeHead(receiver.status).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  receiver.url = `http://127.0.0.1:${address.port}/webhooks/stripe`;
  open.push({
    close: async () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  });
  return receiver;
}

async function served(
  given: { webhookUrl?: string; stateFile?: string; clock?: ManualClock } = {},
): Promise<ServedStandIn & { stripe: Stripe }> {
  const standIn = await serveStripeStandIn({
    port: 0,
    clock: given.clock ?? new ManualClock("2026-03-01T12:00:00Z"),
    apiKey: API_KEY,
    log: quietLog(),
    stateFile: given.stateFile,
    webhook:
      given.webhookUrl === undefined
        ? undefined
        : { url: given.webhookUrl, secret: WEBHOOK_SECRET },
  });
  const stripe = new Stripe(API_KEY, {
    host: "127.0.0.1",
    port: Number(new URL(standIn.url).port),
    protocol: "http",
    telemetry: false,
    maxNetworkRetries: 0,
  });
  const all = { ...standIn, stripe };
  open.push(all);
  return all;
}

/** Ends it within the test, as a person stopping the stack does. */
async function stop(standIn: ServedStandIn): Promise<void> {
  open.splice(
    open.findIndex((each) => each === standIn),
    1,
  );
  await standIn.close();
}

const payOn = async (session: Stripe.Checkout.Session): Promise<Response> =>
  fetch(session.url ?? "", {
    method: "POST",
    body: new URLSearchParams({ card: CARDS.works }),
    redirect: "manual",
  });

test("over HTTP a session is paid on its page and the webhooks arrive signed, by themselves", async () => {
  const receiver = await aReceiver();
  const { stripe } = await served({ webhookUrl: receiver.url });
  const session = await aSession(stripe);
  expect((await payOn(session)).status).toBe(303);
  await eventually(() =>
    expect(receiver.events.map((event) => event.type)).toContain("checkout.session.completed"),
  );
  await eventually(async () => {
    const { data } = await stripe.events.list({ limit: 100 });
    expect(data.map((event) => event.pending_webhooks)).toEqual(data.map(() => 0));
  });
  expect(new Set(receiver.events.map((event) => event.id)).size).toBe(receiver.events.length);
});

test("a receiver that was down gets the events again once the back-off is over", async () => {
  const receiver = await aReceiver();
  const clock = new ManualClock("2026-03-01T12:00:00Z");
  const { stripe, standIn } = await served({ webhookUrl: receiver.url, clock });
  receiver.status = 503;
  const customer = await stripe.customers.create({});
  await eventually(() => expect(standIn.webhooks.pending()).toMatchObject([{ attempts: 1 }]));
  receiver.status = 200;
  clock.advance(5000);
  await eventually(() => expect(standIn.webhooks.pending()).toEqual([]));
  expect(receiver.events.map(({ data }) => data.object)).toMatchObject([
    { id: customer.id },
    { id: customer.id },
  ]);
});

async function aFolder(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), "stripe-stand-in-"));
  open.push({ close: async () => rm(folder, { recursive: true }) });
  return folder;
}

test("started again it goes on where it stopped: objects, keys and undelivered webhooks", async () => {
  const stateFile = path.join(await aFolder(), "stripe.json");
  const first = await served({ stateFile, webhookUrl: "http://127.0.0.1:9/nobody" });
  const session = await aSession(first.stripe);
  const keyed = await first.stripe.customers.create({ name: "Key" }, { idempotencyKey: "k" });
  const prices = await first.stripe.prices.list();
  await stop(first);

  const receiver = await aReceiver();
  const clock = new ManualClock("2026-03-01T13:00:00Z");
  const { stripe } = await served({ stateFile, webhookUrl: receiver.url, clock });
  expect(await stripe.checkout.sessions.retrieve(session.id)).toMatchObject({ status: "open" });
  expect(await stripe.customers.create({ name: "Key" }, { idempotencyKey: "k" })).toEqual(keyed);
  expect((await stripe.prices.list()).data).toEqual(prices.data);
  await eventually(() =>
    expect(receiver.events.map(({ type }) => type)).toEqual(
      expect.arrayContaining(["product.created", "price.created", "customer.created"]),
    ),
  );
});

test("a state file that was damaged is refused with its path, and left as it is", async () => {
  const stateFile = path.join(await aFolder(), "stripe.json");
  const first = await served({ stateFile });
  await first.stripe.customers.create({ name: "Ada" });
  await stop(first);
  const good = await readFile(stateFile, "utf8");
  for (const bad of ["", "{", "[]", good.slice(0, -20), good.replace("Ada", "Eve")]) {
    await writeFile(stateFile, bad);
    const start = served({ stateFile });
    await expect(start).rejects.toThrow(CorruptStateFile);
    await expect(start).rejects.toThrow(stateFile);
    expect(await readFile(stateFile, "utf8")).toBe(bad);
  }
});

test("a call that is too large is refused, and the client's next on the same connections succeeds", async () => {
  const { stripe } = await served();
  const large = Object.fromEntries(Array.from({ length: 50 }, (_, n) => [n, "x".repeat(20_000)]));
  for (let n = 0; n < 20; n++) {
    const refused = await refusal(stripe.customers.create({ metadata: large }));
    expect(refused.statusCode).toBe(413);
    expect((await stripe.customers.create({ name: "Ada" })).name).toBe("Ada");
  }
});
