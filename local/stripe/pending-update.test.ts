import type { Stripe } from "stripe";
import { describe, expect, test } from "vitest";
import {
  aPlan,
  aSubscription,
  CARDS,
  deliveredTypes,
  HOUR,
  inProcess,
  itemOf,
  ref,
  refusal,
  seconds,
  submitInvoice,
  type Harness,
} from "./harness.ts";

/* 6a 2: changes that wait for their payment. */

const FAILS = CARDS.failsLater;
const price = async (stripe: Stripe, unit_amount: number): Promise<string> =>
  (await aPlan(stripe, { unit_amount })).price.id;

/** A month of 12.50 EUR at its half, on a card that pays no more unless said otherwise; 12.50 EUR more are asked for. */
async function asked(
  card: string = FAILS,
  params: Partial<Stripe.SubscriptionUpdateParams> = {},
): Promise<{
  harness: Harness;
  stripe: Stripe;
  id: string;
  customer: string;
  invoice: string;
  after: Stripe.Subscription;
}> {
  const harness = await inProcess();
  const { stripe, clock } = harness;
  const { id, customer } = await aSubscription(harness, card);
  clock.advance(15.5 * 24 * HOUR);
  const item = await itemOf(stripe, id);
  const more = await price(stripe, 3750);
  await deliveredTypes(harness);
  const after = await stripe.subscriptions.update(id, {
    items: [{ id: item, price: more }],
    payment_behavior: "pending_if_incomplete",
    proration_behavior: "always_invoice",
    metadata: { change: "one" },
    ...params,
  });
  return { harness, stripe, id, customer, invoice: ref(after.latest_invoice), after };
}
const amountOf = (subscription: Stripe.Subscription) =>
  subscription.items.data[0]?.price.unit_amount;
const waits = { pending_update: null, metadata: { order: "order-1" } };

test("one that is paid at once counts at once", async () => {
  const { harness, after, stripe, invoice } = await asked(CARDS.works);
  expect(after).toMatchObject({ pending_update: null, metadata: { change: "one" } });
  expect(amountOf(after)).toBe(3750);
  expect(await stripe.invoices.retrieve(invoice)).toMatchObject({ status: "paid", total: 1250 });
  expect(await deliveredTypes(harness)).not.toContain(
    "customer.subscription.pending_update_applied",
  );
});

test("one that is declined waits, and the old price goes on", async () => {
  const { harness, after, stripe, invoice, id } = await asked();
  expect(after).toMatchObject({
    status: "active",
    metadata: { order: "order-1" },
    pending_update: {
      expires_at: seconds("2026-03-17T23:00:00Z"),
      metadata: { change: "one" },
      subscription_items: [{ price: { unit_amount: 3750 } }],
    },
  });
  expect([after.metadata["change"], amountOf(after)]).toEqual([undefined, 1250]);
  expect(await stripe.invoices.retrieve(invoice)).toMatchObject({
    status: "open",
    amount_due: 1250,
    next_payment_attempt: null,
  });
  expect(await deliveredTypes(harness)).toEqual(
    expect.arrayContaining(["invoice.payment_failed", "customer.subscription.updated"]),
  );
  harness.clock.advance(22 * HOUR);
  expect(amountOf(await stripe.subscriptions.retrieve(id))).toBe(1250);
});

test("is applied when its invoice is paid with another card, on its page", async () => {
  const { harness, stripe, invoice, id } = await asked();
  await deliveredTypes(harness);
  expect((await submitInvoice(harness.standIn, invoice, { card: CARDS.declined })).status).toBe(
    402,
  );
  expect((await submitInvoice(harness.standIn, invoice, { card: "1234" })).status).toBe(400);
  expect(await stripe.subscriptions.retrieve(id)).not.toMatchObject({ pending_update: null });
  const page = await harness.standIn.fetch(new Request(`http://stripe.test/i/${invoice}`));
  expect(await page.text()).toContain("Pay €12.50");
  expect((await submitInvoice(harness.standIn, invoice, { card: CARDS.works })).status).toBe(303);
  const applied = await stripe.subscriptions.retrieve(id);
  expect(applied).toMatchObject({
    pending_update: null,
    metadata: { order: "order-1", change: "one" },
  });
  expect(amountOf(applied)).toBe(3750);
  expect(await deliveredTypes(harness)).toEqual(
    expect.arrayContaining([
      "invoice.paid",
      "customer.subscription.updated",
      "customer.subscription.pending_update_applied",
    ]),
  );
  // A second payment is none: the page says that it is paid.
  const again = await submitInvoice(harness.standIn, invoice, { card: CARDS.works });
  expect([again.status, await again.text()]).toEqual([200, expect.stringContaining("paid")]);
  expect(harness.standIn.store.all("charge").filter((each) => each.paid)).toHaveLength(2);
});

describe("3D Secure", () => {
  async function unconfirmed() {
    const harness = await inProcess();
    const { stripe, clock, standIn } = harness;
    const { id, customer } = await aSubscription(harness);
    const method = await stripe.paymentMethods.attach("pm_card_authenticationRequired", {
      customer,
    });
    await stripe.subscriptions.update(id, { default_payment_method: method.id });
    clock.advance(15.5 * 24 * HOUR);
    const item = await itemOf(stripe, id);
    const more = await price(stripe, 3750);
    await deliveredTypes(harness);
    const after = await stripe.subscriptions.update(id, {
      items: [{ id: item, price: more }],
      payment_behavior: "pending_if_incomplete",
      proration_behavior: "always_invoice",
    });
    return { harness, stripe, standIn, id, after, invoice: ref(after.latest_invoice) };
  }

  test("leaves the change waiting until the customer confirms it", async () => {
    const { harness, stripe, standIn, id, after, invoice } = await unconfirmed();
    expect(amountOf(after)).toBe(1250);
    expect(await deliveredTypes(harness)).toContain("invoice.payment_action_required");
    const { payments } = await stripe.invoices.retrieve(invoice, {
      expand: ["payments.data.payment.payment_intent"],
    });
    expect(payments?.data[0]?.payment.payment_intent).toMatchObject({ status: "requires_action" });
    const page = await standIn.fetch(new Request(`http://stripe.test/i/${invoice}`));
    expect(await page.text()).toContain("Complete authentication");
    expect((await submitInvoice(standIn, invoice, { authenticate: "succeed" })).status).toBe(303);
    expect(amountOf(await stripe.subscriptions.retrieve(id))).toBe(3750);
    expect(await deliveredTypes(harness)).toContain("customer.subscription.pending_update_applied");
  });

  test("that fails leaves it payable with another card, also one whose bank asks", async () => {
    const { stripe, standIn, id, invoice } = await unconfirmed();
    expect((await submitInvoice(standIn, invoice, { authenticate: "fail" })).status).toBe(402);
    expect((await submitInvoice(standIn, invoice, { authenticate: "succeed" })).status).toBe(400);
    const asks = await submitInvoice(standIn, invoice, { card: CARDS.authenticates });
    expect([asks.status, await asks.text()]).toEqual([
      200,
      expect.stringContaining("authenticate"),
    ]);
    expect(amountOf(await stripe.subscriptions.retrieve(id))).toBe(1250);
    await submitInvoice(standIn, invoice, { authenticate: "succeed" });
    expect(amountOf(await stripe.subscriptions.retrieve(id))).toBe(3750);
  });

  test("is told to who asks for the payment through the API", async () => {
    const { stripe, invoice } = await unconfirmed();
    expect(await refusal(stripe.invoices.pay(invoice))).toMatchObject({
      statusCode: 402,
      code: "invoice_payment_intent_requires_action",
    });
  });
});

describe("it never counts", () => {
  test("once its 23 hours are over: the invoice is void", async () => {
    const { harness, stripe, invoice, id } = await asked();
    await deliveredTypes(harness);
    harness.clock.advance(23 * HOUR);
    const after = await stripe.subscriptions.retrieve(id);
    expect(after).toMatchObject({ ...waits, status: "active" });
    expect(amountOf(after)).toBe(1250);
    expect((await stripe.invoices.retrieve(invoice)).status).toBe("void");
    expect(await deliveredTypes(harness)).toEqual(
      expect.arrayContaining(["invoice.voided", "customer.subscription.pending_update_expired"]),
    );
    expect((await submitInvoice(harness.standIn, invoice, { card: CARDS.works })).status).toBe(200);
    expect(amountOf(await stripe.subscriptions.retrieve(id))).toBe(1250);
  });

  test("past the end of the period, which comes first", async () => {
    const harness = await inProcess();
    const { stripe, clock } = harness;
    const { id } = await aSubscription(harness, FAILS);
    clock.advance(31 * 24 * HOUR - 3 * HOUR);
    const item = await itemOf(stripe, id);
    const after = await stripe.subscriptions.update(id, {
      items: [{ id: item, price: await price(stripe, 990_000) }],
      payment_behavior: "pending_if_incomplete",
      proration_behavior: "always_invoice",
    });
    expect(after.pending_update?.expires_at).toBe(seconds("2026-04-01T12:00:00Z"));
    clock.advance(3 * HOUR);
    const renewed = await stripe.subscriptions.retrieve(id, { expand: ["latest_invoice"] });
    expect(renewed).toMatchObject({
      pending_update: null,
      latest_invoice: { billing_reason: "subscription_cycle", total: 1250 },
    });
  });

  test("once its invoice is void, and what the balance had paid of it goes back", async () => {
    const harness = await inProcess();
    const { stripe, clock } = harness;
    const { id, customer } = await aSubscription(harness, FAILS);
    await stripe.customers.createBalanceTransaction(customer, { amount: -300, currency: "eur" });
    clock.advance(15.5 * 24 * HOUR);
    const item = await itemOf(stripe, id);
    const { latest_invoice: invoice } = await stripe.subscriptions.update(id, {
      items: [{ id: item, price: await price(stripe, 3750) }],
      payment_behavior: "pending_if_incomplete",
      proration_behavior: "always_invoice",
    });
    expect(await stripe.customers.retrieve(customer)).toMatchObject({ balance: 0 });
    await stripe.invoices.voidInvoice(ref(invoice));
    expect(await stripe.customers.retrieve(customer)).toMatchObject({ balance: -300 });
    expect(await stripe.subscriptions.retrieve(id)).toMatchObject({ pending_update: null });
    expect(await refusal(stripe.invoices.voidInvoice(ref(invoice)))).toMatchObject({
      code: "invoice_not_editable",
    });
  });

  test("once another change takes its place", async () => {
    const { stripe, invoice, id } = await asked();
    const item = await itemOf(stripe, id);
    const again = await stripe.subscriptions.update(id, {
      items: [{ id: item, price: await price(stripe, 2500) }],
      payment_behavior: "pending_if_incomplete",
      proration_behavior: "always_invoice",
    });
    expect((await stripe.invoices.retrieve(invoice)).status).toBe("void");
    expect(again.pending_update?.subscription_items?.[0]?.price.unit_amount).toBe(2500);
    // What was void has credited nothing.
    expect(await stripe.invoices.retrieve(ref(again.latest_invoice))).toMatchObject({ total: 625 });
  });

  test("once the subscription has ended", async () => {
    const { stripe, invoice, id } = await asked();
    await stripe.subscriptions.cancel(id);
    expect((await stripe.invoices.retrieve(invoice)).status).toBe("void");
    expect((await stripe.subscriptions.retrieve(id)).pending_update).toBe(null);
  });
});

describe("it is refused", () => {
  test.each([
    ["with a description", { description: "more" }],
    ["with a planned end", { cancel_at_period_end: true }],
    ["with another card", { default_payment_method: "pm_x" }],
  ] satisfies [string, Partial<Stripe.SubscriptionUpdateParams>][])("%s", async (_name, params) => {
    expect(await refusal(asked(CARDS.works, params))).toMatchObject({ statusCode: 400 });
  });

  test("for invoices that are sent, and for bank debits", async () => {
    const harness = await inProcess();
    const { stripe } = harness;
    const { id, customer } = await aSubscription(harness);
    const change = async () =>
      stripe.subscriptions.update(id, {
        items: [{ id: await itemOf(stripe, id), price: await price(stripe, 3750) }],
        payment_behavior: "pending_if_incomplete",
        proration_behavior: "always_invoice",
      });
    const bank = await stripe.paymentMethods.attach("pm_usBankAccount", { customer });
    const { default_payment_method: card } = await stripe.subscriptions.retrieve(id);
    await stripe.subscriptions.update(id, { default_payment_method: bank.id });
    expect(await refusal(change())).toMatchObject({ statusCode: 400, param: "payment_behavior" });
    await stripe.subscriptions.update(id, { default_payment_method: ref(card) });
    await stripe.subscriptions.update(id, {
      collection_method: "send_invoice",
      days_until_due: 14,
    });
    expect(await refusal(change())).toMatchObject({ statusCode: 400, param: "payment_behavior" });
    expect((await stripe.invoices.list({ subscription: id })).data).toHaveLength(1);
  });

  test("at the eleventh invoice of a minute, and nothing is dropped for it", async () => {
    const { stripe, id } = await asked();
    const item = await itemOf(stripe, id);
    const next = async (minor: number) =>
      stripe.subscriptions.update(id, {
        items: [{ id: item, price: await price(stripe, minor) }],
        payment_behavior: "pending_if_incomplete",
        proration_behavior: "always_invoice",
      });
    for (let n = 1; n <= 9; n += 1) await next(3750 + n);
    const before = await stripe.subscriptions.retrieve(id);
    expect(await refusal(next(9000))).toMatchObject({ statusCode: 429 });
    expect(await stripe.subscriptions.retrieve(id)).toEqual(before);
  });
});

test("an invoice that is sent is not charged", async () => {
  const harness = await inProcess();
  const { stripe, clock } = harness;
  const { id } = await aSubscription(harness);
  await stripe.subscriptions.update(id, { collection_method: "send_invoice", days_until_due: 14 });
  clock.advanceDays(32);
  const { data } = await stripe.invoices.list({ subscription: id });
  expect(data[0]).toMatchObject({
    status: "open",
    collection_method: "send_invoice",
    attempted: false,
  });
});
