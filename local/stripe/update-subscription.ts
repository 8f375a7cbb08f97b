import type { Stripe } from "stripe";
import { invalidRequest } from "./api-error.ts";
import { finalizeAndCollect, methodToCharge, settle } from "./collection.ts";
import { couponsAsked, redeem } from "./coupons.ts";
import { composeInvoice, createInvoice } from "./create-invoice.ts";
import { finalizeInvoice, voidInvoice } from "./invoices.ts";
import { changedMetadata } from "./params.ts";
import { methodOf } from "./payment-methods.ts";
import { cardError, charge, createPaymentIntent } from "./payments.ts";
import { putPending } from "./pending-update.ts";
import { idOf, idOrNull, type Sandbox } from "./sandbox.ts";
import type { DiscountAsked } from "./store.ts";
import {
  checkInvoiceRate,
  invoiceOfChange,
  planChange,
  type CycleChange,
  type ItemChange,
  type PlannedChange,
} from "./subscription-items.ts";
import { isOver } from "./subscription-states.ts";
import { periodEndOf } from "./subscriptions.ts";
import { taxRatesOf } from "./tax-rates.ts";

type SubscriptionUpdate = CycleChange & {
  cancel_at?: number | null | undefined;
  cancel_at_period_end?: boolean | undefined;
  cancellation_details?:
    | { comment?: string | null | undefined; feedback?: string | null | undefined }
    | undefined;
  collection_method?: "charge_automatically" | "send_invoice" | undefined;
  days_until_due?: number | undefined;
  default_payment_method?: string | undefined;
  default_tax_rates?: string[] | null | undefined;
  description?: string | null | undefined;
  discounts?: DiscountAsked[] | null | undefined;
  items?: ItemChange[] | undefined;
  metadata?: Record<string, string> | null | undefined;
  pause_collection?: { behavior: "void" } | null | undefined;
  payment_behavior?: string | undefined;
};

export function updateSubscription(
  sandbox: Sandbox,
  id: string,
  params: SubscriptionUpdate,
): Stripe.Subscription {
  const before = sandbox.find("subscription", id);
  checkUpdate(sandbox, before, params);
  const changesCycle = params.items !== undefined || params.billing_cycle_anchor?.type === "now";
  const change = changesCycle ? planChange(sandbox, before, params) : null;
  if (change?.invoiced === true) checkInvoiceRate(sandbox, id);
  // Another change takes the place of one that waits.
  if (change !== null && before.pending_update !== null) dropPending(sandbox, before);
  if (change?.invoiced === true && params.payment_behavior === "pending_if_incomplete")
    return changeWhenPaid(sandbox, id, change, params.metadata ?? null);
  // Items first: a declined proration refuses the whole call.
  const previousItems = change === null ? {} : changeNow(sandbox, before, change, params);
  const { object, previous } = sandbox.change("subscription", id, {
    ...cancellationPatch(sandbox, sandbox.find("subscription", id), params),
    ...settingsPatch(sandbox, before, params),
    metadata: changedMetadata(before.metadata, params.metadata),
  });
  const told = { ...previous, ...previousItems };
  if (Object.keys(told).length > 0) sandbox.emit("customer.subscription.updated", object, told);
  if (change?.invoiced !== true || params.payment_behavior === "error_if_incomplete") return object;
  finalizeAndCollect(sandbox, idOrNull(object.latest_invoice) ?? "");
  return sandbox.find("subscription", id);
}

/** What may ride on a change that waits for its payment (https://docs.stripe.com/billing/subscriptions/pending-updates-reference). */
const MAY_WAIT = new Set([
  "billing_cycle_anchor",
  "expand",
  "items",
  "metadata",
  "payment_behavior",
  "proration_behavior",
  "proration_date",
]);
const MAY_WAIT_OF_ITEM = new Set(["id", "price", "quantity"]);

function checkUpdate(
  sandbox: Sandbox,
  before: Stripe.Subscription,
  params: SubscriptionUpdate,
): void {
  const { metadata: _m, cancellation_details: _d, ...rest } = params;
  const given = (of: object): string[] =>
    Object.entries(of).flatMap(([name, value]) => (value === undefined ? [] : [name]));
  const asked = given(rest).filter((name) => name !== "expand");
  if (isOver(before) && asked.length > 0)
    throw invalidRequest(
      "A canceled subscription can only update its cancellation_details and metadata.",
      { code: "invalid_canceled_subscription_fields" },
    );
  if (
    before.status === "trialing" &&
    (params.items !== undefined || params.billing_cycle_anchor?.type === "now")
  )
    throw invalidRequest("The local stand-in changes nothing of what a trial is for.");
  const customer = idOf(before.customer);
  if (params.default_payment_method !== undefined)
    methodOf(sandbox, params.default_payment_method, customer, "default_payment_method");
  if (
    params.cancel_at !== undefined &&
    params.cancel_at !== null &&
    params.cancel_at <= sandbox.now()
  )
    throw invalidRequest("`cancel_at` must be in the future.", { param: "cancel_at" });
  if (params.collection_method === "send_invoice" && params.days_until_due === undefined)
    throw invalidRequest("Missing required param: days_until_due.", {
      code: "parameter_missing",
      param: "days_until_due",
    });
  if (params.payment_behavior !== "pending_if_incomplete") return;
  const refuse = (message: string) => invalidRequest(message, { param: "payment_behavior" });
  const foreign = [
    ...given(params).filter((name) => !MAY_WAIT.has(name)),
    ...(params.items ?? []).flatMap((item, index) =>
      given(item)
        .filter((name) => !MAY_WAIT_OF_ITEM.has(name))
        .map((name) => `items[${index}][${name}]`),
    ),
  ];
  if (foreign.length > 0)
    throw refuse(
      `When \`payment_behavior\` is \`pending_if_incomplete\`, you cannot pass ${foreign.join(", ")}.`,
    );
  if (before.collection_method !== "charge_automatically")
    throw refuse(
      "`pending_if_incomplete` needs the subscription's `collection_method` to be `charge_automatically`.",
    );
  const method = methodToCharge(sandbox, customer, before.id);
  if (method !== null && sandbox.find("payment_method", method).type !== "card")
    throw refuse("`pending_if_incomplete` is not supported for bank debits.");
}

/** The invoice that the change waits for is void, and with it the change. */
export function dropPending(sandbox: Sandbox, subscription: Stripe.Subscription): void {
  const invoice = idOrNull(subscription.latest_invoice);
  if (invoice !== null) voidInvoice(sandbox, invoice);
}

/** Invoices the change, and makes it when that is paid: at once, or later. */
function changeWhenPaid(
  sandbox: Sandbox,
  id: string,
  change: PlannedChange,
  metadata: Record<string, string> | null,
): Stripe.Subscription {
  const before = sandbox.find("subscription", id);
  const invoice = createInvoice(sandbox, {
    ...invoiceOfChange(sandbox, before, change),
    isWaitedFor: true,
  });
  sandbox.store.remove("pending_prorations", id);
  sandbox.change("subscription", id, { latest_invoice: invoice.id });
  const { items, anchor } = change;
  putPending(sandbox, id, { items, anchor, metadata, periodEnd: periodEndOf(before) });
  finalizeAndCollect(sandbox, invoice.id);
  const after = sandbox.find("subscription", id);
  if (after.pending_update !== null)
    sandbox.emit("customer.subscription.updated", after, {
      latest_invoice: before.latest_invoice,
      pending_update: null,
    });
  return after;
}

/** Makes the change. Its invoice, if it has one now, is a draft and the latest one; one that must be paid is paid already. */
function changeNow(
  sandbox: Sandbox,
  before: Stripe.Subscription,
  change: PlannedChange,
  { payment_behavior: behavior, proration_behavior: prorating }: SubscriptionUpdate,
): Partial<Stripe.Subscription> {
  const { id } = before;
  const { previous } = sandbox.change("subscription", id, {
    items: { ...before.items, data: change.items },
    ...(change.anchor === null ? {} : { billing_cycle_anchor: change.anchor }),
  });
  if (!change.invoiced) {
    if (prorating === "none" || change.lines.length === 0) return previous;
    const waiting = sandbox.store.get("pending_prorations", id)?.lines ?? [];
    sandbox.store.put("pending_prorations", { id, lines: [...waiting, ...change.lines] });
    return previous;
  }
  const draft = invoiceOfChange(sandbox, sandbox.find("subscription", id), change);
  // Charged before anything is invoiced, so that a refusal leaves the subscription as it was.
  const { total } = composeInvoice(sandbox, draft, { id: "", newLineId: () => "" }).invoice;
  const paid =
    behavior === "error_if_incomplete" ? chargeOrRefuse(sandbox, before, total) : undefined;
  const invoice = createInvoice(sandbox, draft);
  sandbox.store.remove("pending_prorations", id);
  sandbox.change("subscription", id, { latest_invoice: invoice.id });
  if (paid !== undefined) {
    finalizeInvoice(sandbox, invoice.id, paid);
    settle(sandbox, invoice.id);
  }
  return { ...previous, latest_invoice: before.latest_invoice };
}

/** The intent that paid for the change; null when it comes to nothing. Throws the card's refusal. */
function chargeOrRefuse(
  sandbox: Sandbox,
  before: Stripe.Subscription,
  amount: number,
): string | null {
  if (amount <= 0) return null;
  const restore = () =>
    sandbox.change("subscription", before.id, {
      items: before.items,
      billing_cycle_anchor: before.billing_cycle_anchor,
    });
  const customer = idOf(before.customer);
  const method = methodToCharge(sandbox, customer, before.id);
  if (method === null) {
    restore();
    throw invalidRequest("This customer has no default payment method.", {
      code: "resource_missing",
    });
  }
  const intent = createPaymentIntent(sandbox, {
    amount,
    currency: before.currency,
    customer,
    description: "Subscription update",
    metadata: {},
    setupFutureUsage: "off_session",
  });
  const outcome = charge(sandbox, intent.id, method, true);
  if (outcome.ok) return intent.id;
  restore();
  throw cardError(outcome);
}

function settingsPatch(
  sandbox: Sandbox,
  before: Stripe.Subscription,
  params: SubscriptionUpdate,
): Partial<Stripe.Subscription> {
  const on = { customer: idOf(before.customer), subscription: before.id };
  return {
    ...(params.collection_method === undefined
      ? {}
      : {
          collection_method: params.collection_method,
          days_until_due: params.days_until_due ?? null,
        }),
    ...(params.default_payment_method === undefined
      ? {}
      : { default_payment_method: params.default_payment_method }),
    ...(params.default_tax_rates === undefined
      ? {}
      : { default_tax_rates: taxRatesOf(sandbox, params.default_tax_rates ?? []) }),
    ...(params.description === undefined ? {} : { description: params.description }),
    ...(params.discounts === undefined
      ? {}
      : {
          discounts: redeem(
            sandbox,
            couponsAsked(sandbox, params.discounts ?? [], before.currency),
            on,
          ),
        }),
    ...(params.pause_collection === undefined
      ? {}
      : {
          pause_collection: params.pause_collection && {
            ...params.pause_collection,
            resumes_at: null,
          },
        }),
  };
}

/** A planned end, by date or by period, with the reason that Stripe notes; or its withdrawal. */
function cancellationPatch(
  sandbox: Sandbox,
  before: Stripe.Subscription,
  params: SubscriptionUpdate,
): Partial<Stripe.Subscription> {
  if (params.cancel_at !== undefined && params.cancel_at_period_end !== undefined)
    throw invalidRequest(
      "You may only specify one of these parameters: cancel_at, cancel_at_period_end.",
    );
  const details = {
    comment: params.cancellation_details?.comment ?? before.cancellation_details?.comment ?? null,
    feedback:
      params.cancellation_details?.feedback ?? before.cancellation_details?.feedback ?? null,
    feedback_option: null,
  };
  const planned =
    params.cancel_at_period_end === true ? periodEndOf(before) : (params.cancel_at ?? null);
  if (params.cancel_at === undefined && params.cancel_at_period_end === undefined)
    return params.cancellation_details === undefined
      ? {}
      : {
          cancellation_details: { ...details, reason: before.cancellation_details?.reason ?? null },
        };
  return {
    cancel_at: planned,
    cancel_at_period_end: params.cancel_at_period_end ?? false,
    canceled_at: planned === null ? null : sandbox.now(),
    cancellation_details: {
      ...details,
      reason: planned === null ? null : "cancellation_requested",
    },
  };
}
