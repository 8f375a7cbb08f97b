import type { Stripe } from "stripe";
import { ApiError } from "./api-error.ts";
import { GENERIC_DECLINE, type Decline } from "./cards.ts";
import { openDispute } from "./disputes.ts";
import { billingDetails, testCardOf } from "./payment-methods.ts";
import { idOrNull, type Sandbox } from "./sandbox.ts";

export type PaymentOutcome =
  | { ok: true; intent: Stripe.PaymentIntent; charge: Stripe.Charge }
  | { ok: false; intent: Stripe.PaymentIntent; charge: Stripe.Charge; decline: Decline };

export function createPaymentIntent(
  sandbox: Sandbox,
  given: {
    amount: number;
    currency: string;
    customer: string | null;
    description: string | null;
    metadata: Record<string, string>;
    setupFutureUsage: "off_session" | "on_session" | null;
  },
): Stripe.PaymentIntent {
  const id = sandbox.ids.next("pi");
  const intent = sandbox.store.put("payment_intent", {
    id,
    object: "payment_intent",
    allowed_payment_method_types: null,
    amount: given.amount,
    amount_capturable: 0,
    amount_received: 0,
    application: null,
    application_fee_amount: null,
    automatic_payment_methods: null,
    canceled_at: null,
    cancellation_reason: null,
    capture_method: "automatic_async",
    client_secret: `${id}_${sandbox.ids.next("secret")}`,
    confirmation_method: "automatic",
    created: sandbox.now(),
    currency: given.currency,
    customer: given.customer,
    customer_account: null,
    description: given.description,
    excluded_payment_method_types: null,
    last_payment_error: null,
    latest_charge: null,
    livemode: false,
    managed_payments: null,
    metadata: given.metadata,
    next_action: null,
    on_behalf_of: null,
    payment_method: null,
    payment_method_configuration_details: null,
    payment_method_options: null,
    payment_method_types: ["card"],
    payment_record: null,
    processing: null,
    receipt_email: null,
    review: null,
    setup_future_usage: given.setupFutureUsage,
    shipping: null,
    source: null,
    statement_descriptor: null,
    statement_descriptor_suffix: null,
    status: "requires_payment_method",
    transfer_data: null,
    transfer_group: null,
  });
  sandbox.emit("payment_intent.created", intent);
  return intent;
}

/**
 * Charges the payment method for the whole intent. `saved`: it was attached before, and the customer is not
 * there. A refusal leaves the intent payable with another payment method.
 */
export function charge(
  sandbox: Sandbox,
  intentId: string,
  methodId: string,
  saved: boolean,
): PaymentOutcome {
  const intent = sandbox.find("payment_intent", intentId);
  const card = testCardOf(sandbox, methodId);
  const decline =
    armedFailure(sandbox, idOrNull(intent.customer)) ??
    card.decline ??
    (saved ? card.declineOnceSaved : null);
  const made = putCharge(sandbox, intent, methodId, decline);
  if (decline !== null) {
    sandbox.emit("charge.failed", made);
    const { object } = sandbox.change("payment_intent", intentId, {
      status: "requires_payment_method",
      latest_charge: made.id,
      payment_method: null,
      next_action: null,
      last_payment_error: {
        type: "card_error",
        charge: made.id,
        code: decline.code,
        decline_code: decline.declineCode,
        message: decline.message,
        payment_method: sandbox.find("payment_method", methodId),
      },
    });
    sandbox.emit("payment_intent.payment_failed", object);
    return { ok: false, intent: object, charge: made, decline };
  }
  sandbox.emit("charge.succeeded", made);
  const { object } = sandbox.change("payment_intent", intentId, {
    status: "succeeded",
    amount_received: intent.amount,
    latest_charge: made.id,
    payment_method: methodId,
    next_action: null,
    last_payment_error: null,
  });
  sandbox.emit("payment_intent.succeeded", object);
  if (card.disputed) openDispute(sandbox, made.id, { reason: "fraudulent" });
  return { ok: true, intent: object, charge: sandbox.find("charge", made.id) };
}

/** The bank asks the customer before it pays (3D Secure). */
export function askForAuthentication(sandbox: Sandbox, intentId: string, methodId: string): void {
  const { object } = sandbox.change("payment_intent", intentId, {
    status: "requires_action",
    payment_method: methodId,
    next_action: { type: "use_stripe_sdk", use_stripe_sdk: {} },
  });
  sandbox.emit("payment_intent.requires_action", object);
}

export const AUTHENTICATION_FAILURE = {
  code: "payment_intent_authentication_failure",
  message:
    "We are unable to authenticate your payment method. Please choose a different payment method and try again.",
} as const;

/** The customer's answer was no. */
export function failAuthentication(
  sandbox: Sandbox,
  intentId: string,
  methodId: string,
): typeof AUTHENTICATION_FAILURE {
  const { object } = sandbox.change("payment_intent", intentId, {
    status: "requires_payment_method",
    payment_method: null,
    next_action: null,
    last_payment_error: {
      type: "invalid_request_error",
      ...AUTHENTICATION_FAILURE,
      payment_method: sandbox.find("payment_method", methodId),
    },
  });
  sandbox.emit("payment_intent.payment_failed", object);
  return AUTHENTICATION_FAILURE;
}

/** The answer to a call whose payment was declined: 402, with what a caller needs to go on. */
export const cardError = (outcome: Extract<PaymentOutcome, { ok: false }>): ApiError =>
  new ApiError(402, {
    type: "card_error",
    code: outcome.decline.code,
    decline_code: outcome.decline.declineCode,
    message: outcome.decline.message,
    charge: outcome.charge.id,
    payment_intent: outcome.intent,
  });

/** A failure that the control surface armed for the customer; each payment uses up one. */
function armedFailure(sandbox: Sandbox, customer: string | null): Decline | null {
  const armed = customer === null ? undefined : sandbox.store.get("armed_failure", customer);
  if (armed === undefined) return null;
  if (armed.count > 1) sandbox.store.put("armed_failure", { ...armed, count: armed.count - 1 });
  else sandbox.store.remove("armed_failure", armed.id);
  return { ...GENERIC_DECLINE, declineCode: armed.declineCode };
}

function putCharge(
  sandbox: Sandbox,
  intent: Stripe.PaymentIntent,
  methodId: string,
  decline: Decline | null,
): Stripe.Charge {
  const method = sandbox.find("payment_method", methodId);
  return sandbox.store.put("charge", {
    id: sandbox.ids.next("ch"),
    object: "charge",
    amount: intent.amount,
    amount_captured: decline === null ? intent.amount : 0,
    amount_refunded: 0,
    application: null,
    application_fee: null,
    application_fee_amount: null,
    balance_transaction: null,
    billing_details: billingDetails(method.billing_details.email, method.billing_details.name),
    calculated_statement_descriptor: "BERTH",
    captured: decline === null,
    created: sandbox.now(),
    currency: intent.currency,
    customer: idOrNull(intent.customer),
    description: intent.description,
    disputed: false,
    failure_balance_transaction: null,
    failure_code: decline === null ? null : decline.code,
    failure_message: decline === null ? null : decline.message,
    fraud_details: {},
    livemode: false,
    metadata: intent.metadata,
    on_behalf_of: null,
    outcome: {
      advice_code: null,
      network_advice_code: null,
      network_decline_code: null,
      network_status: decline === null ? "approved_by_network" : "declined_by_network",
      reason: decline === null ? null : decline.declineCode,
      risk_level: "normal",
      seller_message:
        decline === null ? "Payment complete." : "The bank did not return any further details.",
      type: decline === null ? "authorized" : "issuer_declined",
    },
    paid: decline === null,
    payment_intent: intent.id,
    payment_method: methodId,
    payment_method_details: { type: "card", ...cardDetails(method, intent.amount) },
    receipt_email: null,
    receipt_number: null,
    receipt_url: null,
    refunded: false,
    review: null,
    shipping: null,
    source: null,
    source_transfer: null,
    statement_descriptor: null,
    statement_descriptor_suffix: null,
    status: decline === null ? "succeeded" : "failed",
    transfer_data: null,
    transfer_group: null,
  });
}

function cardDetails(
  { card }: Stripe.PaymentMethod,
  amount: number,
): { card?: Stripe.Charge.PaymentMethodDetails.Card } {
  if (card === undefined) return {};
  return {
    card: {
      amount_authorized: amount,
      authorization_code: null,
      brand: card.brand,
      checks: card.checks,
      country: card.country,
      electronic_commerce_indicator: null,
      exp_month: card.exp_month,
      exp_year: card.exp_year,
      fingerprint: card.fingerprint ?? null,
      funding: card.funding,
      installments: null,
      last4: card.last4,
      mandate: null,
      network: card.brand,
      network_transaction_id: null,
      regulated_status: card.regulated_status,
      three_d_secure: null,
      transaction_link_id: null,
      wallet: null,
    },
  };
}
