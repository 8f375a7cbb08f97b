import { Stripe } from "stripe";
import { beforeEach, describe, expect, it } from "vitest";
import { createStripePayments } from "#adapters/stripe.ts";
import { CustomerGone, ProviderUnavailable } from "#core/billing/payments.ts";
import {
  NOW,
  SECONDS,
  DAY,
  WEBHOOK_SECRET,
  asked,
  answer,
  forget,
  payments,
  stripeError,
  API_ERROR,
  list,
  aSubscription,
  anInvoice,
  aSession,
} from "#test/harness/answered-stripe.ts";

beforeEach(forget);

const PAYER = {
  accountId: "acc-1",
  currency: "eur",
  attempt: 2,
  email: "ada@example.com",
  name: "Ada",
} as const;

describe("the client", () => {
  it("speaks to Stripe, with the key and the pinned version", async () => {
    answer(anInvoice());
    await payments().fetchInvoice("in_1");
    const [call] = asked;
    expect(call?.headers.get("authorization")).toBe("Bearer sk_test_table");
    expect(call?.headers.get("stripe-version")).toBe(Stripe.API_VERSION);
    expect(call).toMatchObject({ method: "GET", path: "/v1/invoices/in_1" });
  });

  it("tells Stripe nothing of earlier calls", async () => {
    // The client reports on a call that Stripe gave an id.
    const told = { body: anInvoice(), headers: { "request-id": "req_1" } };
    answer(told, told);
    const one = payments();
    await one.fetchInvoice("in_1");
    await one.fetchInvoice("in_1");
    expect(asked[1]?.headers.has("x-stripe-client-telemetry")).toBe(false);
  });

  it("tries what got no answer twice more, under the key of the first time", async () => {
    const keys: (string | null)[] = [];
    const patient = createStripePayments({
      apiKey: "sk_test_table",
      webhookSecret: WEBHOOK_SECRET,
      now: () => NOW,
      fetchFn: async (input, init) => {
        keys.push(new Request(input, init).headers.get("idempotency-key"));
        throw new TypeError("fetch failed");
      },
    });
    await expect(patient.fetchInvoice("in_1")).rejects.toBeInstanceOf(ProviderUnavailable);
    await expect(patient.ensureCustomer(PAYER)).rejects.toBeInstanceOf(ProviderUnavailable);
    expect(keys).toEqual([null, null, null, ...Array(3).fill("customer-acc-1-eur-2")]);
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
    expect(urls).toEqual([expected]);
  });
});

describe("a customer", () => {
  it("is made once for an account, a currency and an attempt", async () => {
    answer({ id: "cus_1" });
    expect(await payments().ensureCustomer(PAYER)).toBe("cus_1");
    expect(asked).toMatchObject([
      {
        method: "POST",
        path: "/v1/customers",
        form: {
          email: "ada@example.com",
          name: "Ada",
          "metadata[account_id]": "acc-1",
          "metadata[currency]": "eur",
        },
        key: "customer-acc-1-eur-2",
      },
    ]);
  });

  it("after a 500 is looked for among those of the address, and only the account's own in its currency is taken", async () => {
    const others = [
      { id: "cus_0", metadata: {} },
      { id: "cus_1", metadata: { account_id: "acc-1", currency: "usd" } },
      { id: "cus_3", metadata: { account_id: "acc-2", currency: "eur" } },
      { id: "cus_2", metadata: { account_id: "acc-1", currency: "eur" } },
    ];
    answer(API_ERROR, list(...others));
    expect(await payments().ensureCustomer(PAYER)).toBe("cus_2");
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
    taxBehavior: null,
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
    forget();
    answer(list(), stripeError(401), list({ id: "price_4" }));
    await expect(payments().ensurePrice(price)).rejects.toBeInstanceOf(
      Stripe.errors.StripeAuthenticationError,
    );
    expect(asked).toHaveLength(2);
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

  it("is opened with everything that leads it back to its order, under a key of its end and its customer", async () => {
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
          "adaptive_pricing[enabled]": "false",
        },
        key: `checkout-order-1-${EXPIRES}-cus_1`,
      },
    ]);
  });

  it.each([
    [true, "always", "create_invoice"],
    [false, "if_required", "cancel"],
  ])(
    "begins with a trial, for which a card is asked for (%s)",
    async (asksForCard, cards, then) => {
      answer(aSession());
      await payments().createCheckout({ ...wanted, trial: { days: 7, asksForCard } });
      expect(asked).toMatchObject([
        {
          form: {
            payment_method_collection: cards,
            "subscription_data[metadata][order_id]": "order-1",
            "subscription_data[trial_period_days]": "7",
            "subscription_data[trial_settings][end_behavior][missing_payment_method]": then,
          },
        },
      ]);
    },
  );

  it("whose end is too near by now may be asked for again; any other refusal is a bug", async () => {
    answer(stripeError(400, { param: "expires_at" }));
    const tooLate = payments().createCheckout(wanted);
    await expect(tooLate).rejects.toBeInstanceOf(ProviderUnavailable);
    await expect(tooLate).rejects.toMatchObject({
      message: "Stripe: no",
      cause: { param: "expires_at" },
    });
    answer(stripeError(400, { param: "customer" }));
    await expect(payments().createCheckout(wanted)).rejects.toBeInstanceOf(
      Stripe.errors.StripeInvalidRequestError,
    );
    answer(aSession({ url: null }));
    await expect(payments().createCheckout(wanted)).rejects.toThrow("cs_1");
  });

  it("4b A5: tells that its customer was deleted, and not another thing that is missing", async () => {
    answer(stripeError(400, { code: "resource_missing", param: "customer" }));
    await expect(payments().createCheckout(wanted)).rejects.toBeInstanceOf(CustomerGone);
    answer(stripeError(400, { code: "resource_missing", param: "line_items[0][price]" }));
    await expect(payments().createCheckout(wanted)).rejects.toBeInstanceOf(
      Stripe.errors.StripeInvalidRequestError,
    );
  });

  it("is fetched with its invoice, and its subscription's latest invoice and payment method", async () => {
    answer(aSession({ status: "complete", payment_status: "paid", subscription: aSubscription() }));
    expect(await payments().fetchCheckout("cs_1")).toMatchObject({
      status: "complete",
      paid: true,
      subscription: { id: "sub_1", paidUntil: new Date((SECONDS + 30 * DAY) * 1000) },
    });
    expect(asked[0]?.query).toEqual({
      "expand[0]": "invoice",
      "expand[1]": "subscription.latest_invoice",
      "expand[2]": "subscription.default_payment_method",
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
    forget();
    answer(complete);
    expect((await payments().expireCheckout("cs_1")).status).toBe("complete");
    expect(asked).toHaveLength(1);
    answer(aSession(), stripeError(401, { type: "invalid_request_error" }));
    await expect(payments().expireCheckout("cs_1")).rejects.toBeInstanceOf(
      Stripe.errors.StripeAuthenticationError,
    );
  });
});
