import { Stripe } from "stripe";
import { beforeEach, describe, expect, it } from "vitest";
import { ProviderUnavailable } from "#core/billing/payments.ts";
import { createStripePayments } from "./stripe.ts";

/*
 * What goes to Stripe, option by option, and what is made of each kind of answer. The answers are cut to what is read;
 * that the calls fit Stripe's own description is held by the suites on the stand-in.
 */

const NOW = new Date("2026-03-01T12:34:56.789Z");
const SECONDS = Math.floor(+NOW / 1000);
const DAY = 86_400;
const WEBHOOK_SECRET = "whsec_of_the_test";

type Asked = Readonly<{
  method: string;
  path: string;
  query: Readonly<Record<string, string>>;
  form: Readonly<Record<string, string>>;
  key: string | null;
  headers: Headers;
}>;
type Answer = Readonly<{ status?: number; body: object; headers?: Record<string, string> }>;

let asked: Asked[];
let answers: (Answer | Error)[];
const answer = (...more: readonly (object | Answer | Error)[]) => {
  answers = more.map((one) => (one instanceof Error || "body" in one ? one : { body: one }));
};
beforeEach(() => {
  asked = [];
  answers = [];
});

const payments = (over: Partial<Parameters<typeof createStripePayments>[0]> = {}) =>
  createStripePayments({
    apiKey: "sk_test_table",
    webhookSecret: WEBHOOK_SECRET,
    maxNetworkRetries: 0,
    now: () => NOW,
    fetchFn: async (input, init) => {
      const request = new Request(input, init);
      const url = new URL(request.url);
      asked.push({
        method: request.method,
        path: url.pathname,
        query: Object.fromEntries(url.searchParams),
        form: Object.fromEntries(new URLSearchParams(await request.text())),
        key: request.headers.get("idempotency-key"),
        headers: request.headers,
      });
      const next = answers.shift();
      if (next === undefined) throw new Error(`no answer is left for ${url.pathname}`);
      if (next instanceof Error) throw next;
      return Response.json(next.body, {
        status: next.status ?? 200,
        headers: next.headers ?? {},
      });
    },
    ...over,
  });

const stripeError = (status: number, error: object = {}): Answer => ({
  status,
  body: { error: { type: "invalid_request_error", message: "no", ...error } },
});
const API_ERROR = stripeError(500, { type: "api_error" });
const list = (...data: readonly object[]) => ({ object: "list", data, has_more: false });

const aSubscription = (over: object = {}) => ({
  id: "sub_1",
  object: "subscription",
  status: "active",
  metadata: { order_id: "order-1" },
  start_date: SECONDS - 7 * DAY,
  latest_invoice: anInvoice(),
  ...over,
});
const anInvoice = (over: object = {}) => ({
  id: "in_1",
  object: "invoice",
  number: "A-1",
  status: "paid",
  total: 1_487,
  amount_paid: 1_301,
  currency: "eur",
  hosted_invoice_url: null,
  created: SECONDS,
  parent: { subscription_details: { metadata: { order_id: "order-1" } } },
  lines: {
    data: [
      {
        amount: 1_250,
        parent: { type: "subscription_item_details" },
        period: { end: SECONDS + 30 * DAY },
      },
    ],
  },
  ...over,
});
const aSession = (over: object = {}) => ({
  id: "cs_1",
  object: "checkout.session",
  url: "https://checkout.stripe.com/c/1",
  status: "open",
  payment_status: "unpaid",
  amount_total: 1_487,
  currency: "eur",
  metadata: { order_id: "order-1" },
  invoice: null,
  subscription: null,
  ...over,
});
const aRefund = (over: object = {}) => ({
  id: "re_1",
  object: "refund",
  amount: 1_301,
  currency: "eur",
  status: "succeeded",
  payment_intent: "pi_1",
  metadata: { order_id: "order-1" },
  created: SECONDS,
  ...over,
});

describe("the client", () => {
  it("speaks to Stripe, with the key and the pinned version", async () => {
    answer(anInvoice());
    await payments().fetchInvoice("in_1");
    const [call] = asked;
    expect(call?.headers.get("authorization")).toBe("Bearer sk_test_table");
    expect(call?.headers.get("stripe-version")).toBe(Stripe.API_VERSION);
    expect(call).toMatchObject({ method: "GET", path: "/v1/invoices/in_1" });
  });

  it.each([
    ["http://127.0.0.1:4242", "http://127.0.0.1:4242/v1/invoices/in_1"],
    ["http://stand-in.test", "http://stand-in.test/v1/invoices/in_1"],
    ["https://stand-in.test", "https://stand-in.test/v1/invoices/in_1"],
  ])("speaks to %s when that is its place", async (origin, expected) => {
    const urls: string[] = [];
    const other = payments({
      origin: new URL(origin),
      fetchFn: async (input) => {
        urls.push(new Request(input).url);
        return Response.json(anInvoice());
      },
    });
    await other.fetchInvoice("in_1");
    expect(urls.map((url) => url.replace(":443", "").replace(/\.test:80\//, ".test/"))).toEqual([
      expected,
    ]);
  });
});

describe("a customer", () => {
  const account = { accountId: "acc-1", email: "ada@example.com", name: "Ada" };

  it("is made once for an account", async () => {
    answer({ id: "cus_1" });
    expect(await payments().ensureCustomer(account)).toBe("cus_1");
    expect(asked).toMatchObject([
      {
        method: "POST",
        path: "/v1/customers",
        form: { email: "ada@example.com", name: "Ada", "metadata[account_id]": "acc-1" },
        key: "customer-acc-1",
      },
    ]);
  });

  it("after a 500 is looked for among those of the address, and only the account's own is taken", async () => {
    const others = [
      { id: "cus_0", metadata: {} },
      { id: "cus_2", metadata: { account_id: "acc-1" } },
    ];
    answer(API_ERROR, list(...others));
    expect(await payments().ensureCustomer(account)).toBe("cus_2");
    expect(asked[1]).toMatchObject({
      method: "GET",
      path: "/v1/customers",
      query: { email: "ada@example.com", limit: "100" },
    });
  });
});

describe("a price", () => {
  const price = {
    planPriceId: "pp-1",
    planId: "plan-1",
    planName: "Small",
    amount: { minor: 1_250n, currency: "eur" },
    interval: "year",
  } as const;
  const taken = stripeError(400, { code: "lookup_key_taken", param: "lookup_key" });

  it("that is there is taken", async () => {
    answer(list({ id: "price_1" }));
    expect(await payments().ensurePrice(price)).toBe("price_1");
    expect(asked).toMatchObject([
      {
        method: "GET",
        path: "/v1/prices",
        query: { "lookup_keys[0]": "berth-pp-1", limit: "1" },
      },
    ]);
  });

  it("that is not is made, under a key and a lookup key of its own", async () => {
    answer(list(), { id: "price_2" });
    expect(await payments().ensurePrice(price)).toBe("price_2");
    expect(asked[1]).toMatchObject({
      method: "POST",
      path: "/v1/prices",
      form: {
        currency: "eur",
        unit_amount: "1250",
        "recurring[interval]": "year",
        lookup_key: "berth-pp-1",
        "product_data[name]": "Small",
        "product_data[metadata][plan_id]": "plan-1",
      },
      key: "price-pp-1",
    });
  });

  it("that another order made meanwhile is taken; any other refusal is told", async () => {
    answer(list(), taken, list({ id: "price_3" }));
    expect(await payments().ensurePrice(price)).toBe("price_3");
    answer(list(), taken, list());
    await expect(payments().ensurePrice(price)).rejects.toBeInstanceOf(
      Stripe.errors.StripeInvalidRequestError,
    );
  });
});

describe("a Checkout Session", () => {
  const wanted = {
    orderId: "order-1",
    customerId: "cus_1",
    priceId: "price_1",
    successUrl: "https://berth.example/done",
    cancelUrl: "https://berth.example/back",
    expiresAt: new Date(+NOW + 1_800_999),
  };
  const EXPIRES = Math.floor((+NOW + 1_800_999) / 1000);

  it("is opened with everything that leads it back to its order, under a key of its end", async () => {
    answer(aSession());
    expect(await payments().createCheckout(wanted)).toEqual({
      id: "cs_1",
      url: "https://checkout.stripe.com/c/1",
    });
    expect(asked).toMatchObject([
      {
        method: "POST",
        path: "/v1/checkout/sessions",
        form: {
          mode: "subscription",
          customer: "cus_1",
          client_reference_id: "order-1",
          "line_items[0][price]": "price_1",
          "line_items[0][quantity]": "1",
          success_url: "https://berth.example/done",
          cancel_url: "https://berth.example/back",
          expires_at: String(EXPIRES),
          "metadata[order_id]": "order-1",
          "subscription_data[metadata][order_id]": "order-1",
        },
        key: `checkout-order-1-${EXPIRES}`,
      },
    ]);
  });

  it("whose end is too near by now may be asked for again; any other refusal is a bug", async () => {
    answer(stripeError(400, { param: "expires_at" }));
    await expect(payments().createCheckout(wanted)).rejects.toBeInstanceOf(ProviderUnavailable);
    answer(stripeError(400, { param: "customer" }));
    await expect(payments().createCheckout(wanted)).rejects.toBeInstanceOf(
      Stripe.errors.StripeInvalidRequestError,
    );
    answer(aSession({ url: null }));
    await expect(payments().createCheckout(wanted)).rejects.toThrow("cs_1");
  });

  it("is fetched with its invoice and its subscription's latest invoice", async () => {
    answer(aSession({ status: "complete", payment_status: "paid", subscription: aSubscription() }));
    expect(await payments().fetchCheckout("cs_1")).toMatchObject({
      status: "complete",
      paid: true,
      subscription: { id: "sub_1", paidUntil: new Date((SECONDS + 30 * DAY) * 1000) },
    });
    expect(asked[0]?.query).toEqual({
      "expand[0]": "invoice",
      "expand[1]": "subscription.latest_invoice",
    });
    answer(aSession({ subscription: "sub_1" }));
    await expect(payments().fetchCheckout("cs_1")).rejects.toThrow("without its subscription");
  });

  it("is closed when it is open, and asked again afterwards", async () => {
    answer(aSession(), aSession({ status: "expired" }), aSession({ status: "expired" }));
    expect((await payments().expireCheckout("cs_1")).status).toBe("expired");
    expect(asked.map(({ method, path }) => `${method} ${path}`)).toEqual([
      "GET /v1/checkout/sessions/cs_1",
      "POST /v1/checkout/sessions/cs_1/expire",
      "GET /v1/checkout/sessions/cs_1",
    ]);
  });

  it("that the payer completed faster is told as complete", async () => {
    const complete = aSession({ status: "complete", payment_status: "paid" });
    answer(aSession(), stripeError(400), complete);
    expect(await payments().expireCheckout("cs_1")).toMatchObject({
      status: "complete",
      paid: true,
    });
    asked = [];
    answer(complete);
    expect((await payments().expireCheckout("cs_1")).status).toBe("complete");
    expect(asked).toHaveLength(1);
    answer(aSession(), stripeError(401, { type: "invalid_request_error" }));
    await expect(payments().expireCheckout("cs_1")).rejects.toBeInstanceOf(
      Stripe.errors.StripeAuthenticationError,
    );
  });
});

describe("a subscription", () => {
  const unpaid = { latest_invoice: anInvoice({ status: "open" }) };

  it("whose latest invoice is paid is paid to the end of that", async () => {
    answer(aSubscription());
    expect(await payments().fetchSubscription("sub_1")).toMatchObject({
      orderId: "order-1",
      status: "active",
      paidUntil: new Date((SECONDS + 30 * DAY) * 1000),
    });
    expect(asked[0]).toMatchObject({
      path: "/v1/subscriptions/sub_1",
      query: { "expand[0]": "latest_invoice" },
    });
  });

  it("whose latest invoice is not is paid to the end of the last one that was", async () => {
    const before = anInvoice({
      lines: {
        data: [
          {
            amount: 1,
            parent: { type: "subscription_item_details" },
            period: { end: SECONDS - DAY },
          },
        ],
      },
    });
    answer(aSubscription(unpaid), list(before));
    expect((await payments().fetchSubscription("sub_1")).paidUntil).toEqual(
      new Date((SECONDS - DAY) * 1000),
    );
    expect(asked[1]).toMatchObject({
      path: "/v1/invoices",
      query: { subscription: "sub_1", status: "paid", limit: "10" },
    });
  });

  it("that never was is paid until it began", async () => {
    for (const latest of [unpaid, { latest_invoice: null }]) {
      answer(aSubscription(latest), list());
      expect((await payments().fetchSubscription("sub_1")).paidUntil).toEqual(
        new Date((SECONDS - 7 * DAY) * 1000),
      );
    }
  });

  it("is cancelled under a key of its own, and asked again", async () => {
    answer(aSubscription(), aSubscription(), aSubscription({ status: "canceled" }));
    expect((await payments().cancelSubscription("sub_1")).status).toBe("canceled");
    expect(asked[1]).toMatchObject({
      method: "DELETE",
      path: "/v1/subscriptions/sub_1",
      query: {},
      form: {},
    });
  });

  it.each(["canceled", "incomplete_expired"])("that is %s is left", async (status) => {
    answer(aSubscription({ status }));
    expect((await payments().cancelSubscription("sub_1")).status).toBe(status);
    expect(asked).toHaveLength(1);
  });

  it("whose end was refused because it has ended is at its end; one that has not is a bug", async () => {
    for (const status of ["canceled", "incomplete_expired"]) {
      answer(aSubscription(), stripeError(404), aSubscription({ status }));
      expect((await payments().cancelSubscription("sub_1")).status).toBe(status);
    }
    answer(aSubscription(), stripeError(400), aSubscription({ status: "past_due" }));
    await expect(payments().cancelSubscription("sub_1")).rejects.toBeInstanceOf(
      Stripe.errors.StripeInvalidRequestError,
    );
  });
});

describe("a refund", () => {
  const wanted = { orderId: "order-1", invoiceId: "in_1" };
  const paidBy = (payment_intent: unknown) =>
    anInvoice({ payments: { data: [{ payment: {} }, { payment: { payment_intent } }] } });

  it("gives back the payment of the invoice, whole, under the order's key", async () => {
    answer(paidBy("pi_1"), list(), aRefund());
    expect(await payments().refundInvoice(wanted)).toMatchObject({
      id: "re_1",
      amount: { minor: 1_301n, currency: "eur" },
      status: "succeeded",
    });
    expect(asked).toMatchObject([
      { path: "/v1/invoices/in_1", query: { "expand[0]": "payments" } },
      { path: "/v1/refunds", query: { payment_intent: "pi_1", limit: "100" } },
      {
        method: "POST",
        path: "/v1/refunds",
        form: { payment_intent: "pi_1", "metadata[order_id]": "order-1" },
        key: "refund-order-1-0",
      },
    ]);
    expect(asked[2]?.form).not.toHaveProperty("amount");
  });

  it("of an invoice that shows no payment is a bug", async () => {
    for (const nothing of [null, undefined]) {
      answer(paidBy(nothing));
      await expect(payments().refundInvoice(wanted)).rejects.toThrow("in_1");
    }
  });

  it.each(["succeeded", "pending"])(
    "that is there and %s is told, not made again",
    async (status) => {
      answer(paidBy({ id: "pi_1" }), list(aRefund({ status })));
      expect((await payments().refundInvoice(wanted)).status).toBe(status);
      expect(asked).toHaveLength(2);
    },
  );

  it("of another order of the same payment does not count", async () => {
    const other = aRefund({ id: "re_0", metadata: { order_id: "order-2" } });
    answer(paidBy("pi_1"), list(other, aRefund({ id: "re_9", metadata: null })), aRefund());
    expect((await payments().refundInvoice(wanted)).id).toBe("re_1");
    expect(asked[2]?.key).toBe("refund-order-1-0");
  });

  it.each([
    ["a day ago is made anew, under the next key", [DAY], "refund-order-1-1"],
    ["twice, each a day ago, is made a third time", [DAY, 3 * DAY], "refund-order-1-2"],
    ["less than a day ago is left", [DAY - 1], null],
    ["twice, and once less than a day ago, is left", [DAY - 1, 5 * DAY], null],
    ["three times is left to people", [DAY, 2 * DAY, 3 * DAY], null],
  ])("that failed %s", async (_what, ages, key) => {
    const failed = ages.map((age, n) =>
      aRefund({ id: `re_f${n}`, status: "failed", created: SECONDS - age }),
    );
    // The list's order is Stripe's: the newest counts, wherever it stands.
    answer(paidBy("pi_1"), list(...failed.toReversed()), aRefund({ id: "re_new" }));
    const refund = await payments().refundInvoice(wanted);
    expect(refund.id).toBe(key === null ? "re_f0" : "re_new");
    expect(asked[2]?.key ?? null).toBe(key);
  });

  it("after a 500 that made one all the same is that one", async () => {
    answer(paidBy("pi_1"), list(), API_ERROR, list(aRefund({ id: "re_hidden" })));
    expect((await payments().refundInvoice(wanted)).id).toBe("re_hidden");
  });

  it("after a 500 that made none is made under a key of this minute, older failures aside", async () => {
    const failed = aRefund({ id: "re_f", status: "failed", created: SECONDS - DAY });
    answer(paidBy("pi_1"), list(failed), API_ERROR, list(failed), aRefund({ id: "re_new" }));
    expect((await payments().refundInvoice(wanted)).id).toBe("re_new");
    expect(asked[4]?.key).toBe(`refund-order-1-1-${Math.floor(SECONDS / 60)}`);
  });

  it("is fetched by its id", async () => {
    answer(aRefund({ status: "failed" }));
    expect((await payments().fetchRefund("re_1")).status).toBe("failed");
    expect(asked[0]?.path).toBe("/v1/refunds/re_1");
  });
});

describe("the order of a payment", () => {
  it("is that of the invoice that it paid", async () => {
    answer(list({ invoice: anInvoice() }));
    expect(await payments().orderOfPayment("pi_1")).toBe("order-1");
    expect(asked[0]).toMatchObject({
      path: "/v1/invoice_payments",
      query: {
        "payment[type]": "payment_intent",
        "payment[payment_intent]": "pi_1",
        "expand[0]": "data.invoice",
        limit: "1",
      },
    });
  });

  it("is none where no invoice of ours was paid", async () => {
    const none = [
      list(),
      list({ invoice: "in_1" }),
      list({ invoice: { id: "in_1", deleted: true } }),
    ];
    for (const paid of [...none, list({ invoice: anInvoice({ parent: null }) })]) {
      answer(paid);
      expect(await payments().orderOfPayment("pi_1")).toBeNull();
    }
  });
});

describe("events that no delivery of has succeeded", () => {
  const anEvent = (id: string) => ({
    id,
    object: "event",
    type: "invoice.paid",
    data: { object: { object: "invoice", id: `in_of_${id}` } },
  });

  it("are asked for by our kinds and a span, with its beginning and without its end", async () => {
    const events = [anEvent("evt_2"), anEvent("evt_1")];
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
        "types[8]": "refund.failed",
        delivery_success: "false",
        "created[gte]": String(SECONDS - 3_600),
        "created[lt]": String(SECONDS),
        limit: "100",
      },
    });
    expect(asked[0]?.query).not.toHaveProperty("starting_after");
    expect(page.next).toBe("evt_1");
    expect(page.events).toMatchObject([
      { event: { id: "evt_2", object: { kind: "invoice", id: "in_of_evt_2" } } },
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
      value: { id: "evt_1", type: "refund.updated", object: { kind: "refund", id: "re_1" } },
    });
  });

  it.each([
    ["301 s ago", () => signed(WEBHOOK_SECRET, SECONDS - 301)],
    ["with another secret", () => signed("whsec_other", SECONDS)],
    ["over another body", () => signed(WEBHOOK_SECRET, SECONDS, `${body} `)],
    ["not at all", () => undefined],
    ["with nothing", () => ""],
  ])("signed %s is refused", async (_what, header) => {
    expect(await payments().verifyWebhook(body, header())).toMatchObject({
      ok: false,
      error: { code: "signature_invalid" },
    });
  });

  it("that is no JSON is refused, although it is signed", async () => {
    const text = "{not json";
    expect(
      await payments().verifyWebhook(text, signed(WEBHOOK_SECRET, SECONDS, text)),
    ).toMatchObject({ ok: false, error: { code: "signature_invalid" } });
  });
});

describe("what Stripe fails with", () => {
  const calls = [
    ["ensureCustomer", () => payments().ensureCustomer({ accountId: "a", email: "e", name: "n" })],
    [
      "ensurePrice",
      () =>
        payments().ensurePrice({
          planPriceId: "p",
          planId: "l",
          planName: "n",
          amount: { minor: 1n, currency: "usd" },
          interval: "month",
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
    ["orderOfPayment", () => payments().orderOfPayment("pi_1")],
    ["fetchRefund", () => payments().fetchRefund("re_1")],
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
        await expect(call()).rejects.toBeInstanceOf(ProviderUnavailable);
      }
      answer(stripeError(401));
      await expect(call()).rejects.toBeInstanceOf(Stripe.errors.StripeAuthenticationError);
    },
  );
});
