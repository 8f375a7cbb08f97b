import type { Stripe } from "stripe";
import { invalidRequest } from "./api-error.ts";
import { composeInvoice, type InvoiceDraft } from "./create-invoice.ts";
import { duesOf } from "./invoices.ts";
import { operation } from "./operation.ts";
import { bool, choice, int, listOf, paramsOf, text, tree } from "./params.ts";
import type { Sandbox } from "./sandbox.ts";
import { invoiceOfChange, planChange, type CycleChange } from "./subscription-items.ts";
import { isOver } from "./subscription-states.ts";
import { renewalOf } from "./subscriptions.ts";

/**
 * What an invoice would come to, without anything being done (https://docs.stripe.com/api/invoices/create_preview): the one that a
 * change makes at once, or else the next renewal's with what waits for it.
 */
export const previewOperation = operation({
  method: "POST",
  path: "/v1/invoices/create_preview",
  returns: "invoice",
  params: paramsOf<Stripe.InvoiceCreatePreviewParams>()({
    subscription: text(),
    preview_mode: choice(["next"]).optional(),
    subscription_details: tree({
      billing_cycle_anchor: tree({ type: choice(["now", "unchanged"]) }).optional(),
      items: listOf(
        tree({
          id: text().optional(),
          price: text().optional(),
          quantity: int({ min: 0, max: 999_999 }).optional(),
          deleted: bool().optional(),
        }),
      ).optional(),
      proration_behavior: choice(["create_prorations", "always_invoice", "none"]).optional(),
      proration_date: int().optional(),
    }).optional(),
  }),
  run: ({ sandbox, params }) =>
    preview(sandbox, params.subscription, params.subscription_details ?? {}),
});

function preview(sandbox: Sandbox, id: string, change: CycleChange): Stripe.Invoice {
  const subscription = sandbox.refer("subscription", id, "subscription");
  if (isOver(subscription))
    throw invalidRequest("No upcoming invoices for a canceled subscription.", {
      code: "invoice_upcoming_none",
    });
  const { proration_date: at, proration_behavior: behavior } = change;
  if (at !== undefined && (behavior === "none" || change.items === undefined))
    throw invalidRequest(
      "`subscription_details[proration_date]` needs `subscription_details[items]`, and prorations.",
      { param: "subscription_details[proration_date]" },
    );
  // Ids that no object has: a look moves no other id.
  const newId = (prefix: string): string => sandbox.ids.next(`${prefix}_tmp`);
  const draft = draftOf(sandbox, subscription, change, newId);
  const { invoice } = composeInvoice(
    sandbox,
    { ...draft, reason: "upcoming" },
    { id: sandbox.ids.next("upcoming_in"), newLineId: () => newId("il") },
  );
  const dues = duesOf(invoice.total, invoice.starting_balance, invoice.currency);
  const details = invoice.parent?.subscription_details;
  return {
    ...invoice,
    amount_due: dues.due,
    amount_remaining: dues.due,
    ending_balance: dues.balance,
    ...(invoice.parent && details && at !== undefined
      ? {
          parent: {
            ...invoice.parent,
            subscription_details: { ...details, subscription_proration_date: at },
          },
        }
      : {}),
  };
}

function draftOf(
  sandbox: Sandbox,
  subscription: Stripe.Subscription,
  change: CycleChange,
  newId: (prefix: string) => string,
): InvoiceDraft {
  const planned = planChange(sandbox, subscription, change, newId);
  if (planned.invoiced) return invoiceOfChange(sandbox, subscription, planned);
  const items = { ...subscription.items, data: planned.items };
  const { draft } = renewalOf(sandbox, { ...subscription, items });
  return { ...draft, subscription, lines: [...planned.lines, ...draft.lines] };
}
