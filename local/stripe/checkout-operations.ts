import type { Stripe } from "stripe";
import { invalidRequest, noSuchReference } from "./api-error.ts";
import { expireSession } from "./checkout-payment.ts";
import { createSession } from "./checkout-session.ts";
import { discountsParam } from "./coupons.ts";
import { listOperation, operation, pageOf } from "./operation.ts";
import {
  bool,
  changedMetadata,
  choice,
  int,
  listOf,
  listParamsOf,
  metadata,
  paramsOf,
  text,
  tree,
  url,
} from "./params.ts";
import { idOrNull } from "./sandbox.ts";

const priceData = tree({
  currency: text(3),
  product: text().optional(),
  product_data: tree({ name: text(), metadata: metadata().optional() }).optional(),
  recurring: tree({
    interval: choice(["day", "week", "month", "year"]),
    interval_count: int({ min: 1 }).optional(),
  }).optional(),
  unit_amount: int({ min: 0 }),
});

const createParams = paramsOf<Stripe.Checkout.SessionCreateParams>()({
  mode: choice(["payment", "setup", "subscription"]),
  /** Of mode `setup`, which sells nothing that would say it. */
  currency: text(3).optional(),
  line_items: listOf(
    tree({
      price: text().optional(),
      price_data: priceData.optional(),
      quantity: int({ min: 1, max: 999_999 }).optional(),
      metadata: metadata().optional(),
    }),
  ).optional(),
  discounts: discountsParam().optional(),
  customer: text().optional(),
  customer_email: text(800).optional(),
  customer_creation: choice(["always", "if_required"]).optional(),
  client_reference_id: text(200).optional(),
  success_url: url(),
  cancel_url: url().optional(),
  expires_at: int().optional(),
  adaptive_pricing: tree({ enabled: bool().optional() }).optional(),
  // Its pages take cards and nothing else.
  excluded_payment_method_types: listOf(text(40)).optional(),
  metadata: metadata().optional(),
  subscription_data: tree({
    metadata: metadata().optional(),
    description: text(500).optional(),
    trial_period_days: int({ min: 1, max: 730 }).optional(),
    // Another behaviour pauses it: nobody asks for that.
    trial_settings: tree({
      end_behavior: tree({ missing_payment_method: choice(["cancel", "create_invoice"]) }),
    }).optional(),
  }).optional(),
  payment_method_collection: choice(["always", "if_required"]).optional(),
  payment_intent_data: tree({
    metadata: metadata().optional(),
    description: text(1000).optional(),
    setup_future_usage: choice(["off_session", "on_session"]).optional(),
  }).optional(),
  setup_intent_data: tree({
    metadata: metadata().optional(),
    description: text(1000).optional(),
  }).optional(),
  invoice_creation: tree({ enabled: bool() }).optional(),
});

const lineItemsParams = listParamsOf<Stripe.Checkout.SessionListLineItemsParams>()({});

export const checkoutOperations = [
  operation({
    method: "POST",
    path: "/v1/checkout/sessions",
    returns: "checkout_session",
    params: createParams,
    run: ({ sandbox, params }) => createSession(sandbox, params),
  }),
  operation({
    method: "GET",
    path: "/v1/checkout/sessions/:id",
    returns: "checkout_session",
    params: paramsOf<Stripe.Checkout.SessionRetrieveParams>()({}),
    run: ({ sandbox, id }) => sandbox.find("checkout_session", id),
  }),
  operation({
    method: "POST",
    path: "/v1/checkout/sessions/:id",
    returns: "checkout_session",
    params: paramsOf<Stripe.Checkout.SessionUpdateParams>()({ metadata: metadata().optional() }),
    run: ({ sandbox, id, params }) => {
      const before = sandbox.find("checkout_session", id);
      return sandbox.change("checkout_session", id, {
        metadata: changedMetadata(before.metadata ?? {}, params.metadata),
      }).object;
    },
  }),
  operation({
    method: "POST",
    path: "/v1/checkout/sessions/:id/expire",
    returns: "checkout_session",
    params: paramsOf<Stripe.Checkout.SessionExpireParams>()({}),
    run: ({ sandbox, id }) => {
      const { status } = sandbox.find("checkout_session", id);
      if (status !== "open")
        throw invalidRequest(
          `Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a status of ${status}.`,
        );
      return expireSession(sandbox, id);
    },
  }),
  operation({
    method: "GET",
    path: "/v1/checkout/sessions/:id/line_items",
    returns: "checkout_session",
    params: lineItemsParams,
    run: ({ sandbox, id, params }) => {
      sandbox.find("checkout_session", id);
      const { lineItems } = sandbox.find("checkout_detail", id);
      const { data, hasMore } = pageOf(lineItems, params, (cursor, param) => {
        if (!lineItems.some((item) => item.id === cursor))
          throw noSuchReference("line_item", cursor, param);
      });
      const url = `/v1/checkout/sessions/${id}/line_items`;
      return { object: "list", data, has_more: hasMore, url };
    },
  }),
  listOperation({
    path: "/v1/checkout/sessions",
    of: "checkout_session",
    params: listParamsOf<Stripe.Checkout.SessionListParams>()({
      customer: text().optional(),
      payment_intent: text().optional(),
      subscription: text().optional(),
      status: choice(["open", "complete", "expired"]).optional(),
    }),
    keep: (params) => (session) =>
      (params.customer === undefined || idOrNull(session.customer) === params.customer) &&
      (params.payment_intent === undefined ||
        idOrNull(session.payment_intent) === params.payment_intent) &&
      (params.subscription === undefined ||
        idOrNull(session.subscription) === params.subscription) &&
      (params.status === undefined || session.status === params.status),
  }),
];
