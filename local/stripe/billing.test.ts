import { describe, expect, test } from "vitest";
import {
  aPlan,
  aSubscription,
  CARDS,
  deliveredTypes,
  HOUR,
  inProcess,
  local,
  ManualClock,
  ref,
  refusal,
  seconds,
} from "./harness.ts";

test("a renewal makes a draft at the period's end and charges it an hour later", async () => {
  const harness = await inProcess();
  const { stripe, clock } = harness;
  const { id } = await aSubscription(harness);
  clock.advanceDays(31);
  const renewed = await stripe.subscriptions.retrieve(id, { expand: ["latest_invoice"] });
  expect(renewed).toMatchObject({
    status: "active",
    items: { data: [{ current_period_end: seconds("2026-05-01T12:00:00Z") }] },
    latest_invoice: {
      status: "draft",
      billing_reason: "subscription_cycle",
      created: seconds("2026-04-01T12:00:00Z"),
      lines: { data: [{ period: { start: seconds("2026-04-01T12:00:00Z") } }] },
    },
  });
  expect(await deliveredTypes(harness)).toEqual([
    "invoice.created",
    "customer.subscription.updated",
  ]);
  clock.advance(HOUR);
  const paid = await stripe.invoices.list({ subscription: id });
  expect(paid.data.map(({ status, number }) => [status, number?.slice(-5)])).toEqual([
    ["paid", "-0002"],
    ["paid", "-0001"],
  ]);
  expect(await deliveredTypes(harness)).toEqual(
    expect.arrayContaining(["invoice.finalized", "invoice.paid", "charge.succeeded"]),
  );
});

test("a clock that jumps catches up every period in order, each at its own time", async () => {
  const harness = await inProcess();
  const { stripe, clock } = harness;
  const { id } = await aSubscription(harness);
  clock.advanceDays(365);
  const { data } = await stripe.invoices.list({ subscription: id, limit: 100 });
  expect(data.map(({ created }) => new Date(created * 1000).toISOString().slice(0, 10))).toEqual(
    [
      "2026-03-01",
      "2026-04-01",
      "2026-05-01",
      "2026-06-01",
      "2026-07-01",
      "2026-08-01",
      "2026-09-01",
      "2026-10-01",
      "2026-11-01",
      "2026-12-01",
      "2027-01-01",
      "2027-02-01",
      "2027-03-01",
    ].toReversed(),
  );
});

test("months that are too short take their last day, and the next month the anchor's again", async () => {
  const harness = await inProcess({ clock: new ManualClock("2026-01-31T10:00:00Z") });
  const { id } = await aSubscription(harness);
  harness.clock.advanceDays(70);
  const { data } = await harness.stripe.invoices.list({ subscription: id });
  expect(data.map(({ created }) => new Date(created * 1000).toISOString().slice(0, 10))).toEqual([
    "2026-03-31",
    "2026-02-28",
    "2026-01-31",
  ]);
});

describe("when the card of a renewal is declined", () => {
  test("the subscription is past due, is tried again, and is cancelled after the last try where the account says so", async () => {
    const harness = await inProcess({ afterLastRetry: "cancel" });
    const { stripe, clock } = harness;
    const { id } = await aSubscription(harness, CARDS.failsLater);
    clock.advanceDays(31);
    clock.advance(HOUR);
    const failed = await stripe.subscriptions.retrieve(id, { expand: ["latest_invoice"] });
    expect(failed).toMatchObject({
      status: "past_due",
      latest_invoice: {
        status: "open",
        attempt_count: 1,
        next_payment_attempt: seconds("2026-04-02T13:00:00Z"),
      },
    });
    expect(await deliveredTypes(harness)).toEqual(
      expect.arrayContaining([
        "charge.failed",
        "payment_intent.payment_failed",
        "invoice.payment_failed",
        "customer.subscription.updated",
      ]),
    );
    clock.advanceDays(13);
    expect((await stripe.subscriptions.retrieve(id)).status).toBe("past_due");
    clock.advanceDays(1);
    const over = await stripe.subscriptions.retrieve(id, { expand: ["latest_invoice"] });
    expect(over).toMatchObject({
      status: "canceled",
      cancellation_details: { reason: "payment_failed" },
      latest_invoice: {
        status: "open",
        attempt_count: 8,
        next_payment_attempt: null,
        auto_advance: false,
      },
    });
    const types = await deliveredTypes(harness);
    expect(types.filter((type) => type === "invoice.payment_failed")).toHaveLength(7);
    expect(types.at(-1)).toBe("customer.subscription.deleted");
    clock.advanceDays(90);
    expect((await stripe.invoices.list({ subscription: id })).data).toHaveLength(2);
  });

  test("an account that keeps unpaid subscriptions keeps this one, and its drafts are not charged", async () => {
    const harness = await inProcess({ afterLastRetry: "unpaid" });
    const { stripe, clock } = harness;
    const { id } = await aSubscription(harness, CARDS.failsLater);
    clock.advanceDays(80);
    expect((await stripe.subscriptions.retrieve(id)).status).toBe("unpaid");
    const drafts = await stripe.invoices.list({ subscription: id, status: "draft" });
    expect(drafts.data).toHaveLength(1);
  });

  test("paying an older invoice revives nothing; paying the latest one does", async () => {
    const harness = await inProcess({ afterLastRetry: "unpaid" });
    const { stripe, clock } = harness;
    const { id, customer } = await aSubscription(harness, CARDS.failsLater);
    clock.advanceDays(80);
    const method = await stripe.paymentMethods.attach("pm_card_visa", { customer });
    await stripe.subscriptions.update(id, { default_payment_method: method.id });
    const [latest, older] = (await stripe.invoices.list({ subscription: id })).data;
    const stateAfterPaying = async (invoice: string | undefined): Promise<string> => {
      await stripe.invoices.pay(invoice ?? "");
      return (await stripe.subscriptions.retrieve(id)).status;
    };
    expect([older?.status, latest?.status]).toEqual(["open", "draft"]);
    expect(await stateAfterPaying(older?.id)).toBe("unpaid");
    expect(await stateAfterPaying(latest?.id)).toBe("active");
  });

  test("a new card that pays the invoice makes the subscription active again", async () => {
    const harness = await inProcess();
    const { stripe, clock } = harness;
    const { id, customer } = await aSubscription(harness, CARDS.failsLater);
    clock.advanceDays(32);
    const method = await stripe.paymentMethods.attach("pm_card_visa", { customer });
    const { latest_invoice: invoice } = await stripe.subscriptions.update(id, {
      default_payment_method: method.id,
    });
    expect(await stripe.invoices.pay(ref(invoice))).toMatchObject({
      status: "paid",
      amount_remaining: 0,
    });
    expect((await stripe.subscriptions.retrieve(id)).status).toBe("active");
    expect(await refusal(stripe.invoices.pay(ref(invoice)))).toMatchObject({ statusCode: 400 });
  });

  test("the next retry charges what is the default by then", async () => {
    const harness = await inProcess();
    const { stripe, clock } = harness;
    const { id, customer } = await aSubscription(harness, CARDS.failsLater);
    clock.advanceDays(32);
    const method = await stripe.paymentMethods.attach("pm_card_visa", { customer });
    await stripe.subscriptions.update(id, { default_payment_method: method.id });
    clock.advanceDays(1);
    expect(await stripe.subscriptions.retrieve(id, { expand: ["latest_invoice"] })).toMatchObject({
      status: "active",
      latest_invoice: { status: "paid" },
    });
  });

  test("without any card an attempt fails without a charge", async () => {
    const harness = await inProcess();
    const { stripe, clock } = harness;
    const { id } = await aSubscription(harness);
    const { default_payment_method: method } = await stripe.subscriptions.retrieve(id);
    await stripe.paymentMethods.detach(ref(method));
    clock.advanceDays(32);
    expect((await stripe.subscriptions.retrieve(id)).status).toBe("past_due");
    expect((await stripe.charges.list()).data).toHaveLength(1);
  });

  test("the control surface makes a good card fail as often as asked, and no more", async () => {
    const harness = await inProcess();
    const { stripe, clock, standIn } = harness;
    const { id, customer } = await aSubscription(harness);
    await local(standIn, "/fail-payments", {
      customer,
      count: 2,
      declineCode: "insufficient_funds",
    });
    clock.advanceDays(33);
    expect((await stripe.subscriptions.retrieve(id)).status).toBe("past_due");
    clock.advanceDays(1);
    expect((await stripe.subscriptions.retrieve(id)).status).toBe("active");
    const { data } = await stripe.charges.list();
    expect(data.map(({ status, outcome }) => [status, outcome?.reason])).toEqual([
      ["succeeded", null],
      ["failed", "insufficient_funds"],
      ["failed", "insufficient_funds"],
      ["succeeded", null],
    ]);
  });
});

test("a subscription whose first payment never comes expires after 23 hours", async () => {
  const { stripe, clock } = await inProcess();
  const { customer, price } = await aPlan(stripe);
  const { id } = await stripe.subscriptions.create({
    customer: customer.id,
    items: [{ price: price.id }],
    payment_behavior: "default_incomplete",
  });
  clock.advance(22 * HOUR);
  expect((await stripe.subscriptions.retrieve(id)).status).toBe("incomplete");
  clock.advance(HOUR);
  expect(await stripe.subscriptions.retrieve(id, { expand: ["latest_invoice"] })).toMatchObject({
    status: "incomplete_expired",
    latest_invoice: { status: "void" },
  });
});

test("an invoice that cannot be finalised stays a draft that says why, until somebody does it by hand", async () => {
  const harness = await inProcess();
  const { stripe, standIn, clock } = harness;
  const { id, customer } = await aSubscription(harness);
  const fail = async (code: string | null) =>
    local(standIn, "/fail-finalization", { customer, code });
  await fail("customer_tax_location_invalid");
  clock.advanceDays(32);
  const { data } = await stripe.invoices.list({ subscription: id, limit: 1 });
  expect(data[0]).toMatchObject({
    status: "draft",
    number: null,
    last_finalization_error: { code: "customer_tax_location_invalid" },
  });
  expect(await deliveredTypes(harness)).toContain("invoice.finalization_failed");
  const byHand = () => stripe.invoices.finalizeInvoice(data[0]?.id ?? "");
  expect(await refusal(byHand())).toMatchObject({ code: "customer_tax_location_invalid" });
  await fail(null);
  expect((await byHand()).status).toBe("paid");
  expect(await refusal(byHand())).toMatchObject({ code: "invoice_not_editable" });
});
