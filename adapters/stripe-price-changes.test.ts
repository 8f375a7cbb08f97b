import type { Stripe } from "stripe";
import { beforeEach, describe, expect, it } from "vitest";
import type { PaymentProvider, PriceChangeHow } from "#core/billing/price-changes.ts";
import { ProviderUnavailable } from "#core/billing/payments.ts";
import { compareWithPreview, netOf, prorate } from "#core/billing/proration.ts";
import { createStripePayments } from "./stripe.ts";
import { quietLog, ref, submitInvoice } from "#local/stripe/harness.ts";
import { settableClock, type SettableClock } from "#test/harness/settable-clock.ts";
import { stripeInProcess, type StripeInProcess } from "#test/harness/stripe-in-process.ts";

/* 6a 2: changes of price, over the official client and the stand-in. A month is 10.00 EUR; its half is 17 March, 00:00. */

let clock: SettableClock;
let stripe: StripeInProcess;
let dashboard: Stripe;
let payments: PaymentProvider;
beforeEach(async () => {
  clock = settableClock();
  const webhook = async () => new Response(null, { status: 204 });
  stripe = await stripeInProcess({ clock, log: quietLog(), webhook });
  ({ dashboard, payments } = stripe);
});

const aPrice = async (minor: number, interval: "month" | "year" = "month"): Promise<string> =>
  (
    await dashboard.prices.create({
      currency: "eur",
      unit_amount: minor,
      recurring: { interval },
      product_data: { name: `VPS ${minor}` },
    })
  ).id;

type Bought = { id: string; customer: string; priceId: string };
async function bought(
  card = "4242424242424242",
  over: Partial<Stripe.Checkout.SessionCreateParams> = {},
): Promise<Bought> {
  const customer = await dashboard.customers.create({ email: "ada@example.com" });
  const priceId = await aPrice(1000);
  const session = await dashboard.checkout.sessions.create({
    mode: "subscription",
    customer: customer.id,
    line_items: [{ price: priceId, quantity: 1 }],
    subscription_data: { metadata: { order_id: "order-1" } },
    success_url: "http://berth.test/",
    ...over,
  });
  expect(await stripe.pay(session.url ?? "", card)).toBe(303);
  const paid = await dashboard.checkout.sessions.retrieve(session.id);
  clock.advance(15.5 * 86_400_000);
  return { id: ref(paid.subscription), customer: customer.id, priceId };
}
const FAILS = "4000000000000341";

const change = async (
  of: Bought,
  priceId: string,
  over: { changeId?: string; how?: PriceChangeHow; at?: Date } = {},
) =>
  payments.changePrice({
    changeId: "chg_1",
    subscriptionId: of.id,
    priceId,
    at: clock.now(),
    how: "pay_first",
    ...over,
  });
const named = (of: Bought, changeId = "chg_1") => ({
  changeId,
  subscriptionId: of.id,
  paysBy: "card" as const,
});
const presentPrice = async (of: Bought) =>
  ref((await dashboard.subscriptions.retrieve(of.id)).items.data[0]?.price);
const balance = async (of: Bought): Promise<number> => {
  const customer = await dashboard.customers.retrieve(of.customer);
  return customer.deleted === true ? Number.NaN : customer.balance;
};
/** All that cards paid, and what of that went back. */
const cards = async (of: Bought) => {
  const { data } = await dashboard.charges.list({ customer: of.customer, limit: 100 });
  const paid = data.filter((charge) => charge.paid);
  const sum = (pick: (charge: Stripe.Charge) => number) =>
    paid.reduce((all, charge) => all + pick(charge), 0);
  return {
    paid: sum((charge) => charge.amount_captured),
    back: sum((charge) => charge.amount_refunded),
  };
};
const invoices = async (of: Bought) =>
  (await dashboard.invoices.list({ subscription: of.id, limit: 100 })).data.map(
    ({ status, total }) => `${status} ${total}`,
  );

describe("what a subscription is billed for", () => {
  it("is its price, its period, and what was debited for that", async () => {
    const of = await bought();
    expect(await payments.fetchBilled(of.id)).toEqual({
      subscriptionId: of.id,
      customerId: of.customer,
      status: "active",
      priceId: of.priceId,
      price: { interval: "month", amount: { minor: 1000n, currency: "eur" } },
      period: { from: new Date("2026-03-01T12:00:00Z"), until: new Date("2026-04-01T12:00:00Z") },
      isPaid: true,
      debits: [
        {
          lineId: expect.stringMatching(/^il_/),
          amount: { minor: 1000n, currency: "eur" },
          discount: { minor: 0n, currency: "eur" },
          from: new Date("2026-03-01T12:00:00Z"),
          until: new Date("2026-04-01T12:00:00Z"),
        },
      ],
      discount: null,
      cancelsAt: null,
      pending: null,
      paysBy: "card",
    });
  });

  it("has, after changes, the debit of the last one alone", async () => {
    const of = await bought();
    await change(of, await aPrice(3000));
    await change(of, await aPrice(2000), { changeId: "chg_2", how: "prorate" });
    const { debits, isPaid } = await payments.fetchBilled(of.id);
    expect([isPaid, debits.map(netOf)]).toEqual([true, [1000n]]);
  });

  it("has its discounts, and what they took off", async () => {
    const coupon = await dashboard.coupons.create({ percent_off: 25, duration: "forever" });
    const of = await bought(undefined, { discounts: [{ coupon: coupon.id }] });
    const billed = await payments.fetchBilled(of.id);
    expect(billed.discount).toEqual({ percentOff: 25 });
    expect(billed.debits.map(netOf)).toEqual([750n]);
    const off = await dashboard.coupons.create({
      amount_off: 300,
      currency: "eur",
      duration: "forever",
    });
    await dashboard.subscriptions.update(of.id, { discounts: [{ coupon: off.id }] });
    expect((await payments.fetchBilled(of.id)).discount).toEqual({
      amountOff: { minor: 300n, currency: "eur" },
    });
  });

  it("is found on all pages of an invoice's lines", async () => {
    const of = await bought();
    const item = (await dashboard.subscriptions.retrieve(of.id)).items.data[0]?.id ?? "";
    for (let n = 1; n <= 6; n++)
      await dashboard.subscriptions.update(of.id, {
        items: [{ id: item, price: await aPrice(1000 + n) }],
        proration_behavior: "create_prorations",
      });
    clock.advanceDays(16);
    clock.advanceMinutes(120);
    stripe.standIn.runDue();
    const billed = await payments.fetchBilled(of.id);
    expect([billed.isPaid, billed.debits.map(netOf)]).toEqual([true, [1006n]]);
  });

  it("is not paid while a renewal is a draft or open, and paid once it is", async () => {
    const of = await bought(FAILS);
    clock.advanceDays(16);
    stripe.standIn.runDue();
    expect(await payments.fetchBilled(of.id)).toMatchObject({ isPaid: false, debits: [] });
    clock.advanceMinutes(61);
    stripe.standIn.runDue();
    expect(await payments.fetchBilled(of.id)).toMatchObject({ isPaid: false, status: "past_due" });
    const [open] = (await dashboard.invoices.list({ subscription: of.id })).data;
    await submitInvoice(stripe.standIn, open?.id ?? "", { card: "4242424242424242" });
    expect(await payments.fetchBilled(of.id)).toMatchObject({ isPaid: true, status: "active" });
  });

  it("is paid by something else than a card, where it is", async () => {
    const of = await bought();
    const { customer, id } = of;
    const card = ref((await dashboard.subscriptions.retrieve(id)).default_payment_method);
    const bank = await dashboard.paymentMethods.attach("pm_usBankAccount", { customer });
    await dashboard.subscriptions.update(id, { default_payment_method: bank.id });
    expect((await payments.fetchBilled(id)).paysBy).toBe("other");
    await dashboard.subscriptions.update(id, { default_payment_method: card });
    expect((await payments.fetchBilled(id)).paysBy).toBe("card");
    await dashboard.subscriptions.update(id, {
      collection_method: "send_invoice",
      days_until_due: 14,
    });
    expect((await payments.fetchBilled(id)).paysBy).toBe("other");
  });

  it("ends when it is planned to, and a change that waits is told", async () => {
    const of = await bought(FAILS);
    await change(of, await aPrice(3000));
    await dashboard.subscriptions.update(of.id, { cancel_at_period_end: true });
    expect(await payments.fetchBilled(of.id)).toMatchObject({
      isPaid: true,
      cancelsAt: new Date("2026-04-01T12:00:00Z"),
      pending: { changeId: "chg_1", until: new Date("2026-03-17T23:00:00Z") },
      priceId: of.priceId,
    });
  });
});

describe("a preview", () => {
  it("is of the provider's own figures, with tax and balance, and agrees with ours", async () => {
    const of = await bought();
    const rate = await dashboard.taxRates.create({
      display_name: "VAT",
      inclusive: false,
      percentage: 20,
    });
    await dashboard.subscriptions.update(of.id, { default_tax_rates: [rate.id] });
    await dashboard.customers.createBalanceTransaction(of.customer, {
      amount: -100,
      currency: "eur",
    });
    const at = clock.now();
    const preview = await payments.previewChange({
      subscriptionId: of.id,
      priceId: await aPrice(3000),
      at,
      how: "pay_first",
    });
    const { debits, ...billed } = await payments.fetchBilled(of.id);
    expect(preview).toMatchObject({
      lines: [
        { kind: "credit", amount: { minor: -500n }, credits: debits[0]?.lineId, from: at },
        { kind: "debit", amount: { minor: 1500n }, credits: null, until: billed.period.until },
      ],
      tax: { minor: 300n },
      total: { minor: 1300n },
      fromBalance: { minor: 100n },
      dueNow: { minor: 1200n },
    });
    const price = { interval: "month", amount: { minor: 3000n, currency: "eur" } } as const;
    const own = prorate({ debits, ...billed }, price, at);
    if (!own.ok) throw new Error(own.error.code);
    expect(compareWithPreview(own.value, preview)).toMatchObject({
      ok: true,
      value: { differsBy: 0n },
    });
  });

  it("of what goes to the balance, and of what is not invoiced now", async () => {
    const of = await bought();
    const priceId = await aPrice(400);
    const input = { subscriptionId: of.id, priceId, at: clock.now() };
    expect(await payments.previewChange({ ...input, how: "prorate" })).toMatchObject({
      total: { minor: -300n },
      fromBalance: { minor: 0n },
      dueNow: { minor: 0n },
    });
    expect(await payments.previewChange({ ...input, how: "none" })).toMatchObject({
      lines: [],
      total: { minor: 0n },
    });
  });
});

describe("a change", () => {
  it("that is paid is applied, with the invoice that it was paid with", async () => {
    const of = await bought();
    const next = await aPrice(3000);
    const made = await change(of, next);
    expect(made).toMatchObject({
      kind: "applied",
      invoice: { status: "paid", total: { minor: 1000n }, paid: { minor: 1000n } },
    });
    expect(await presentPrice(of)).toBe(next);
    // Once for its id, also days later.
    clock.advanceDays(3);
    expect(await change(of, next)).toEqual(made);
    expect(await payments.fetchChange(named(of))).toEqual(made);
    expect(await cards(of)).toEqual({ paid: 2000, back: 0 });
  });

  it("that is declined waits, with a page to pay on, and is applied by that", async () => {
    const of = await bought(FAILS);
    const next = await aPrice(3000);
    const made = await change(of, next);
    expect(made).toEqual({
      kind: "waiting",
      invoiceId: expect.stringMatching(/^in_/),
      checkoutId: null,
      payUrl: expect.stringContaining("/i/in_"),
      until: new Date("2026-03-17T23:00:00Z"),
      why: "declined",
    });
    expect(await presentPrice(of)).toBe(of.priceId);
    expect(await change(of, next)).toEqual(made);
    if (made.kind !== "waiting") throw new Error("it does not wait");
    await submitInvoice(stripe.standIn, made.invoiceId ?? "", { card: "4242424242424242" });
    expect(await payments.fetchChange(named(of))).toMatchObject({
      kind: "applied",
      invoice: { id: made.invoiceId, paid: { minor: 1000n } },
    });
    expect(await presentPrice(of)).toBe(next);
  });

  it("whose card's bank asks waits for that", async () => {
    const of = await bought();
    const method = await dashboard.paymentMethods.attach("pm_card_authenticationRequired", {
      customer: of.customer,
    });
    await dashboard.subscriptions.update(of.id, { default_payment_method: method.id });
    expect(await change(of, await aPrice(3000))).toMatchObject({
      kind: "waiting",
      why: "action_required",
    });
  });

  it("is not there before, once its time is over, and once it was dropped; and is not made again", async () => {
    const of = await bought(FAILS);
    const next = await aPrice(3000);
    expect(await payments.fetchChange(named(of))).toEqual({ kind: "not_there" });
    await change(of, next);
    expect(await payments.dropChange(named(of))).toEqual({ kind: "not_there" });
    clock.advanceDays(2);
    expect(await change(of, next)).toEqual({ kind: "not_there" });
    await change(of, next, { changeId: "chg_2" });
    clock.advanceDays(1);
    stripe.standIn.runDue();
    expect(await change(of, next, { changeId: "chg_2" })).toEqual({ kind: "not_there" });
    expect(await payments.dropChange(named(of, "chg_2"))).toEqual({ kind: "not_there" });
    expect(await invoices(of)).toEqual(["void 871", "void 1000", "paid 1000"]);
  });

  it("that was paid just before is not dropped", async () => {
    const of = await bought();
    await change(of, await aPrice(3000));
    expect(await payments.dropChange(named(of))).toMatchObject({ kind: "applied" });
  });

  it("for an instant of a period that is over is not made", async () => {
    const of = await bought();
    const next = await aPrice(3000);
    const at = clock.now();
    clock.advanceDays(20);
    expect(await change(of, next, { at })).toEqual({ kind: "not_there" });
    expect(await presentPrice(of)).toBe(of.priceId);
  });

  it("of a subscription that has ended is not made, and none of it waits", async () => {
    const of = await bought(FAILS);
    await change(of, await aPrice(3000));
    await dashboard.subscriptions.cancel(of.id);
    expect(await payments.fetchChange(named(of))).toEqual({ kind: "not_there" });
    const other = { changeId: "chg_2" };
    expect(await change(of, await aPrice(3000), other)).toEqual({ kind: "not_there" });
    expect(await invoices(of)).toEqual(["void 1000", "paid 1000"]);
  });

  it("that prorates counts at once, and gives what is over as credit", async () => {
    const of = await bought();
    const next = await aPrice(400);
    expect(await change(of, next, { how: "prorate" })).toMatchObject({
      kind: "applied",
      invoice: { total: { minor: -300n }, fromCredit: { minor: -300n } },
    });
    expect([await presentPrice(of), await balance(of)]).toEqual([next, -300]);
  });

  it("without a proration costs nothing now, and is of no other interval", async () => {
    const of = await bought();
    const next = await aPrice(3000);
    expect(await change(of, next, { how: "none" })).toEqual({
      kind: "applied",
      invoice: null,
      payment: null,
    });
    expect(await invoices(of)).toEqual(["paid 1000"]);
    const year = await aPrice(30_000, "year");
    await expect(change(of, year, { changeId: "chg_2", how: "none" })).rejects.toThrow("interval");
  });

  it("of the interval begins a cycle that is paid for, and is not taken back", async () => {
    const of = await bought();
    const year = await aPrice(10_000, "year");
    expect(await change(of, year)).toMatchObject({
      kind: "applied",
      invoice: { total: { minor: 9500n } },
    });
    const billed = await payments.fetchBilled(of.id);
    expect([billed.isPaid, billed.debits.map(netOf)]).toEqual([true, [10_000n]]);
    await expect(payments.undoChange({ ...named(of), priceId: of.priceId })).rejects.toThrow(
      "interval",
    );
  });
});

describe("taking a change back", () => {
  const undo = async (of: Bought) => payments.undoChange({ ...named(of), priceId: of.priceId });
  const debited = async (of: Bought) => {
    const { debits, isPaid } = await payments.fetchBilled(of.id);
    return [isPaid, ...debits.map((debit) => [debit.from.toISOString(), Number(netOf(debit))])];
  };
  const asBefore = [true, ["2026-03-17T00:00:00.000Z", 500]];

  it("gives the card all of it back, and the balance nothing; twice is once", async () => {
    const of = await bought();
    await change(of, await aPrice(3000));
    clock.advanceMinutes(50);
    for (let n = 0; n < 2; n++) {
      expect(await undo(of)).toBe(true);
      expect([await cards(of), await balance(of)]).toEqual([{ paid: 2000, back: 1000 }, 0]);
      expect(await presentPrice(of)).toBe(of.priceId);
      expect(await payments.fetchChange(named(of))).toEqual({ kind: "not_there" });
    }
    expect(await invoices(of)).toEqual(["paid -1000", "paid 1000", "paid 1000"]);
    // It is not made again either, and what was debited is worth what it was: the next change is worked out from that.
    clock.advanceDays(2);
    expect(await change(of, await aPrice(3000))).toEqual({ kind: "not_there" });
    expect(await debited(of)).toEqual(asBefore);
  });

  it("gives the balance back what it had paid, and the card the rest", async () => {
    const of = await bought();
    const credit = { amount: -300, currency: "eur" };
    await dashboard.customers.createBalanceTransaction(of.customer, credit);
    await change(of, await aPrice(3000));
    expect([await cards(of), await balance(of)]).toEqual([{ paid: 1700, back: 0 }, 0]);
    expect(await undo(of)).toBe(true);
    expect([await cards(of), await balance(of)]).toEqual([{ paid: 1700, back: 700 }, -300]);
  });

  it("with a tax gives that back too", async () => {
    const of = await bought();
    const rate = await dashboard.taxRates.create({
      display_name: "VAT",
      inclusive: false,
      percentage: 19,
    });
    await dashboard.subscriptions.update(of.id, { default_tax_rates: [rate.id] });
    await change(of, await aPrice(3000));
    const { paid } = await cards(of);
    expect(paid).toBe(1000 + 1285);
    expect(await undo(of)).toBe(true);
    expect([await cards(of), await balance(of)]).toEqual([{ paid, back: 1285 }, 0]);
  });

  it("takes a credit back that it gave", async () => {
    const of = await bought();
    await change(of, await aPrice(400), { how: "prorate" });
    expect(await balance(of)).toBe(-300);
    expect(await undo(of)).toBe(true);
    expect([await cards(of), await balance(of)]).toEqual([{ paid: 1000, back: 0 }, 0]);
    expect(await debited(of)).toEqual(asBefore);
  });

  it("of one that waits, that was never made, or that is asked for and not paid moves nothing", async () => {
    const of = await bought(FAILS);
    expect(await undo(of)).toBe(true);
    await change(of, await aPrice(3000));
    expect(await undo(of)).toBe(true);
    expect(await invoices(of)).toEqual(["void 1000", "paid 1000"]);
    const next = await aPrice(3000);
    await change(of, next, { changeId: "chg_2", how: "prorate" });
    expect(await presentPrice(of)).toBe(next);
    const second = { ...named(of, "chg_2"), priceId: of.priceId };
    expect(await payments.undoChange(second)).toBe(true);
    expect([await presentPrice(of), await balance(of)]).toEqual([of.priceId, 0]);
    expect(await cards(of)).toEqual({ paid: 1000, back: 0 });
    expect(await debited(of)).toEqual([true, ["2026-03-01T12:00:00.000Z", 1000]]);
  });

  it("without a proration sets the price back", async () => {
    const of = await bought();
    const next = await aPrice(3000);
    await change(of, next, { how: "none" });
    expect(await undo(of)).toBe(true);
    // A day later its key is forgotten, and it is not made again.
    clock.advanceDays(2);
    expect(await change(of, next, { how: "none" })).toEqual({ kind: "not_there" });
    expect([await presentPrice(of), await invoices(of)]).toEqual([of.priceId, ["paid 1000"]]);
  });

  it("of a subscription that has ended since gives all of it back too", async () => {
    const of = await bought();
    const credit = { amount: -300, currency: "eur" };
    await dashboard.customers.createBalanceTransaction(of.customer, credit);
    await change(of, await aPrice(3000));
    await dashboard.subscriptions.cancel(of.id);
    for (let n = 0; n < 2; n++) {
      expect(await undo(of)).toBe(true);
      expect([await cards(of), await balance(of)]).toEqual([{ paid: 1700, back: 700 }, -300]);
      expect(await payments.fetchChange(named(of))).toEqual({ kind: "not_there" });
    }
    expect(await invoices(of)).toEqual(["paid 1000", "paid 1000"]);
  });

  it("in the period after is as good as what is left of that", async () => {
    const of = await bought();
    await change(of, await aPrice(3000));
    clock.advanceDays(15);
    clock.advanceMinutes(24 * 60); // 2 April, 00:00: 3000 were paid for April
    stripe.standIn.runDue();
    expect(await undo(of)).toBe(true);
    expect(await cards(of)).toEqual({ paid: 5000, back: 1000 });
    expect(await presentPrice(of)).toBe(of.priceId);
    // 3000 − 1000 were too much for 29 days and 12 h of April's 30 days: 1966.67, each line rounded by itself.
    expect([(await invoices(of))[0], await balance(of)]).toEqual(["paid -1967", -1967]);
  });

  it("whose refund fails at the bank is not done; it is tried again a day after", async () => {
    const of = await bought("4000000000005126");
    await change(of, await aPrice(3000));
    expect(await undo(of)).toBe(true);
    clock.advanceMinutes(5);
    stripe.standIn.runDue();
    expect(await undo(of)).toBe(false);
    clock.advanceDays(1);
    expect(await undo(of)).toBe(true);
    expect((await dashboard.refunds.list()).data).toHaveLength(2);
  });

  it("that staff gave back themselves, whole or in part, gives back what is left", async () => {
    const of = await bought();
    await change(of, await aPrice(3000));
    const [charge] = (await dashboard.charges.list({ customer: of.customer })).data;
    await dashboard.refunds.create({ charge: charge?.id ?? "", amount: 400 });
    expect(await undo(of)).toBe(true);
    expect(await cards(of)).toEqual({ paid: 2000, back: 1000 });
    const other = await bought();
    await change(other, await aPrice(3000));
    const [all] = (await dashboard.charges.list({ customer: other.customer })).data;
    await dashboard.refunds.create({ charge: all?.id ?? "" });
    expect(await undo(other)).toBe(true);
    expect([await cards(other), await balance(other)]).toEqual([{ paid: 2000, back: 1000 }, 0]);
  });
});

describe("until when it is paid, beside changes", () => {
  const paid = async (of: Bought) => {
    const { paidUntil, version, status } = await payments.fetchSubscription(of.id);
    return { until: paidUntil.toISOString(), hasVersion: version !== null, status };
  };
  const period = { until: "2026-04-01T12:00:00.000Z", status: "active" };

  it("is until the period's end, while a change waits, once it is void, and once it is paid", async () => {
    const of = await bought(FAILS);
    expect(await paid(of)).toEqual({ ...period, hasVersion: true });
    const next = await aPrice(3000);
    await change(of, next);
    expect(await paid(of)).toEqual({ ...period, hasVersion: false });
    await payments.dropChange(named(of));
    expect(await paid(of)).toEqual({ ...period, hasVersion: false });
    const again = await change(of, next, { changeId: "chg_2" });
    if (again.kind !== "waiting") throw new Error("it does not wait");
    await submitInvoice(stripe.standIn, again.invoiceId ?? "", { card: "4242424242424242" });
    expect(await paid(of)).toEqual({ ...period, hasVersion: true });
  });

  it("is a new cycle's end after a change of interval, once that is paid", async () => {
    const of = await bought(FAILS);
    const made = await change(of, await aPrice(10_000, "year"));
    expect(await paid(of)).toEqual({ ...period, hasVersion: false });
    if (made.kind !== "waiting") throw new Error("it does not wait");
    await submitInvoice(stripe.standIn, made.invoiceId ?? "", { card: "4242424242424242" });
    expect(await paid(of)).toMatchObject({ until: "2027-03-17T00:00:00.000Z" });
    expect(await payments.fetchBilled(of.id)).toMatchObject({ isPaid: true });
  });

  it("is not moved by a cycle that the credit of an unpaid one paid for", async () => {
    const of = await bought(FAILS);
    const item = (await dashboard.subscriptions.retrieve(of.id)).items.data[0]?.id ?? "";
    const to = async (price: string) =>
      dashboard.subscriptions.update(of.id, { items: [{ id: item, price }] });
    await to(await aPrice(10_000, "year"));
    clock.advanceMinutes(60);
    await to(await aPrice(1000));
    const [month] = (await dashboard.invoices.list({ subscription: of.id })).data;
    expect(month).toMatchObject({ status: "paid", amount_paid: 0 });
    expect(await paid(of)).toMatchObject({ until: period.until });
    expect(await payments.fetchBilled(of.id)).toMatchObject({ isPaid: false });
  });

  it("is seen on all pages of the lines of a renewal", async () => {
    const of = await bought();
    const item = (await dashboard.subscriptions.retrieve(of.id)).items.data[0]?.id ?? "";
    for (let n = 1; n <= 6; n++)
      await dashboard.subscriptions.update(of.id, {
        items: [{ id: item, price: await aPrice(1000 + n) }],
        proration_behavior: "create_prorations",
      });
    clock.advanceDays(16);
    clock.advanceMinutes(120);
    stripe.standIn.runDue();
    expect(await paid(of)).toMatchObject({ until: "2026-05-01T12:00:00.000Z" });
  });

  it("each invoice says which time it was for, and what it credits of another", async () => {
    const of = await bought();
    await change(of, await aPrice(400), { how: "prorate" });
    const [down, month] = await payments.paidPeriods(of.id, clock.now());
    expect(down?.total.minor).toBe(-300n);
    expect(down?.parts.map(({ minor }) => minor)).toEqual([-500n, 200n]);
    expect(month?.parts.map(({ minor }) => minor)).toEqual([1000n]);
  });
});

/** From now on it is paid by debits of a bank. */
async function paysByBank({ id, customer }: Bought): Promise<void> {
  const bank = await dashboard.paymentMethods.attach("pm_usBankAccount", { customer });
  await dashboard.subscriptions.update(id, { default_payment_method: bank.id });
}
const AT_HALF = new Date("2026-03-17T00:00:00Z");
/** Half of what the price of 30.00 is above that of 10.00. */
const byPage = (of: Bought, priceId: string, minor = 1000n) => ({
  changeId: "chg_1",
  subscriptionId: of.id,
  priceId,
  at: AT_HALF,
  page: {
    amount: { minor, currency: "eur" as const },
    orderId: "order-1",
    description: "Change of plan",
    successUrl: "http://berth.test/paid",
    cancelUrl: "http://berth.test/",
    expiresAt: new Date(+AT_HALF + 3_600_000),
  },
});
const ofPage = (of: Bought) => ({ ...named(of), paysBy: "other" as const });
/** Opens the page of a change, and pays it. */
async function paidOnPage(of: Bought, priceId: string, minor?: bigint): Promise<void> {
  const opened = await payments.changePaidByPage(byPage(of, priceId, minor));
  if (opened.kind !== "waiting") throw new Error(opened.kind);
  expect(await stripe.pay(opened.payUrl ?? "")).toBe(303);
}

describe("a change whose payer has no card on file (6a 2)", () => {
  const PAID = { id: expect.stringMatching(/^pi_/), amount: { minor: 1000n, currency: "eur" } };

  it("waits on one page, and is made of what was paid there", async () => {
    const of = await bought();
    await paysByBank(of);
    const next = await aPrice(3000);
    const opened = await payments.changePaidByPage(byPage(of, next));
    expect(opened).toMatchObject({ kind: "waiting", invoiceId: null, why: "unpaid" });
    clock.advanceMinutes(1);
    expect(await payments.changePaidByPage(byPage(of, next))).toEqual(opened);
    expect(await presentPrice(of)).toBe(of.priceId);
    await paidOnPage(of, next);
    const made = await payments.changePaidByPage(byPage(of, next));
    expect(made).toMatchObject({ kind: "applied", invoice: { status: "paid" }, payment: PAID });
    expect(await payments.changePaidByPage(byPage(of, next))).toEqual(made);
    expect(await balance(of)).toBe(0);
    expect(await cards(of)).toEqual({ paid: 2000, back: 0 });
    expect(await invoices(of)).toEqual(["paid 1000", "paid 1000"]);
    if (made.kind !== "applied") throw new Error(made.kind);
    expect((await payments.paidWith(made.payment?.id ?? "")).orderId).toBe("order-1");
  });

  it("has no page after its time, and none is opened for less than Stripe opens one for", async () => {
    const of = await bought();
    const next = await aPrice(3000);
    clock.advanceMinutes(30);
    expect(await payments.changePaidByPage(byPage(of, next))).toEqual({ kind: "not_there" });
    clock.advanceMinutes(-30);
    expect(await payments.changePaidByPage(byPage(of, next))).toMatchObject({ kind: "waiting" });
    clock.advanceMinutes(61);
    stripe.standIn.runDue();
    expect(await payments.changePaidByPage(byPage(of, next))).toEqual({ kind: "not_there" });
    expect(await payments.dropChange(ofPage(of))).toEqual({ kind: "not_there" });
  });

  it("that is dropped has its page closed", async () => {
    const of = await bought();
    const next = await aPrice(3000);
    const opened = await payments.changePaidByPage(byPage(of, next));
    expect(await payments.dropChange(ofPage(of))).toEqual({ kind: "not_there" });
    if (opened.kind !== "waiting") throw new Error(opened.kind);
    expect(await stripe.pay(opened.payUrl ?? "")).not.toBe(303);
  });

  it("that is dropped just as it is paid goes back, and whoever comes late makes nothing of it", async () => {
    const of = await bought();
    const next = await aPrice(3000);
    await paidOnPage(of, next);
    expect(await payments.dropChange(ofPage(of))).toEqual({ kind: "paid", payment: PAID });
    expect(await payments.undoChange({ ...ofPage(of), priceId: of.priceId })).toBe(true);
    expect(await cards(of)).toEqual({ paid: 2000, back: 1000 });
    expect(await payments.changePaidByPage(byPage(of, next))).toEqual({ kind: "not_there" });
    expect(await presentPrice(of)).toBe(of.priceId);
    expect(await balance(of)).toBe(0);
  });

  it("that is paid when its period is over is not made, and its payment goes back", async () => {
    const of = await bought();
    const next = await aPrice(3000);
    await paidOnPage(of, next);
    clock.advanceDays(16);
    stripe.standIn.runDue();
    const late = await payments.changePaidByPage(byPage(of, next));
    expect(late).toEqual({ kind: "paid", payment: PAID });
    expect(await payments.undoChange({ ...ofPage(of), priceId: of.priceId })).toBe(true);
    expect(await cards(of)).toMatchObject({ back: 1000 });
    expect(await balance(of)).toBe(0);
  });

  it("whose credit another invoice has taken asks for the rest, and is not made before that is paid", async () => {
    const of = await bought();
    const sent = { collection_method: "send_invoice", days_until_due: 14 } as const;
    await dashboard.subscriptions.update(of.id, sent);
    const next = await aPrice(3000);
    await paidOnPage(of, next, 600n);
    const rest = await payments.changePaidByPage(byPage(of, next, 600n));
    expect(rest).toMatchObject({ kind: "waiting", why: "unpaid" });
    if (rest.kind !== "waiting") throw new Error(rest.kind);
    await submitInvoice(stripe.standIn, rest.invoiceId ?? "", { card: "4242424242424242" });
    expect(await payments.changePaidByPage(byPage(of, next, 600n))).toMatchObject({
      kind: "applied",
    });
    expect(await payments.undoChange({ ...ofPage(of), priceId: of.priceId })).toBe(true);
    expect(await cards(of)).toEqual({ paid: 2000, back: 1000 });
    expect(await balance(of)).toBe(0);
  });
});

/*
 * Each call that changes something fails once: it never arrives, its answer is lost, or it is a 500 that Stripe keeps, with the work done
 * or not. Whoever asked asks again until there is an answer, a minute later or two days.
 */
describe("a call that fails", () => {
  const FAULTS = ["unsent", "lost", "500 done", "500 undone"] as const;
  type Fault = (typeof FAULTS)[number];
  type Scenario = Readonly<{
    card?: string;
    before?: (of: Bought, next: string) => Promise<unknown>;
    act: (provider: PaymentProvider, of: Bought, next: string) => Promise<unknown>;
    /** How many calls change something. */
    writes: number;
    after: object;
  }>;
  const at = new Date("2026-03-17T00:00:00Z");
  const asked = (of: Bought, priceId: string) =>
    ({ ...named(of), priceId, at, how: "pay_first" }) as const;

  const SCENARIOS: Record<string, Scenario> = {
    "of a change that is paid": {
      act: async (provider, of, next) => provider.changePrice(asked(of, next)),
      writes: 2,
      after: {
        result: { kind: "applied" },
        is: "new",
        cards: { paid: 2000, back: 0 },
        balance: 0,
        invoices: ["paid 1000", "paid 1000"],
      },
    },
    "of a change that is declined": {
      card: FAILS,
      act: async (provider, of, next) => provider.changePrice(asked(of, next)),
      writes: 2,
      after: {
        result: { kind: "waiting" },
        is: "old",
        cards: { paid: 1000, back: 0 },
        balance: 0,
        invoices: ["open 1000", "paid 1000"],
      },
    },
    "of a change that is dropped": {
      card: FAILS,
      before: async (of, next) => payments.changePrice(asked(of, next)),
      act: async (provider, of) => provider.dropChange(named(of)),
      writes: 1,
      after: {
        result: { kind: "not_there" },
        is: "old",
        cards: { paid: 1000, back: 0 },
        balance: 0,
        invoices: ["void 1000", "paid 1000"],
      },
    },
    "of a change that is taken back": {
      before: async (of, next) => {
        const credit = { amount: -300, currency: "eur" };
        await dashboard.customers.createBalanceTransaction(of.customer, credit);
        await payments.changePrice(asked(of, next));
      },
      act: async (provider, of) => provider.undoChange({ ...named(of), priceId: of.priceId }),
      writes: 4,
      after: {
        result: true,
        is: "old",
        cards: { paid: 1700, back: 700 },
        balance: -300,
        invoices: ["paid -1000", "paid 1000", "paid 1000"],
      },
    },
    "of a page that is opened": {
      before: paysByBank,
      act: async (provider, of, next) => provider.changePaidByPage(byPage(of, next)),
      writes: 1,
      after: {
        result: { kind: "waiting" },
        is: "old",
        cards: { paid: 1000, back: 0 },
        balance: 0,
        invoices: ["paid 1000"],
      },
    },
    "of a change that was paid on its page": {
      before: async (of, next) => {
        await paysByBank(of);
        await paidOnPage(of, next);
      },
      act: async (provider, of, next) => provider.changePaidByPage(byPage(of, next)),
      writes: 3,
      after: {
        result: { kind: "applied" },
        is: "new",
        cards: { paid: 2000, back: 0 },
        balance: 0,
        invoices: ["paid 1000", "paid 1000"],
      },
    },
    "of a page that is closed": {
      before: async (of, next) => payments.changePaidByPage(byPage(of, next)),
      act: async (provider, of) => provider.dropChange(ofPage(of)),
      writes: 1,
      after: { result: { kind: "not_there" }, is: "old", cards: { paid: 1000, back: 0 } },
    },
    "of what was paid on a page, and is not made": {
      before: paidOnPage,
      act: async (provider, of) => provider.undoChange({ ...ofPage(of), priceId: of.priceId }),
      writes: 2,
      after: { result: true, is: "old", cards: { paid: 2000, back: 1000 }, balance: 0 },
    },
    "of a change that was paid on its page and is taken back": {
      before: async (of, next) => {
        await paysByBank(of);
        await paidOnPage(of, next);
        await payments.changePaidByPage(byPage(of, next));
      },
      act: async (provider, of) => provider.undoChange({ ...ofPage(of), priceId: of.priceId }),
      writes: 4,
      after: {
        result: true,
        is: "old",
        cards: { paid: 2000, back: 1000 },
        balance: 0,
        invoices: ["paid -1000", "paid 1000", "paid 1000"],
      },
    },
  };

  /** A provider whose `nth` write fails in this way. */
  function failing(nth: number, fault: Fault): { provider: PaymentProvider; writes: () => number } {
    let writes = 0;
    const provider = createStripePayments({
      apiKey: "sk_test_control_plane",
      webhookSecret: "whsec_unused",
      origin: new URL("http://stripe.test"),
      now: clock.now,
      maxNetworkRetries: 0,
      fetchFn: async (input, init) => {
        const request = new Request(input, init);
        const isNth = request.method === "POST" && writes++ === nth;
        if (!isNth) return stripe.standIn.fetch(request);
        if (fault === "unsent") throw new TypeError("fetch failed");
        const call = `POST ${new URL(request.url).pathname}`;
        if (fault !== "lost") {
          await stripe.local("/fail-calls", { call, done: fault === "500 done" });
          return stripe.standIn.fetch(request);
        }
        await stripe.standIn.fetch(request);
        throw new TypeError("fetch failed");
      },
    });
    return { provider, writes: () => writes };
  }

  async function run(scenario: Scenario, nth: number, fault: Fault, waitMinutes: number) {
    const of = await bought(scenario.card);
    const next = await aPrice(3000);
    await scenario.before?.(of, next);
    const { provider, writes } = failing(nth, fault);
    const attempt = async () => scenario.act(provider, of, next).catch((error: unknown) => error);
    let result = await attempt();
    for (let n = 0; n < 3 && result instanceof ProviderUnavailable; n++) {
      clock.advanceMinutes(waitMinutes);
      result = await attempt();
    }
    return {
      writes: writes(),
      seen: {
        result,
        is: (await presentPrice(of)) === next ? "new" : "old",
        cards: await cards(of),
        balance: await balance(of),
        invoices: await invoices(of),
      },
    };
  }

  it.each(Object.entries(SCENARIOS))("%s: the clean run", async (_name, scenario) => {
    const { writes, seen } = await run(scenario, -1, "unsent", 0);
    expect(writes).toBe(scenario.writes);
    expect(seen).toMatchObject(scenario.after);
  });

  it.each(
    Object.entries(SCENARIOS).flatMap(([name, scenario]) =>
      Array.from({ length: scenario.writes }, (_, nth) => nth).flatMap((nth) =>
        FAULTS.map((fault) => ({ name, scenario, nth, fault })),
      ),
    ),
  )("$name, call $nth $fault: nothing is charged or given back twice", async (each) => {
    const { scenario, nth, fault } = each;
    const { seen } = await run(scenario, nth, fault, 2);
    expect(seen).toMatchObject(scenario.after);
  });

  const AGED = [
    "of a change that is paid",
    "of a change that is taken back",
    "of a change that was paid on its page and is taken back",
  ];
  it.each(
    AGED.flatMap((name) =>
      Array.from({ length: SCENARIOS[name]?.writes ?? 0 }, (_, nth) => ({ name, nth })),
    ),
  )("$name, call $nth lost, and asked again once its key is forgotten", async ({ name, nth }) => {
    const scenario = SCENARIOS[name];
    if (scenario === undefined) throw new Error(name);
    const { seen } = await run(scenario, nth, "lost", 25 * 60);
    expect(seen).toMatchObject(scenario.after);
  });
});
