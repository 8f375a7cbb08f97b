import type { Stripe } from "stripe";
import { onStep } from "./amounts.ts";
import { invalidRequest, noSuchReference } from "./api-error.ts";
import { listOperation, operation } from "./operation.ts";
import {
  bool,
  changedMetadata,
  choice,
  decimal,
  int,
  listOf,
  listParamsOf,
  metadata,
  paramsOf,
  text,
  tree,
} from "./params.ts";
import { idOf, idOrNull, type Sandbox } from "./sandbox.ts";
import type { DiscountAsked } from "./store.ts";

/** Coupons and promotion codes. What limits them to products, customers or first purchases is refused. */

const couponParams = paramsOf<Stripe.CouponCreateParams>()({
  id: text(200).optional(),
  amount_off: int({ min: 1 }).optional(),
  currency: text(3).optional(),
  duration: choice(["once", "repeating", "forever"]).optional(),
  duration_in_months: int({ min: 1, max: 120 }).optional(),
  max_redemptions: int({ min: 1 }).optional(),
  metadata: metadata().optional(),
  name: text(40).optional(),
  percent_off: decimal({ min: 0.0001, max: 100 }).optional(),
  redeem_by: int().optional(),
});

function createCoupon(
  sandbox: Sandbox,
  given: ReturnType<typeof couponParams.parse>,
): Stripe.Coupon {
  if ((given.percent_off === undefined) === (given.amount_off === undefined))
    throw invalidRequest("Must specify either `percent_off` or `amount_off`, but not both.");
  if (given.amount_off !== undefined && given.currency === undefined)
    throw invalidRequest("You must pass `currency` when passing `amount_off`.", {
      code: "parameter_missing",
      param: "currency",
    });
  const duration = given.duration ?? "once";
  if ((duration === "repeating") !== (given.duration_in_months !== undefined))
    throw invalidRequest(
      "You must pass `duration_in_months` when passing `duration=repeating`, and only then.",
      { param: "duration_in_months" },
    );
  const id = given.id ?? sandbox.ids.next("coupon");
  if (sandbox.store.get("coupon", id) !== undefined)
    throw invalidRequest(`Coupon already exists: ${id}`, { code: "resource_already_exists" });
  const coupon = sandbox.store.put("coupon", {
    id,
    object: "coupon",
    amount_off: given.amount_off ?? null,
    created: sandbox.now(),
    currency: given.currency?.toLowerCase() ?? null,
    duration,
    duration_in_months: given.duration_in_months ?? null,
    livemode: false,
    max_redemptions: given.max_redemptions ?? null,
    metadata: changedMetadata({}, given.metadata),
    name: given.name ?? null,
    percent_off: given.percent_off ?? null,
    redeem_by: given.redeem_by ?? null,
    times_redeemed: 0,
    valid: true,
  });
  sandbox.emit("coupon.created", coupon);
  return coupon;
}

export const couponOperations = [
  operation({
    method: "POST",
    path: "/v1/coupons",
    returns: "coupon",
    params: couponParams,
    run: ({ sandbox, params }) => createCoupon(sandbox, params),
  }),
  operation({
    method: "GET",
    path: "/v1/coupons/:id",
    returns: "coupon",
    params: paramsOf<Stripe.CouponRetrieveParams>()({}),
    run: ({ sandbox, id }) => sandbox.find("coupon", id),
  }),
  operation({
    method: "POST",
    path: "/v1/promotion_codes",
    returns: "promotion_code",
    params: paramsOf<Stripe.PromotionCodeCreateParams>()({
      active: bool().optional(),
      code: text(500).optional(),
      metadata: metadata().optional(),
      promotion: tree({ type: choice(["coupon"]), coupon: text() }),
    }),
    run: ({ sandbox, params }) => {
      const coupon = sandbox.refer("coupon", params.promotion.coupon, "promotion[coupon]");
      const id = sandbox.ids.next("promo");
      const code = params.code ?? id.slice(-8).toUpperCase();
      if (codeNamed(sandbox, code) !== undefined)
        throw invalidRequest("An active promotion code with this code already exists.", {
          param: "code",
        });
      const made = sandbox.store.put("promotion_code", {
        id,
        object: "promotion_code",
        active: params.active ?? true,
        code,
        created: sandbox.now(),
        customer: null,
        customer_account: null,
        expires_at: null,
        livemode: false,
        max_redemptions: null,
        metadata: changedMetadata({}, params.metadata),
        promotion: { type: "coupon", coupon: coupon.id },
        restrictions: {
          first_time_transaction: false,
          minimum_amount: null,
          minimum_amount_currency: null,
        },
        times_redeemed: 0,
      });
      sandbox.emit("promotion_code.created", made);
      return made;
    },
  }),
  listOperation({
    path: "/v1/promotion_codes",
    of: "promotion_code",
    params: listParamsOf<Stripe.PromotionCodeListParams>()({
      active: bool().optional(),
      code: text().optional(),
    }),
    keep: (params) => (each) =>
      (params.active === undefined || each.active === params.active) &&
      (params.code === undefined || each.code.toLowerCase() === params.code.toLowerCase()),
  }),
];

const codeNamed = (sandbox: Sandbox, code: string): Stripe.PromotionCode | undefined =>
  sandbox.store
    .all("promotion_code")
    .find((each) => each.active && each.code.toLowerCase() === code.toLowerCase());

export const discountsParam = () =>
  listOf(
    tree({
      coupon: text().optional(),
      discount: text().optional(),
      promotion_code: text().optional(),
    }),
  );

/** The coupon that each asks for, checked: none is redeemed yet. */
export function couponsAsked(
  sandbox: Sandbox,
  asked: readonly DiscountAsked[],
  currency: string,
): { coupon: Stripe.Coupon; promotionCode: string | null; kept: string | null }[] {
  return asked.map((each, index) => {
    const param = `discounts[${index}]`;
    if (Object.values(each).filter((value) => value !== undefined).length !== 1)
      throw invalidRequest(
        `You must specify exactly one of \`coupon\`, \`discount\` or \`promotion_code\` for ${param}.`,
        { param },
      );
    if (each.discount !== undefined) {
      const { id, source } = sandbox.refer("discount", each.discount, `${param}[discount]`);
      const coupon = sandbox.find("coupon", idOf(source.coupon ?? ""));
      return { coupon, promotionCode: null, kept: id };
    }
    const code =
      each.promotion_code === undefined
        ? null
        : sandbox.refer("promotion_code", each.promotion_code, `${param}[promotion_code]`);
    if (code?.active === false)
      throw invalidRequest("This promotion code is not active.", {
        param: `${param}[promotion_code]`,
      });
    const id = each.coupon ?? idOrNull(code?.promotion.coupon ?? null) ?? "";
    const coupon = sandbox.store.get("coupon", id);
    if (coupon === undefined) throw noSuchReference("coupon", id, `${param}[coupon]`);
    if (coupon.redeem_by !== null && coupon.redeem_by <= sandbox.now())
      throw invalidRequest(`Coupon expired: ${id}`, { code: "coupon_expired", param });
    if (coupon.max_redemptions !== null && coupon.times_redeemed >= coupon.max_redemptions)
      throw invalidRequest(`Coupon ${id} is used up.`, { code: "coupon_expired", param });
    if (coupon.currency !== null && coupon.currency !== currency)
      throw invalidRequest(`The coupon ${id} is in ${coupon.currency}, not in ${currency}.`, {
        param,
      });
    return { coupon, promotionCode: code?.id ?? null, kept: null };
  });
}

/** Redeems what was asked for on the subscription. Returns the ids of its discounts. */
export function redeem(
  sandbox: Sandbox,
  asked: ReturnType<typeof couponsAsked>,
  on: { customer: string; subscription: string },
): string[] {
  return asked.map(({ coupon, promotionCode, kept }) => {
    if (kept !== null) return kept;
    sandbox.change("coupon", coupon.id, { times_redeemed: coupon.times_redeemed + 1 });
    if (promotionCode !== null) {
      const { times_redeemed: times } = sandbox.find("promotion_code", promotionCode);
      sandbox.change("promotion_code", promotionCode, { times_redeemed: times + 1 });
    }
    const start = sandbox.now();
    return sandbox.store.put("discount", {
      id: sandbox.ids.next("di"),
      object: "discount",
      checkout_session: null,
      customer: on.customer,
      customer_account: null,
      end:
        coupon.duration_in_months === null ? null : monthsAfter(start, coupon.duration_in_months),
      invoice: null,
      invoice_item: null,
      promotion_code: promotionCode,
      source: { coupon: coupon.id, type: "coupon" },
      start,
      subscription: on.subscription,
      subscription_item: null,
    }).id;
  });
}

function monthsAfter(start: number, months: number): number {
  const end = new Date(start * 1000);
  end.setUTCMonth(end.getUTCMonth() + months);
  return Math.floor(end.getTime() / 1000);
}

/** A discount that counts now, with its coupon. */
export type ActiveDiscount = Readonly<{ id: string; coupon: Stripe.Coupon }>;

/** Those of the subscription that are not over. */
export const activeDiscounts = (
  sandbox: Sandbox,
  subscription: Stripe.Subscription,
): ActiveDiscount[] =>
  subscription.discounts.flatMap((reference) => {
    const { id, end, source } = sandbox.find("discount", idOf(reference));
    if (end !== null && end <= sandbox.now()) return [];
    return [{ id, coupon: sandbox.find("coupon", idOf(source.coupon ?? "")) }];
  });

/**
 * What each discount takes off an amount, one after the other: never more than there is. `taken`: what a coupon of an amount took
 * off other lines of the same invoice already, which is added to.
 */
export function discountAmounts(
  amount: number,
  currency: string,
  discounts: readonly ActiveDiscount[],
  taken = new Map<string, number>(),
): { discount: string; amount: number }[] {
  let left = amount;
  return discounts.map(({ id, coupon }) => {
    const before = taken.get(id) ?? 0;
    const off =
      coupon.percent_off === null
        ? Math.min(left, (coupon.amount_off ?? 0) - before)
        : onStep((left * coupon.percent_off) / 100, currency);
    taken.set(id, before + off);
    left -= off;
    return { discount: id, amount: off };
  });
}

/** A coupon that counts once is used up by the invoice that was just made. */
export function dropUsedDiscounts(sandbox: Sandbox, subscriptionId: string): void {
  const subscription = sandbox.find("subscription", subscriptionId);
  const stays = subscription.discounts.filter((reference) => {
    const { source, end } = sandbox.find("discount", idOf(reference));
    const over = end !== null && end <= sandbox.now();
    return !over && sandbox.find("coupon", idOf(source.coupon ?? "")).duration !== "once";
  });
  if (stays.length < subscription.discounts.length)
    sandbox.change("subscription", subscriptionId, { discounts: stays });
}
