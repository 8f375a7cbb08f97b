import type { Stripe } from "stripe";
import { invalidRequest, noSuchReference } from "./api-error.ts";
import { advanced, collect, finalizeAndCollect, finalizeByHand } from "./collection.ts";
import { allLinesOf } from "./invoice-lines.ts";
import { customerOf, intentIdOf, paymentOf, subscriptionIdOf, voidInvoice } from "./invoices.ts";
import { listOperation, operation, pageOf } from "./operation.ts";
import {
  bool,
  changedMetadata,
  choice,
  listParamsOf,
  metadata,
  paramsOf,
  text,
  tree,
} from "./params.ts";
import { methodOf } from "./payment-methods.ts";
import { cardError } from "./payments.ts";
import { previewOperation } from "./preview.ts";
import { idOf, idOrNull, type Sandbox } from "./sandbox.ts";

/** Invoices, what paid them, payment intents and charges. */

function payInvoice(sandbox: Sandbox, id: string, method: string | undefined): Stripe.Invoice {
  const invoice = sandbox.find("invoice", id);
  if (invoice.status === "paid")
    throw invalidRequest("Invoice is already paid", { code: "invoice_not_editable" });
  if (invoice.status !== "open" && invoice.status !== "draft")
    throw invalidRequest(`An invoice that is ${invoice.status} cannot be paid.`);
  if (method !== undefined) methodOf(sandbox, method, idOf(customerOf(invoice)), "payment_method");
  const outcome =
    invoice.status === "draft"
      ? finalizeAndCollect(sandbox, id)
      : paymentOf(sandbox, id) === undefined
        ? { ok: true }
        : collect(sandbox, id, method ?? null);
  if ("decline" in outcome) throw cardError(outcome);
  if ("asksForAction" in outcome)
    throw invalidRequest(
      "This payment requires additional user action before it can be completed successfully.",
      { code: "invoice_payment_intent_requires_action", status: 402 },
    );
  if (!outcome.ok)
    throw invalidRequest(
      "There is no default payment method set on this Customer or Invoice. Please set one to pay.",
      { code: "resource_missing" },
    );
  return sandbox.find("invoice", id);
}

export const billingOperations = [
  // Before what takes an invoice's id in its place.
  previewOperation,
  operation({
    method: "GET",
    path: "/v1/invoices/:id",
    returns: "invoice",
    params: paramsOf<Stripe.InvoiceRetrieveParams>()({}),
    run: ({ sandbox, id }) => sandbox.find("invoice", id),
  }),
  operation({
    method: "POST",
    path: "/v1/invoices/:id",
    returns: "invoice",
    params: paramsOf<Stripe.InvoiceUpdateParams>()({
      auto_advance: bool().optional(),
      metadata: metadata().optional(),
    }),
    run: ({ sandbox, id, params }) => {
      const before = sandbox.find("invoice", id);
      const { object, previous } = sandbox.change("invoice", id, {
        metadata: changedMetadata(before.metadata ?? {}, params.metadata),
        ...(params.auto_advance === undefined
          ? {}
          : advanced(sandbox, before, params.auto_advance)),
      });
      sandbox.emit("invoice.updated", object, previous);
      return object;
    },
  }),
  operation({
    method: "POST",
    path: "/v1/invoices/:id/finalize",
    returns: "invoice",
    params: paramsOf<Stripe.InvoiceFinalizeInvoiceParams>()({}),
    run: ({ sandbox, id }) => finalizeByHand(sandbox, id),
  }),
  operation({
    method: "POST",
    path: "/v1/invoices/:id/pay",
    returns: "invoice",
    params: paramsOf<Stripe.InvoicePayParams>()({ payment_method: text().optional() }),
    run: ({ sandbox, id, params }) => payInvoice(sandbox, id, params.payment_method),
  }),
  operation({
    method: "POST",
    path: "/v1/invoices/:id/void",
    returns: "invoice",
    params: paramsOf<Stripe.InvoiceVoidInvoiceParams>()({}),
    run: ({ sandbox, id }) => {
      const { status } = sandbox.find("invoice", id);
      if (status !== "open")
        throw invalidRequest(`You can only void an open invoice. This invoice is ${status}.`, {
          code: "invoice_not_editable",
        });
      return voidInvoice(sandbox, id);
    },
  }),
  operation({
    method: "GET",
    path: "/v1/invoices/:id/lines",
    returns: "invoice",
    params: listParamsOf<Stripe.InvoiceListLineItemsParams>()({}),
    run: ({ sandbox, id, params }) => {
      const lines = allLinesOf(sandbox, sandbox.find("invoice", id));
      const { data, hasMore } = pageOf(lines, params, (cursor, param) => {
        if (!lines.some((line) => line.id === cursor))
          throw noSuchReference("line_item", cursor, param);
      });
      return { object: "list", data, has_more: hasMore, url: `/v1/invoices/${id}/lines` };
    },
  }),
  listOperation({
    path: "/v1/invoices",
    of: "invoice",
    params: listParamsOf<Stripe.InvoiceListParams>()({
      customer: text().optional(),
      subscription: text().optional(),
      status: choice(["draft", "open", "paid", "uncollectible", "void"]).optional(),
    }),
    keep: (params) => (invoice) =>
      (params.customer === undefined || idOrNull(invoice.customer) === params.customer) &&
      (params.subscription === undefined || subscriptionIdOf(invoice) === params.subscription) &&
      (params.status === undefined || invoice.status === params.status),
  }),
  listOperation({
    path: "/v1/invoice_payments",
    of: "invoice_payment",
    params: listParamsOf<Stripe.InvoicePaymentListParams>()({
      invoice: text().optional(),
      payment: tree({ type: choice(["payment_intent"]), payment_intent: text() }).optional(),
      status: choice(["open", "paid", "canceled"]).optional(),
    }),
    keep: (params) => (payment) =>
      (params.invoice === undefined || idOf(payment.invoice) === params.invoice) &&
      (params.payment === undefined || intentIdOf(payment) === params.payment.payment_intent) &&
      (params.status === undefined || payment.status === params.status),
  }),
  operation({
    method: "GET",
    path: "/v1/payment_intents/:id",
    returns: "payment_intent",
    params: paramsOf<Stripe.PaymentIntentRetrieveParams>()({}),
    run: ({ sandbox, id }) => sandbox.find("payment_intent", id),
  }),
  listOperation({
    path: "/v1/payment_intents",
    of: "payment_intent",
    params: listParamsOf<Stripe.PaymentIntentListParams>()({ customer: text().optional() }),
    keep: (params) => (intent) =>
      params.customer === undefined || idOrNull(intent.customer) === params.customer,
  }),
  operation({
    method: "GET",
    path: "/v1/charges/:id",
    returns: "charge",
    params: paramsOf<Stripe.ChargeRetrieveParams>()({}),
    run: ({ sandbox, id }) => sandbox.find("charge", id),
  }),
  listOperation({
    path: "/v1/charges",
    of: "charge",
    params: listParamsOf<Stripe.ChargeListParams>()({
      customer: text().optional(),
      payment_intent: text().optional(),
    }),
    keep: (params) => (charge) =>
      (params.customer === undefined || idOrNull(charge.customer) === params.customer) &&
      (params.payment_intent === undefined ||
        idOrNull(charge.payment_intent) === params.payment_intent),
  }),
];
