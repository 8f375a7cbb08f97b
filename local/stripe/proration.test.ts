import type { Stripe } from "stripe";
import { describe, expect, test } from "vitest";
import { BY_HAND } from "#test/harness/proration-by-hand.ts";
import {
  aPlan,
  aSubscription,
  CARDS,
  HOUR,
  inProcess,
  itemOf,
  ManualClock,
  ref,
  refusal,
  seconds,
  submitPage,
  type Harness,
} from "./harness.ts";

/* 6a 2: prorations of flexible billing. The figures are those that core/billing is held to as well. */

const net = (line: Stripe.InvoiceLineItem): number =>
  line.amount - (line.discount_amounts ?? []).reduce((sum, each) => sum + each.amount, 0);
const kindOf = (line: Stripe.InvoiceLineItem): string => {
  if (line.parent?.subscription_item_details?.proration !== true) return "recurring";
  return (line.parent.subscription_item_details.proration_details?.credited_items ?? null) === null
    ? "debit"
    : "credit";
};
const newest = async (stripe: Stripe, subscription: string): Promise<Stripe.Invoice> => {
  const [invoice] = (await stripe.invoices.list({ subscription, limit: 1 })).data;
  if (invoice === undefined) throw new Error("there is no invoice");
  return invoice;
};

describe("by hand", () => {
  test.each(BY_HAND.map((row) => [row.name, row] as const))("%s", async (_name, row) => {
    const harness = await inProcess({ clock: new ManualClock(row.anchor) });
    const { stripe, clock, standIn } = harness;
    const until = (instant: string) => clock.advance(Date.parse(instant) - +clock.now());
    const recurring = (unit_amount: number, interval: "month" | "year") =>
      aPlan(stripe, { currency: row.currency, unit_amount, recurring: { interval } });
    const { customer, price } = await recurring(row.price, row.interval);
    const discounts =
      row.coupon === undefined
        ? []
        : [
            {
              coupon: (
                await stripe.coupons.create({
                  ...row.coupon,
                  ...("amount_off" in row.coupon ? { currency: row.currency } : {}),
                  duration: "forever",
                })
              ).id,
            },
          ];
    const session = await stripe.checkout.sessions.create({
      mode: "subscription",
      customer: customer.id,
      line_items: [{ price: price.id, quantity: 1 }],
      ...(discounts.length === 0 ? {} : { discounts }),
      success_url: "http://berth.test/done",
    });
    await submitPage(standIn, session, { card: CARDS.works });
    const id = ref((await stripe.checkout.sessions.retrieve(session.id)).subscription);
    const item = await itemOf(stripe, id);
    until(row.period[0]);
    // The draft of a renewal is charged an hour after.
    if (row.period[0] !== row.anchor) clock.advance(2 * HOUR);
    let { interval } = row;
    let [, end] = row.period;
    for (const step of row.steps) {
      until(step.at);
      interval = step.interval ?? interval;
      const { price: next } = await recurring(step.price, interval);
      const change = {
        items: [{ id: item, price: next.id }],
        proration_behavior: "always_invoice" as const,
        proration_date: seconds(step.at),
      };
      const seen = await stripe.invoices.createPreview({
        subscription: id,
        subscription_details: change,
      });
      expect(seen.lines.data.map((line) => [kindOf(line), net(line)])).toEqual(step.lines);
      await stripe.subscriptions.update(id, change);
      const made = await newest(stripe, id);
      expect(made.lines.data.map((line) => [kindOf(line), net(line)])).toEqual(step.lines);
      expect([made.total, made.amount_due]).toEqual([seen.total, seen.amount_due]);
      end = step.until ?? end;
      expect(made.lines.data.at(-1)?.period.end).toBe(seconds(end));
    }
  });
});

/** A paid month of 10.00 EUR from 1 March, 12:00, at its half: the clock is at 17 March, 00:00. */
async function atHalf(): Promise<{
  harness: Harness;
  stripe: Stripe;
  id: string;
  item: string;
  customer: string;
  price: (minor: number, interval?: "month" | "year") => Promise<string>;
  change: (
    price: string,
    over?: Partial<Stripe.SubscriptionUpdateParams>,
  ) => Promise<Stripe.Subscription>;
}> {
  const harness = await inProcess();
  const { stripe, clock } = harness;
  const { id, customer } = await aSubscription(harness);
  const item = await itemOf(stripe, id);
  clock.advance(15.5 * 24 * HOUR);
  return {
    harness,
    stripe,
    id,
    item,
    customer,
    price: async (minor, interval = "month") =>
      (await aPlan(stripe, { unit_amount: minor, recurring: { interval } })).price.id,
    change: async (price, over = {}) =>
      stripe.subscriptions.update(id, {
        items: [{ id: item, price }],
        proration_behavior: "always_invoice",
        ...over,
      }),
  };
}

describe("a credit", () => {
  test("names the line that it credits, which no later one credits again", async () => {
    const { stripe, id, price, change } = await atHalf();
    const bought = await newest(stripe, id);
    await change(await price(2500));
    const up = await newest(stripe, id);
    expect(up.lines.data[0]?.parent?.subscription_item_details?.proration_details).toEqual({
      credited_items: { invoice: bought.id, invoice_line_items: [bought.lines.data[0]?.id] },
    });
    await change(await price(500));
    const down = await newest(stripe, id);
    expect(down.lines.data.map(({ amount }) => amount)).toEqual([-1250, 250]);
    expect(
      down.lines.data[0]?.parent?.subscription_item_details?.proration_details?.credited_items,
    ).toEqual({ invoice: up.id, invoice_line_items: [up.lines.data[1]?.id] });
  });

  test("follows what was debited, also after a price that was changed without a proration", async () => {
    const { stripe, id, price, change } = await atHalf();
    await change(await price(9000), { proration_behavior: "none" });
    await change(await price(2500));
    expect((await newest(stripe, id)).lines.data.map(({ amount }) => amount)).toEqual([-625, 1250]);
  });

  test("follows a debit that waits for the next invoice, and comes with it", async () => {
    const { stripe, id, price, change, harness } = await atHalf();
    await change(await price(2500), { proration_behavior: "create_prorations" });
    await change(await price(5000), { proration_behavior: "create_prorations" });
    harness.clock.advanceDays(16);
    const { lines } = await newest(stripe, id);
    expect(lines.data.map(({ amount }) => amount)).toEqual([-625, 1250, -1250, 2500, 5000]);
  });

  test("is made for a period that was never paid, and its invoice is paid at once", async () => {
    const { stripe, id, price, change, harness } = await atHalf();
    const { customer } = await stripe.subscriptions.retrieve(id);
    await harness.standIn.fetch(
      new Request("http://stripe.test/_local/fail-payments", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ customer: ref(customer), count: 99 }),
      }),
    );
    harness.clock.advanceDays(17);
    expect((await stripe.subscriptions.retrieve(id)).status).toBe("past_due");
    await change(await price(500));
    const credit = await newest(stripe, id);
    expect(credit).toMatchObject({ status: "paid", amount_paid: 0 });
    expect(credit.total).toBeLessThan(0);
    expect(await stripe.customers.retrieve(ref(customer))).toMatchObject({
      balance: credit.total,
    });
  });

  test("is none for a period whose invoice is void", async () => {
    const { stripe, id, price, change, harness } = await atHalf();
    await stripe.subscriptions.update(id, { pause_collection: { behavior: "void" } });
    harness.clock.advanceDays(31); // 17 April, 00:00: half of 30 days are left from noon on
    await change(await price(2500));
    expect((await newest(stripe, id)).lines.data.map(kindOf)).toEqual(["debit"]);
  });
});

describe("the instant that is prorated for", () => {
  test.each([
    ["a second before the period", "2026-03-01T11:59:59Z"],
    ["its end", "2026-04-01T12:00:00Z"],
  ])("is refused at %s", async (_name, at) => {
    const { price, change, stripe, id, item } = await atHalf();
    const next = await price(2500);
    const refused = { statusCode: 400, param: "proration_date" };
    expect(await refusal(change(next, { proration_date: seconds(at) }))).toMatchObject(refused);
    const seen = stripe.invoices.createPreview({
      subscription: id,
      subscription_details: { items: [{ id: item, price: next }], proration_date: seconds(at) },
    });
    expect(await refusal(seen)).toMatchObject(refused);
  });

  test("is not taken with a cycle that begins now", async () => {
    const { change, price } = await atHalf();
    const refused = await refusal(
      change(await price(2500), {
        billing_cycle_anchor: { type: "now" },
        proration_date: seconds("2026-03-10T00:00:00Z"),
      }),
    );
    expect(refused).toMatchObject({ statusCode: 400, param: "proration_date" });
  });
});

describe("another interval", () => {
  test("begins a cycle now, whose own line is no proration, and is invoiced whatever is asked for", async () => {
    const { stripe, id, price, change } = await atHalf();
    await change(await price(12000, "year"), { proration_behavior: "create_prorations" });
    const made = await newest(stripe, id);
    expect(made).toMatchObject({ billing_reason: "subscription_update", status: "paid" });
    expect(made.lines.data.map((line) => [line.amount, kindOf(line), line.period.end])).toEqual([
      [-625, "credit", seconds("2026-04-01T12:00:00Z")],
      [12000, "recurring", seconds("2027-03-17T00:00:00Z")],
    ]);
    expect(await stripe.subscriptions.retrieve(id)).toMatchObject({
      billing_cycle_anchor: seconds("2026-03-17T00:00:00Z"),
      items: { data: [{ current_period_end: seconds("2027-03-17T00:00:00Z") }] },
    });
  });

  test("whose credit is more than it costs goes to the balance, which pays the next ones", async () => {
    const { stripe, id, price, change, harness, customer } = await atHalf();
    await change(await price(12000, "year"));
    await change(await price(1000));
    expect(await stripe.customers.retrieve(customer)).toMatchObject({ balance: 1000 - 12000 });
    harness.clock.advanceDays(32);
    expect(await newest(stripe, id)).toMatchObject({
      billing_reason: "subscription_cycle",
      status: "paid",
      amount_due: 0,
      starting_balance: -11000,
      ending_balance: -10000,
    });
  });
});

describe("a preview", () => {
  test("moves nothing, and tells what balance and tax make of it", async () => {
    const { stripe, id, item, price, customer, harness } = await atHalf();
    const rate = await stripe.taxRates.create({
      display_name: "VAT",
      inclusive: false,
      percentage: 20,
    });
    await stripe.subscriptions.update(id, { default_tax_rates: [rate.id] });
    await stripe.customers.createBalanceTransaction(customer, { amount: -100, currency: "eur" });
    const before = harness.standIn.store.all("event").length;
    const seen = await stripe.invoices.createPreview({
      subscription: id,
      subscription_details: {
        items: [{ id: item, price: await price(2500) }],
        proration_behavior: "always_invoice",
        proration_date: seconds("2026-03-17T00:00:00Z"),
      },
    });
    // The 625 were debited without a tax and are credited without; the 1250 have 20 %.
    expect(seen).toMatchObject({
      status: "draft",
      subtotal: 625,
      total_excluding_tax: 625,
      total_taxes: [{ amount: 250 }],
      total: 875,
      amount_due: 775,
      starting_balance: -100,
      ending_balance: 0,
      parent: {
        subscription_details: { subscription_proration_date: seconds("2026-03-17T00:00:00Z") },
      },
    });
    // The price that it was asked about is all that was made.
    expect(harness.standIn.store.all("event").length).toBe(before + 3);
    expect((await stripe.invoices.list({ subscription: id })).data).toHaveLength(1);
  });

  test("of a change that is not invoiced now is the next renewal's", async () => {
    const { stripe, id, item, price } = await atHalf();
    const seen = async (proration_behavior: "create_prorations" | "none") =>
      stripe.invoices.createPreview({
        subscription: id,
        subscription_details: { items: [{ id: item, price: next }], proration_behavior },
      });
    const next = await price(2500);
    const amounts = (invoice: Stripe.Invoice) => invoice.lines.data.map(({ amount }) => amount);
    expect(amounts(await seen("create_prorations"))).toEqual([-625, 1250, 2500]);
    expect(amounts(await seen("none"))).toEqual([2500]);
    expect(amounts(await stripe.invoices.createPreview({ subscription: id }))).toEqual([1250]);
  });

  test("of what is over is refused", async () => {
    const { stripe, id } = await atHalf();
    await stripe.subscriptions.cancel(id);
    expect(await refusal(stripe.invoices.createPreview({ subscription: id }))).toMatchObject({
      code: "invoice_upcoming_none",
    });
  });
});

test("an invoice shows its first ten lines, and lists them all", async () => {
  const { stripe, id, price, change, harness } = await atHalf();
  for (let n = 1; n <= 6; n += 1)
    await change(await price(1250 + n * 100), { proration_behavior: "create_prorations" });
  harness.clock.advanceDays(16);
  const { id: invoice, lines } = await newest(stripe, id);
  expect([lines.data.length, lines.has_more]).toEqual([10, true]);
  const all: Stripe.InvoiceLineItem[] = [];
  for await (const line of stripe.invoices.listLineItems(invoice, { limit: 4 })) all.push(line);
  expect(all).toHaveLength(13);
  expect(all.slice(0, 10).map((line) => line.id)).toEqual(lines.data.map((line) => line.id));
  expect(all.slice(12).map(kindOf)).toEqual(["recurring"]);
});

test("what is too small to be charged is paid at once and owed with the next invoice", async () => {
  const { stripe, id, price, change, harness, customer } = await atHalf();
  await change(await price(1330));
  expect(await newest(stripe, id)).toMatchObject({ total: 40, amount_due: 0, status: "paid" });
  expect(await stripe.customers.retrieve(customer)).toMatchObject({ balance: 40 });
  harness.clock.advanceDays(16);
  expect(await newest(stripe, id)).toMatchObject({ total: 1330, amount_due: 1370 });
});
