import type { TaxBehavior } from "#core/catalogue/sold.ts";
import type { Currency, Money } from "#core/money.ts";
import type { BilledItem } from "./billed-otherwise.ts";
import type { PayingMethod } from "#core/orders/trial.ts";
import type { Settled } from "#core/orders/order-price.ts";
import type { Refusal, Result } from "#core/result.ts";

/** What the payment provider says now. Statuses that we do not know are kept as text: its enums are open. */
export type SubscriptionState = Readonly<{
  id: string;
  /** From the metadata that we gave it; null for a subscription that is not ours. */
  orderId: string | null;
  customerId: string;
  status: string;
  /**
   * The end of the last period whose invoice is paid; the subscription's start when none is. Stripe moves the period on
   * before it has charged, and says `active` meanwhile, so neither its status nor its period proves anything.
   */
  paidUntil: Date;
  /** When the trial that it began with ends, or ended; null: it began without. */
  trialEnd: Date | null;
  /** When it is to end, or has ended by such a plan: whoever planned it, there or by our word. null: it goes on, or was ended at once. */
  cancelAt: Date | null;
  /** What it bills. */
  items: readonly BilledItem[];
  /**
   * Names all that the subscription itself says to us; a snapshot of it in an event says its own (`ProviderEvent`). null while
   * its latest invoice is not paid: `paidUntil` may then move on, and the subscription says nothing of it.
   */
  version: string | null;
}>;

export type InvoiceState = Readonly<{
  id: string;
  number: string | null;
  status: string;
  total: Money;
  paid: Money;
  /** What the customer's balance paid of it; negative: what it owed was asked for with it. */
  fromCredit: Money;
  hostedUrl: string | null;
  createdAt: Date;
  /** To the second, as the provider tells time; null: it is not paid. */
  paidAt: Date | null;
  /** It is the first of its subscription, which an order is paid with. */
  isFirst: boolean;
  /** Why it could not be sent, and is a draft that nobody can pay; null: it could, or was not to be sent yet. */
  stuckBecause: string | null;
}> &
  NamedBy;

/** By what an object of the provider's leads to what is ours. */
export type NamedBy = Readonly<{
  /** From the metadata that we gave its subscription, or the page that it was paid on; null: that names none. */
  orderId: string | null;
  /** null: it is of none. */
  subscriptionId: string | null;
  /** null: it is nobody's. */
  customerId: string | null;
}>;

/** An invoice that is still to be paid, or to be asked for, of whichever subscription of one customer. */
export type AskedInvoice = Readonly<{
  id: string;
  status: "draft" | "open";
  /** null: it is of none. */
  subscriptionId: string | null;
  /** The provider asks for it by itself. */
  collects: boolean;
  /** Its subscription goes on, is billed, and does not hold it for a change that waits for its payment. */
  isDue: boolean;
}>;

export type RefundState = Readonly<{
  id: string;
  /** From the metadata that we gave it; null for one that we did not make: staff make them in the dashboard. */
  orderId: string | null;
  /** The payment that it gives back. */
  paymentId: string | null;
  /** null: it never was in our books, being nothing, or in a currency that we do not know. */
  amount: Money | null;
  /** One that succeeded may still fail: the bank sends it back up to 30 days later (docs.stripe.com/refunds). */
  status: "succeeded" | "pending" | "failed";
  /** In minor units, what is taken out of the customer's credit with it: a change of price that was taken back had given that. */
  fromCredit: bigint;
}>;

/** A refund of money that is in our books. */
export type BookedRefund = RefundState & Readonly<{ amount: Money }>;

/** What the provider shows of what was given back for a part of a paid period: as credit, or to where it came from. */
export type GivenShown = Readonly<{
  giveBackId: string;
  way: "balance" | "card";
  /** The provider's: of the transaction on a balance, or of the refund. */
  id: string;
  from: Date;
  until: Date;
  minor: bigint;
}>;

/** What is told to the provider with it, so that a database which has forgotten it finds it there. */
export type GivenFor = Readonly<{ giveBackId: string; invoiceId: string; from: Date; until: Date }>;

/** A span of time that an invoice was paid for, and what can still be given back of that. */
export type PaidPeriod = Readonly<{
  invoiceId: string;
  customerId: string;
  /** null: no card paid it. */
  paymentId: string | null;
  from: Date;
  until: Date;
  total: Money;
  /** What of `total` is for which time; negative where it credits what another invoice was for. */
  parts: readonly Readonly<{ from: Date; until: Date; minor: bigint }>[];
  /** What a card paid, and what of that went back. */
  charged: bigint;
  refunded: bigint;
  given: readonly GivenShown[];
}>;

export type CheckoutState = Readonly<{
  id: string;
  url: string | null;
  status: "open" | "complete" | "expired";
  /** Paid, or nothing was to pay. A session may be complete before: a bank debit settles days later, or fails. */
  paid: boolean;
  /** What it comes to, and what was taken of that so far; null: in a currency that we do not know. */
  settled: Settled | null;
  orderId: string | null;
  subscription: SubscriptionState | null;
  /** With what its subscription is paid; null: with nothing that we were shown. */
  method: PayingMethod | null;
  /** Nothing is paid on it: a card of this customer is saved. null: it is to be paid. */
  savesCardOf: string | null;
  invoiceId: string | null;
  /** null also while its currency is one that we do not know. */
  invoice: InvoiceState | null;
}>;

/**
 * A webhook whose signature is good: which object it is about. Its content decides how soon we look, and whether at all, and
 * never what we write.
 */
export type ProviderEvent = Readonly<{
  id: string;
  type: string;
  object: {
    kind: string;
    id: string | null;
    /**
     * Of a subscription, as it was when the event came about: `SubscriptionState`; of a customer, which card they chose, or `NO_CARD`. null
     * for everything else.
     */
    version: string | null;
  };
  /** A buyer may be waiting for it: it tells of a Checkout Session, or of a subscription's first invoice. */
  awaited: boolean;
}>;

/** The version of a customer who chose no card. */
export const NO_CARD = "none";

/** The deliveries that our webhook endpoint asks for; whatever else happens, one of these tells it too. */
export const PROVIDER_EVENTS = [
  "checkout.session.completed",
  "checkout.session.async_payment_succeeded",
  "checkout.session.async_payment_failed",
  "checkout.session.expired",
  "customer.subscription.updated",
  "customer.subscription.deleted",
  "customer.subscription.pending_update_applied",
  "customer.subscription.pending_update_expired",
  "invoice.finalization_failed",
  "invoice.paid",
  "invoice.payment_action_required",
  "invoice.payment_failed",
  "invoice.voided",
  "refund.created",
  "refund.updated",
  "refund.failed",
  "customer.updated",
] as const;

/** The provider cannot be reached, or is out of order: the same call may succeed later. */
export class ProviderUnavailable extends Error {
  override name = "ProviderUnavailable";
}

/** The customer was deleted at the provider: no session opens for them any more. */
export class CustomerGone extends Error {
  override name = "CustomerGone";
}

/** There is no such object for us: it is another account's or another mode's, or was deleted. */
export class UnknownToProvider extends Error {
  override name = "UnknownToProvider";
}

/** What is not ours to book: an amount in a currency that we do not know. */
export class ForeignCurrency extends Error {
  override name = "ForeignCurrency";
}

/** Events that began in a span of time: from `from` to just before `before`. */
export type UndeliveredAsked = Readonly<{
  from: Date;
  before: Date;
  /** `next` of the page before; null for the first one. */
  after: string | null;
}>;
export type UndeliveredPage = Readonly<{
  events: readonly { event: ProviderEvent; body: string }[];
  /** Leads to older ones; null when there are none in this span. */
  next: string | null;
}>;

/** The payment provider, implemented with Stripe. Calls that change anything carry a key made from our row's id. */
export type Payments = {
  /**
   * Makes the account's customer for a currency: the provider bills one customer in one currency. `attempt` counts from
   * 1; the one before was deleted there.
   */
  ensureCustomer: (input: {
    accountId: string;
    currency: Currency;
    attempt: number;
    email: string;
    name: string;
  }) => Promise<string>;
  ensurePrice: (input: {
    planPriceId: string;
    planId: string;
    planName: string;
    amount: Money;
    interval: "month" | "year";
    /** null: as its account says. */
    taxBehavior: TaxBehavior | null;
  }) => Promise<string>;
  /** Throws `CustomerGone`. */
  createCheckout: (input: {
    orderId: string;
    customerId: string;
    priceId: string;
    successUrl: string;
    cancelUrl: string;
    expiresAt: Date;
    /** It begins with so many days that cost nothing. Without a card it ends with them. */
    trial?: Readonly<{ days: number; asksForCard: boolean }> | undefined;
    /** It buys anew what the order had led to: the dunning that it ends. */
    revives?: string | undefined;
  }) => Promise<{ id: string; url: string }>;
  /** What is fetched by an id throws `UnknownToProvider` when nothing has it. */
  fetchCheckout: (checkoutId: string) => Promise<CheckoutState>;
  /** The session that the subscription began with; null: it began without. */
  checkoutOf: (subscriptionId: string) => Promise<{ id: string; url: string | null } | null>;
  /** Closes an open session; answers what it is afterwards, which may be `complete` when the payer was faster. */
  expireCheckout: (checkoutId: string) => Promise<CheckoutState>;
  fetchSubscription: (subscriptionId: string) => Promise<SubscriptionState>;
  /** Throws `ForeignCurrency` too. */
  fetchInvoice: (invoiceId: string) => Promise<InvoiceState>;
  /**
   * Ends it now, without a credit. Succeeds when it has ended already. What it asked for stays open, and nothing else of its customer
   * is collected by itself any more, until somebody settles both (`settleAsked`).
   */
  cancelSubscription: (subscriptionId: string) => Promise<SubscriptionState>;
  /** All that is asked of the subscription's customer. */
  askedWith: (subscriptionId: string) => Promise<readonly AskedInvoice[]>;
  /** Nobody owes it any more. Answers with what it is then: it may have been paid before. */
  voidInvoice: (invoiceId: string) => Promise<InvoiceState>;
  /** Whether the provider asks for it by itself. One that is neither a draft nor open is left. */
  setCollection: (invoiceId: string, collects: boolean) => Promise<void>;
  /**
   * Bills nothing more for it: what falls due from now on is void. `since` tells one such time from another. One that has ended
   * is left.
   */
  pauseCollection: (subscriptionId: string, since: Date) => Promise<SubscriptionState>;
  /**
   * Ends it with the period that runs, or has it go on; `saidAt` tells one such word from another. Answers when it ends; null: it goes
   * on. One that has ended is left.
   */
  endWithPeriod: (
    subscriptionId: string,
    of: { ends: boolean; saidAt: Date },
  ) => Promise<{ cancelAt: Date | null }>;
  /** Bills for it again; `anew`: a period begins now, and is charged, as the one that was paid last is over. */
  resumeCollection: (
    subscriptionId: string,
    of: { since: Date; anew: boolean },
  ) => Promise<SubscriptionState>;
  /** What one invoice was paid for, and what can still be given back of that; undefined: it is not paid, or is for no time. */
  paidPeriod: (invoiceId: string) => Promise<PaidPeriod | undefined>;
  /** What was paid for a subscription of the time from `from` on, the newest first. */
  paidPeriods: (subscriptionId: string, from: Date) => Promise<readonly PaidPeriod[]>;
  /** Adds to the customer's balance, once for each `giveBackId`. Answers with the id of its transaction. */
  giveCredit: (input: GivenFor & { customerId: string; amount: Money }) => Promise<{ id: string }>;
  /** Gives back a part of a payment, once for each `giveBackId`: as one that staff make, it names no order. */
  refundPart: (input: GivenFor & { paymentId: string; amount: Money }) => Promise<RefundState>;
  /** By what a payment leads to what is ours: its invoice, or the page of a change that it was made on. */
  paidWith: (paymentId: string) => Promise<NamedBy>;
  fetchRefund: (refundId: string) => Promise<RefundState>;
  /**
   * Gives back all that was paid for the order's first invoice. Succeeds again when it was done already. A refund that
   * failed is made anew a day after, three in all; until then and from then on the answer is the failed one.
   */
  refundInvoice: (input: { orderId: string; invoiceId: string }) => Promise<RefundState>;
  /** A page of our kinds of events that no delivery of has succeeded, the newest first. */
  undeliveredEvents: (asked: UndeliveredAsked) => Promise<UndeliveredPage>;
  /** The same of all events, delivered or not: of those that a restored database has forgotten. */
  eventsSince: (asked: UndeliveredAsked) => Promise<UndeliveredPage>;
  verifyWebhook: (
    body: string,
    signature: string | undefined,
  ) => Promise<Result<ProviderEvent, Refusal<"signature_invalid" | "event_malformed">>>;
};
