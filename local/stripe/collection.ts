import type { Stripe } from "stripe";
import { invalidRequest } from "./api-error.ts";
import {
  customerOf,
  finalizeInvoice,
  intentIdOf,
  markInvoicePaid,
  paymentOf,
  subscriptionIdOf,
} from "./invoices.ts";
import { testCardOf } from "./payment-methods.ts";
import { askForAuthentication, charge, type PaymentOutcome } from "./payments.ts";
import { applyPendingOf, isWaitedFor } from "./pending-update.ts";
import { idOf, idOrNull, type Sandbox } from "./sandbox.ts";
import { endSubscription, isOver, moveSubscription } from "./subscription-states.ts";

/**
 * When a failed renewal is tried again, in days after the invoice was finalised. Stripe's default is 8 tries in
 * 2 weeks at instants it learns; these are ours.
 */
const RETRY_DAYS = [1, 2, 4, 6, 8, 11, 14];

/**
 * Finalises a draft and charges it. One that cannot be finalised stays a draft that says why, and is not tried again by itself
 * (https://docs.stripe.com/invoicing/integration/workflow-transitions#finalized).
 */
export function finalizeAndCollect(
  sandbox: Sandbox,
  invoiceId: string,
): PaymentOutcome | { ok: true } | { ok: false; asksForAction?: true } {
  const refused = whyUnfinalizable(sandbox, invoiceId);
  if (refused !== null) {
    const { object } = sandbox.change("invoice", invoiceId, {
      automatically_finalizes_at: null,
      next_payment_attempt: null,
      last_finalization_error: refused,
    });
    sandbox.emit("invoice.finalization_failed", object);
    return { ok: false };
  }
  const invoice = finalizeInvoice(sandbox, invoiceId, null);
  if (invoice.amount_due === 0) {
    settle(sandbox, invoiceId);
    return { ok: true };
  }
  if (invoice.collection_method === "send_invoice") {
    sandbox.emit("invoice.sent", invoice);
    return { ok: false };
  }
  return collect(sandbox, invoiceId, null);
}

/** Finalises a draft by hand. */
export function finalizeByHand(sandbox: Sandbox, invoiceId: string): Stripe.Invoice {
  const { status } = sandbox.find("invoice", invoiceId);
  if (status !== "draft")
    throw invalidRequest(
      "This invoice is already finalized, you can't re-finalize a non-draft invoice.",
      {
        code: "invoice_not_editable",
      },
    );
  const refused = whyUnfinalizable(sandbox, invoiceId);
  if (refused !== null)
    throw invalidRequest(refused.message ?? "", { code: "customer_tax_location_invalid" });
  finalizeAndCollect(sandbox, invoiceId);
  return sandbox.find("invoice", invoiceId);
}

function whyUnfinalizable(
  sandbox: Sandbox,
  invoiceId: string,
): Stripe.Invoice.LastFinalizationError | null {
  const customer = idOf(customerOf(sandbox.find("invoice", invoiceId)));
  const found = sandbox.store.get("unfinalizable", customer);
  if (found === undefined) return null;
  return {
    type: "invalid_request_error",
    code: "customer_tax_location_invalid",
    message:
      "The customer's location isn't recognized. Set a valid customer address in order to automatically calculate tax.",
  };
}

/**
 * Charges an open invoice: with `methodId`, or else with what the invoice, the subscription or the customer has as
 * default. `{ok: false}` alone: there is nothing to charge; `asksForAction`: the bank asks the customer, on the invoice's page.
 */
export function collect(
  sandbox: Sandbox,
  invoiceId: string,
  methodId: string | null,
): PaymentOutcome | { ok: false; asksForAction?: true } {
  const invoice = sandbox.find("invoice", invoiceId);
  const payment = paymentOf(sandbox, invoiceId);
  if (payment === undefined) throw new Error(`open invoice ${invoiceId} has no payment`);
  const method = methodId ?? defaultMethodOf(sandbox, invoice);
  const intent = intentIdOf(payment);
  if (method !== null && testCardOf(sandbox, method).alwaysAuthenticates) {
    askForAuthentication(sandbox, intent, method);
    recordFailure(sandbox, invoiceId, { asksForAction: true });
    return { ok: false, asksForAction: true };
  }
  const outcome: PaymentOutcome | { ok: false } =
    method === null ? { ok: false } : charge(sandbox, intent, method, true);
  if (outcome.ok) settle(sandbox, invoiceId);
  else recordFailure(sandbox, invoiceId);
  return outcome;
}

/** The invoice is paid: what follows for its subscription. */
export function settle(sandbox: Sandbox, invoiceId: string): Stripe.Invoice {
  const paid = markInvoicePaid(sandbox, invoiceId);
  const subscriptionId = subscriptionIdOf(paid);
  if (subscriptionId !== null) {
    const subscription = sandbox.find("subscription", subscriptionId);
    // Stripe looks at the latest invoice alone: paying an older one revives nothing.
    if (idOrNull(subscription.latest_invoice) === invoiceId)
      moveSubscription(sandbox, subscriptionId, "pay");
    applyPendingOf(sandbox, paid);
  }
  return paid;
}

/**
 * An attempt to charge the invoice failed, or waits for the customer. One that a change waits for is not tried again, and its
 * subscription goes on as if nobody had asked (https://docs.stripe.com/billing/subscriptions/pending-updates-reference).
 */
export function recordFailure(
  sandbox: Sandbox,
  invoiceId: string,
  { asksForAction } = { asksForAction: false },
): void {
  const invoice = sandbox.find("invoice", invoiceId);
  const isWaited = isWaitedFor(sandbox, invoice);
  const finalizedAt = invoice.status_transitions.finalized_at ?? sandbox.now();
  const retries =
    invoice.billing_reason === "subscription_create" || invoice.auto_advance === false || isWaited
      ? []
      : RETRY_DAYS;
  const next = retries
    .map((days) => finalizedAt + days * 86_400)
    .find((instant) => instant > sandbox.now());
  const { object } = sandbox.change("invoice", invoiceId, {
    attempted: true,
    attempt_count: invoice.attempt_count + 1,
    next_payment_attempt: next ?? null,
    ...(next === undefined ? { auto_advance: false } : {}),
  });
  if (asksForAction) sandbox.emit("invoice.payment_action_required", object);
  sandbox.emit("invoice.payment_failed", object);
  if (isWaited) return;
  const subscriptionId = subscriptionIdOf(object);
  if (subscriptionId === null) return;
  moveSubscription(sandbox, subscriptionId, "fail");
  if (next === undefined && retries.length > 0 && invoice.auto_advance !== false)
    giveUp(sandbox, subscriptionId);
}

/**
 * What Stripe does with an invoice by itself from now on: a draft is finalised an hour later, and an open one is charged again
 * when its next try is due, or in an hour (https://docs.stripe.com/invoicing/integration/automatic-advancement-collection).
 */
export function advanced(
  sandbox: Sandbox,
  invoice: Stripe.Invoice,
  advances: boolean,
): Partial<Stripe.Invoice> {
  const { status } = invoice;
  if (status !== "draft" && status !== "open")
    throw invalidRequest(`An invoice that is ${status} does not advance.`, {
      code: "invoice_not_editable",
      param: "auto_advance",
    });
  if (!advances)
    return { auto_advance: false, automatically_finalizes_at: null, next_payment_attempt: null };
  // Said of one that does so already, it changes nothing.
  if (invoice.auto_advance === true) return {};
  const soon = sandbox.now() + 3600;
  if (status === "draft") return { auto_advance: true, automatically_finalizes_at: soon };
  const isCharged = invoice.collection_method === "charge_automatically";
  const finalizedAt = invoice.status_transitions.finalized_at ?? sandbox.now();
  const due = RETRY_DAYS.map((days) => finalizedAt + days * 86_400).find(
    (at) => at > sandbox.now(),
  );
  return { auto_advance: true, next_payment_attempt: isCharged ? (due ?? soon) : null };
}

function giveUp(sandbox: Sandbox, subscriptionId: string): void {
  const { afterLastRetry } = sandbox.settings;
  if (afterLastRetry === "cancel") endSubscription(sandbox, subscriptionId, "payment_failed");
  else if (afterLastRetry === "unpaid") moveSubscription(sandbox, subscriptionId, "give_up");
}

/** What is charged by default: the invoice's own method, the subscription's, then the customer's. */
function defaultMethodOf(sandbox: Sandbox, invoice: Stripe.Invoice): string | null {
  const own = usable(sandbox, invoice.default_payment_method);
  return own ?? methodToCharge(sandbox, idOf(customerOf(invoice)), subscriptionIdOf(invoice));
}

/** The subscription's default payment method, else the customer's; null: there is nothing to charge. */
export function methodToCharge(
  sandbox: Sandbox,
  customerId: string,
  subscriptionId: string | null,
): string | null {
  const subscription =
    subscriptionId === null ? undefined : sandbox.store.get("subscription", subscriptionId);
  const customer = sandbox.store.get("customer", customerId);
  return (
    (subscription === undefined || isOver(subscription)
      ? null
      : usable(sandbox, subscription.default_payment_method)) ??
    usable(sandbox, customer?.invoice_settings.default_payment_method ?? null)
  );
}

/** A method that was detached charges nobody. */
function usable(sandbox: Sandbox, reference: string | { id: string } | null): string | null {
  const id = idOrNull(reference);
  const method = id === null ? undefined : sandbox.store.get("payment_method", id);
  return method === undefined || method.customer === null ? null : method.id;
}
