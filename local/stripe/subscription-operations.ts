import type { Stripe } from "stripe";
import { invalidRequest, noSuchObject } from "./api-error.ts";
import { listOperation, operation } from "./operation.ts";
import {
  bool,
  choice,
  clearable,
  int,
  listOf,
  listParamsOf,
  metadata,
  paramsOf,
  text,
  tree,
} from "./params.ts";
import { discountsParam } from "./coupons.ts";
import { createSubscription } from "./create-subscription.ts";
import { idOrNull } from "./sandbox.ts";
import { endSubscription, isOver, SUBSCRIPTION_STATES } from "./subscription-states.ts";
import { updateSubscription } from "./update-subscription.ts";

const quantity = () => int({ min: 0, max: 999_999 }).optional();
const cancellationDetails = tree({
  comment: clearable(text()).optional(),
  feedback: clearable(text()).optional(),
});

export const subscriptionOperations = [
  operation({
    method: "POST",
    path: "/v1/subscriptions",
    returns: "subscription",
    params: paramsOf<Stripe.SubscriptionCreateParams>()({
      customer: text(),
      items: listOf(tree({ price: text(), quantity: quantity(), metadata: metadata().optional() })),
      default_payment_method: text().optional(),
      description: text(500).optional(),
      metadata: metadata().optional(),
      off_session: bool().optional(),
      payment_behavior: choice([
        "allow_incomplete",
        "default_incomplete",
        "error_if_incomplete",
      ]).optional(),
    }),
    run: ({ sandbox, params }) => createSubscription(sandbox, params),
  }),
  operation({
    method: "GET",
    path: "/v1/subscriptions/:id",
    returns: "subscription",
    params: paramsOf<Stripe.SubscriptionRetrieveParams>()({}),
    run: ({ sandbox, id }) => sandbox.find("subscription", id),
  }),
  operation({
    method: "POST",
    path: "/v1/subscriptions/:id",
    returns: "subscription",
    params: paramsOf<Stripe.SubscriptionUpdateParams>()({
      billing_cycle_anchor: tree({ type: choice(["now", "unchanged"]) }).optional(),
      cancel_at: clearable(int()).optional(),
      cancel_at_period_end: bool().optional(),
      cancellation_details: cancellationDetails.optional(),
      collection_method: choice(["charge_automatically", "send_invoice"]).optional(),
      days_until_due: int({ min: 0 }).optional(),
      default_payment_method: text().optional(),
      default_tax_rates: clearable(listOf(text())).optional(),
      discounts: clearable(discountsParam()).optional(),
      description: clearable(text(500)).optional(),
      items: listOf(
        tree({
          id: text().optional(),
          price: text().optional(),
          quantity: quantity(),
          deleted: bool().optional(),
          metadata: metadata().optional(),
        }),
      ).optional(),
      metadata: metadata().optional(),
      // Its other behaviours keep drafts and mark invoices uncollectible: nobody asks for them.
      pause_collection: clearable(tree({ behavior: choice(["void"]) })).optional(),
      payment_behavior: choice([
        "allow_incomplete",
        "error_if_incomplete",
        "pending_if_incomplete",
      ]).optional(),
      proration_behavior: choice(["create_prorations", "always_invoice", "none"]).optional(),
      proration_date: int().optional(),
    }),
    run: ({ sandbox, id, params }) => updateSubscription(sandbox, id, params),
  }),
  operation({
    method: "DELETE",
    path: "/v1/subscriptions/:id",
    returns: "subscription",
    params: paramsOf<Stripe.SubscriptionCancelParams>()({
      cancellation_details: cancellationDetails.optional(),
      invoice_now: bool().optional(),
      prorate: bool().optional(),
    }),
    run: ({ sandbox, id, params }) => {
      // Stripe answers 404 for a subscription that is already over.
      if (isOver(sandbox.find("subscription", id))) throw noSuchObject("subscription", id);
      if (params.invoice_now === true || params.prorate === true)
        throw invalidRequest("The local stand-in cancels without a final invoice or proration.");
      return endSubscription(sandbox, id, "cancellation_requested", params.cancellation_details);
    },
  }),
  listOperation({
    path: "/v1/subscriptions",
    of: "subscription",
    params: listParamsOf<Stripe.SubscriptionListParams>()({
      customer: text().optional(),
      price: text().optional(),
      status: choice([...SUBSCRIPTION_STATES, "all", "ended"]).optional(),
    }),
    keep: (params) => (subscription) =>
      (params.customer === undefined || idOrNull(subscription.customer) === params.customer) &&
      (params.price === undefined ||
        subscription.items.data.some((item) => item.price.id === params.price)) &&
      hasStatus(subscription, params.status),
  }),
];

/** Without a status, Stripe lists all that were not cancelled. */
function hasStatus(subscription: Stripe.Subscription, asked: string | undefined): boolean {
  if (asked === "all") return true;
  if (asked === "ended") return isOver(subscription);
  if (asked === undefined) return subscription.status !== "canceled";
  return subscription.status === asked;
}
