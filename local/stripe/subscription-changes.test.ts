import type { Stripe } from "stripe";
import { describe, expect, test } from "vitest";
import {
  aPlan,
  aSubscription,
  CARDS,
  deliveredTypes,
  HOUR,
  inProcess,
  local,
  ref,
  refusal,
  seconds,
  type Harness,
} from "./harness.ts";

describe("cancelling", () => {
  test("now ends it at once; doing it again is 404, and only metadata can change after", async () => {
    const harness = await inProcess();
    const { stripe } = harness;
    const { id } = await aSubscription(harness);
    expect(await stripe.subscriptions.cancel(id)).toMatchObject({
      status: "canceled",
      ended_at: seconds("2026-03-01T12:00:00Z"),
      cancellation_details: { reason: "cancellation_requested" },
    });
    expect(await deliveredTypes(harness)).toEqual(["customer.subscription.deleted"]);
    expect(await refusal(stripe.subscriptions.cancel(id))).toMatchObject({ statusCode: 404 });
    expect(
      await refusal(stripe.subscriptions.update(id, { cancel_at_period_end: true })),
    ).toMatchObject({ code: "invalid_canceled_subscription_fields" });
    expect(await stripe.subscriptions.update(id, { metadata: { note: "x" } })).toMatchObject({
      metadata: { note: "x", order: "order-1" },
    });
  });

  test("at the period's end ends it then, without another invoice, and can be taken back", async () => {
    const harness = await inProcess();
    const { stripe, clock } = harness;
    const { id } = await aSubscription(harness);
    expect(await stripe.subscriptions.update(id, { cancel_at_period_end: true })).toMatchObject({
      status: "active",
      cancel_at: seconds("2026-04-01T12:00:00Z"),
    });
    await stripe.subscriptions.update(id, { cancel_at_period_end: false });
    clock.advanceDays(40);
    expect((await stripe.subscriptions.retrieve(id)).status).toBe("active");
    await stripe.subscriptions.update(id, { cancel_at_period_end: true });
    clock.advanceDays(40);
    expect(await stripe.subscriptions.retrieve(id)).toMatchObject({
      status: "canceled",
      ended_at: seconds("2026-05-01T12:00:00Z"),
    });
    expect((await stripe.invoices.list({ subscription: id })).data).toHaveLength(2);
  });
});

describe("what a customer is asked for when one of their subscriptions is cancelled", () => {
  /** Two of one customer, whose renewals are both declined. */
  async function twoUnpaid() {
    const harness = await inProcess();
    const { stripe, clock } = harness;
    const first = await aSubscription(harness);
    const { customer } = first;
    const { items, default_payment_method: card } = await stripe.subscriptions.retrieve(first.id);
    const second = await stripe.subscriptions.create({
      customer,
      default_payment_method: ref(card),
      items: [{ price: items.data[0]?.price.id ?? "" }],
    });
    await local(harness.standIn, "/fail-payments", { customer, count: 2 });
    clock.advanceDays(31);
    clock.advance(2 * HOUR);
    await stripe.subscriptions.cancel(first.id);
    const openOf = async (subscription: string) =>
      (await stripe.invoices.list({ subscription, status: "open" })).data[0];
    return { ...harness, first, second, openOf };
  }

  test("is collected no more, also by the one that goes on, until somebody says so", async () => {
    const { stripe, clock, first, second, openOf } = await twoUnpaid();
    const stopped = { auto_advance: false, next_payment_attempt: null };
    expect(await openOf(first.id)).toMatchObject(stopped);
    expect(await openOf(second.id)).toMatchObject(stopped);
    clock.advanceDays(10);
    const before = await openOf(second.id);
    expect(before).toMatchObject({ ...stopped, attempt_count: 1 });
    const id = before?.id ?? "";
    await stripe.invoices.update(id, { auto_advance: true });
    clock.advanceDays(2);
    expect(await stripe.invoices.retrieve(id)).toMatchObject({ status: "paid" });
  });

  test("advances only while it is a draft or open", async () => {
    const { stripe, first, openOf } = await twoUnpaid();
    const id = (await openOf(first.id))?.id ?? "";
    await stripe.invoices.voidInvoice(id);
    expect(await refusal(stripe.invoices.update(id, { auto_advance: true }))).toMatchObject({
      code: "invoice_not_editable",
      param: "auto_advance",
    });
  });
});

describe("pausing collection", () => {
  test("voids what falls due, as soon as it is made, until it is taken back", async () => {
    const harness = await inProcess();
    const { stripe, clock } = harness;
    const { id } = await aSubscription(harness);
    const paused = await stripe.subscriptions.update(id, {
      pause_collection: { behavior: "void" },
    });
    expect(paused.pause_collection).toEqual({ behavior: "void", resumes_at: null });
    expect(await deliveredTypes(harness)).toEqual(["customer.subscription.updated"]);
    clock.advanceDays(70);
    const { status, latest_invoice: latest } = await stripe.subscriptions.retrieve(id, {
      expand: ["latest_invoice"],
    });
    expect({ status, latest }).toMatchObject({ status: "active", latest: { status: "void" } });
    const statuses = async () =>
      (await stripe.invoices.list({ subscription: id })).data.map((invoice) => invoice.status);
    expect(await statuses()).toEqual(["void", "void", "paid"]);
    expect((await stripe.subscriptions.update(id, { pause_collection: "" })).pause_collection).toBe(
      null,
    );
    clock.advanceDays(31);
    expect(await statuses()).toEqual(["paid", "void", "void", "paid"]);
  });

  test("and beginning a cycle now makes and charges a period from now on", async () => {
    const harness = await inProcess();
    const { stripe, clock } = harness;
    const { id } = await aSubscription(harness);
    await stripe.subscriptions.update(id, { pause_collection: { behavior: "void" } });
    clock.advanceDays(40); // 10 April, 12:00
    const begun = await stripe.subscriptions.update(id, {
      pause_collection: "",
      billing_cycle_anchor: { type: "now" },
      proration_behavior: "none",
    });
    expect(begun.billing_cycle_anchor).toBe(seconds("2026-04-10T12:00:00Z"));
    expect(begun.items.data[0]?.current_period_end).toBe(seconds("2026-05-10T12:00:00Z"));
    const { data } = await stripe.invoices.list({ subscription: id });
    expect(data.map(({ status, billing_reason: why }) => `${status} ${why}`)).toEqual([
      "paid subscription_update",
      "void subscription_cycle",
      "paid subscription_create",
    ]);
    // A second later, and with prorations: what was paid for the month that had just begun is credited, to the second.
    clock.advance(1000);
    await stripe.subscriptions.update(id, { billing_cycle_anchor: { type: "now" } });
    const [again] = (await stripe.invoices.list({ subscription: id })).data;
    expect(again?.lines.data.map(({ amount }) => amount)).toEqual([-1250, 1250]);
  });
});

describe("changing the price within a period", () => {
  async function resized(
    behavior: "create_prorations" | "always_invoice" | "none",
    amount: number,
    payment?: "error_if_incomplete",
    card: string = CARDS.works,
  ): Promise<{ harness: Harness; id: string; change: Promise<Stripe.Subscription> }> {
    const harness = await inProcess();
    const { stripe, clock } = harness;
    const { id } = await aSubscription(harness, card);
    const { price } = await aPlan(stripe, { unit_amount: amount });
    // Half of March's 31 days.
    clock.advance(15.5 * 24 * HOUR);
    const before = await stripe.subscriptions.retrieve(id);
    const change = stripe.subscriptions.update(id, {
      items: [{ id: before.items.data[0]?.id ?? "", price: price.id }],
      proration_behavior: behavior,
      ...(payment === undefined ? {} : { payment_behavior: payment }),
    });
    return { harness, id, change };
  }

  test("always_invoice charges the difference for what is left of it, now", async () => {
    const { harness, id, change } = await resized("always_invoice", 2500);
    await change;
    const { data } = await harness.stripe.invoices.list({ subscription: id });
    expect(data[0]).toMatchObject({
      billing_reason: "subscription_update",
      status: "paid",
      total: 625,
    });
    expect(data[0]?.lines.data.map(({ amount }) => amount)).toEqual([-625, 1250]);
  });

  test("create_prorations puts the difference on the next invoice", async () => {
    const { harness, id, change } = await resized("create_prorations", 2500);
    await change;
    expect((await harness.stripe.invoices.list({ subscription: id })).data).toHaveLength(1);
    harness.clock.advanceDays(16);
    const { data } = await harness.stripe.invoices.list({ subscription: id });
    expect(data[0]).toMatchObject({ billing_reason: "subscription_cycle", total: 625 + 2500 });
  });

  test("none charges nothing for this period", async () => {
    const { harness, id, change } = await resized("none", 2500);
    await change;
    harness.clock.advanceDays(16);
    const { data } = await harness.stripe.invoices.list({ subscription: id });
    expect(data.map(({ total }) => total)).toEqual([2500, 1250]);
  });

  test("a cheaper price leaves credit, which pays the next invoice first", async () => {
    const { harness, id, change } = await resized("always_invoice", 500);
    const { customer } = await change;
    const { stripe, clock } = harness;
    expect(await stripe.customers.retrieve(ref(customer))).toMatchObject({ balance: -375 });
    clock.advanceDays(16);
    const { data } = await stripe.invoices.list({ subscription: id });
    expect(data[0]).toMatchObject({ total: 500, amount_due: 125, starting_balance: -375 });
    expect(await stripe.customers.retrieve(ref(customer))).toMatchObject({ balance: 0 });
  });

  test("a declined difference with error_if_incomplete leaves everything as it was", async () => {
    const { harness, id, change } = await resized(
      "always_invoice",
      2500,
      "error_if_incomplete",
      CARDS.failsLater,
    );
    expect(await refusal(change)).toMatchObject({ statusCode: 402, code: "card_declined" });
    const after = await harness.stripe.subscriptions.retrieve(id);
    expect(after).toMatchObject({
      status: "active",
      items: { data: [{ price: { unit_amount: 1250 } }] },
    });
    expect((await harness.stripe.invoices.list({ subscription: id })).data).toHaveLength(1);
  });
});

test("one subscription takes ten invoices a minute, and the eleventh is refused unchanged", async () => {
  const harness = await inProcess();
  const { stripe, clock } = harness;
  const { id } = await aSubscription(harness);
  const { items } = await stripe.subscriptions.retrieve(id);
  const item = items.data[0]?.id ?? "";
  const buy = async (quantity: number): Promise<Stripe.Subscription> =>
    stripe.subscriptions.update(id, {
      items: [{ id: item, quantity }],
      proration_behavior: "always_invoice",
    });
  // The purchase itself was the first.
  for (let quantity = 2; quantity <= 10; quantity += 1) await buy(quantity);
  expect(await refusal(buy(11))).toMatchObject({ statusCode: 429, code: "rate_limit" });
  expect((await stripe.subscriptions.retrieve(id)).items.data[0]?.quantity).toBe(10);
  clock.advance(60_000);
  expect((await buy(11)).items.data[0]?.quantity).toBe(11);
});
