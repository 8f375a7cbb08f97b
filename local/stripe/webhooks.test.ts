import { expect, test } from "vitest";
import { deliveredTypes, inProcess, local, PUBLIC_URL, type Harness } from "./harness.ts";
import { RETRY_DELAYS_MS } from "./delivery.ts";

/** Three events, one after the other: what the receiver should see of them is up to each test. */
async function threeEvents({ stripe }: Harness): Promise<void> {
  await stripe.customers.create({ name: "one" });
  await stripe.products.create({ name: "two" });
  await stripe.customers.create({ name: "three" });
}
const namesOf = (harness: Harness): unknown[] =>
  harness.received.map(({ data }) => ("name" in data.object ? data.object.name : null));

test("nothing is sent before somebody sends it, and then in order", async () => {
  const harness = await inProcess();
  await threeEvents(harness);
  expect(harness.received).toEqual([]);
  expect(await deliveredTypes(harness)).toEqual([
    "customer.created",
    "product.created",
    "customer.created",
  ]);
  expect(await deliveredTypes(harness)).toEqual([]);
});

test("an event names the call that caused it", async () => {
  const harness = await inProcess();
  const customer = await harness.stripe.customers.create({}, { idempotencyKey: "k" });
  await deliveredTypes(harness);
  expect(harness.received[0]).toMatchObject({
    request: { id: customer.lastResponse.requestId, idempotency_key: "k" },
    data: { object: { id: customer.id } },
    livemode: false,
  });
});

test("only the types that the endpoint enabled are delivered; the Events API has them all", async () => {
  const harness = await inProcess({ enabledEvents: ["product.created"] });
  await threeEvents(harness);
  expect(await deliveredTypes(harness)).toEqual(["product.created"]);
  expect((await harness.stripe.events.list()).data).toHaveLength(3);
});

test("a refused delivery is sent again for three days, and then no more", async () => {
  const harness = await inProcess();
  const { standIn, clock, receiver } = harness;
  receiver.status = 500;
  await harness.stripe.customers.create({});
  const began = clock.now().getTime();
  for (let waiting = standIn.webhooks.pending(); waiting[0]; waiting = standIn.webhooks.pending()) {
    clock.advance(waiting[0].dueAt - clock.now().getTime());
    await standIn.webhooks.deliverDue();
  }
  expect(harness.received).toHaveLength(RETRY_DELAYS_MS.length + 1);
  const days = (clock.now().getTime() - began) / 86_400_000;
  expect(days).toBeGreaterThan(2);
  expect(days).toBeLessThanOrEqual(3);
  const { data } = await harness.stripe.events.list({ delivery_success: false });
  expect(data).toMatchObject([{ pending_webhooks: 1 }]);
});

test.each([
  ["drop", { kind: "drop", count: 2 }, ["three"]],
  ["drop by type", { kind: "drop", type: "customer.*", count: 2 }, ["two"]],
  ["duplicate", { kind: "duplicate" }, ["one", "one", "two", "three"]],
  ["reorder", { kind: "reorder", count: 3 }, ["three", "two", "one"]],
  ["delay", { kind: "delay", delayMs: 500, type: "product.*" }, ["one", "three", "two"]],
])("%s is armed for the next deliveries", async (_name, fault, expected) => {
  const harness = await inProcess();
  const answer = await local(harness.standIn, "/faults", fault);
  expect(answer.status).toBe(200);
  await threeEvents(harness);
  await deliveredTypes(harness);
  harness.clock.advance(1000);
  await deliveredTypes(harness);
  expect(namesOf(harness)).toEqual(expected);
});

test("a simulator drops, doubles, postpones and picks single deliveries itself", async () => {
  const harness = await inProcess();
  const { webhooks } = harness.standIn;
  await threeEvents(harness);
  const [one, two, three] = webhooks.pending();
  if (!one || !two || !three) throw new Error("three deliveries were expected");
  webhooks.drop(one.id);
  webhooks.duplicate(three.id);
  webhooks.postpone(two.id, 1000);
  await webhooks.deliver(three.id);
  await deliveredTypes(harness);
  expect(namesOf(harness)).toEqual(["three", "three"]);
  harness.clock.advance(1000);
  await deliveredTypes(harness);
  expect(namesOf(harness)).toEqual(["three", "three", "two"]);
});

test("an event of the past is sent again on demand, unchanged and with the same id", async () => {
  const harness = await inProcess();
  const { stripe, standIn } = harness;
  const { id } = await stripe.customers.create({ name: "before" });
  await deliveredTypes(harness);
  await stripe.customers.update(id, { name: "after" });
  await deliveredTypes(harness);
  const [first] = harness.received;
  await local(standIn, "/resend", { event: first?.id, times: 2 });
  await deliveredTypes(harness);
  expect(harness.received.slice(2)).toEqual([first, first]);
});

test("an updated event tells what was there before", async () => {
  const harness = await inProcess();
  const { stripe } = harness;
  const { id } = await stripe.customers.create({ name: "before", metadata: { a: "1" } });
  await stripe.customers.update(id, { name: "after" });
  await deliveredTypes(harness);
  expect(harness.received[1]).toMatchObject({
    type: "customer.updated",
    data: { object: { name: "after" }, previous_attributes: { name: "before" } },
  });
  expect(Object.keys(harness.received[1]?.data.previous_attributes ?? {})).toEqual(["name"]);
});

test.each([
  ["/faults", { kind: "explode" }, 400],
  ["/faults", { kind: "drop", count: 0 }, 400],
  ["/resend", { event: "evt_none" }, 404],
  ["/resend", {}, 400],
  ["/disputes", { charge: "ch_none" }, 404],
  ["/fail-payments", { customer: "cus_none" }, 404],
  ["/fail-calls", { call: "PATCH /v1/customers" }, 400],
  ["/run-due", { extra: 1 }, 400],
  ["/nothing", {}, 404],
])("bad input to %s %j is %i with a message", async (path, body, status) => {
  const { standIn, log } = await inProcess();
  const answer = await local(standIn, path, body);
  expect([answer.status, await answer.json()]).toEqual([
    status,
    { error: { message: expect.stringMatching(/.{8,}/) } },
  ]);
  expect(log.errors).toEqual([]);
});

test("the control surface takes JSON only, and not much of it", async () => {
  const { standIn } = await inProcess();
  const send = async (body: string, type: string): Promise<number> =>
    (
      await standIn.fetch(
        new Request(`${PUBLIC_URL}/_local/run-due`, {
          method: "POST",
          body,
          headers: { "content-type": type },
        }),
      )
    ).status;
  expect([
    await send("{}", "text/plain"),
    await send("{", "application/json"),
    await send(`"${"x".repeat(20_000)}"`, "application/json"),
    await send("", "application/json"),
  ]).toEqual([415, 400, 413, 200]);
});

test("an event of more than 30 days ago that nobody could be told of yet is still told, and then forgotten", async () => {
  const harness = await inProcess();
  const { standIn, clock } = harness;
  await threeEvents(harness);
  clock.advance(31 * 24 * 3_600_000);
  standIn.runDue();
  expect(await deliveredTypes(harness)).toHaveLength(3);
  standIn.runDue();
  expect(standIn.store.all("event")).toEqual([]);
});
