import type { Stripe } from "stripe";
import { currencyRefusal } from "./customer-currency.ts";
import { invalidRequest } from "./api-error.ts";
import { finalizeAndCollect } from "./collection.ts";
import { finalizeInvoice } from "./invoices.ts";
import { changedMetadata } from "./params.ts";
import { methodOf } from "./payment-methods.ts";
import { activePrice } from "./prices.ts";
import type { Sandbox } from "./sandbox.ts";
import { firstInvoice, putSubscription } from "./subscriptions.ts";

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
