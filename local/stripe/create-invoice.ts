import type { Stripe } from "stripe";
import { lineOf } from "./invoice-lines.ts";
import type { Period } from "./periods.ts";
import type { Sandbox } from "./sandbox.ts";
import type { LineDraft } from "./store.ts";

export type InvoiceDraft = Readonly<{
  customer: string;
  currency: string;
  reason: "subscription_create" | "subscription_cycle" | "subscription_update" | "manual";
  subscription: Stripe.Subscription | null;
  lines: readonly LineDraft[];
  /** For a renewal the period that ended; its lines carry the one that begins. */
  period: Period;
  finalizesAt: number | null;
  metadata: Record<string, string>;
  description: string | null;
}>;

/** A draft. Its lines are worth what they say; a customer's credit is taken off when it is finalised. */
export function createInvoice(sandbox: Sandbox, draft: InvoiceDraft): Stripe.Invoice {
  const customer = sandbox.find("customer", draft.customer);
  const id = sandbox.ids.next("in");
  const lines = draft.lines.map((line) => lineOf(sandbox, line, { ...draft, invoice: id }));
  const total = lines.reduce((sum, line) => sum + line.amount, 0);
  const due = Math.max(0, total);
  const invoice = sandbox.store.put("invoice", {
    id,
    object: "invoice",
    account_country: "US",
    account_name: "Berth",
    account_tax_ids: null,
    amount_due: due,
    amount_overpaid: 0,
    amount_paid: 0,
    amount_remaining: due,
    amount_shipping: 0,
    application: null,
    attempt_count: 0,
    attempted: false,
    auto_advance: true,
    automatic_tax: {
      disabled_reason: null,
      enabled: false,
      liability: null,
      provider: null,
      status: null,
    },
    automatically_finalizes_at: draft.finalizesAt,
    billing_reason: draft.reason,
    collection_method: "charge_automatically",
    created: sandbox.now(),
    currency: draft.currency,
    custom_fields: null,
    customer: customer.id,
    customer_account: null,
    customer_address: customer.address ?? null,
    customer_email: customer.email,
    customer_name: customer.name ?? null,
    customer_phone: customer.phone ?? null,
    customer_shipping: null,
    customer_tax_exempt: "none",
    customer_tax_ids: [],
    default_payment_method: null,
    default_source: null,
    default_tax_rates: [],
    description: draft.description,
    discounts: [],
    due_date: null,
    effective_at: null,
    ending_balance: null,
    footer: null,
    from_invoice: null,
    hosted_invoice_url: null,
    invoice_pdf: null,
    issuer: { type: "self" },
    last_finalization_error: null,
    latest_revision: null,
    lines: {
      object: "list",
      data: lines,
      has_more: false,
      url: `/v1/invoices/${id}/lines`,
    },
    livemode: false,
    metadata: draft.metadata,
    next_payment_attempt: draft.finalizesAt,
    number: null,
    on_behalf_of: null,
    parent:
      draft.subscription === null
        ? null
        : {
            quote_details: null,
            subscription_details: {
              metadata: draft.subscription.metadata,
              subscription: draft.subscription.id,
            },
            type: "subscription_details",
          },
    payment_settings: {
      default_mandate: null,
      payment_method_options: null,
      payment_method_types: null,
    },
    period_end: draft.period.end,
    period_start: draft.period.start,
    post_payment_credit_notes_amount: 0,
    pre_payment_credit_notes_amount: 0,
    receipt_number: null,
    rendering: null,
    shipping_cost: null,
    shipping_details: null,
    starting_balance: customer.balance,
    statement_descriptor: null,
    status: "draft",
    status_transitions: {
      finalized_at: null,
      marked_uncollectible_at: null,
      paid_at: null,
      voided_at: null,
    },
    subtotal: total,
    subtotal_excluding_tax: total,
    test_clock: null,
    total,
    total_discount_amounts: [],
    total_excluding_tax: total,
    total_pretax_credit_amounts: [],
    total_taxes: [],
    webhooks_delivered_at: null,
  });
  sandbox.emit("invoice.created", invoice);
  return invoice;
}
