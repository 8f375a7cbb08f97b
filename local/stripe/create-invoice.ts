import type { Stripe } from "stripe";
import { activeDiscounts, dropUsedDiscounts } from "./coupons.ts";
import { lineOf, sumOf } from "./invoice-lines.ts";
import type { Period } from "./periods.ts";
import type { Sandbox } from "./sandbox.ts";
import type { LineDraft } from "./store.ts";
import { sumOfTaxes } from "./tax-rates.ts";

export type InvoiceDraft = Readonly<{
  customer: string;
  currency: string;
  reason:
    | "subscription_create"
    | "subscription_cycle"
    | "subscription_update"
    | "manual"
    | "upcoming";
  subscription: Stripe.Subscription | null;
  lines: readonly LineDraft[];
  /** For a renewal the period that ended; its lines carry the one that begins. */
  period: Period;
  finalizesAt: number | null;
  metadata: Record<string, string>;
  description: string | null;
  /** A change waits for it, which may never count: what counts once is not used up yet. */
  isWaitedFor?: boolean;
}>;

/** An invoice shows its first ten lines; the others are listed (https://docs.stripe.com/api/invoices/line_item). */
const EMBEDDED_LINES = 10;

/** A draft. Its lines are worth what they say; a customer's credit is taken off when it is finalised. */
export function createInvoice(sandbox: Sandbox, draft: InvoiceDraft): Stripe.Invoice {
  const { invoice, lines } = composeInvoice(sandbox, draft, {
    id: sandbox.ids.next("in"),
    newLineId: () => sandbox.ids.next("il"),
  });
  const credits = draft.lines.flatMap(({ proration }) =>
    proration === undefined || proration.credits === null
      ? []
      : [[proration.id, proration.credits.lines] as const],
  );
  sandbox.store.put("invoice_lines", {
    id: invoice.id,
    lines,
    credits: Object.fromEntries(credits),
  });
  sandbox.store.put("invoice", invoice);
  if (draft.subscription !== null && draft.isWaitedFor !== true)
    dropUsedDiscounts(sandbox, draft.subscription.id);
  sandbox.emit("invoice.created", invoice);
  return invoice;
}

/** The invoice that `draft` would be, with all its lines. Changes nothing. */
export function composeInvoice(
  sandbox: Sandbox,
  draft: InvoiceDraft,
  named: { id: string; newLineId: () => string },
): { invoice: Stripe.Invoice; lines: Stripe.InvoiceLineItem[] } {
  const { subscription } = draft;
  const customer = sandbox.find("customer", draft.customer);
  const discounts = subscription === null ? [] : activeDiscounts(sandbox, subscription);
  const taxRates = subscription?.default_tax_rates ?? [];
  const { id } = named;
  const taken = new Map<string, number>();
  const lines = draft.lines.map((line) =>
    lineOf(sandbox, line, {
      ...draft,
      invoice: id,
      discounts,
      taken,
      taxRates,
      newId: named.newLineId,
    }),
  );
  const subtotal = sumOf(lines);
  const off = discounts.map((discount) => ({
    discount: discount.id,
    amount: sumOf(
      lines.flatMap((line) =>
        (line.discount_amounts ?? []).filter((each) => each.discount === discount.id),
      ),
    ),
  }));
  const taxes = sumOfTaxes(lines);
  const withoutTax = subtotal - sumOf(off);
  const total = withoutTax + sumOf(taxes);
  const due = Math.max(0, total);
  const invoice: Stripe.Invoice = {
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
    collection_method: subscription?.collection_method ?? "charge_automatically",
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
    default_tax_rates: taxRates,
    description: draft.description,
    discounts: discounts.map((each) => each.id),
    due_date:
      subscription?.days_until_due == null
        ? null
        : sandbox.now() + subscription.days_until_due * 86_400,
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
      data: lines.slice(0, EMBEDDED_LINES),
      has_more: lines.length > EMBEDDED_LINES,
      url: `/v1/invoices/${id}/lines`,
    },
    livemode: false,
    metadata: draft.metadata,
    next_payment_attempt: draft.finalizesAt,
    number: null,
    on_behalf_of: null,
    parent:
      subscription === null
        ? null
        : {
            quote_details: null,
            subscription_details: {
              metadata: subscription.metadata,
              subscription: subscription.id,
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
    subtotal,
    subtotal_excluding_tax: subtotal,
    test_clock: null,
    total,
    total_discount_amounts: off,
    total_excluding_tax: withoutTax,
    total_pretax_credit_amounts: off.map((each) => ({ ...each, type: "discount" })),
    total_taxes: taxes,
    webhooks_delivered_at: null,
  };
  return { invoice, lines };
}
