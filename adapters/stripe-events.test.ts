import { Stripe } from "stripe";
import { beforeEach, describe, expect, it } from "vitest";
import { ProviderUnavailable, UnknownToProvider } from "#core/billing/payments.ts";
import {
  NOW,
  SECONDS,
  WEBHOOK_SECRET,
  asked,
  answer,
  forget,
  payments,
  stripeError,
  API_ERROR,
  list,
} from "#test/harness/answered-stripe.ts";

beforeEach(forget);

describe("events that no delivery of has succeeded", () => {
  const anEvent = (id: string) => ({
    id,
    object: "event",
    type: "invoice.paid",
    data: { object: { object: "invoice", id: `in_of_${id}` } },
  });

  it("are asked for by our kinds and a span, with its beginning and without its end", async () => {
    const events = [anEvent("evt_3"), anEvent("evt_2"), anEvent("evt_1")];
    answer({ ...list(...events), has_more: true });
    const page = await payments().undeliveredEvents({
      from: new Date(+NOW - 3_600_000),
      before: NOW,
      after: null,
    });
    expect(asked[0]).toMatchObject({
      path: "/v1/events",
      query: {
        "types[0]": "checkout.session.completed",
        "types[1]": "checkout.session.async_payment_succeeded",
        "types[2]": "checkout.session.async_payment_failed",
        "types[15]": "refund.failed",
        delivery_success: "false",
        "created[gte]": String(SECONDS - 3_600),
        "created[lt]": String(SECONDS),
        limit: "100",
      },
    });
    expect(asked[0]?.query).not.toHaveProperty("starting_after");
    expect(page.next).toBe("evt_1");
    expect(page.events).toMatchObject([
      { event: { id: "evt_3", object: { kind: "invoice", id: "in_of_evt_3" } } },
      { event: { id: "evt_2" } },
      { event: { id: "evt_1" } },
    ]);
    expect(page.events.map(({ body }): unknown => JSON.parse(body))).toEqual(events);
  });

  it("go on after the last one, and end", async () => {
    answer(list(anEvent("evt_0")));
    const page = await payments().undeliveredEvents({ from: NOW, before: NOW, after: "evt_1" });
    expect(asked[0]?.query["starting_after"]).toBe("evt_1");
    expect(page.next).toBeNull();
    answer({ ...list(), has_more: true });
    expect(
      (await payments().undeliveredEvents({ from: NOW, before: NOW, after: null })).next,
    ).toBeNull();
  });
});

describe("a webhook", () => {
  const body = JSON.stringify({
    id: "evt_1",
    object: "event",
    type: "refund.updated",
    data: { object: { object: "refund", id: "re_1" } },
  });
  const stripe = new Stripe("sk_test_table");
  const signed = (secret: string, at: number, payload = body) =>
    stripe.webhooks.generateTestHeaderString({ payload, secret, timestamp: at });

  it.each([0, -300])("signed %i s ago is the event", async (age) => {
    const result = await payments().verifyWebhook(body, signed(WEBHOOK_SECRET, SECONDS + age));
    expect(result).toEqual({
      ok: true,
      value: {
        id: "evt_1",
        type: "refund.updated",
        object: { kind: "refund", id: "re_1", version: null },
        awaited: false,
      },
    });
  });

  it.each([
    ["301 s ago", () => signed(WEBHOOK_SECRET, SECONDS - 301), /too old/],
    ["with another secret", () => signed("whsec_other", SECONDS), /does not fit/],
    ["over another body", () => signed(WEBHOOK_SECRET, SECONDS, `${body} `), /does not fit/],
    ["not at all", () => undefined, /missing/],
    ["with nothing", () => "", /does not fit/],
  ])("signed %s is refused", async (_what, header, why) => {
    expect(await payments().verifyWebhook(body, header())).toEqual({
      ok: false,
      error: { code: "signature_invalid", detail: expect.stringMatching(why) },
    });
  });

  it.each(["{}", `{"id":"evt_\\u0000"}`, `{"id":7}`])(
    "4b A5: that is signed and has no id of an event (%s) is refused, and is no forgery",
    async (text) => {
      expect(
        await payments().verifyWebhook(text, signed(WEBHOOK_SECRET, SECONDS, text)),
      ).toMatchObject({ ok: false, error: { code: "event_malformed" } });
    },
  );

  it("that is no JSON is refused, although it is signed", async () => {
    const text = "{not json";
    expect(
      await payments().verifyWebhook(text, signed(WEBHOOK_SECRET, SECONDS, text)),
    ).toMatchObject({ ok: false, error: { code: "signature_invalid" } });
  });
});

describe("4b A5: an object that Stripe does not know", () => {
  const missing = stripeError(404, { code: "resource_missing", param: "id" });
  it.each([
    ["a session", () => payments().fetchCheckout("cs_1")],
    ["a subscription", () => payments().fetchSubscription("sub_1")],
    ["an invoice", () => payments().fetchInvoice("in_1")],
    ["a refund", () => payments().fetchRefund("re_1")],
  ])("(%s) is told apart from a bug", async (_what, fetch) => {
    answer(missing);
    await expect(fetch()).rejects.toBeInstanceOf(UnknownToProvider);
    answer(stripeError(400, { code: "resource_missing", param: "expand" }));
    await expect(fetch()).rejects.toBeInstanceOf(Stripe.errors.StripeInvalidRequestError);
  });
});

describe("what Stripe fails with", () => {
  const calls = [
    [
      "ensureCustomer",
      () =>
        payments().ensureCustomer({
          accountId: "a",
          currency: "eur",
          attempt: 1,
          email: "e",
          name: "n",
        }),
    ],
    [
      "ensurePrice",
      () =>
        payments().ensurePrice({
          planPriceId: "p",
          planId: "l",
          planName: "n",
          amount: { minor: 1n, currency: "usd" },
          interval: "month",
          taxBehavior: null,
        }),
    ],
    [
      "createCheckout",
      () =>
        payments().createCheckout({
          orderId: "o",
          customerId: "c",
          priceId: "p",
          successUrl: "https://a.example",
          cancelUrl: "https://b.example",
          expiresAt: NOW,
        }),
    ],
    ["fetchCheckout", () => payments().fetchCheckout("cs_1")],
    ["expireCheckout", () => payments().expireCheckout("cs_1")],
    ["fetchSubscription", () => payments().fetchSubscription("sub_1")],
    ["fetchInvoice", () => payments().fetchInvoice("in_1")],
    ["cancelSubscription", () => payments().cancelSubscription("sub_1")],
    ["refundInvoice", () => payments().refundInvoice({ orderId: "o", invoiceId: "i" })],
    ["paidWith", () => payments().paidWith("pi_1")],
    ["fetchRefund", () => payments().fetchRefund("re_1")],
    ["eventsSince", () => payments().eventsSince({ from: NOW, before: NOW, after: null })],
    [
      "undeliveredEvents",
      () => payments().undeliveredEvents({ from: NOW, before: NOW, after: null }),
    ],
  ] as const;

  it.each(calls)(
    "%s: what may pass is an outage, and what will not is a bug",
    async (_name, call) => {
      const passing = [
        API_ERROR,
        stripeError(503, { type: "api_error" }),
        stripeError(429, { code: "rate_limit" }),
        new TypeError("fetch failed"),
      ];
      for (const failure of passing) {
        answer(...Array.from({ length: 4 }, () => failure));
        const failed = call();
        await expect(failed).rejects.toBeInstanceOf(ProviderUnavailable);
        await expect(failed).rejects.toMatchObject({
          message: expect.stringMatching(/^Stripe: ./),
          cause: expect.any(Stripe.errors.StripeError),
        });
      }
      answer(stripeError(401));
      await expect(call()).rejects.toBeInstanceOf(Stripe.errors.StripeAuthenticationError);
    },
  );
});
