import type { Stripe } from "stripe";
import { currencyRefusal } from "./customer-currency.ts";
import { invalidRequest } from "./api-error.ts";
import { finalizeAndCollect } from "./collection.ts";
import { finalizeInvoice } from "./invoices.ts";
import { changedMetadata } from "./params.ts";
import { methodOf } from "./payment-methods.ts";
import { activePrice } from "./prices.ts";
import { idOf, type Sandbox } from "./sandbox.ts";
import { changeItems, type ItemChange } from "./subscription-items.ts";
import { isOver } from "./subscription-states.ts";
import { beginCycle, firstInvoice, periodEndOf, putSubscription } from "./subscriptions.ts";

/** Starts a subscription through the API. A first payment that fails leaves it `incomplete`. */
export function createSubscription(
  sandbox: Sandbox,
  params: {
    customer: string;
    items: {
      price: string;
      quantity?: number | undefined;
      metadata?: Record<string, string> | null | undefined;
    }[];
    default_payment_method?: string | undefined;
    description?: string | undefined;
    metadata?: Record<string, string> | null | undefined;
    payment_behavior?: string | undefined;
  },
): Stripe.Subscription {
  const customer = sandbox.refer("customer", params.customer, "customer");
  const method = params.default_payment_method ?? null;
  if (method !== null) methodOf(sandbox, method, customer.id, "default_payment_method");
  const behavior = params.payment_behavior ?? "allow_incomplete";
  const canPay = method !== null || customer.invoice_settings.default_payment_method !== null;
  if (!canPay && behavior !== "default_incomplete")
    throw invalidRequest(
      "This customer has no attached payment source or default payment method. Please consider adding a default payment method.",
      { code: "resource_missing" },
    );
  const items = params.items.map((item, index) => {
    const price = activePrice(sandbox, item.price, `items[${index}][price]`);
    if (price.type !== "recurring")
      throw invalidRequest(
        `The price specified is set to \`type=one_time\` but this field only accepts prices with \`type=recurring\`.`,
        { param: `items[${index}][price]` },
      );
    return { price, quantity: item.quantity ?? 1, metadata: changedMetadata({}, item.metadata) };
  });
  const currency = items[0]?.price.currency;
  if (currency === undefined)
    throw invalidRequest("Missing required param: items.", {
      code: "parameter_missing",
      param: "items",
    });
  const refused = currencyRefusal(sandbox, customer.id, currency);
  if (refused !== null) throw invalidRequest(refused);
  const subscription = putSubscription(sandbox, {
    customer: customer.id,
    currency,
    items,
    defaultPaymentMethod: method,
    metadata: changedMetadata({}, params.metadata),
    description: params.description ?? null,
    status: "incomplete",
  });
  const invoice = firstInvoice(sandbox, subscription, []);
  sandbox.emit("customer.subscription.created", sandbox.find("subscription", subscription.id));
  if (behavior === "default_incomplete") {
    finalizeInvoice(sandbox, invoice.id, null);
    return sandbox.find("subscription", subscription.id);
  }
  finalizeAndCollect(sandbox, invoice.id);
  return sandbox.find("subscription", subscription.id);
}

type SubscriptionUpdate = {
  billing_cycle_anchor?: { type: "now" | "unchanged" } | undefined;
  cancel_at?: number | null | undefined;
  cancel_at_period_end?: boolean | undefined;
  cancellation_details?:
    | { comment?: string | null | undefined; feedback?: string | null | undefined }
    | undefined;
  default_payment_method?: string | undefined;
  description?: string | null | undefined;
  items?: ItemChange[] | undefined;
  metadata?: Record<string, string> | null | undefined;
  pause_collection?: { behavior: "void" } | null | undefined;
  payment_behavior?: string | undefined;
  proration_behavior?: "create_prorations" | "always_invoice" | "none" | undefined;
  proration_date?: number | undefined;
};

export function updateSubscription(
  sandbox: Sandbox,
  id: string,
  params: SubscriptionUpdate,
): Stripe.Subscription {
  const before = sandbox.find("subscription", id);
  const { metadata: _m, cancellation_details: _d, ...rest } = params;
  const asked = Object.entries(rest).filter(
    ([name, value]) => name !== "expand" && value !== undefined,
  );
  if (isOver(before) && asked.length > 0)
    throw invalidRequest(
      "A canceled subscription can only update its cancellation_details and metadata.",
      { code: "invalid_canceled_subscription_fields" },
    );
  if (params.default_payment_method !== undefined)
    methodOf(
      sandbox,
      params.default_payment_method,
      idOf(before.customer),
      "default_payment_method",
    );
  if (
    params.cancel_at !== undefined &&
    params.cancel_at !== null &&
    params.cancel_at <= sandbox.now()
  )
    throw invalidRequest("`cancel_at` must be in the future.", { param: "cancel_at" });
  if (params.billing_cycle_anchor?.type === "now" && params.proration_behavior !== "none")
    throw invalidRequest("The local stand-in begins a new cycle without prorations only.", {
      param: "proration_behavior",
    });
  // Items first: a declined proration refuses the whole call.
  const previousItems =
    params.items === undefined ? {} : changeItems(sandbox, id, params.items, params);
  const { object, previous } = sandbox.change("subscription", id, {
    ...cancellationPatch(sandbox, sandbox.find("subscription", id), params),
    ...(params.default_payment_method === undefined
      ? {}
      : { default_payment_method: params.default_payment_method }),
    ...(params.description === undefined ? {} : { description: params.description }),
    ...(params.pause_collection === undefined
      ? {}
      : {
          pause_collection: params.pause_collection && {
            ...params.pause_collection,
            resumes_at: null,
          },
        }),
    metadata: changedMetadata(before.metadata, params.metadata),
  });
  const told = { ...previous, ...previousItems };
  if (Object.keys(told).length > 0) sandbox.emit("customer.subscription.updated", object, told);
  if (params.billing_cycle_anchor?.type !== "now") return object;
  // A period begins, and is charged at once.
  finalizeAndCollect(sandbox, beginCycle(sandbox, id).id);
  return sandbox.find("subscription", id);
}

/** A planned end, by date or by period, with the reason that Stripe notes; or its withdrawal. */
function cancellationPatch(
  sandbox: Sandbox,
  before: Stripe.Subscription,
  params: SubscriptionUpdate,
): Partial<Stripe.Subscription> {
  if (params.cancel_at !== undefined && params.cancel_at_period_end !== undefined)
    throw invalidRequest(
      "You may only specify one of these parameters: cancel_at, cancel_at_period_end.",
    );
  const details = {
    comment: params.cancellation_details?.comment ?? before.cancellation_details?.comment ?? null,
    feedback:
      params.cancellation_details?.feedback ?? before.cancellation_details?.feedback ?? null,
    feedback_option: null,
  };
  const planned =
    params.cancel_at_period_end === true ? periodEndOf(before) : (params.cancel_at ?? null);
  if (params.cancel_at === undefined && params.cancel_at_period_end === undefined)
    return params.cancellation_details === undefined
      ? {}
      : {
          cancellation_details: { ...details, reason: before.cancellation_details?.reason ?? null },
        };
  return {
    cancel_at: planned,
    cancel_at_period_end: params.cancel_at_period_end ?? false,
    canceled_at: planned === null ? null : sandbox.now(),
    cancellation_details: {
      ...details,
      reason: planned === null ? null : "cancellation_requested",
    },
  };
}
