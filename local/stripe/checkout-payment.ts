import type { Stripe } from "stripe";
import { cardOf } from "./cards.ts";
import { couponsAsked, redeem } from "./coupons.ts";
import { customerDetails } from "./checkout-session.ts";
import { settle } from "./collection.ts";
import { createCustomer } from "./customers.ts";
import { createInvoice } from "./create-invoice.ts";
import { finalizeInvoice } from "./invoices.ts";
import { NO_SUCH_CARD, type PageOutcome } from "./page-outcome.ts";
import { attach, createPaymentMethod, testCardOf, type Wallet } from "./payment-methods.ts";
import {
  askForAuthentication,
  AUTHENTICATION_FAILURE,
  charge,
  createPaymentIntent,
  failAuthentication,
} from "./payments.ts";
import { idOf, idOrNull, type Sandbox } from "./sandbox.ts";
import { answerForCard, cancelSetupIntent } from "./setup-session.ts";
import type { CheckoutDetail, LineDraft } from "./store.ts";
import { firstInvoice, putSubscription } from "./subscriptions.ts";

/** Pays an open session with a typed card number. The card decides what happens (`cards.ts`). */
export function payWithCard(
  sandbox: Sandbox,
  id: string,
  typed: string,
  wallet: Wallet | null = null,
): PageOutcome {
  const card = cardOf(typed);
  if (card === undefined) return NO_SUCH_CARD;
  const session = sandbox.find("checkout_session", id);
  const method = createPaymentMethod(sandbox, card, {
    email: session.customer_details?.email ?? null,
    wallet,
  });
  if (!card.authenticates) return pay(sandbox, session, method.id);
  const intent = intentOf(sandbox, session);
  if (intent !== null) askForAuthentication(sandbox, intent, method.id);
  sandbox.change("checkout_detail", id, { authenticating: method.id });
  return { step: "authenticate" };
}

/** Whether the session may be completed without a card: nothing is to be paid, and none is asked for. */
export const needsNoCard = (session: Stripe.Checkout.Session): boolean =>
  session.mode === "subscription" &&
  session.payment_method_collection === "if_required" &&
  session.amount_total === 0;

/** Completes a session that asks for no card. */
export function completeWithoutCard(sandbox: Sandbox, id: string): PageOutcome {
  const session = sandbox.find("checkout_session", id);
  complete(sandbox, session, null, null);
  return doneOf(session);
}

const doneOf = (session: Stripe.Checkout.Session): PageOutcome => ({
  step: "done",
  redirectTo: (session.success_url ?? "").replaceAll("{CHECKOUT_SESSION_ID}", session.id),
});

/** The person answered the bank's 3D Secure question. */
export function answerAuthentication(
  sandbox: Sandbox,
  id: string,
  succeeded: boolean,
): PageOutcome {
  const { authenticating } = sandbox.find("checkout_detail", id);
  const session = sandbox.find("checkout_session", id);
  if (authenticating === null)
    return {
      step: "refused",
      status: 400,
      code: "payment_intent_unexpected_state",
      message: "No payment is waiting for authentication. Enter a card first.",
    };
  sandbox.change("checkout_detail", id, { authenticating: null });
  if (session.mode === "setup")
    return answerForCard(sandbox, id, { method: authenticating, succeeded });
  if (succeeded) return pay(sandbox, session, authenticating);
  const intent = intentOf(sandbox, session);
  const { code, message } =
    intent === null ? AUTHENTICATION_FAILURE : failAuthentication(sandbox, intent, authenticating);
  return { step: "refused", status: 402, code, message };
}

function pay(sandbox: Sandbox, session: Stripe.Checkout.Session, methodId: string): PageOutcome {
  const intent = intentOf(sandbox, session);
  if (intent !== null) {
    const outcome = charge(sandbox, intent, methodId, false);
    if (!outcome.ok)
      return {
        step: "refused",
        status: 402,
        code: outcome.decline.code,
        message: outcome.decline.message,
      };
  } else {
    // Nothing to pay now, yet a card that is always declined cannot be saved either.
    const { decline } = testCardOf(sandbox, methodId);
    if (decline !== null)
      return { step: "refused", status: 402, code: decline.code, message: decline.message };
  }
  complete(sandbox, session, methodId, intent);
  return doneOf(session);
}

/** The session's payment intent, made at the first attempt; null when there is nothing to pay now. */
function intentOf(sandbox: Sandbox, session: Stripe.Checkout.Session): string | null {
  const detail = sandbox.find("checkout_detail", session.id);
  if (detail.paymentIntent !== null) return detail.paymentIntent;
  const amount = session.amount_total ?? 0;
  if (amount === 0) return null;
  const forSubscription = session.mode === "subscription";
  const intent = createPaymentIntent(sandbox, {
    amount,
    currency: session.currency ?? "usd",
    customer: idOrNull(session.customer),
    description: forSubscription ? "Subscription creation" : detail.payment.description,
    metadata: forSubscription ? {} : detail.payment.metadata,
    setupFutureUsage: forSubscription ? "off_session" : detail.payment.setupFutureUsage,
  });
  sandbox.change("checkout_detail", session.id, { paymentIntent: intent.id });
  if (!forSubscription)
    sandbox.change("checkout_session", session.id, { payment_intent: intent.id });
  return intent.id;
}

/** Paid: only now Checkout makes the customer, the subscription and the invoice. */
function complete(
  sandbox: Sandbox,
  session: Stripe.Checkout.Session,
  methodId: string | null,
  intent: string | null,
): void {
  const detail = sandbox.find("checkout_detail", session.id);
  const customer = customerFor(sandbox, session);
  const isKept = session.mode === "subscription" || detail.payment.setupFutureUsage !== null;
  if (customer !== null && methodId !== null && isKept) attach(sandbox, methodId, customer.id);
  if (customer !== null && intent !== null) {
    const { latest_charge: made } = sandbox.change("payment_intent", intent, {
      customer: customer.id,
    }).object;
    if (made !== null) sandbox.change("charge", idOf(made), { customer: customer.id });
  }
  const made =
    session.mode === "subscription" && customer !== null
      ? startSubscription(sandbox, session, detail, customer, methodId, intent)
      : paidInvoice(sandbox, session, detail, customer, intent);
  const { object } = sandbox.change("checkout_session", session.id, {
    ...made,
    status: "complete",
    payment_status: intent === null ? "no_payment_required" : "paid",
    customer: customer?.id ?? null,
    customer_details: customerDetails(customer ?? undefined, session.customer_email),
    url: null,
  });
  sandbox.emit("checkout.session.completed", object);
}

function customerFor(sandbox: Sandbox, session: Stripe.Checkout.Session): Stripe.Customer | null {
  const id = idOrNull(session.customer);
  if (id !== null) return sandbox.find("customer", id);
  return session.customer_creation === "always"
    ? createCustomer(sandbox, { email: session.customer_email })
    : null;
}

function startSubscription(
  sandbox: Sandbox,
  session: Stripe.Checkout.Session,
  detail: CheckoutDetail,
  customer: Stripe.Customer,
  methodId: string | null,
  intent: string | null,
): { subscription: string; invoice: string } {
  const items = detail.lineItems.flatMap(({ price, quantity }) =>
    price?.type === "recurring" ? [{ price, quantity: quantity ?? 1, metadata: {} }] : [],
  );
  const subscription = putSubscription(sandbox, {
    discounts: (on) =>
      redeem(sandbox, couponsAsked(sandbox, detail.discounts, session.currency ?? "usd"), on),
    customer: customer.id,
    currency: session.currency ?? "usd",
    items,
    defaultPaymentMethod: methodId,
    metadata: detail.subscription.metadata,
    description: detail.subscription.description,
    status: "active",
    trial: detail.subscription.trial,
  });
  const invoice = firstInvoice(sandbox, subscription, onceLines(sandbox, detail));
  finalizeInvoice(sandbox, invoice.id, intent);
  sandbox.emit("customer.subscription.created", sandbox.find("subscription", subscription.id));
  settle(sandbox, invoice.id);
  return { subscription: subscription.id, invoice: invoice.id };
}

function paidInvoice(
  sandbox: Sandbox,
  session: Stripe.Checkout.Session,
  detail: CheckoutDetail,
  customer: Stripe.Customer | null,
  intent: string | null,
): { invoice?: string } {
  if (customer === null || session.invoice_creation?.enabled !== true) return {};
  const invoice = createInvoice(sandbox, {
    customer: customer.id,
    currency: session.currency ?? "usd",
    reason: "manual",
    subscription: null,
    lines: onceLines(sandbox, detail),
    period: { start: sandbox.now(), end: sandbox.now() },
    finalizesAt: null,
    metadata: {},
    description: null,
  });
  finalizeInvoice(sandbox, invoice.id, intent);
  settle(sandbox, invoice.id);
  return { invoice: invoice.id };
}

/** The lines of prices that are paid once. */
const onceLines = (sandbox: Sandbox, detail: CheckoutDetail): LineDraft[] =>
  detail.lineItems.flatMap(({ price, quantity }) =>
    price?.type === "one_time"
      ? [
          {
            price,
            quantity: quantity ?? 1,
            period: { start: sandbox.now(), end: sandbox.now() },
            subscriptionItem: null,
          },
        ]
      : [],
  );

/** Nobody can pay it any more. An intent that waits is cancelled, as at Stripe. */
export function expireSession(sandbox: Sandbox, id: string): Stripe.Checkout.Session {
  const { paymentIntent } = sandbox.find("checkout_detail", id);
  if (paymentIntent !== null) {
    const { object } = sandbox.change("payment_intent", paymentIntent, {
      status: "canceled",
      canceled_at: sandbox.now(),
      cancellation_reason: "expired",
      next_action: null,
    });
    sandbox.emit("payment_intent.canceled", object);
  }
  const setupIntent = idOrNull(sandbox.find("checkout_session", id).setup_intent);
  if (setupIntent !== null) cancelSetupIntent(sandbox, setupIntent);
  const { object } = sandbox.change("checkout_session", id, { status: "expired", url: null });
  sandbox.emit("checkout.session.expired", object);
  return object;
}
