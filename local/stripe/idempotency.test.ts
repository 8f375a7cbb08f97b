import { Stripe } from "stripe";
import { expect, test } from "vitest";
import {
  aPlan,
  aSession,
  CARDS,
  clientOver,
  inProcess,
  local,
  refusal,
  submitPage,
  ref,
} from "./harness.ts";

test("a repeated key gives the first answer and does nothing more", async () => {
  const { standIn } = await inProcess();
  const told: (string | null)[][] = [];
  const stripe = clientOver(async (request) => {
    const answer = await standIn.fetch(request);
    told.push(
      ["request-id", "original-request", "idempotent-replayed"].map((name) =>
        answer.headers.get(name),
      ),
    );
    return answer;
  });
  const first = await stripe.customers.create({ name: "Ada" }, { idempotencyKey: "k" });
  const again = await stripe.customers.create({ name: "Ada" }, { idempotencyKey: "k" });
  expect(again).toEqual(first);
  const id = told[0]?.[0];
  expect(told).toEqual([
    [id, id, null],
    [expect.not.stringMatching(id ?? ""), id, "true"],
  ]);
  expect(standIn.store.all("customer")).toHaveLength(1);
});

test("the order of parameters is no difference; their values are, and so is the endpoint", async () => {
  const { stripe, standIn } = await inProcess();
  const key = { idempotencyKey: "k" };
  const first = await stripe.customers.create({ name: "Ada", email: "a@example.com" }, key);
  expect(await stripe.customers.create({ email: "a@example.com", name: "Ada" }, key)).toEqual(
    first,
  );
  const changed = await refusal(stripe.customers.create({ name: "Eve" }, key));
  expect(changed).toBeInstanceOf(Stripe.errors.StripeIdempotencyError);
  expect(changed).toMatchObject({
    statusCode: 400,
    message: expect.stringContaining("same parameters"),
  });
  expect(await refusal(stripe.products.create({ name: "Ada" }, key))).toMatchObject({
    message: expect.stringContaining("same endpoint they were first used for ('/v1/customers')"),
  });
  expect(standIn.store.all("customer")).toHaveLength(1);
});

test("an error is an answer too: it is given again, although the call would succeed now", async () => {
  const { stripe } = await inProcess();
  const create = async (): Promise<unknown> =>
    stripe.prices.create(
      { product: "prod_later", currency: "eur", unit_amount: 100 },
      { idempotencyKey: "k" },
    );
  const first = await refusal(create());
  await stripe.products.create({ id: "prod_later", name: "Later" });
  expect(await refusal(create())).toMatchObject({ code: first.code, message: first.message });
});

test.each([false, true])(
  "a 500 is kept too, whether its work was done (%s) or not; another key goes on",
  async (done) => {
    const { stripe, standIn } = await inProcess();
    await local(standIn, "/fail-calls", { call: "POST /v1/customers", done });
    const create = async (idempotencyKey: string): Promise<unknown> =>
      stripe.customers.create({ name: "Ada" }, { idempotencyKey });
    for (const _again of [1, 2])
      expect(await refusal(create("k"))).toBeInstanceOf(Stripe.errors.StripeAPIError);
    expect(standIn.store.all("customer")).toHaveLength(done ? 1 : 0);
    expect(await create("k2")).toMatchObject({ name: "Ada" });
  },
);

test("parameters that fail validation are not kept", async () => {
  const { stripe } = await inProcess();
  const key = { idempotencyKey: "k" };
  await refusal(stripe.customers.create({ expand: ["email"] }, key));
  expect(await stripe.customers.create({ name: "Ada" }, key)).toMatchObject({ name: "Ada" });
});

test("of two calls with one key at once, one is 409 and the client's own retry gets the answer", async () => {
  const { standIn } = await inProcess();
  const impatient = clientOver(standIn.fetch);
  const create = async (stripe: Stripe): Promise<Stripe.Customer> =>
    stripe.customers.create({ name: "Ada" }, { idempotencyKey: "k" });
  const results = await Promise.allSettled([create(impatient), create(impatient)]);
  const refused = results.flatMap((each) => (each.status === "rejected" ? [each.reason] : []));
  expect(refused).toMatchObject([{ statusCode: 409, code: "idempotency_key_in_use" }]);
  const patient = clientOver(standIn.fetch, { maxNetworkRetries: 2 });
  const [a, b] = await Promise.all([create(patient), create(patient)]);
  expect(a).toEqual(b);
  expect(standIn.store.all("customer")).toHaveLength(1);
});

test("a key is free again after 24 hours, and not before", async () => {
  const { stripe, clock } = await inProcess();
  const create = async (): Promise<string> =>
    (await stripe.customers.create({}, { idempotencyKey: "k" })).id;
  const first = await create();
  clock.advance(24 * 3600 * 1000 - 1000);
  expect(await create()).toBe(first);
  clock.advance(1000);
  expect(await create()).not.toBe(first);
});

test("a declined payment is replayed as declined", async () => {
  const { stripe } = await inProcess();
  const { customer, price } = await aPlan(stripe);
  const method = await stripe.paymentMethods.attach("pm_card_visa_chargeDeclined", {
    customer: customer.id,
  });
  const subscription = await stripe.subscriptions.create({
    customer: customer.id,
    items: [{ price: price.id }],
    default_payment_method: method.id,
  });
  expect(subscription.status).toBe("incomplete");
  const pay = async (): Promise<unknown> =>
    stripe.invoices.pay(ref(subscription.latest_invoice), {}, { idempotencyKey: "pay" });
  const declined = await refusal(pay());
  expect(declined).toBeInstanceOf(Stripe.errors.StripeCardError);
  expect(declined).toMatchObject({
    statusCode: 402,
    code: "card_declined",
    decline_code: "generic_decline",
  });
  const charges = (await stripe.charges.list()).data.length;
  expect(await refusal(pay())).toMatchObject({ statusCode: 402, charge: declined.charge });
  expect((await stripe.charges.list()).data).toHaveLength(charges);
});

test("the same seed and the same calls give the same bytes", async () => {
  const run = async (seed: string): Promise<string> => {
    const { stripe, standIn, clock } = await inProcess({ seed });
    let keys = 0;
    const keyed = clientOver(async (request) => {
      // The client makes a random key where none is given.
      if (request.method === "POST") request.headers.set("idempotency-key", `key-${(keys += 1)}`);
      return standIn.fetch(request);
    });
    const session = await aSession(keyed);
    await submitPage(standIn, session, { card: CARDS.declined });
    await submitPage(standIn, session, { card: CARDS.works });
    clock.advanceDays(40);
    const events = await stripe.events.list({ limit: 100 });
    return JSON.stringify([events, standIn.webhooks.pending(), standIn.store.all("invoice")]);
  };
  const first = await run("a");
  expect(await run("a")).toBe(first);
  expect(await run("b")).not.toBe(first);
});
