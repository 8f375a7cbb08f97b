import type { Stripe } from "stripe";
import { currencyRefusal } from "./customer-currency.ts";
import { ApiError, invalidRequest } from "./api-error.ts";
import { finalizeAndCollect, methodToCharge, settle } from "./collection.ts";
import { composeInvoice } from "./create-invoice.ts";
import { duesOf, finalizeInvoice } from "./invoices.ts";
import { changedMetadata } from "./params.ts";
import { methodOf, testCardOf } from "./payment-methods.ts";
import { cardError, charge, createPaymentIntent } from "./payments.ts";
import { activePrice } from "./prices.ts";
import { idOf, type Sandbox } from "./sandbox.ts";
import { firstInvoice, firstInvoiceDraft, putSubscription } from "./subscriptions.ts";

/** Starts a subscription through the API. A first payment that fails leaves it `incomplete`, or leaves nothing, as the call says. */
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
    off_session?: boolean | undefined;
    payment_behavior?: string | undefined;
  },
): Stripe.Subscription {
  const customer = sandbox.refer("customer", params.customer, "customer");
  const method = params.default_payment_method ?? null;
  if (method !== null) methodOf(sandbox, method, customer.id, "default_payment_method");
  const behavior = params.payment_behavior ?? "allow_incomplete";
  const canPay = method !== null || customer.invoice_settings.default_payment_method !== null;
  if (!canPay && behavior !== "default_incomplete") throw nothingToCharge();
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
    status: behavior === "error_if_incomplete" ? "active" : "incomplete",
  });
  if (behavior === "error_if_incomplete") return paidAtOnce(sandbox, subscription);
  const invoice = firstInvoice(sandbox, subscription, []);
  sandbox.emit("customer.subscription.created", sandbox.find("subscription", subscription.id));
  if (behavior === "default_incomplete") {
    finalizeInvoice(sandbox, invoice.id, null);
    return sandbox.find("subscription", subscription.id);
  }
  finalizeAndCollect(sandbox, invoice.id);
  return sandbox.find("subscription", subscription.id);
}

const nothingToCharge = () =>
  invalidRequest(
    "This customer has no attached payment source or default payment method. Please consider adding a default payment method.",
    { code: "resource_missing" },
  );

/** The subscription with its first invoice paid; where that cannot be paid now there is none, and the call is refused. */
function paidAtOnce(sandbox: Sandbox, subscription: Stripe.Subscription): Stripe.Subscription {
  const { id, currency } = subscription;
  const customer = sandbox.find("customer", idOf(subscription.customer));
  const draft = firstInvoiceDraft(sandbox, subscription, []);
  const { total } = composeInvoice(sandbox, draft, { id: "", newLineId: () => "" }).invoice;
  const { due } = duesOf(total, customer.balance, currency);
  const intent = due === 0 ? null : paidIntent(sandbox, subscription, customer.id, due);
  const invoice = firstInvoice(sandbox, subscription, []);
  finalizeInvoice(sandbox, invoice.id, intent, { takesBalance: true });
  sandbox.emit("customer.subscription.created", sandbox.find("subscription", id));
  settle(sandbox, invoice.id);
  return sandbox.find("subscription", id);
}

function paidIntent(
  sandbox: Sandbox,
  { id, currency }: Stripe.Subscription,
  customer: string,
  amount: number,
): string {
  const method = methodToCharge(sandbox, customer, id);
  if (method === null) {
    sandbox.store.remove("subscription", id);
    throw nothingToCharge();
  }
  if (testCardOf(sandbox, method).alwaysAuthenticates) {
    sandbox.store.remove("subscription", id);
    // What the SDK makes a `StripeCardError` of (https://docs.stripe.com/error-codes#subscription-payment-intent-requires-action).
    throw new ApiError(402, {
      type: "card_error",
      code: "subscription_payment_intent_requires_action",
      message:
        "Payment for this subscription requires additional user action before it can be completed successfully. " +
        "Payment can be completed using the PaymentIntent associated with `subscription.latest_invoice`.",
    });
  }
  const intent = createPaymentIntent(sandbox, {
    amount,
    currency,
    customer,
    description: "Subscription creation",
    metadata: {},
    setupFutureUsage: "off_session",
  });
  const outcome = charge(sandbox, intent.id, method, true);
  if (outcome.ok) return intent.id;
  sandbox.store.remove("subscription", id);
  throw cardError(outcome);
}
