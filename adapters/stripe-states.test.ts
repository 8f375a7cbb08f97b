import fc from "fast-check";
import type { Stripe } from "stripe";
import { describe, expect, it } from "vitest";
import { ForeignCurrency } from "#core/billing/payments.ts";
import {
  checkoutState,
  payingMethod,
  endOfPaid,
  idOf,
  instant,
  invoiceState,
  latestInvoiceOf,
  providerEvent,
  refundState,
  seconds,
  subscriptionState,
} from "./stripe-states.ts";

/*
 * Every field of every object has a value of its own, so that one read in the place of another shows. The objects are cut
 * to what we read; the types say so.
 */

const CREATED = 1_767_225_601; // 2026-01-01T00:00:01Z
const aLine = (over: object = {}) => ({
  amount: 1_250,
  parent: { type: "subscription_item_details" },
  period: { start: CREATED + 11, end: CREATED + 2_678_400 },
  ...over,
});
const anInvoice = (over: object = {}): Stripe.Invoice =>
  cut<Stripe.Invoice>({
    id: "in_1",
    object: "invoice",
    number: "A-0001",
    status: "paid",
    last_finalization_error: null,
    total: 1_487,
    amount_paid: 1_301,
    starting_balance: -190,
    ending_balance: -4,
    amount_due: 186,
    amount_remaining: 185,
    subtotal: 1_250,
    currency: "eur",
    hosted_invoice_url: "https://invoice.stripe.com/i/1",
    status_transitions: {
      finalized_at: null,
      marked_uncollectible_at: null,
      paid_at: CREATED + 3,
      voided_at: null,
    },
    created: CREATED,
    customer: "cus_1",
    parent: {
      subscription_details: { subscription: "sub_1", metadata: { order_id: "order-of-invoice" } },
    },
    metadata: { order_id: "another-order" },
    lines: { data: [aLine()] },
    ...over,
  });
const aRefund = (over: object = {}): Stripe.Refund =>
  cut<Stripe.Refund>({
    id: "re_1",
    amount: 733,
    currency: "usd",
    status: "succeeded",
    payment_intent: "pi_1",
    charge: "ch_1",
    metadata: { order_id: "order-of-refund" },
    created: CREATED + 5,
    ...over,
  });
const aSubscription = (over: object = {}): Stripe.Subscription =>
  cut<Stripe.Subscription>({
    id: "sub_1",
    status: "past_due",
    customer: "cus_1",
    trial_end: null,
    items: {
      data: [
        {
          price: {
            id: "price_1",
            unit_amount: 733,
            currency: "usd",
            recurring: { interval: "year", interval_count: 1 },
          },
          quantity: 2,
        },
      ],
    },
    metadata: { order_id: "order-of-subscription" },
    start_date: CREATED + 7,
    created: CREATED + 8,
    cancel_at: null,
    latest_invoice: anInvoice(),
    ...over,
  });
const aSession = (over: object = {}): Stripe.Checkout.Session =>
  cut<Stripe.Checkout.Session>({
    id: "cs_1",
    url: "https://checkout.stripe.com/c/1",
    success_url: "https://berth.example/done",
    status: "complete",
    payment_status: "paid",
    amount_subtotal: 1_999,
    amount_total: 1_999,
    currency: "eur",
    metadata: { order_id: "order-of-session" },
    client_reference_id: "another-order",
    invoice: null,
    ...over,
  });

/** An object of Stripe's of which only what we read is there. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters, typescript/no-unsafe-type-assertion -- the point of it
const cut = <T>(object: unknown): T => object as T;

describe("money and time", () => {
  it("goes in seconds, cut and not rounded, and comes back in milliseconds", () => {
    expect(seconds(new Date("2026-01-01T00:00:01.999Z"))).toBe(CREATED);
    expect(instant(CREATED).toISOString()).toBe("2026-01-01T00:00:01.000Z");
  });

  it("is refused in a currency that we do not know", () => {
    expect(() => invoiceState(anInvoice({ currency: "xxx" }))).toThrow(ForeignCurrency);
    expect(refundState(aRefund({ currency: "xxx" })).amount).toBeNull();
  });

  it("of an id, whole or by name, is the id", () => {
    expect([idOf("pi_1"), idOf({ id: "pi_2" })]).toEqual(["pi_1", "pi_2"]);
  });
});

describe("an invoice", () => {
  it("says each thing from its own field", () => {
    expect(invoiceState(anInvoice())).toEqual({
      id: "in_1",
      number: "A-0001",
      status: "paid",
      total: { minor: 1_487n, currency: "eur" },
      paid: { minor: 1_301n, currency: "eur" },
      fromCredit: { minor: 186n, currency: "eur" },
      hostedUrl: "https://invoice.stripe.com/i/1",
      createdAt: new Date("2026-01-01T00:00:01Z"),
      paidAt: instant(CREATED + 3),
      stuckBecause: null,
      isFirst: false,
      orderId: "order-of-invoice",
      subscriptionId: "sub_1",
      customerId: "cus_1",
    });
  });

  it("that is young or not ours lacks what it has not", () => {
    const young = { status: null, number: null, hosted_invoice_url: undefined, parent: null };
    expect(invoiceState(anInvoice(young))).toMatchObject({
      status: "draft",
      number: null,
      hostedUrl: null,
      orderId: null,
      subscriptionId: null,
    });
    expect(invoiceState(anInvoice({ customer: null })).customerId).toBeNull();
    const error = { type: "invalid_request_error", code: "customer_tax_location_invalid" };
    const stuck = (over: object) =>
      invoiceState(anInvoice({ last_finalization_error: error, ...over })).stuckBecause;
    expect(stuck({ status: "draft" })).toBe("customer_tax_location_invalid");
    expect(stuck({ status: "draft", last_finalization_error: { type: "api_error" } })).toBe(
      "api_error",
    );
    expect(stuck({ status: "open" })).toBeNull();
    expect(invoiceState(anInvoice({ billing_reason: "subscription_create" })).isFirst).toBe(true);
    // Until it is finalised nothing is taken of the customer's balance.
    expect(invoiceState(anInvoice({ ending_balance: null })).fromCredit.minor).toBe(0n);
    for (const metadata of [{}, null]) {
      const unnamed = { parent: { subscription_details: { metadata } } };
      expect(invoiceState(anInvoice(unnamed)).orderId).toBeNull();
    }
    expect(invoiceState(anInvoice({ parent: { subscription_details: null } })).orderId).toBeNull();
  });
});

describe("a refund", () => {
  it("is of its own amount and payment", () => {
    expect(refundState(aRefund())).toEqual({
      fromCredit: 0n,
      id: "re_1",
      orderId: "order-of-refund",
      paymentId: "pi_1",
      amount: { minor: 733n, currency: "usd" },
      status: "succeeded",
    });
    expect(refundState(aRefund({ payment_intent: { id: "pi_2" } })).paymentId).toBe("pi_2");
    expect(refundState(aRefund({ payment_intent: null, metadata: null }))).toMatchObject({
      paymentId: null,
      orderId: null,
    });
  });

  it("6a 2: says what is taken out of the customer's credit with it", () => {
    const metadata = { from_credit: "-12" };
    expect(refundState(aRefund({ metadata })).fromCredit).toBe(-12n);
    const scribbled = { from_credit: "some" };
    expect(refundState(aRefund({ metadata: scribbled })).fromCredit).toBe(0n);
  });

  it.each([
    ["succeeded", "succeeded"],
    ["failed", "failed"],
    ["canceled", "failed"],
    ["pending", "pending"],
    ["requires_action", "pending"],
    [null, "pending"],
    ["a_new_one", "pending"],
  ])("that Stripe calls %s is %s", (status, expected) => {
    expect(refundState(aRefund({ status })).status).toBe(expected);
  });
});

describe("a subscription", () => {
  it("says its status as it is, and is paid until what it is given", () => {
    const until = new Date("2026-02-03T04:05:06Z");
    expect(subscriptionState(aSubscription(), until)).toEqual({
      id: "sub_1",
      orderId: "order-of-subscription",
      customerId: "cus_1",
      status: "past_due",
      paidUntil: until,
      trialEnd: null,
      cancelAt: null,
      items: [{ minor: 733n, currency: "usd", interval: "year", intervalCount: 1, quantity: 2 }],
      version: "past_due in_1 price_1*2",
    });
    expect(subscriptionState(aSubscription({ metadata: {} }), until).orderId).toBeNull();
    expect(subscriptionState(aSubscription({ trial_end: CREATED }), until).trialEnd).toEqual(
      instant(CREATED),
    );
    const ends = { cancel_at: 1_775_044_817 };
    expect(subscriptionState(aSubscription(ends), until)).toMatchObject({
      cancelAt: new Date("2026-04-01T12:00:17Z"),
      version: "past_due in_1 price_1*2 2026-04-01T12:00:17.000Z",
    });
  });

  it("4b C1: has no version while its latest invoice may still be paid, or when there is none", () => {
    const versionOf = (latest: object | null) =>
      subscriptionState(aSubscription({ latest_invoice: latest }), new Date(0)).version;
    expect(versionOf(anInvoice({ status: "paid" }))).toBe("past_due in_1 price_1*2");
    expect(versionOf(anInvoice({ status: "open" }))).toBeNull();
    expect(versionOf(null)).toBeNull();
  });

  it("must have been fetched with its latest invoice", () => {
    expect(latestInvoiceOf(aSubscription())?.id).toBe("in_1");
    expect(latestInvoiceOf(aSubscription({ latest_invoice: null }))).toBeNull();
    expect(() => latestInvoiceOf(aSubscription({ latest_invoice: "in_1" }))).toThrow("sub_1");
  });
});

describe("the end of what is paid", () => {
  const until = (end: number) => ({ period: { start: CREATED, end } });
  const ended = (invoice: Stripe.Invoice) => endOfPaid(invoice)?.getTime();

  it("is the latest end of the lines of a paid invoice", () => {
    const lines = { data: [aLine(until(CREATED + 300)), aLine(until(CREATED + 100))] };
    expect(ended(anInvoice({ lines }))).toBe((CREATED + 300) * 1000);
  });

  it("6a 2: is not moved by a proration, though its invoice is paid", () => {
    const of = { type: "subscription_item_details" };
    const proration = { ...of, subscription_item_details: { proration: true } };
    const recurring = { ...of, subscription_item_details: { proration: false } };
    const debit = aLine({ amount: 97, parent: proration, ...until(CREATED + 900) });
    const credit = aLine({ amount: -1000, parent: proration, ...until(CREATED + 900) });
    expect(ended(anInvoice({ lines: { data: [credit, debit] } }))).toBeUndefined();
    const renewal = aLine({ parent: recurring, ...until(CREATED + 70) });
    expect(ended(anInvoice({ lines: { data: [credit, debit, renewal] } }))).toBe(
      (CREATED + 70) * 1000,
    );
  });

  it.each(["open", "draft", "void", "uncollectible", null])(
    "is none of an invoice that is %s",
    (status) => {
      expect(ended(anInvoice({ status }))).toBeUndefined();
    },
  );

  it("is not moved by a line that gives money back, nor by one of something else", () => {
    const credit = aLine({ amount: -1, ...until(CREATED + 900) });
    const item = aLine({ parent: { type: "invoice_item_details" }, ...until(CREATED + 901) });
    const orphan = aLine({ parent: null, ...until(CREATED + 902) });
    const paid = aLine(until(CREATED + 50));
    expect(ended(anInvoice({ lines: { data: [credit, paid, item, orphan] } }))).toBe(
      (CREATED + 50) * 1000,
    );
    expect(ended(anInvoice({ lines: { data: [credit, item] } }))).toBeUndefined();
  });

  // 7a: a lease grows by a recurring line whose own invoice was paid, and by nothing else.
  it("is that of the recurring lines of a paid invoice, whatever else stands on it", () => {
    const at = fc.integer({ min: 1, max: 1_000_000 });
    const details = (proration: boolean) => ({
      type: "subscription_item_details",
      subscription_item_details: { proration },
    });
    const recurring = at.map((end) => aLine({ parent: details(false), ...until(CREATED + end) }));
    const other = fc
      .record({
        end: at,
        amount: fc.integer({ min: -5_000, max: 5_000 }),
        parent: fc.constantFrom(details(true), { type: "invoice_item_details" }, null),
      })
      .map(({ end, ...line }) => aLine({ ...line, ...until(CREATED + end) }));
    const status = fc.constantFrom("paid", "open", "draft", "void", "uncollectible");
    fc.assert(
      fc.property(
        status,
        fc.array(recurring),
        fc.array(other),
        fc.nat(),
        (is, bought, rest, cut) => {
          // In whatever order they stand.
          const place = cut % (bought.length + 1);
          const data = [...bought.slice(0, place), ...rest, ...bought.slice(place)];
          const ends = bought.map((line) => line.period.end * 1000);
          const paid = is === "paid" && ends.length > 0;
          expect(ended(anInvoice({ status: is, lines: { data } }))).toBe(
            paid ? Math.max(...ends) : undefined,
          );
        },
      ),
    );
  });

  it("is bought by a line that costs nothing: a whole discount is paid", () => {
    const free = aLine({ amount: 0, ...until(CREATED + 60) });
    expect(ended(anInvoice({ lines: { data: [free] } }))).toBe((CREATED + 60) * 1000);
  });
});

describe("with what a subscription is paid", () => {
  const method = (over: object) => cut<Stripe.PaymentMethod>({ id: "pm_1", type: "card", ...over });
  const card = { fingerprint: "f1", wallet: null };
  it.each([
    ["nothing", null, null],
    ["a card", method({ card }), { kind: "card", fingerprint: "f1", isWallet: false }],
    [
      "a wallet",
      method({ card: { ...card, wallet: { type: "google_pay" } } }),
      { kind: "card", fingerprint: "f1", isWallet: true },
    ],
    [
      "a card without a fingerprint",
      method({ card: { ...card, fingerprint: null } }),
      { kind: "other" },
    ],
    ["Link", method({ type: "link", link: { email: null } }), { kind: "other" }],
    ["a bank account", method({ type: "us_bank_account" }), { kind: "other" }],
  ])("is %s", (_, given, says) => {
    expect(payingMethod(given)).toEqual(says);
  });
  it("is not told by an id", () => expect(() => payingMethod("pm_1")).toThrow("not fetched"));
});

describe("a Checkout Session", () => {
  it("says each thing from its own field, with what it is given", () => {
    const subscription = subscriptionState(aSubscription(), instant(CREATED));
    expect(checkoutState(aSession({ invoice: anInvoice() }), subscription)).toEqual({
      id: "cs_1",
      url: "https://checkout.stripe.com/c/1",
      status: "complete",
      paid: true,
      settled: {
        currency: "eur",
        listMinor: 1_999n,
        discountMinor: 0n,
        taxMinor: 0n,
        takenMinor: 1_999n,
      },
      orderId: "order-of-session",
      subscription,
      method: null,
      savesCardOf: null,
      invoiceId: "in_1",
      invoice: invoiceState(anInvoice()),
    });
  });

  it.each([
    ["complete", "paid", "complete", true],
    // Paid later (SEPA debit, say): complete, and no money yet.
    ["complete", "unpaid", "complete", false],
    // A discount takes all of it off.
    ["complete", "no_payment_required", "complete", true],
    ["open", "no_payment_required", "open", false],
    ["open", "unpaid", "open", false],
    ["open", "paid", "open", false],
    ["expired", "unpaid", "expired", false],
    ["expired", "paid", "expired", false],
    [null, "paid", "open", false],
    ["a_new_one", "paid", "open", false],
  ])("that is %s and %s is %s, paid: %s", (status, payment_status, expected, paid) => {
    const state = checkoutState(aSession({ status, payment_status }), null);
    expect([state.status, state.paid]).toEqual([expected, paid]);
  });

  it.each([
    ["open", false],
    ["draft", false],
    ["void", false],
    ["paid", true],
  ])("4b A5: that is complete and unpaid is paid with its invoice (%s: %s)", (status, paid) => {
    const later = { payment_status: "unpaid", invoice: anInvoice({ status }) };
    expect(checkoutState(aSession(later), null).paid).toBe(paid);
    expect(checkoutState(aSession({ ...later, status: "open" }), null).paid).toBe(false);
  });

  // What it comes to, each apart: list price, discount, tax on top; and what was taken.
  it.each([
    ["a discount", { amount_subtotal: 2_300 }, { amount_discount: 301 }, [2_300n, 301n, 0n]],
    ["tax on top", { amount_subtotal: 1_680 }, { amount_tax: 319 }, [1_680n, 0n, 319n]],
    ["tax that its price includes", {}, { amount_tax: 319 }, [1_999n, 0n, 0n]],
    [
      "both",
      { amount_subtotal: 2_000 },
      { amount_discount: 320, amount_tax: 319 },
      [2_000n, 320n, 319n],
    ],
  ])("comes to its parts with %s", (_, of, details, parts) => {
    const total_details = { amount_discount: 0, amount_tax: 0, ...details };
    const { settled } = checkoutState(aSession({ ...of, total_details }), null);
    expect([settled?.listMinor, settled?.discountMinor, settled?.taxMinor]).toEqual(parts);
    expect(settled?.takenMinor).toBe(1_999n);
  });

  it.each([
    ["paid", 1_999n],
    ["unpaid", 0n],
    // Of a trial, say: something is due and nobody asked for it.
    ["no_payment_required", 0n],
  ])("that is %s has taken %s", (payment_status, taken) => {
    expect(checkoutState(aSession({ payment_status }), null).settled?.takenMinor).toBe(taken);
  });

  it("4b A5: in a currency that we do not know is worth nothing that we know, and has an invoice", () => {
    const foreign = aSession({ currency: "xxx", invoice: anInvoice({ currency: "xxx" }) });
    expect(checkoutState(foreign, null)).toMatchObject({
      paid: true,
      settled: null,
      invoiceId: "in_1",
      invoice: null,
    });
  });

  it("without an amount costs nothing, and must have been fetched with its invoice", () => {
    const bare = {
      amount_total: null,
      amount_subtotal: null,
      currency: "usd",
      metadata: null,
      url: null,
    };
    expect(checkoutState(aSession(bare), null)).toMatchObject({
      settled: { currency: "usd", listMinor: 0n, taxMinor: 0n, takenMinor: 0n },
      orderId: null,
      url: null,
      invoiceId: null,
      invoice: null,
      subscription: null,
    });
    expect(() => checkoutState(aSession({ invoice: "in_1" }), null)).toThrow("cs_1");
  });
});

describe("an event", () => {
  const anEvent = (object: object): Stripe.Event =>
    cut<Stripe.Event>({ id: "evt_1", object: "event", type: "invoice.paid", data: { object } });

  it("says which object it is about, and no more", () => {
    expect(providerEvent(anEvent({ object: "invoice", id: "in_9", status: "paid" }))).toEqual({
      id: "evt_1",
      type: "invoice.paid",
      object: { kind: "invoice", id: "in_9", version: null },
      awaited: false,
    });
  });

  it.each([
    [{ object: "checkout.session", id: "cs_1" }, true],
    [{ object: "invoice", id: "in_1", billing_reason: "subscription_create" }, true],
    [{ object: "invoice", id: "in_1", billing_reason: "subscription_cycle" }, false],
    [{ object: "subscription", id: "sub_1", billing_reason: "subscription_create" }, false],
  ])("4b C1: says whether a buyer may wait for it (%o: %s)", (object, awaited) => {
    expect(providerEvent(anEvent(object)).awaited).toBe(awaited);
  });

  it.each([
    [{ status: "active", latest_invoice: "in_1" }, "active in_1"],
    [{ status: "past_due", latest_invoice: "in_2" }, "past_due in_2"],
    [
      { status: "active", latest_invoice: "in_1", cancel_at: 1_775_044_817 },
      "active in_1 2026-04-01T12:00:17.000Z",
    ],
    [{ status: "active", latest_invoice: "in_1", cancel_at: 1e300 }, "active in_1"],
    [{ status: "active", latest_invoice: null }, null],
    [{ status: "active", latest_invoice: { id: "in_1" } }, null],
    [{ status: "active or so", latest_invoice: "in_1" }, null],
    [{ status: 1, latest_invoice: "in_1" }, null],
  ])("4b C1: of a subscription says its version (%o: %s)", (more, version) => {
    const event = anEvent({ object: "subscription", id: "sub_1", ...more });
    expect(providerEvent(event).object.version).toBe(version);
    expect(providerEvent(anEvent({ object: "invoice", id: "in_1", ...more })).object.version).toBe(
      null,
    );
  });

  it.each(["applied", "expired"])("6a 2: of a change that is %s says no version", (how) => {
    const type = `customer.subscription.pending_update_${how}`;
    const object = {
      object: "subscription",
      id: "sub_1",
      status: "active",
      latest_invoice: "in_1",
    };
    const event = cut<Stripe.Event>({ id: "evt_1", object: "event", type, data: { object } });
    expect(providerEvent(event).object.version).toBeNull();
  });

  it.each(["in_\0", "in 1", "", "x".repeat(256), "in_é"])(
    "4b A5: names no object by what is no id (%j)",
    (id) => {
      expect(providerEvent(anEvent({ object: "invoice", id })).object.id).toBeNull();
    },
  );

  it("4b A5: of a connected account is about nothing of ours", () => {
    const event = { ...anEvent({ object: "invoice", id: "in_9" }), account: "acct_1" };
    expect(providerEvent(event).object).toEqual({ kind: "unknown", id: null, version: null });
  });

  it("about a thing without a kind or an id says so", () => {
    expect(providerEvent(anEvent({ balance: 1 })).object).toEqual({
      kind: "unknown",
      id: null,
      version: null,
    });
    expect(providerEvent(anEvent({ object: 1, id: 2 })).object).toEqual({
      kind: "unknown",
      id: null,
      version: null,
    });
  });
});
