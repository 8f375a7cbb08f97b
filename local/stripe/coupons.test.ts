import type { Stripe } from "stripe";
import { describe, expect, test } from "vitest";
import { aPaidSession, aSession, inProcess, ref, refusal, seconds } from "./harness.ts";

/* 6a 2: coupons and promotion codes on subscriptions. A month is 12.50 EUR. */

const totals = async (stripe: Stripe, subscription: string): Promise<number[]> =>
  (await stripe.invoices.list({ subscription })).data.map(({ total }) => total).toReversed();

describe("a coupon", () => {
  test.each([
    ["once", { duration: "once", percent_off: 20 }, [1000, 1250, 1250, 1250]],
    [
      "for some months",
      { duration: "repeating", duration_in_months: 2, percent_off: 20 },
      [1000, 1000, 1250, 1250],
    ],
    ["forever", { duration: "forever", percent_off: 20 }, [1000, 1000, 1000, 1000]],
    [
      "of an amount",
      { duration: "forever", amount_off: 300, currency: "eur" },
      [950, 950, 950, 950],
    ],
    [
      "of more than it costs",
      { duration: "once", amount_off: 9900, currency: "eur" },
      [0, 1250, 1250, 1250],
    ],
  ] satisfies [string, Stripe.CouponCreateParams, number[]][])(
    "counts %s",
    async (_name, params, expected) => {
      const harness = await inProcess();
      const { stripe, clock } = harness;
      const coupon = await stripe.coupons.create(params);
      const session = await aPaidSession(harness, undefined, {
        discounts: [{ coupon: coupon.id }],
      });
      expect(session).toMatchObject({
        amount_subtotal: 1250,
        amount_total: expected[0],
        total_details: { amount_discount: 1250 - (expected[0] ?? 0) },
      });
      const id = ref(session.subscription);
      for (let month = 0; month < 3; month += 1) clock.advanceDays(31);
      expect(await totals(stripe, id)).toEqual(expected);
      const [first] = (await stripe.invoices.list({ subscription: id })).data.toReversed();
      expect(first?.lines.data[0]).toMatchObject({
        amount: 1250,
        discount_amounts: [{ amount: 1250 - (expected[0] ?? 0) }],
      });
      expect((await stripe.coupons.retrieve(coupon.id)).times_redeemed).toBe(1);
    },
  );

  test("is redeemed by its code on a subscription, shown there with what it is, and taken off again", async () => {
    const harness = await inProcess();
    const { stripe, clock } = harness;
    const id = ref((await aPaidSession(harness)).subscription);
    const coupon = await stripe.coupons.create({ percent_off: 12.5, duration: "forever" });
    const code = await stripe.promotionCodes.create({
      code: "SPRING",
      promotion: { type: "coupon", coupon: coupon.id },
    });
    await stripe.subscriptions.update(id, { discounts: [{ promotion_code: code.id }] });
    const shown = await stripe.subscriptions.retrieve(id, { expand: ["discounts.source.coupon"] });
    expect(shown.discounts).toMatchObject([
      {
        object: "discount",
        promotion_code: code.id,
        start: seconds("2026-03-01T12:00:00Z"),
        source: { coupon: { id: coupon.id, percent_off: 12.5 } },
      },
    ]);
    clock.advanceDays(31);
    await stripe.subscriptions.update(id, { discounts: "" });
    clock.advanceDays(31);
    // 12.5 % of 1250 is 156.25.
    expect(await totals(stripe, id)).toEqual([1250, 1094, 1250]);
    expect((await stripe.promotionCodes.list({ code: "spring" })).data).toMatchObject([
      { id: code.id, times_redeemed: 1 },
    ]);
  });
});

describe("what is refused", () => {
  test.each([
    ["neither a percentage nor an amount", {}],
    ["both", { percent_off: 5, amount_off: 5, currency: "eur" }],
    ["an amount without a currency", { amount_off: 5 }],
    ["months without a repetition", { percent_off: 5, duration_in_months: 3 }],
    ["more than all", { percent_off: 101 }],
  ] satisfies [string, Stripe.CouponCreateParams][])("%s", async (_name, params) => {
    const { stripe } = await inProcess();
    expect(await refusal(stripe.coupons.create(params))).toMatchObject({ statusCode: 400 });
  });

  test("one of another currency, one that is used up, one that is over, and none", async () => {
    const { stripe } = await inProcess();
    const made = async (params: Stripe.CouponCreateParams) =>
      (await stripe.coupons.create({ percent_off: 5, duration: "once", ...params })).id;
    const coupons = [
      (await stripe.coupons.create({ amount_off: 5, currency: "usd", duration: "once" })).id,
      await made({ redeem_by: seconds("2026-03-01T11:00:00Z") }),
      "unknown",
    ];
    for (const coupon of coupons)
      expect(await refusal(aSession(stripe, { discounts: [{ coupon }] }))).toMatchObject({
        statusCode: 400,
      });
  });
});
