import { createHash } from "node:crypto";
import type { Stripe } from "stripe";
import { invalidRequest, noSuchReference } from "./api-error.ts";
import { brandOf, cardOf, cardOfToken, type TestCard } from "./cards.ts";
import { listOperation, operation } from "./operation.ts";
import { paramsOf, listParamsOf, choice, text } from "./params.ts";
import { idOrNull, type Sandbox } from "./sandbox.ts";

const NO_ADDRESS = {
  city: null,
  country: null,
  line1: null,
  line2: null,
  postal_code: null,
  state: null,
};
export const billingDetails = (email: string | null, name: string | null) => ({
  address: NO_ADDRESS,
  email,
  name,
  phone: null,
  tax_id: null,
});

/** What a card may come out of. */
export type Wallet = "apple_pay" | "link";

/** A payment method for a test card, attached to nobody yet. */
export function createPaymentMethod(
  sandbox: Sandbox,
  card: TestCard,
  { email = null, wallet = null }: { email?: string | null; wallet?: Wallet | null } = {},
): Stripe.PaymentMethod {
  if (wallet === "link") return createLink(sandbox, card, email);
  const brand = brandOf(card.number);
  const method = sandbox.store.put("payment_method", {
    id: sandbox.ids.next("pm"),
    object: "payment_method",
    allow_redisplay: "unspecified",
    billing_details: billingDetails(email, null),
    card: {
      brand,
      checks: { address_line1_check: null, address_postal_code_check: null, cvc_check: "pass" },
      country: "US",
      display_brand: brand,
      exp_month: 12,
      exp_year: new Date(sandbox.now() * 1000).getUTCFullYear() + 5,
      // A wallet has a number of its own for each device.
      fingerprint: fingerprintOf(wallet === null ? card.number : sandbox.ids.next("device")),
      funding: "credit",
      generated_from: null,
      last4: card.number.slice(-4),
      networks: { available: [brand], preferred: null },
      regulated_status: "unregulated",
      three_d_secure_usage: { supported: true },
      wallet: wallet === null ? null : { apple_pay: {}, dynamic_last4: null, type: wallet },
    },
    created: sandbox.now(),
    customer: null,
    customer_account: null,
    livemode: false,
    metadata: {},
    type: "card",
  });
  sandbox.store.put("card_on_file", { id: method.id, number: card.number });
  return method;
}

/** Link shows its customer, and nothing of the card behind it. */
function createLink(sandbox: Sandbox, card: TestCard, email: string | null): Stripe.PaymentMethod {
  const method = sandbox.store.put("payment_method", {
    id: sandbox.ids.next("pm"),
    object: "payment_method",
    allow_redisplay: "unspecified",
    billing_details: billingDetails(email, null),
    created: sandbox.now(),
    customer: null,
    customer_account: null,
    link: { email },
    livemode: false,
    metadata: {},
    type: "link",
  });
  sandbox.store.put("card_on_file", { id: method.id, number: card.number });
  return method;
}

/** Stripe's ready-made account of a bank, for debits (https://docs.stripe.com/testing). */
const BANK_ACCOUNT = "pm_usBankAccount";

/** It pays at once here, where a bank takes days: what matters is that it knows no pending change. */
function createBankAccount(sandbox: Sandbox): Stripe.PaymentMethod {
  const method = sandbox.store.put("payment_method", {
    id: sandbox.ids.next("pm"),
    object: "payment_method",
    allow_redisplay: "unspecified",
    billing_details: billingDetails(null, null),
    created: sandbox.now(),
    customer: null,
    customer_account: null,
    livemode: false,
    metadata: {},
    type: "us_bank_account",
    us_bank_account: {
      account_holder_type: "individual",
      account_type: "checking",
      bank_name: "STRIPE TEST BANK",
      financial_connections_account: null,
      fingerprint: fingerprintOf(BANK_ACCOUNT),
      last4: "6789",
      networks: null,
      routing_number: "110000000",
      status_details: null,
    },
  });
  sandbox.store.put("card_on_file", { id: method.id, number: "4242424242424242" });
  return method;
}

/** The same number always has the same fingerprint, which is how a merchant recognises a card. */
const fingerprintOf = (number: string): string =>
  createHash("sha256").update(number).digest("base64url").slice(0, 16);

export function testCardOf(sandbox: Sandbox, paymentMethod: string): TestCard {
  const card = cardOf(sandbox.find("card_on_file", paymentMethod).number);
  if (card === undefined)
    throw new Error(`payment method ${paymentMethod} has a card that is no test card`);
  return card;
}

export function attach(
  sandbox: Sandbox,
  paymentMethod: string,
  customer: string,
): Stripe.PaymentMethod {
  const { object } = sandbox.change("payment_method", paymentMethod, { customer });
  sandbox.emit("payment_method.attached", object);
  return object;
}

/** The payment method a parameter names: one of ours, or a ready-made `pm_card_…`, which makes a new one. */
function methodNamed(sandbox: Sandbox, id: string): Stripe.PaymentMethod {
  const found = sandbox.store.get("payment_method", id);
  if (found !== undefined) return found;
  if (id === BANK_ACCOUNT) return createBankAccount(sandbox);
  const card = cardOfToken(id);
  if (card === undefined) throw noSuchReference("PaymentMethod", id, "payment_method");
  return createPaymentMethod(sandbox, card);
}

/** Throws unless the payment method is the customer's own. */
export function methodOf(
  sandbox: Sandbox,
  id: string,
  customer: string,
  param: string,
): Stripe.PaymentMethod {
  const method = sandbox.refer("payment_method", id, param);
  if (idOrNull(method.customer) !== customer)
    throw invalidRequest(
      `The customer does not have a payment method with the ID ${id}. The payment method must be attached to the customer.`,
      { code: "resource_missing", param },
    );
  return method;
}

export const paymentMethodOperations = [
  operation({
    method: "GET",
    path: "/v1/payment_methods/:id",
    returns: "payment_method",
    params: paramsOf<Stripe.PaymentMethodRetrieveParams>()({}),
    run: ({ sandbox, id }) => sandbox.find("payment_method", id),
  }),
  listOperation({
    path: "/v1/payment_methods",
    of: "payment_method",
    params: listParamsOf<Stripe.PaymentMethodListParams>()({
      customer: text().optional(),
      type: choice(["card", "us_bank_account"]).optional(),
    }),
    keep: (params) => (method) =>
      params.customer !== undefined && idOrNull(method.customer) === params.customer,
  }),
  operation({
    method: "POST",
    path: "/v1/payment_methods/:id/attach",
    returns: "payment_method",
    params: paramsOf<Stripe.PaymentMethodAttachParams>()({ customer: text() }),
    run: ({ sandbox, id, params }) => {
      sandbox.refer("customer", params.customer, "customer");
      const method = methodNamed(sandbox, id);
      const owner = idOrNull(method.customer);
      if (owner === params.customer) return method;
      if (owner !== null)
        throw invalidRequest(
          "The payment method you provided has already been attached to a customer.",
          {
            code: "payment_method_unexpected_state",
          },
        );
      return attach(sandbox, method.id, params.customer);
    },
  }),
  operation({
    method: "POST",
    path: "/v1/payment_methods/:id/detach",
    returns: "payment_method",
    params: paramsOf<Stripe.PaymentMethodDetachParams>()({}),
    run: ({ sandbox, id }) => {
      const customer = idOrNull(sandbox.find("payment_method", id).customer);
      if (customer === null)
        throw invalidRequest(
          "The payment method you provided is not attached to a customer so detachment is impossible.",
          { code: "payment_method_unexpected_state" },
        );
      const { object, previous } = sandbox.change("payment_method", id, { customer: null });
      sandbox.emit("payment_method.detached", object, previous);
      return object;
    },
  }),
];
