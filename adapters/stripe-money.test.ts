import { Stripe } from "stripe";
import { beforeEach, describe, expect, it } from "vitest";
import {
  SECONDS,
  DAY,
  asked,
  answer,
  forget,
  payments,
  stripeError,
  API_ERROR,
  list,
  aSubscription,
  anInvoice,
  aRefund,
} from "#test/harness/answered-stripe.ts";

beforeEach(forget);

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

  it("6a 2: whose newest invoices are prorations is paid to the end of the renewal before them", async () => {
    const line = (proration: boolean, end: number) => ({
      amount: 1,
      parent: { type: "subscription_item_details", subscription_item_details: { proration } },
      period: { end },
    });
    const ofLine = (each: object) => anInvoice({ lines: { data: [each] } });
    const prorations = ofLine(line(true, SECONDS + 9 * DAY));
    const page = (has_more: boolean, ...data: object[]) => ({ ...list(...data), has_more });
    answer(
      aSubscription({ latest_invoice: prorations }),
      page(true, prorations, prorations),
      page(false, prorations, ofLine(line(false, SECONDS - 2 * DAY)), ofLine(line(false, SECONDS))),
    );
    expect((await payments().fetchSubscription("sub_1")).paidUntil).toEqual(
      new Date((SECONDS - 2 * DAY) * 1000),
    );
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
      key: "cancel-sub_1",
    });
  });

  // 5.1
  it("is billed no more from a day on, and again from another, each under a key of its own", async () => {
    const since = new Date((SECONDS + DAY) * 1000);
    answer(aSubscription(), aSubscription(), aSubscription());
    await payments().pauseCollection("sub_1", since);
    expect(asked[1]).toMatchObject({
      method: "POST",
      path: "/v1/subscriptions/sub_1",
      form: { "pause_collection[behavior]": "void" },
      key: `pause-sub_1-${SECONDS + DAY}`,
    });
    asked.length = 0;
    answer(aSubscription(), aSubscription(), aSubscription());
    await payments().resumeCollection("sub_1", { since, anew: false });
    expect(asked[1]).toMatchObject({
      form: { pause_collection: "" },
      key: `resume-sub_1-${SECONDS + DAY}`,
    });
    asked.length = 0;
    answer(aSubscription(), aSubscription(), aSubscription());
    await payments().resumeCollection("sub_1", { since, anew: true });
    expect(asked[1]).toMatchObject({
      form: {
        pause_collection: "",
        "billing_cycle_anchor[type]": "now",
        proration_behavior: "none",
      },
      key: `resume-anew-sub_1-${SECONDS + DAY}`,
    });
  });

  it("that has ended is neither paused nor resumed", async () => {
    answer(aSubscription({ status: "canceled" }), aSubscription({ status: "canceled" }));
    await payments().pauseCollection("sub_1", new Date());
    await payments().resumeCollection("sub_1", { since: new Date(), anew: true });
    expect(asked.map(({ method }) => method)).toEqual(["GET", "GET"]);
  });

  it("that has ended since it was looked at is left as it is: neither paused, nor resumed, nor given an end", async () => {
    const canceled = aSubscription({ status: "canceled", ended_at: SECONDS, cancel_at: null });
    const refused = stripeError(400, { code: "invalid_canceled_subscription_fields" });
    answer(aSubscription(), refused, canceled);
    expect((await payments().pauseCollection("sub_1", new Date())).status).toBe("canceled");
    answer(aSubscription(), refused, canceled);
    const resume = { since: new Date(), anew: true };
    expect((await payments().resumeCollection("sub_1", resume)).status).toBe("canceled");
    answer(aSubscription({ ended_at: null }), refused, canceled);
    const end = { ends: true, saidAt: new Date() };
    expect((await payments().endWithPeriod("sub_1", end)).cancelAt).toEqual(
      new Date(SECONDS * 1000),
    );
    answer(aSubscription(), stripeError(400));
    await expect(payments().pauseCollection("sub_1", new Date())).rejects.toBeInstanceOf(
      Stripe.errors.StripeInvalidRequestError,
    );
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
    answer(aSubscription(), stripeError(401), aSubscription({ status: "canceled" }));
    await expect(payments().cancelSubscription("sub_1")).rejects.toBeInstanceOf(
      Stripe.errors.StripeAuthenticationError,
    );
  });
});

describe("a refund", () => {
  const wanted = { orderId: "order-1", invoiceId: "in_1" };
  const paidBy = (payment_intent: unknown) =>
    anInvoice({
      payments: {
        data: [
          { payment: {} },
          { payment: { payment_intent: null } },
          { payment: { payment_intent } },
        ],
      },
    });

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
    for (const invoice of [paidBy(null), paidBy(undefined), anInvoice()]) {
      answer(invoice);
      await expect(payments().refundInvoice(wanted)).rejects.toThrow("in_1");
    }
  });

  it("4b A5: of an invoice that a discount paid gives nothing back, and that is that", async () => {
    answer(anInvoice({ total: 0, amount_paid: 0 }));
    expect(await payments().refundInvoice(wanted)).toEqual({
      fromCredit: 0n,
      id: "in_1",
      orderId: "order-1",
      paymentId: null,
      amount: null,
      status: "succeeded",
    });
    expect(asked).toHaveLength(1);
    // Paid by the customer's balance: that is owed, and nobody may take it for given back.
    answer(anInvoice({ amount_paid: 0 }));
    await expect(payments().refundInvoice(wanted)).rejects.toThrow("in_1");
  });

  it.each(["succeeded", "pending"])(
    "that is there and %s is told, not made again",
    async (status) => {
      // Long ago, as one that failed would have to be to be made anew.
      const made = aRefund({ status, created: SECONDS - 9 * DAY });
      answer(paidBy({ id: "pi_1" }), list(made));
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

  it("that failed a day ago to the millisecond is made anew", async () => {
    const failed = aRefund({ id: "re_f", status: "failed", created: SECONDS - DAY });
    answer(paidBy("pi_1"), list(failed), aRefund({ id: "re_new" }));
    const then = payments({ now: () => new Date(SECONDS * 1000) });
    expect((await then.refundInvoice(wanted)).id).toBe("re_new");
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
    expect((await payments().paidWith("pi_1")).orderId).toBe("order-1");
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

  it("is the one that its page names, where it paid no invoice", async () => {
    const page = { id: "cs_1", object: "checkout.session" };
    answer(list(), list({ ...page, metadata: { paid_for_order_id: "order-1" } }));
    expect((await payments().paidWith("pi_1")).orderId).toBe("order-1");
    expect(asked.at(-1)?.query).toMatchObject({ payment_intent: "pi_1" });
    answer(list(), list({ ...page, metadata: { order_id: "order-1" } }));
    expect((await payments().paidWith("pi_1")).orderId).toBeNull();
    answer(list(), list());
    expect((await payments().paidWith("pi_2")).orderId).toBeNull();
  });

  it("is none where no invoice of ours was paid", async () => {
    const none = [list({ invoice: "in_1" }), list({ invoice: { id: "in_1", deleted: true } })];
    for (const paid of [...none, list({ invoice: anInvoice({ parent: null }) })]) {
      answer(paid);
      expect((await payments().paidWith("pi_1")).orderId).toBeNull();
    }
  });
});
