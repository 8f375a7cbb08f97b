import type { Stripe } from "stripe";
import { expect, test } from "vitest";
import {
  aPaidSession,
  aPlan,
  aSession,
  CARDS,
  deliveredTypes,
  inProcess,
  PUBLIC_URL,
  refusal,
  submitPage,
} from "./harness.ts";

const HALF_HOUR = 1800;

test("a paid subscription checkout emits what Stripe emits, each event once and signed", async () => {
  const harness = await inProcess();
  const { stripe, standIn } = harness;
  const session = await aSession(stripe);
  await deliveredTypes(harness);
  const answer = await submitPage(standIn, session, { card: "4242 4242 4242 4242" });
  expect([answer.status, answer.headers.get("location")]).toEqual([
    303,
    `http://berth.test/done?session=${session.id}`,
  ]);
  const types = await deliveredTypes(harness);
  expect(types.toSorted()).toEqual(
    [
      "payment_intent.created",
      "payment_intent.succeeded",
      "charge.succeeded",
      "payment_method.attached",
      "customer.subscription.created",
      "invoice.created",
      "invoice.finalized",
      "invoice.updated",
      "invoice.paid",
      "invoice.payment_succeeded",
      "invoice_payment.paid",
      "checkout.session.completed",
    ].toSorted(),
  );
  expect(harness.log.errors).toEqual([]);
});

test("checkout makes the subscription only when it is paid, active for one period", async () => {
  const harness = await inProcess();
  const { stripe, standIn, clock } = harness;
  const session = await aSession(stripe);
  expect(session).toMatchObject({
    status: "open",
    payment_status: "unpaid",
    subscription: null,
    invoice: null,
    client_reference_id: "order-1",
    amount_total: 1250,
    url: `${PUBLIC_URL}/c/pay/${session.id}`,
  });
  expect(standIn.store.all("invoice")).toEqual([]);
  await submitPage(standIn, session, { card: CARDS.works });
  const paid = await stripe.checkout.sessions.retrieve(session.id, {
    expand: ["subscription.latest_invoice.payments", "line_items", "customer"],
  });
  const now = clock.now().getTime() / 1000;
  expect(paid).toMatchObject({
    status: "complete",
    payment_status: "paid",
    url: null,
    customer: { email: "ada@example.com" },
    line_items: { object: "list", data: [{ quantity: 1, amount_total: 1250 }] },
    subscription: {
      status: "active",
      metadata: { order: "order-1" },
      items: {
        data: [
          {
            current_period_start: now,
            current_period_end: Date.parse("2026-04-01T12:00:00Z") / 1000,
          },
        ],
      },
      latest_invoice: {
        status: "paid",
        billing_reason: "subscription_create",
        amount_paid: 1250,
        amount_remaining: 0,
        parent: { subscription_details: { metadata: { order: "order-1" } } },
        payments: { data: [{ status: "paid", amount_paid: 1250 }] },
      },
    },
  });
});

test.each([
  [CARDS.declined, "Your card was declined."],
  [CARDS.insufficient, "Your card has insufficient funds."],
])("card %s is refused with 402, and the session stays payable", async (card, message) => {
  const harness = await inProcess();
  const { stripe, standIn } = harness;
  const session = await aSession(stripe);
  const refused = await submitPage(standIn, session, { card });
  expect(refused.status).toBe(402);
  expect(await refused.text()).toContain(message);
  expect(await stripe.checkout.sessions.retrieve(session.id)).toMatchObject({
    status: "open",
    payment_status: "unpaid",
  });
  expect(await deliveredTypes(harness)).toEqual(
    expect.arrayContaining(["charge.failed", "payment_intent.payment_failed"]),
  );
  expect((await submitPage(standIn, session, { card: CARDS.works })).status).toBe(303);
  expect(standIn.store.all("payment_intent")).toHaveLength(1);
  expect(standIn.store.all("charge").map((charge) => charge.status)).toEqual([
    "failed",
    "succeeded",
  ]);
});

test.each(["1234", "", "4242424242424241", "<script>"])(
  "the number %j is no card: 400, nothing is charged",
  async (card) => {
    const { stripe, standIn } = await inProcess();
    const session = await aSession(stripe);
    const answer = await submitPage(standIn, session, { card });
    expect([answer.status, answer.headers.get("x-stripe-error-code")]).toEqual([
      400,
      "incorrect_number",
    ]);
    expect(standIn.store.all("charge")).toEqual([]);
  },
);

test("a card with 3D Secure asks first, and pays or not as the person answers", async () => {
  const { stripe, standIn } = await inProcess();
  const session = await aSession(stripe);
  const asked = await submitPage(standIn, session, { card: CARDS.authenticates });
  expect([asked.status, await asked.text()]).toEqual([200, expect.stringContaining("3D Secure")]);
  expect(standIn.store.all("charge")).toEqual([]);
  const failed = await submitPage(standIn, session, { authenticate: "fail" });
  expect(failed.status).toBe(402);
  // The question was answered: answering it again pays nothing.
  expect((await submitPage(standIn, session, { authenticate: "succeed" })).status).toBe(400);
  await submitPage(standIn, session, { card: CARDS.authenticates });
  expect((await submitPage(standIn, session, { authenticate: "succeed" })).status).toBe(303);
  expect(await stripe.checkout.sessions.retrieve(session.id)).toMatchObject({
    payment_status: "paid",
  });
});

test("a session expires by its clock or by a call, is then not payable, and cannot expire twice", async () => {
  const harness = await inProcess();
  const { stripe, standIn, clock } = harness;
  const now = Math.floor(clock.now().getTime() / 1000);
  const byClock = await aSession(stripe, { expires_at: now + HALF_HOUR });
  const byCall = await aSession(stripe);
  expect(await stripe.checkout.sessions.expire(byCall.id)).toMatchObject({
    status: "expired",
    url: null,
  });
  expect(await refusal(stripe.checkout.sessions.expire(byCall.id))).toMatchObject({
    statusCode: 400,
    message: expect.stringContaining('status in ["open"]'),
  });
  clock.advance(HALF_HOUR * 1000);
  expect((await submitPage(standIn, byClock, { card: CARDS.works })).status).toBe(410);
  expect(await stripe.checkout.sessions.retrieve(byClock.id)).toMatchObject({ status: "expired" });
  const types = await deliveredTypes(harness);
  expect(types.filter((type) => type === "checkout.session.expired")).toHaveLength(2);
});

test("a session that is paid cannot be paid or expired again", async () => {
  const harness = await inProcess();
  const session = await aPaidSession(harness);
  const again = await submitPage(harness.standIn, session, { card: CARDS.works });
  expect(again.status).toBe(409);
  expect(harness.standIn.store.all("charge")).toHaveLength(1);
  expect(await refusal(harness.stripe.checkout.sessions.expire(session.id))).toMatchObject({
    statusCode: 400,
  });
});

test("a payment checkout makes a payment intent and no subscription", async () => {
  const harness = await inProcess();
  const { stripe } = harness;
  const { customer } = await aPlan(stripe);
  const product = await stripe.products.create({ name: "Setup" });
  const price = await stripe.prices.create({
    product: product.id,
    currency: "eur",
    unit_amount: 5000,
  });
  const session = await stripe.checkout.sessions.create({
    mode: "payment",
    customer: customer.id,
    line_items: [{ price: price.id, quantity: 2 }],
    payment_intent_data: { metadata: { order: "o" } },
    success_url: "http://berth.test/done",
  });
  await submitPage(harness.standIn, session, { card: CARDS.works });
  expect(
    await stripe.checkout.sessions.retrieve(session.id, {
      expand: ["payment_intent.latest_charge"],
    }),
  ).toMatchObject({
    status: "complete",
    subscription: null,
    payment_intent: {
      status: "succeeded",
      amount: 10_000,
      metadata: { order: "o" },
      latest_charge: { paid: true, amount_captured: 10_000, customer: customer.id },
    },
  });
});

test.each<[string, Partial<Stripe.Checkout.SessionCreateParams>, string]>([
  ["expires too soon", { expires_at: Date.parse("2026-03-01T12:29:00Z") / 1000 }, "at least 30"],
  ["expires too late", { expires_at: Date.parse("2026-03-02T12:01:00Z") / 1000 }, "24 hours"],
  ["has a customer that is not there", { customer: "cus_none" }, "No such customer: 'cus_none'"],
  ["names its customer twice", { customer_email: "x@example.com" }, "only specify one of these"],
  ["mixes modes", { payment_intent_data: { description: "x" } }, "`payment_intent_data`"],
  ["recurs in payment mode", { mode: "payment", subscription_data: {} }, "recurring price"],
  ["has a bad URL", { success_url: "javascript:alert(1)" }, "Not a valid URL"],
  ["has no such price", { line_items: [{ price: "price_no", quantity: 1 }] }, "No such price"],
])("a session that %s is refused and leaves nothing", async (_name, given, message) => {
  const { stripe, standIn } = await inProcess();
  expect(await refusal(aSession(stripe, given))).toMatchObject({
    statusCode: 400,
    message: expect.stringContaining(message),
  });
  expect(standIn.store.all("checkout_session")).toEqual([]);
});

test("an inactive price is not sold", async () => {
  const { stripe } = await inProcess();
  const { price } = await aPlan(stripe);
  await stripe.prices.update(price.id, { active: false });
  expect(
    await refusal(aSession(stripe, { line_items: [{ price: price.id, quantity: 1 }] })),
  ).toMatchObject({ param: "line_items[0][price]", message: expect.stringContaining("inactive") });
});

test("the page shows what is bought, escapes names and loads nothing from outside", async () => {
  const { stripe, standIn } = await inProcess();
  const product = await stripe.products.create({ name: "<b>VPS</b>" });
  const price = await stripe.prices.create({
    product: product.id,
    currency: "eur",
    unit_amount: 1250,
    recurring: { interval: "month" },
  });
  const session = await aSession(stripe, { line_items: [{ price: price.id, quantity: 2 }] });
  const page = await standIn.fetch(new Request(session.url ?? ""));
  const text = await page.text();
  expect(page.status).toBe(200);
  expect(text).toContain("2 × &lt;b&gt;VPS&lt;/b&gt; per month");
  expect(text).toContain("€25.00");
  expect(text).toContain('<label for="card">');
  expect(page.headers.get("content-security-policy")).toContain("default-src 'none'");
});

test("4b A5: a customer has subscriptions in one currency, at the session and on its page", async () => {
  const { stripe, standIn } = await inProcess();
  const customer = (await stripe.customers.create({ email: "two@example.com" })).id;
  const session = async (currency: "eur" | "usd", who = customer) => {
    const { price } = await aPlan(stripe, { currency });
    return aSession(stripe, { customer: who, line_items: [{ price: price.id, quantity: 1 }] });
  };
  const early = await session("usd");
  const first = await session("eur");
  expect((await submitPage(standIn, first, { card: CARDS.works })).status).toBe(303);
  expect(await refusal(session("usd"))).toMatchObject({
    statusCode: 400,
    message: expect.stringContaining("combine currencies"),
  });
  expect((await submitPage(standIn, early, { card: CARDS.works })).status).toBe(400);
  const other = (await stripe.customers.create({ email: "two@example.com" })).id;
  expect((await session("usd", other)).status).toBe("open");
  expect((await session("eur")).status).toBe("open");
});

test("Adaptive Pricing is on unless the session switches it off", async () => {
  const { stripe } = await inProcess();
  expect((await aSession(stripe)).adaptive_pricing).toEqual({ enabled: true });
  const off = await aSession(stripe, { adaptive_pricing: { enabled: false } });
  expect(off.adaptive_pricing).toEqual({ enabled: false });
});
