import type { Stripe } from "stripe";
import { expect, test } from "vitest";
import { aPaidSession, aPlan, inProcess, ref, refusal } from "./harness.ts";

test("lists come newest first, a page at a time, forwards and backwards", async () => {
  const { stripe } = await inProcess();
  const made: string[] = [];
  for (let i = 0; i < 5; i += 1) made.unshift((await stripe.customers.create({})).id);
  const idsOf = (list: Stripe.ApiList<Stripe.Customer>): [string[], boolean] => [
    list.data.map(({ id }) => id),
    list.has_more,
  ];
  expect(idsOf(await stripe.customers.list({ limit: 2 }))).toEqual([made.slice(0, 2), true]);
  const after = made[1] ?? "";
  expect(idsOf(await stripe.customers.list({ limit: 3, starting_after: after }))).toEqual([
    made.slice(2),
    false,
  ]);
  const before = made[4] ?? "";
  expect(idsOf(await stripe.customers.list({ limit: 2, ending_before: before }))).toEqual([
    made.slice(2, 4),
    true,
  ]);
  const all = await stripe.customers.list({ limit: 2 }).autoPagingToArray({ limit: 100 });
  expect(all.map(({ id }) => id)).toEqual(made);
});

test("a list refuses a page size above 100, two cursors, and a cursor that is not there", async () => {
  const { stripe } = await inProcess();
  const { id } = await stripe.customers.create({});
  expect(await refusal(stripe.customers.list({ limit: 101 }))).toMatchObject({ param: "limit" });
  expect(
    await refusal(stripe.customers.list({ starting_after: id, ending_before: id })),
  ).toMatchObject({ statusCode: 400 });
  expect(await refusal(stripe.customers.list({ starting_after: "cus_none" }))).toMatchObject({
    code: "resource_missing",
    param: "starting_after",
  });
});

test("prices are found by lookup key, which one price holds at a time", async () => {
  const { stripe } = await inProcess();
  const { price } = await aPlan(stripe, { lookup_key: "small_month" });
  const draft = {
    product: ref(price.product),
    currency: "eur",
    unit_amount: 1500,
    lookup_key: "small_month",
  };
  expect(await refusal(stripe.prices.create(draft))).toMatchObject({ param: "lookup_key" });
  const next = await stripe.prices.create({ ...draft, transfer_lookup_key: true });
  const { data } = await stripe.prices.list({ lookup_keys: ["small_month", "other"] });
  expect(data.map(({ id }) => id)).toEqual([next.id]);
  expect((await stripe.prices.retrieve(price.id)).lookup_key).toBeNull();
});

test("expand follows references, lists and plain objects, and refuses what cannot be expanded", async () => {
  const harness = await inProcess();
  const { stripe } = harness;
  const { subscription } = await aPaidSession(harness);
  const id = ref(subscription);
  expect(
    await stripe.subscriptions.retrieve(id, {
      expand: [
        "customer",
        "default_payment_method",
        "items.data.price.product",
        "latest_invoice.payments",
      ],
    }),
  ).toMatchObject({
    customer: { object: "customer" },
    default_payment_method: { card: { last4: "4242" } },
    items: { data: [{ price: { product: { name: "VPS small" } } }] },
    latest_invoice: { payments: { data: [{ object: "invoice_payment" }] } },
  });
  const invoices = await stripe.invoices.list({ expand: ["data.payments"] });
  const payment = invoices.data[0]?.payments?.data[0]?.payment.payment_intent;
  expect(
    await stripe.paymentIntents.retrieve(ref(payment), { expand: ["latest_charge.refunds"] }),
  ).toMatchObject({ latest_charge: { object: "charge", refunds: { object: "list", data: [] } } });
  expect(
    (await stripe.invoicePayments.list({ expand: ["data.payment.payment_intent"] })).data[0],
  ).toMatchObject({ payment: { payment_intent: { status: "succeeded" } } });
  for (const expand of ["status", "customer.email", "nothing", "data.customer"])
    expect(await refusal(stripe.subscriptions.retrieve(id, { expand: [expand] }))).toMatchObject({
      statusCode: 400,
      message: `This property cannot be expanded (${expand}).`,
    });
  expect(
    await refusal(stripe.subscriptions.list({ expand: ["data.items.data.price.product"] })),
  ).toMatchObject({ message: expect.stringContaining("more than 4 levels") });
});

test("a create with a bad expand makes nothing", async () => {
  const { stripe, standIn } = await inProcess();
  await refusal(stripe.customers.create({ expand: ["email"] }));
  expect(standIn.store.all("customer")).toEqual([]);
});

test("events are listed by type and by wildcard, and forgotten after 30 days", async () => {
  const harness = await inProcess();
  const { stripe, clock } = harness;
  await aPaidSession(harness);
  const typesOf = async (params: Stripe.EventListParams): Promise<string[]> =>
    (await stripe.events.list({ limit: 100, ...params })).data.map(({ type }) => type);
  expect(await typesOf({ type: "invoice.paid" })).toEqual(["invoice.paid"]);
  expect(await typesOf({ type: "charge.*" })).toEqual(["charge.succeeded"]);
  expect((await typesOf({ types: ["price.created", "product.created"] })).toSorted()).toEqual([
    "price.created",
    "product.created",
  ]);
  // What waits to be delivered is not forgotten.
  await harness.standIn.webhooks.deliverDue();
  clock.advanceDays(29);
  expect(await typesOf({ type: "price.created" })).toHaveLength(1);
  clock.advanceDays(1);
  expect(await typesOf({ type: "price.created" })).toEqual([]);
});
