import type { Stripe } from "stripe";
import { invalidRequest } from "./api-error.ts";
import { lineItemsOf, type LineItemDraft } from "./checkout-line-items.ts";
import { couponsAsked, discountAmounts } from "./coupons.ts";
import { currencyRefusal } from "./customer-currency.ts";
import { sumOf } from "./invoice-lines.ts";
import { changedMetadata } from "./params.ts";
import type { Sandbox } from "./sandbox.ts";
import { createSetupIntent } from "./setup-session.ts";
import type { DiscountAsked, Trial } from "./store.ts";

const HALF_HOUR = 1800;
const DAY = 86_400;

type MetadataParam = Record<string, string> | null | undefined;
export type SessionDraft = {
  mode: "payment" | "setup" | "subscription";
  currency?: string | undefined;
  line_items?: LineItemDraft[] | undefined;
  discounts?: DiscountAsked[] | undefined;
  customer?: string | undefined;
  customer_email?: string | undefined;
  customer_creation?: "always" | "if_required" | undefined;
  client_reference_id?: string | undefined;
  success_url: string;
  cancel_url?: string | undefined;
  expires_at?: number | undefined;
  adaptive_pricing?: { enabled?: boolean | undefined } | undefined;
  metadata?: MetadataParam;
  subscription_data?:
    | {
        metadata?: MetadataParam;
        description?: string | undefined;
        trial_period_days?: number | undefined;
        trial_settings?:
          | { end_behavior: { missing_payment_method: Trial["ifNoMethod"] } }
          | undefined;
      }
    | undefined;
  payment_method_collection?: "always" | "if_required" | undefined;
  payment_intent_data?:
    | {
        metadata?: MetadataParam;
        description?: string | undefined;
        setup_future_usage?: "off_session" | "on_session" | undefined;
      }
    | undefined;
  setup_intent_data?: { metadata?: MetadataParam; description?: string | undefined } | undefined;
  invoice_creation?: { enabled: boolean } | undefined;
};

export function createSession(sandbox: Sandbox, draft: SessionDraft): Stripe.Checkout.Session {
  checkParties(sandbox, draft);
  const expiresAt = expiryOf(sandbox, draft.expires_at);
  const { lineItems, discounts } = itemsWithDiscounts(sandbox, draft);
  const subtotal = lineItems.reduce((sum, item) => sum + item.amount_subtotal, 0);
  const total = lineItems.reduce((sum, item) => sum + item.amount_total, 0);
  const currency = lineItems[0]?.currency ?? draft.currency ?? "usd";
  const refused =
    draft.customer === undefined || draft.mode !== "subscription"
      ? null
      : currencyRefusal(sandbox, draft.customer, currency);
  if (refused !== null) throw invalidRequest(refused);
  const id = sandbox.ids.next("cs_test");
  sandbox.store.put("checkout_detail", {
    id,
    lineItems,
    discounts: draft.discounts ?? [],
    subscription: {
      metadata: changedMetadata({}, draft.subscription_data?.metadata),
      description: draft.subscription_data?.description ?? null,
      ...trialOf(draft),
    },
    payment: {
      metadata: changedMetadata({}, draft.payment_intent_data?.metadata),
      description: draft.payment_intent_data?.description ?? null,
      setupFutureUsage: draft.payment_intent_data?.setup_future_usage ?? null,
    },
    paymentIntent: null,
    authenticating: null,
  });
  const session = blankSession(sandbox, id, draft, expiresAt);
  if (draft.mode === "setup")
    return sandbox.store.put("checkout_session", {
      ...session,
      currency,
      payment_status: "no_payment_required",
      setup_intent: createSetupIntent(sandbox, {
        customer: draft.customer ?? null,
        description: draft.setup_intent_data?.description ?? null,
        metadata: changedMetadata({}, draft.setup_intent_data?.metadata),
      }).id,
    });
  return sandbox.store.put("checkout_session", {
    ...session,
    amount_subtotal: subtotal,
    amount_total: total,
    currency,
    discounts,
    total_details: { amount_discount: subtotal - total, amount_shipping: 0, amount_tax: 0 },
  });
}

/** The line items, with what coupons take off their first invoice. */
function itemsWithDiscounts(
  sandbox: Sandbox,
  draft: SessionDraft,
): { lineItems: Stripe.LineItem[]; discounts: Stripe.Checkout.Session.Discount[] } {
  if (draft.mode === "setup") return { lineItems: [], discounts: [] };
  if (draft.line_items === undefined)
    throw invalidRequest(`You must pass \`line_items\` in \`${draft.mode}\` mode.`, {
      code: "parameter_missing",
      param: "line_items",
    });
  const priced = lineItemsOf(sandbox, draft.line_items, draft.mode);
  // What recurs costs nothing at the begin of a trial (https://docs.stripe.com/payments/checkout/free-trials).
  const items =
    draft.subscription_data?.trial_period_days === undefined ? priced : priced.map(free);
  if (draft.discounts === undefined) return { lineItems: items, discounts: [] };
  if (draft.mode === "payment")
    throw invalidRequest("The local stand-in redeems coupons on subscriptions only.", {
      param: "discounts",
    });
  const asked = couponsAsked(sandbox, draft.discounts, items[0]?.currency ?? "usd");
  const counted = asked.map(({ coupon }) => ({ id: coupon.id, coupon }));
  const taken = new Map<string, number>();
  const lineItems = items.map((item) => {
    const off = sumOf(discountAmounts(item.amount_subtotal, item.currency, counted, taken));
    return { ...item, amount_discount: off, amount_total: item.amount_subtotal - off };
  });
  const discounts = asked.map(({ coupon, promotionCode }) => ({
    coupon: promotionCode === null ? coupon.id : null,
    promotion_code: promotionCode,
  }));
  return { lineItems, discounts };
}

function trialOf({ subscription_data: data }: SessionDraft): { trial?: Trial } {
  if (data?.trial_period_days === undefined) return {};
  const ifNoMethod = data.trial_settings?.end_behavior.missing_payment_method ?? "create_invoice";
  return { trial: { days: data.trial_period_days, ifNoMethod } };
}

const free = (item: Stripe.LineItem): Stripe.LineItem =>
  item.price?.type === "recurring" ? { ...item, amount_subtotal: 0, amount_total: 0 } : item;

function checkParties(sandbox: Sandbox, draft: SessionDraft): void {
  if (draft.customer !== undefined && draft.customer_email !== undefined)
    throw invalidRequest("You may only specify one of these parameters: customer, customer_email.");
  if (draft.customer !== undefined) {
    sandbox.refer("customer", draft.customer, "customer");
    if (draft.customer_creation !== undefined)
      throw invalidRequest(
        "You may only specify one of these parameters: customer, customer_creation.",
      );
  }
  // It sells nothing that would say it (https://docs.stripe.com/api/checkout/sessions/create#create_checkout_session-currency).
  if (draft.mode === "setup" && draft.currency === undefined)
    throw invalidRequest("Missing required param: currency.", {
      code: "parameter_missing",
      param: "currency",
    });
  const ofPayment = {
    payment_intent_data: draft.payment_intent_data,
    customer_creation: draft.customer_creation,
    invoice_creation: draft.invoice_creation,
  };
  const ofSubscription = {
    subscription_data: draft.subscription_data,
    payment_method_collection: draft.payment_method_collection,
  };
  const ofSetup = { setup_intent_data: draft.setup_intent_data };
  const wrong = {
    payment: { ...ofSubscription, ...ofSetup },
    subscription: { ...ofPayment, ...ofSetup },
    setup: {
      ...ofPayment,
      ...ofSubscription,
      line_items: draft.line_items,
      discounts: draft.discounts,
      adaptive_pricing: draft.adaptive_pricing,
    },
  }[draft.mode];
  for (const [param, value] of Object.entries(wrong))
    if (value !== undefined)
      throw invalidRequest(`You can not pass \`${param}\` in \`${draft.mode}\` mode.`, { param });
}

function expiryOf(sandbox: Sandbox, asked: number | undefined): number {
  const now = sandbox.now();
  if (asked === undefined) return now + DAY;
  if (asked < now + HALF_HOUR)
    throw invalidRequest(
      "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation.",
      { param: "expires_at" },
    );
  if (asked > now + DAY)
    throw invalidRequest(
      "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.",
      { param: "expires_at" },
    );
  return asked;
}

function blankSession(
  sandbox: Sandbox,
  id: string,
  draft: SessionDraft,
  expiresAt: number,
): Stripe.Checkout.Session {
  const customer =
    draft.customer === undefined ? undefined : sandbox.find("customer", draft.customer);
  return {
    id,
    object: "checkout.session",
    // On unless it is switched off, as in the dashboard of a new account.
    adaptive_pricing: { enabled: draft.adaptive_pricing?.enabled ?? true },
    after_expiration: null,
    allow_promotion_codes: null,
    allowed_payment_method_types: null,
    amount_subtotal: null,
    amount_total: null,
    automatic_tax: { enabled: false, liability: null, provider: null, status: null },
    billing_address_collection: null,
    cancel_url: draft.cancel_url ?? null,
    client_reference_id: draft.client_reference_id ?? null,
    client_secret: null,
    collected_information: null,
    consent: null,
    consent_collection: null,
    created: sandbox.now(),
    currency: null,
    currency_conversion: null,
    custom_fields: [],
    custom_text: {
      after_submit: null,
      shipping_address: null,
      submit: null,
      terms_of_service_acceptance: null,
    },
    customer: draft.customer ?? null,
    customer_account: null,
    customer_creation:
      draft.customer !== undefined
        ? null
        : draft.mode === "payment"
          ? (draft.customer_creation ?? "if_required")
          : draft.mode === "setup"
            ? null
            : "always",
    customer_details:
      customer === undefined && draft.customer_email === undefined
        ? null
        : customerDetails(customer, draft.customer_email ?? null),
    customer_email: draft.customer_email ?? null,
    discounts: [],
    expires_at: expiresAt,
    integration_identifier: null,
    invoice: null,
    invoice_creation:
      draft.mode === "payment"
        ? {
            enabled: draft.invoice_creation?.enabled ?? false,
            invoice_data: {
              account_tax_ids: null,
              custom_fields: null,
              description: null,
              footer: null,
              issuer: null,
              metadata: {},
              rendering_options: null,
            },
          }
        : null,
    livemode: false,
    locale: null,
    managed_payments: { enabled: false },
    metadata: changedMetadata({}, draft.metadata),
    mode: draft.mode,
    origin_context: null,
    payment_intent: null,
    payment_link: null,
    payment_method_collection:
      draft.payment_method_collection ?? (draft.mode === "payment" ? "if_required" : "always"),
    payment_method_configuration_details: null,
    payment_method_options: { card: { request_three_d_secure: "automatic" } },
    payment_method_types: ["card"],
    payment_status: "unpaid",
    permissions: null,
    phone_number_collection: { enabled: false },
    recovered_from: null,
    saved_payment_method_options: null,
    setup_intent: null,
    shipping_address_collection: null,
    shipping_cost: null,
    shipping_options: [],
    status: "open",
    submit_type: null,
    subscription: null,
    success_url: draft.success_url,
    total_details: { amount_discount: 0, amount_shipping: 0, amount_tax: 0 },
    ui_mode: "hosted_page",
    url: `${sandbox.settings.publicUrl}/c/pay/${id}`,
    wallet_options: null,
  };
}

/** What the session tells about the payer. */
export const customerDetails = (
  customer: Stripe.Customer | undefined,
  email: string | null,
): Stripe.Checkout.Session.CustomerDetails => ({
  address: customer?.address ?? null,
  business_name: null,
  email: customer?.email ?? email,
  individual_name: null,
  name: customer?.name ?? null,
  phone: customer?.phone ?? null,
  tax_exempt: "none",
  tax_ids: [],
});
