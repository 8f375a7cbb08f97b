import type { Stripe } from "stripe";
import {
  type CheckoutState,
  ForeignCurrency,
  type InvoiceState,
  type GivenFor,
  type GivenShown,
  type PaidPeriod,
  type ProviderEvent,
  type RefundState,
  type SubscriptionState,
} from "#core/billing/payments.ts";
import type { Billed, ChangedLine } from "#core/billing/price-changes.ts";
import { z } from "zod";
import { NO_CARD } from "#core/billing/payments.ts";
import { isCurrency } from "#core/currencies.ts";
import type { Money } from "#core/money.ts";
import type { PayingMethod } from "#core/orders/trial.ts";
import type { Settled } from "#core/orders/order-price.ts";

/** What Stripe's objects say, in the words of the port. */

export const idOf = (x: string | { id: string }): string => (typeof x === "string" ? x : x.id);
export const instant = (unixSeconds: number) => new Date(unixSeconds * 1000);
const instantOrNull = (unixSeconds: number | null) =>
  unixSeconds === null ? null : instant(unixSeconds);
export const seconds = (at: Date) => Math.floor(+at / 1000);

const moneyOrNull = (minor: number, currency: string): Money | null =>
  isCurrency(currency) ? { minor: BigInt(minor), currency } : null;

export function money(minor: number, currency: string): Money {
  const amount = moneyOrNull(minor, currency);
  if (amount === null)
    throw new ForeignCurrency(`Stripe answered in ${currency}, which is no currency that we know`);
  return amount;
}

/** An id is printable and has no blank. Anything else is none, and nothing to ask a database or Stripe for. */
const ID = /^[\x21-\x7e]{1,255}$/;

/**
 * Which object an event is about. One of a connected account's (Connect) names an object that we cannot fetch and that is
 * not ours.
 */
export function providerEvent(event: Stripe.Event): ProviderEvent {
  const object: Snapshot = event.account === undefined ? event.data.object : {};
  const kind = isId(object.object) ? object.object : "unknown";
  return {
    id: event.id,
    type: event.type,
    object: {
      kind,
      id: isId(object.id) ? object.id : null,
      version:
        kind === "subscription" && !CHANGE_EVENTS.has(event.type)
          ? subscriptionVersion(object)
          : kind === "customer"
            ? customerVersion(object)
            : null,
    },
    awaited:
      kind === "checkout.session" ||
      (kind === "invoice" && object.billing_reason === "subscription_create"),
  };
}

/** They tell of a change of price, which a subscription's version does not. */
const CHANGE_EVENTS: ReadonlySet<string> = new Set([
  "customer.subscription.pending_update_applied",
  "customer.subscription.pending_update_expired",
]);

/** What is read of the object in an event; nothing is known of what it holds. */
type Snapshot = Readonly<{
  invoice_settings?: unknown;
  object?: unknown;
  id?: unknown;
  status?: unknown;
  latest_invoice?: unknown;
  cancel_at?: unknown;
  items?: unknown;
  billing_reason?: unknown;
}>;

/**
 * All of a subscription that `subscriptionState` reads and that can change: its status, which invoice is its latest, what it bills, and when it
 * is to end. null when it says neither of the first two. An id stands here for the invoice: in an event it is never expanded.
 */
function subscriptionVersion(of: Snapshot): string | null {
  const { status, latest_invoice: invoice, cancel_at: cancelAt } = of;
  if (!isId(status) || !isId(invoice)) return null;
  const end = isSeconds(cancelAt) ? [instant(cancelAt).toISOString()] : [];
  return [status, invoice, ...itemsVersion(of.items), ...end].join(" ");
}

/** Which card a customer chose, of all that they are. */
function customerVersion({ invoice_settings: settings }: Snapshot): string | null {
  const read = z.object({ default_payment_method: z.string().regex(ID).nullable() });
  const found = read.safeParse(settings);
  return found.success ? (found.data.default_payment_method ?? NO_CARD) : null;
}

/** Which prices a subscription has, and how many times; nothing where that cannot be read. */
function itemsVersion(items: unknown): readonly string[] {
  const read = VersionedItems.safeParse(items);
  return read.success
    ? read.data.data.map(({ price, quantity }) => `${price.id}*${quantity ?? 1}`)
    : [];
}
const VersionedItems = z.object({
  data: z.array(
    z.object({ price: z.object({ id: z.string().regex(ID) }), quantity: z.number().nullish() }),
  ),
});

/** Of an instant that there is. */
const isSeconds = (of: unknown): of is number =>
  typeof of === "number" && Number.isInteger(of) && of >= 0 && of < 1e11;

export const isId = (id: unknown): id is string => typeof id === "string" && ID.test(id);

export function invoiceState(invoice: Stripe.Invoice): InvoiceState {
  return {
    id: invoice.id,
    number: invoice.number,
    status: invoice.status ?? "draft",
    total: money(invoice.total, invoice.currency),
    paid: money(invoice.amount_paid, invoice.currency),
    fromCredit: money(
      invoice.ending_balance === null ? 0 : invoice.ending_balance - invoice.starting_balance,
      invoice.currency,
    ),
    hostedUrl: invoice.hosted_invoice_url ?? null,
    createdAt: instant(invoice.created),
    paidAt: instantOrNull(invoice.status_transitions.paid_at),
    isFirst: invoice.billing_reason === "subscription_create",
    stuckBecause: invoice.status === "draft" ? whyStuck(invoice) : null,
    orderId: invoice.parent?.subscription_details?.metadata?.["order_id"] ?? null,
    subscriptionId: subscriptionIdOf(invoice),
    customerId: invoice.customer === null ? null : idOf(invoice.customer),
  };
}

const whyStuck = ({ last_finalization_error: error }: Stripe.Invoice): string | null =>
  error === null ? null : (error.code ?? error.type);

/** Which subscription it bills; null: none. */
export function subscriptionIdOf(invoice: Stripe.Invoice): string | null {
  const subscription = invoice.parent?.subscription_details?.subscription;
  return subscription === undefined ? null : idOf(subscription);
}

/** The statuses of a subscription that goes on. Those that we do not know do not: of them nobody is charged by our word. */
const GOES_ON: ReadonlySet<string> = new Set(["active", "past_due", "trialing"]);

export const goesOn = ({ status }: Stripe.Subscription): boolean => GOES_ON.has(status);

/** Whether what this subscription asks for with the invoice is to be collected. */
export const isDue = (subscription: Stripe.Subscription, invoiceId: string): boolean =>
  goesOn(subscription) &&
  subscription.pause_collection === null &&
  (subscription.pending_update === null ||
    subscription.latest_invoice === null ||
    idOf(subscription.latest_invoice) !== invoiceId);

export function refundState(refund: Stripe.Refund): RefundState {
  const { status } = refund;
  return {
    id: refund.id,
    orderId: refund.metadata?.["order_id"] ?? null,
    paymentId: refund.payment_intent === null ? null : idOf(refund.payment_intent),
    amount: moneyOrNull(refund.amount, refund.currency),
    status:
      status === "succeeded"
        ? "succeeded"
        : status === "failed" || status === "canceled"
          ? "failed"
          : "pending",
    fromCredit: minorUnits(refund.metadata?.[FROM_CREDIT]),
  };
}

/** Staff may write anything into metadata. */
const minorUnits = (text: string | undefined): bigint =>
  text !== undefined && /^-?\d{1,15}$/.test(text) ? BigInt(text) : 0n;

/** Written down with a refund: how much is taken out of the customer's credit with it. */
export const FROM_CREDIT = "from_credit";

/** The subscription, when it is known until when it is paid. */
export const subscriptionState = (
  subscription: Stripe.Subscription,
  paidUntil: Date,
): SubscriptionState => ({
  id: subscription.id,
  orderId: subscription.metadata["order_id"] ?? null,
  customerId: idOf(subscription.customer),
  status: subscription.status,
  paidUntil,
  trialEnd: instantOrNull(subscription.trial_end),
  cancelAt: subscription.cancel_at === null ? null : instant(subscription.cancel_at),
  items: subscription.items.data.map(({ price, quantity }) => ({
    minor: price.unit_amount === null ? null : BigInt(price.unit_amount),
    currency: price.currency,
    interval: price.recurring?.interval ?? "never",
    intervalCount: price.recurring?.interval_count ?? 1,
    quantity: quantity ?? 1,
  })),
  version:
    latestInvoiceOf(subscription)?.status === "paid"
      ? subscriptionVersion({ ...subscription, latest_invoice: latestInvoiceOf(subscription)?.id })
      : null,
});

export function latestInvoiceOf(subscription: Stripe.Subscription): Stripe.Invoice | null {
  const latest = subscription.latest_invoice;
  if (typeof latest === "string")
    throw new Error(`subscription ${subscription.id} was fetched without its latest invoice`);
  return latest;
}

/**
 * The end of the period that this invoice has been paid for; undefined when that is none. The period stands on the lines: the
 * subscription's own moves on whether it is paid or not. Only a recurring line buys time, by its own invoice: a proration is of a
 * period that another one asks for, and one whose total is negative is `paid` at once, whether that other one is or not.
 */
export function endOfPaid(invoice: Stripe.Invoice): Date | undefined {
  const ends = invoice.lines.data
    .filter((line) => isTime(line) && line.amount >= 0)
    .filter((line) => line.parent?.subscription_item_details?.proration !== true)
    .map((line) => line.period.end);
  return invoice.status !== "paid" || ends.length === 0 ? undefined : instant(Math.max(...ends));
}

const isTime = (line: Stripe.InvoiceLineItem): boolean =>
  line.parent?.type === "subscription_item_details";

/** The invoices of which a line of this one credits something. */
export const creditedInvoices = (invoice: Stripe.Invoice): ReadonlySet<string> =>
  new Set(
    invoice.lines.data.flatMap((line) => {
      const of = line.parent?.subscription_item_details?.proration_details?.credited_items;
      return of ? [of.invoice] : [];
    }),
  );

/** What a paid invoice was for, with all its lines, and how it was paid, without what went back of it; undefined: for no time. */
export function paidPeriod(
  invoice: Stripe.Invoice,
): Omit<PaidPeriod, "charged" | "refunded" | "given"> | undefined {
  const lines = invoice.lines.data.filter(isTime);
  if (invoice.status !== "paid" || lines.length === 0 || invoice.customer === null)
    return undefined;
  const from = instant(Math.min(...lines.map((line) => line.period.start)));
  const until = instant(Math.max(...lines.map((line) => line.period.end)));
  const parts = lines.map((line) => ({
    from: instant(line.period.start),
    until: instant(line.period.end),
    minor: BigInt(line.amount - sum(line.discount_amounts) + sum(line.taxes)),
  }));
  // What else it asks for is for the whole of that time.
  const rest = BigInt(invoice.total) - parts.reduce((all, { minor }) => all + minor, 0n);
  return {
    invoiceId: invoice.id,
    customerId: idOf(invoice.customer),
    paymentId: paymentIntentOf(invoice),
    from,
    until,
    total: money(invoice.total, invoice.currency),
    parts: rest === 0n ? parts : [...parts, { from, until, minor: rest }],
  };
}

const sum = (amounts: readonly { amount: number }[] | null | undefined): number =>
  (amounts ?? []).reduce((all, { amount }) => all + amount, 0);

/** What is written down with each credit, and with each refund of a part. */
export const givenMetadata = ({ giveBackId, invoiceId, from, until }: GivenFor) => ({
  give_back_id: giveBackId,
  invoice_id: invoiceId,
  from: from.toISOString(),
  until: until.toISOString(),
});

/** What was given back for a part of this invoice; undefined: it was for something else, or is from before it said so. */
export function givenShown(
  { id, amount, metadata }: Stripe.CustomerBalanceTransaction | Stripe.Refund,
  way: GivenShown["way"],
  invoiceId: string,
): GivenShown | undefined {
  const { give_back_id: giveBackId, invoice_id: of, from, until } = metadata ?? {};
  if (giveBackId === undefined || of !== invoiceId || from === undefined || until === undefined)
    return undefined;
  const minor = BigInt(Math.abs(amount));
  return { giveBackId, way, id, from: new Date(from), until: new Date(until), minor };
}

/** What a line credits, by their ids. */
export const creditedBy = (line: Stripe.InvoiceLineItem): readonly string[] =>
  line.parent?.subscription_item_details?.proration_details?.credited_items?.invoice_line_items ??
  [];

/** A line of what a change comes to. Only one that is credited alone is named. */
export function changedLine(line: Stripe.InvoiceLineItem): ChangedLine {
  const isProration = line.parent?.subscription_item_details?.proration === true;
  const [credits, ...others] = creditedBy(line);
  const off = sum(line.discount_amounts);
  return {
    kind: !isProration
      ? "recurring"
      : credits !== undefined || line.amount < 0
        ? "credit"
        : "debit",
    amount: money(line.amount, line.currency),
    discount: money(off, line.currency),
    from: instant(line.period.start),
    until: instant(line.period.end),
    credits: credits === undefined || others.length > 0 ? null : credits,
  };
}

/** What a discount takes off, of a subscription that was fetched with its discounts' coupons. */
export function discountOf(discount: string | Stripe.Discount): NonNullable<Billed["discount"]> {
  const coupon = typeof discount === "string" ? null : discount.source.coupon;
  if (coupon === null || typeof coupon === "string")
    throw new Error("a subscription was fetched without its discounts");
  if (coupon.percent_off !== null) return { percentOff: coupon.percent_off };
  return { amountOff: money(coupon.amount_off ?? 0, coupon.currency ?? "") };
}

/** The payment of an invoice that was fetched with its `payments`; null: there is none. */
export function paymentIntentOf(invoice: Stripe.Invoice): string | null {
  const intent = invoice.payments?.data
    .map((p) => p.payment.payment_intent)
    .find((p) => p !== undefined && p !== null);
  return intent ? idOf(intent) : null;
}

/**
 * What a session comes to. Tax that its price includes is part of the list price: only what was added to it counts. `isTaken`: all of
 * what it asked for was.
 */
function settledOf(session: Stripe.Checkout.Session, isTaken: boolean): Settled | null {
  const { amount_subtotal: list, amount_total: total, total_details: details } = session;
  const currency = session.currency ?? "";
  if (!isCurrency(currency)) return null;
  const discount = details?.amount_discount ?? 0;
  return {
    currency,
    listMinor: BigInt(list ?? 0),
    discountMinor: BigInt(discount),
    taxMinor: BigInt((total ?? 0) - (list ?? 0) + discount),
    takenMinor: BigInt(isTaken ? (total ?? 0) : 0),
  };
}

/** What a subscription's first invoice comes to, as `settledOf` says it of a session. What the customer's balance paid was taken too. */
function settledByInvoice(invoice: Stripe.Invoice): Settled | null {
  const { currency, subtotal, total } = invoice;
  if (!isCurrency(currency)) return null;
  const discount = sum(invoice.total_discount_amounts);
  return {
    currency,
    listMinor: BigInt(subtotal),
    discountMinor: BigInt(discount),
    taxMinor: BigInt(total - subtotal + discount),
    takenMinor: BigInt(invoice.status === "paid" ? total : 0),
  };
}

/** A subscription that was started by card, by its first invoice: as a page whose session says the same. */
export function startedState(
  subscription: Stripe.Subscription,
  first: Stripe.Invoice,
  state: SubscriptionState,
): CheckoutState {
  const paid = first.status === "paid";
  const isOver = first.status === "void" || (!paid && ENDED.has(subscription.status));
  return {
    id: subscription.id,
    url: first.hosted_invoice_url ?? null,
    status: isOver ? "expired" : subscription.status === "incomplete" ? "open" : "complete",
    paid,
    settled: settledByInvoice(first),
    orderId: state.orderId,
    subscription: state,
    // Its card was on file: no trial begins with one.
    method: null,
    savesCardOf: null,
    invoiceId: first.id,
    invoice: isCurrency(first.currency) ? invoiceState(first) : null,
  };
}
const ENDED: ReadonlySet<string> = new Set(["canceled", "incomplete_expired"]);

/** With what a subscription that was fetched with its payment method is paid. */
export function payingMethod(
  of: Stripe.Subscription["default_payment_method"],
): PayingMethod | null {
  if (of === null) return null;
  if (typeof of === "string") throw new Error(`payment method ${of} was not fetched`);
  const fingerprint = of.card?.fingerprint;
  if (of.type !== "card" || fingerprint === undefined || fingerprint === null)
    return { kind: "other" };
  return { kind: "card", fingerprint, isWallet: of.card?.wallet != null };
}

export function checkoutState(
  session: Stripe.Checkout.Session,
  subscription: SubscriptionState | null,
  method: PayingMethod | null = null,
): CheckoutState {
  const { invoice } = session;
  if (typeof invoice === "string")
    throw new Error(`checkout session ${session.id} was fetched without its invoice`);
  const isOver = session.status === "complete";
  const taken =
    session.payment_status === "paid" || session.payment_status === "no_payment_required";
  const paid = isOver && (taken || invoice?.status === "paid");
  return {
    id: session.id,
    url: session.url,
    // Its enums are open: what we do not know is not complete, and not known to be over.
    status:
      session.status === "complete"
        ? "complete"
        : session.status === "expired"
          ? "expired"
          : "open",
    // A debit that failed first and was taken later stands on the invoice alone.
    paid,
    settled: settledOf(session, paid && session.payment_status !== "no_payment_required"),
    orderId: session.metadata?.["order_id"] ?? null,
    subscription,
    method,
    savesCardOf:
      session.mode === "setup" && session.customer !== null ? idOf(session.customer) : null,
    invoiceId: invoice?.id ?? null,
    invoice: invoice && isCurrency(invoice.currency) ? invoiceState(invoice) : null,
  };
}
