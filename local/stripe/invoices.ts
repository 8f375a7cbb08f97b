import type { Stripe } from "stripe";
import { moveBalance } from "./customer-balance.ts";
import { leastCharge } from "./amounts.ts";
import { createPaymentIntent } from "./payments.ts";
import { dropPendingOf } from "./pending-update.ts";
import { idOf, idOrNull, type Sandbox } from "./sandbox.ts";

/**
 * Numbers the invoice and opens it. `paidBy` is the intent that paid already (Checkout charges first, and the whole of it); without
 * it a new intent is made, unless there is nothing to pay. `takesBalance`: what was paid already is what the balance left of it.
 */
export function finalizeInvoice(
  sandbox: Sandbox,
  id: string,
  paidBy: string | null,
  { takesBalance } = { takesBalance: paidBy === null },
): Stripe.Invoice {
  const draft = sandbox.find("invoice", id);
  const now = sandbox.now();
  const customerId = idOf(customerOf(draft));
  const { balance: before } = sandbox.find("customer", customerId);
  const { due, balance } = takesBalance
    ? withBalance(sandbox, draft)
    : { due: draft.total, balance: null };
  const { object } = sandbox.change("invoice", id, {
    status: "open",
    number: nextNumber(sandbox, customerId),
    amount_due: due,
    amount_remaining: due,
    automatically_finalizes_at: null,
    effective_at: now,
    ending_balance: balance,
    hosted_invoice_url: `${sandbox.settings.publicUrl}/i/${id}`,
    next_payment_attempt: null,
    starting_balance: before,
    status_transitions: { ...draft.status_transitions, finalized_at: now },
  });
  sandbox.emit("invoice.finalized", object);
  if (object.amount_due > 0) linkPayment(sandbox, object, paidBy);
  return object;
}

/** Marks the invoice paid and says so. Its payment intent, if it has one, has succeeded. */
export function markInvoicePaid(sandbox: Sandbox, id: string): Stripe.Invoice {
  const before = sandbox.find("invoice", id);
  const now = sandbox.now();
  const payment = paymentOf(sandbox, id);
  if (payment !== undefined) {
    const { object } = sandbox.change("invoice_payment", payment.id, {
      status: "paid",
      amount_paid: payment.amount_requested,
      status_transitions: { canceled_at: null, paid_at: now },
    });
    sandbox.emit("invoice_payment.paid", object);
  }
  const { object, previous } = sandbox.change("invoice", id, {
    status: "paid",
    attempted: true,
    attempt_count: before.amount_due > 0 ? before.attempt_count + 1 : before.attempt_count,
    auto_advance: false,
    amount_paid: before.amount_due,
    amount_remaining: 0,
    next_payment_attempt: null,
    status_transitions: { ...before.status_transitions, paid_at: now },
  });
  sandbox.emit("invoice.updated", object, previous);
  sandbox.emit("invoice.paid", object);
  sandbox.emit("invoice.payment_succeeded", object);
  return object;
}

export function voidInvoice(sandbox: Sandbox, id: string): Stripe.Invoice {
  const before = sandbox.find("invoice", id);
  const payment = paymentOf(sandbox, id);
  if (payment !== undefined) {
    const intent = intentIdOf(payment);
    sandbox.change("invoice_payment", payment.id, {
      status: "canceled",
      status_transitions: { canceled_at: sandbox.now(), paid_at: null },
    });
    const { object } = sandbox.change("payment_intent", intent, {
      status: "canceled",
      next_action: null,
      canceled_at: sandbox.now(),
      cancellation_reason: "void_invoice",
    });
    sandbox.emit("payment_intent.canceled", object);
  }
  const { object } = sandbox.change("invoice", id, {
    status: "void",
    auto_advance: false,
    next_payment_attempt: null,
    status_transitions: { ...before.status_transitions, voided_at: sandbox.now() },
  });
  giveBalanceBack(sandbox, object);
  sandbox.emit("invoice.voided", object);
  dropPendingOf(sandbox, object);
  return object;
}

/** The payment that the invoice waits for or was paid with; undefined while a draft, or with nothing to pay. */
export const paymentOf = (sandbox: Sandbox, invoice: string): Stripe.InvoicePayment | undefined =>
  sandbox.store.all("invoice_payment").findLast((each) => idOf(each.invoice) === invoice);

export function intentIdOf(payment: Stripe.InvoicePayment): string {
  const intent = payment.payment.payment_intent;
  if (intent === undefined) throw new Error(`invoice payment ${payment.id} has no payment intent`);
  return idOf(intent);
}

export function customerOf(invoice: Stripe.Invoice): string | { id: string } {
  if (invoice.customer === null) throw new Error(`invoice ${invoice.id} has no customer`);
  return invoice.customer;
}

/** The subscription behind the invoice, or null. */
export const subscriptionIdOf = (invoice: Stripe.Invoice): string | null =>
  idOrNull(invoice.parent?.subscription_details?.subscription ?? null);

function linkPayment(sandbox: Sandbox, invoice: Stripe.Invoice, paidBy: string | null): void {
  const intent =
    paidBy ??
    createPaymentIntent(sandbox, {
      amount: invoice.amount_due,
      currency: invoice.currency,
      customer: idOf(customerOf(invoice)),
      description:
        invoice.billing_reason === "subscription_create"
          ? "Subscription creation"
          : "Subscription update",
      metadata: {},
      setupFutureUsage: "off_session",
    }).id;
  sandbox.store.put("invoice_payment", {
    id: sandbox.ids.next("inpay"),
    object: "invoice_payment",
    amount_paid: null,
    amount_requested: invoice.amount_due,
    created: sandbox.now(),
    currency: invoice.currency,
    invoice: invoice.id,
    is_default: true,
    livemode: false,
    payment: { type: "payment_intent", payment_intent: intent },
    status: "open",
    status_transitions: { canceled_at: null, paid_at: null },
  });
}

/**
 * What is left to pay of a total with the customer's balance, and what that is afterwards. A negative balance is credit, which
 * pays first; a positive one is asked for too. A total below nothing adds to the credit, and one that is too small to be
 * charged to what is owed.
 */
export function duesOf(
  total: number,
  balance: number,
  currency: string,
): { due: number; balance: number } {
  const due = total + balance;
  return due < leastCharge(currency) ? { due: 0, balance: due } : { due, balance: 0 };
}

function withBalance(sandbox: Sandbox, invoice: Stripe.Invoice): { due: number; balance: number } {
  const customer = sandbox.find("customer", idOf(customerOf(invoice)));
  const after = duesOf(invoice.total, customer.balance, invoice.currency);
  if (after.balance !== customer.balance)
    moveBalance(sandbox, customer.id, {
      amount: after.balance - customer.balance,
      currency: invoice.currency,
      type: "applied_to_invoice",
      invoice: invoice.id,
      metadata: {},
    });
  return after;
}

/** What the balance paid of an invoice that is void goes back to it. */
function giveBalanceBack(sandbox: Sandbox, invoice: Stripe.Invoice): void {
  const used = (invoice.ending_balance ?? invoice.starting_balance) - invoice.starting_balance;
  if (used !== 0)
    moveBalance(sandbox, idOf(customerOf(invoice)), {
      amount: -used,
      currency: invoice.currency,
      type: "unapplied_from_invoice",
      invoice: invoice.id,
      metadata: {},
    });
}

function nextNumber(sandbox: Sandbox, customerId: string): string {
  const customer = sandbox.find("customer", customerId);
  const sequence = customer.next_invoice_sequence ?? 1;
  sandbox.change("customer", customerId, { next_invoice_sequence: sequence + 1 });
  return `${customer.invoice_prefix ?? "BERTH"}-${String(sequence).padStart(4, "0")}`;
}
