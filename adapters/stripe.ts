import Stripe from "stripe";
import {
  PROVIDER_EVENTS,
  ProviderUnavailable,
  type CheckoutState,
  type PaidPeriod,
  type Payments,
  type SubscriptionState,
  type UndeliveredAsked,
  type UndeliveredPage,
} from "#core/billing/payments.ts";
import type { CatalogueAtProvider } from "#core/catalogue/at-provider.ts";
import type { Cards } from "#core/billing/cards.ts";
import type { Customers } from "#core/billing/customers.ts";
import type { PaymentProvider, PriceChanges } from "#core/billing/price-changes.ts";
import { ok, refuse } from "#core/result.ts";
import { keyOfCall, makeOnce } from "./make-once.ts";
import { createCatalogue, lookupKeyOf } from "./stripe-catalogue.ts";
import { createAsked } from "./stripe-asked.ts";
import { createCards, tellingGone } from "./stripe-cards.ts";
import { createCustomers } from "./stripe-customers.ts";
import { createStarted } from "./stripe-started.ts";
import { withAllLines } from "./stripe-billed.ts";
import { PAID_FOR_ORDER } from "./stripe-change-pages.ts";
import { isOfEnded, withOutages } from "./stripe-outages.ts";
import { createPriceChanges } from "./stripe-price-changes.ts";
import { refundAll, refundsOf } from "./stripe-refunds.ts";
import {
  checkoutState,
  creditedInvoices,
  givenMetadata,
  givenShown,
  endOfPaid,
  instant,
  invoiceState,
  idOf,
  isId,
  latestInvoiceOf,
  paidPeriod,
  payingMethod,
  paymentIntentOf,
  providerEvent,
  refundState,
  seconds,
  subscriptionState,
} from "./stripe-states.ts";

/** Well under a Lambda's own limit; the SDK's default of 80 s would outlive it (facts/stripe §3). */
const TIMEOUT_MS = 8_000;

export type StripeOptions = Readonly<{
  apiKey: string;
  webhookSecret: string;
  /** Another origin than Stripe's, for the local stand-in. */
  origin?: URL | undefined;
  /** In-process transport, for the simulator. */
  fetchFn?: typeof fetch | undefined;
  /** For the webhook's age: the product's own clock. */
  now: () => Date;
  maxNetworkRetries?: number;
}>;

/** Of undelivered events: the most that Stripe gives. */
const PAGE = 100;

type BalanceMoves = Map<string, readonly Stripe.CustomerBalanceTransaction[]>;

/** The payment provider's ports, on the official client with its own pinned API version. */
export function createStripePayments(options: StripeOptions): PaymentProvider {
  const stripe = new Stripe(options.apiKey, {
    timeout: TIMEOUT_MS,
    maxNetworkRetries: options.maxNetworkRetries ?? 2,
    telemetry: false,
    ...(options.origin
      ? {
          protocol: options.origin.protocol === "http:" ? ("http" as const) : ("https" as const),
          host: options.origin.hostname,
          port: Number(options.origin.port || (options.origin.protocol === "http:" ? 80 : 443)),
        }
      : {}),
    ...(options.fetchFn ? { httpClient: Stripe.createFetchHttpClient(options.fetchFn) } : {}),
  });

  /** The end of the time that a paid invoice bought; undefined: it bought none, or with credit of what is not paid. */
  const boughtUntil = async (invoice: Stripe.Invoice): Promise<Date | undefined> => {
    const whole = await withAllLines(stripe, invoice);
    const end = endOfPaid(whole);
    if (end === undefined) return undefined;
    for (const id of creditedInvoices(whole))
      if ((await stripe.invoices.retrieve(id)).status !== "paid") return undefined;
    return end;
  };
  /**
   * The end of the last period that is paid, or the subscription's start when none is. While the latest invoice is not
   * paid, or is of no period, the invoices before it say so: Stripe goes on from one unpaid period to the next. Its list begins
   * with the newest (docs.stripe.com/api/invoices/list), and the newest that bought time is the last one.
   *
   * Time that was bought with the credit of another invoice is paid only if that one is: Stripe credits what was never paid too.
   */
  const paidUntil = async (subscription: Stripe.Subscription): Promise<Date> => {
    const latest = latestInvoiceOf(subscription);
    const end = latest === null ? undefined : await boughtUntil(latest);
    if (end !== undefined) return end;
    const paid = { subscription: subscription.id, status: "paid" as const, limit: 10 };
    for await (const invoice of stripe.invoices.list(paid)) {
      const before = await boughtUntil(invoice);
      if (before !== undefined) return before;
    }
    return instant(subscription.start_date);
  };
  const stateOf = async (subscription: Stripe.Subscription): Promise<SubscriptionState> =>
    subscriptionState(subscription, await paidUntil(subscription));

  const balanceOf = async (customerId: string) => {
    const moves: Stripe.CustomerBalanceTransaction[] = [];
    for await (const each of stripe.customers.listBalanceTransactions(customerId, { limit: 100 }))
      moves.push(each);
    return moves;
  };

  /** What an invoice with its `payments` was paid for. `moves`: of each customer whose balance was asked for already. */
  const periodOf = async (
    invoice: Stripe.Invoice,
    moves: BalanceMoves,
  ): Promise<PaidPeriod | undefined> => {
    const period = paidPeriod(await withAllLines(stripe, invoice));
    if (period === undefined) return undefined;
    const { paymentId } = period;
    const refunds =
      paymentId === null ? [] : await refundsOf(stripe, { payment_intent: paymentId });
    const refunded = refunds
      .filter((refund) => refundState(refund).status !== "failed")
      .reduce((sum, refund) => sum + BigInt(refund.amount), 0n);
    const charged = paymentId === null ? 0n : BigInt(invoice.amount_paid);
    const { customerId, invoiceId } = period;
    const moved = moves.get(customerId) ?? (await balanceOf(customerId));
    moves.set(customerId, moved);
    const given = [
      ...moved.flatMap((each) => givenShown(each, "balance", invoiceId) ?? []),
      ...refunds
        .filter((refund) => refundState(refund).status === "succeeded")
        .flatMap((each) => givenShown(each, "card", invoiceId) ?? []),
    ];
    return { ...period, charged, refunded, given };
  };

  /** null: it has ended since somebody looked, and is left as it is. */
  const updateUnlessOver = async (
    ...call: Parameters<typeof stripe.subscriptions.update>
  ): Promise<Stripe.Subscription | null> => {
    try {
      return await stripe.subscriptions.update(...call);
    } catch (error) {
      if (isOfEnded(error)) return null;
      throw error;
    }
  };

  const fetchCheckout = async (checkoutId: string): Promise<CheckoutState> => {
    const session = await stripe.checkout.sessions.retrieve(checkoutId, {
      expand: ["invoice", "subscription.latest_invoice", "subscription.default_payment_method"],
    });
    const { subscription } = session;
    if (typeof subscription === "string")
      throw new Error(`checkout session ${session.id} was fetched without its subscription`);
    const method = payingMethod(subscription?.default_payment_method ?? null);
    return checkoutState(session, subscription && (await stateOf(subscription)), method);
  };
  const fetchSubscription = async (id: string): Promise<SubscriptionState> =>
    stateOf(await stripe.subscriptions.retrieve(id, { expand: ["latest_invoice"] }));

  const eventsPage = async (
    { from, before, after }: UndeliveredAsked,
    which: { delivery_success?: false },
  ): Promise<UndeliveredPage> => {
    const { data, has_more: more } = await stripe.events.list({
      types: [...PROVIDER_EVENTS],
      ...which,
      created: { gte: seconds(from), lt: seconds(before) },
      limit: PAGE,
      ...(after === null ? {} : { starting_after: after }),
    });
    return {
      events: data.map((event) => ({ event: providerEvent(event), body: JSON.stringify(event) })),
      next: more ? (data.at(-1)?.id ?? null) : null,
    };
  };

  const payments: Payments = {
    ensureCustomer: async ({ accountId, currency, attempt, email, name }) => {
      const metadata = { account_id: accountId, currency };
      const customer = await makeOnce({
        // Stripe answers a key for a day with the customer that it made, also when that one was deleted since.
        key: `customer-${accountId}-${currency}-${attempt}`,
        now: options.now(),
        make: (idempotencyKey) =>
          stripe.customers.create({ email, name, metadata }, { idempotencyKey }),
        // The list is up to date, which Stripe's search is not. One that it misses is a second customer: harmless.
        find: async () =>
          (await stripe.customers.list({ email, limit: 100 })).data.find(
            (c) => c.metadata["account_id"] === accountId && c.metadata["currency"] === currency,
          ),
      });
      return customer.id;
    },

    ensurePrice: async (input) => {
      const lookupKey = lookupKeyOf(input.planPriceId);
      const find = async () =>
        (await stripe.prices.list({ lookup_keys: [lookupKey], limit: 1 })).data[0];
      const make = (idempotencyKey: string) =>
        stripe.prices.create(
          {
            currency: input.amount.currency,
            unit_amount: Number(input.amount.minor),
            recurring: { interval: input.interval },
            lookup_key: lookupKey,
            ...(input.taxBehavior === null ? {} : { tax_behavior: input.taxBehavior }),
            product_data: { name: input.planName, metadata: { plan_id: input.planId } },
          },
          { idempotencyKey },
        );
      const known = await find();
      if (known !== undefined) return known.id;
      try {
        const key = `price-${input.planPriceId}`;
        return (await makeOnce({ key, now: options.now(), make, find })).id;
      } catch (error) {
        // Another order made it since we looked, under a key that was not ours: its lookup key stands, for one price only.
        if (!(error instanceof Stripe.errors.StripeInvalidRequestError)) throw error;
        const made = await find();
        if (made === undefined) throw error;
        return made.id;
      }
    },

    createCheckout: async (input) => {
      const expiresAt = seconds(input.expiresAt);
      const { orderId, revives, trial } = input;
      const purpose = revives === undefined ? `checkout-${orderId}` : `revive-${revives}`;
      const session = await stripe.checkout.sessions
        .create(
          {
            mode: "subscription",
            customer: input.customerId,
            client_reference_id: input.orderId,
            line_items: [{ price: input.priceId, quantity: 1 }],
            success_url: input.successUrl,
            cancel_url: input.cancelUrl,
            expires_at: expiresAt,
            // The price is what it says, in the currency that it says: what is paid is compared with the order.
            adaptive_pricing: { enabled: false },
            metadata: {
              order_id: input.orderId,
              ...(revives !== undefined && { dunning_id: revives }),
            },
            subscription_data: {
              metadata: { order_id: input.orderId },
              ...(trial && trialData(trial)),
            },
            ...(trial && {
              payment_method_collection: trial.asksForCard ? "always" : "if_required",
            }),
          },
          // Another end or customer is another session: a key may not come again with other parameters. A 500 that Stripe keeps under
          // it blocks the order for a minute at most, since whoever tries again later holds its place until later; a
          // session that was made all the same is known to nobody and expires.
          { idempotencyKey: `${purpose}-${expiresAt}-${input.customerId}` },
        )
        .catch((cause: unknown) => {
          // The call was so long on its way that too little of the hold was left: with a longer one it goes.
          if (
            cause instanceof Stripe.errors.StripeInvalidRequestError &&
            cause.param === "expires_at"
          )
            throw new ProviderUnavailable(`Stripe: ${cause.message}`, { cause });
          return tellingGone(cause);
        });
      if (session.url === null) throw new Error(`checkout session ${session.id} has no page`);
      return { id: session.id, url: session.url };
    },

    fetchCheckout,
    checkoutOf: async (subscription) => {
      const [session] = (await stripe.checkout.sessions.list({ subscription, limit: 1 })).data;
      return session === undefined ? null : { id: session.id, url: session.url };
    },
    expireCheckout: async (checkoutId) => {
      const now = await fetchCheckout(checkoutId);
      if (now.status !== "open") return now;
      try {
        const key = keyOfCall("expire", checkoutId, options.now());
        await stripe.checkout.sessions.expire(checkoutId, {}, key);
      } catch (error) {
        // The payer was faster, or another expiry: what it is now says which.
        if (!(error instanceof Stripe.errors.StripeInvalidRequestError)) throw error;
      }
      return fetchCheckout(checkoutId);
    },
    fetchSubscription,
    fetchInvoice: async (invoiceId) => invoiceState(await stripe.invoices.retrieve(invoiceId)),

    cancelSubscription: async (subscriptionId) => {
      const now = await fetchSubscription(subscriptionId);
      if (isOver(now)) return now;
      // By default without a last invoice and without a credit.
      try {
        await stripe.subscriptions.cancel(
          subscriptionId,
          {},
          { idempotencyKey: `cancel-${subscriptionId}` },
        );
      } catch (error) {
        // Stripe knows no key for a DELETE: one whose answer was lost, or that raced, is refused the second time, and a
        // 500 is not kept.
        if (!(error instanceof Stripe.errors.StripeInvalidRequestError)) throw error;
        const then = await fetchSubscription(subscriptionId);
        if (!isOver(then)) throw error;
        return then;
      }
      return fetchSubscription(subscriptionId);
    },

    ...createAsked(stripe, options.now),

    pauseCollection: async (subscriptionId, since) => {
      const now = await fetchSubscription(subscriptionId);
      if (isOver(now)) return now;
      await updateUnlessOver(
        subscriptionId,
        { pause_collection: { behavior: "void" } },
        { idempotencyKey: `pause-${subscriptionId}-${seconds(since)}` },
      );
      return fetchSubscription(subscriptionId);
    },
    endWithPeriod: async (subscriptionId, { ends, saidAt }) => {
      const before = await stripe.subscriptions.retrieve(subscriptionId);
      if (before.ended_at !== null) return { cancelAt: instant(before.ended_at) };
      const after =
        (await updateUnlessOver(
          subscriptionId,
          { cancel_at_period_end: ends },
          { idempotencyKey: `end-${ends}-${subscriptionId}-${+saidAt}` },
        )) ?? (await stripe.subscriptions.retrieve(subscriptionId));
      const end = after.ended_at ?? after.cancel_at;
      return { cancelAt: end === null ? null : instant(end) };
    },
    resumeCollection: async (subscriptionId, { since, anew }) => {
      const now = await fetchSubscription(subscriptionId);
      if (isOver(now)) return now;
      await updateUnlessOver(
        subscriptionId,
        {
          pause_collection: "",
          ...(anew && { billing_cycle_anchor: { type: "now" }, proration_behavior: "none" }),
        },
        { idempotencyKey: `resume-${anew ? "anew-" : ""}${subscriptionId}-${seconds(since)}` },
      );
      return fetchSubscription(subscriptionId);
    },

    refundInvoice: async ({ orderId, invoiceId }) => {
      const invoice = await stripe.invoices.retrieve(invoiceId, { expand: ["payments"] });
      // It cost nothing, as a discount took all of it off, or the customer's balance paid it, which is given back there (`returnCredit`).
      if (invoice.total === 0 || isPaidByBalance(invoice))
        return {
          id: invoice.id,
          orderId,
          paymentId: null,
          amount: null,
          status: "succeeded",
          fromCredit: 0n,
        };
      const paymentIntent = paymentIntentOf(invoice);
      if (paymentIntent === null)
        throw new Error(`invoice ${invoiceId} shows no payment to give back`);
      const refund = await refundAll(stripe, options.now(), {
        paymentIntent,
        marked: "order_id",
        metadata: { order_id: orderId },
        key: `refund-${orderId}`,
      });
      return refundState(refund);
    },
    paidPeriod: async (invoiceId) =>
      periodOf(await stripe.invoices.retrieve(invoiceId, { expand: ["payments"] }), new Map()),
    paidPeriods: async (subscriptionId, from) => {
      const moves: BalanceMoves = new Map();
      const periods: PaidPeriod[] = [];
      const paid = { subscription: subscriptionId, status: "paid" as const, limit: 100 };
      for await (const invoice of stripe.invoices.list({ ...paid, expand: ["data.payments"] })) {
        const period = await periodOf(invoice, moves);
        if (period === undefined) continue;
        // Each period begins where the one that was paid before it had ended, or later.
        if (period.until <= from) break;
        periods.push(period);
      }
      return periods;
    },
    giveCredit: async ({ giveBackId, customerId, amount, ...of }) => {
      const metadata = givenMetadata({ giveBackId, ...of });
      const find = async () =>
        (await balanceOf(customerId)).find(
          (each) => each.metadata?.["give_back_id"] === giveBackId,
        );
      // Looked for first: Stripe forgets a key after a day, and we may come back later.
      const made = await find();
      if (made !== undefined) return { id: made.id };
      const { id } = await makeOnce({
        key: `credit-${giveBackId}`,
        now: options.now(),
        make: (idempotencyKey) =>
          stripe.customers.createBalanceTransaction(
            customerId,
            { amount: -Number(amount.minor), currency: amount.currency, metadata },
            { idempotencyKey },
          ),
        find,
      });
      return { id };
    },
    refundPart: async ({ giveBackId, paymentId, amount, ...of }) => {
      const find = async () =>
        (await refundsOf(stripe, { payment_intent: paymentId })).find(
          (refund) => refund.metadata?.["give_back_id"] === giveBackId,
        );
      const made = await find();
      if (made !== undefined) return refundState(made);
      const refund = await makeOnce({
        key: `refund-part-${giveBackId}`,
        now: options.now(),
        make: (idempotencyKey) =>
          stripe.refunds.create(
            {
              payment_intent: paymentId,
              amount: Number(amount.minor),
              metadata: givenMetadata({ giveBackId, ...of }),
            },
            { idempotencyKey },
          ),
        find,
      });
      return refundState(refund);
    },
    paidWith: async (paymentId) => {
      const paid = await stripe.invoicePayments.list({
        payment: { type: "payment_intent", payment_intent: paymentId },
        expand: ["data.invoice"],
        limit: 1,
      });
      const invoice = paid.data[0]?.invoice;
      // What was paid on a change's own page is on no invoice: the page names its order.
      if (invoice === undefined) {
        const page = { payment_intent: paymentId, limit: 1 };
        const [session] = (await stripe.checkout.sessions.list(page)).data;
        const orderId = session?.metadata?.[PAID_FOR_ORDER] ?? null;
        const customer = session?.customer ?? null;
        const customerId = customer === null ? null : idOf(customer);
        return { orderId, subscriptionId: null, customerId };
      }
      if (typeof invoice === "string" || invoice.deleted === true)
        return { orderId: null, subscriptionId: null, customerId: null };
      const { orderId, subscriptionId, customerId } = invoiceState(invoice);
      return { orderId, subscriptionId, customerId };
    },
    fetchRefund: async (refundId) => refundState(await stripe.refunds.retrieve(refundId)),

    // https://docs.stripe.com/webhooks/process-undelivered-events; the events themselves go back 30 days.
    undeliveredEvents: (asked) => eventsPage(asked, { delivery_success: false }),
    eventsSince: (asked) => eventsPage(asked, {}),

    verifyWebhook: async (body, signature) => {
      if (signature === undefined)
        return refuse("signature_invalid", "the Stripe-Signature header is missing");
      try {
        const event = await stripe.webhooks.constructEventAsync(
          body,
          signature,
          options.webhookSecret,
          undefined, // the client's default: 300 s; a tolerance of 0 would turn the check off
          undefined,
          +options.now(),
        );
        if (!isId(event.id)) return refuse("event_malformed", "the event has no id of Stripe's");
        return ok(providerEvent(event));
      } catch (error) {
        if (
          error instanceof Stripe.errors.StripeSignatureVerificationError ||
          error instanceof SyntaxError
        )
          return refuse("signature_invalid", "the signature does not fit the body, or is too old");
        throw error;
      }
    },
  };
  const cards: Cards = {
    ...createCards(stripe, options.now),
    ...createStarted(stripe, {
      now: options.now,
      stateOf,
      balanceOf,
      cancel: payments.cancelSubscription,
    }),
  };
  return allWithOutages(payments, createPriceChanges(stripe, options.now), {
    ...cards,
    ...createCatalogue(stripe, options.now),
    ...createCustomers(stripe),
  });
}

/** Each call, but for the one that asks nobody, tells an outage from a bug. */
function allWithOutages(
  payments: Payments,
  changes: PriceChanges,
  more: Cards & CatalogueAtProvider & Customers,
): PaymentProvider {
  return {
    ensureCustomer: withOutages(payments.ensureCustomer),
    ensurePrice: withOutages(payments.ensurePrice),
    createCheckout: withOutages(payments.createCheckout),
    fetchCheckout: withOutages(payments.fetchCheckout),
    checkoutOf: withOutages(payments.checkoutOf),
    expireCheckout: withOutages(payments.expireCheckout),
    fetchSubscription: withOutages(payments.fetchSubscription),
    fetchInvoice: withOutages(payments.fetchInvoice),
    cancelSubscription: withOutages(payments.cancelSubscription),
    askedWith: withOutages(payments.askedWith),
    voidInvoice: withOutages(payments.voidInvoice),
    setCollection: withOutages(payments.setCollection),
    pauseCollection: withOutages(payments.pauseCollection),
    endWithPeriod: withOutages(payments.endWithPeriod),
    resumeCollection: withOutages(payments.resumeCollection),
    refundInvoice: withOutages(payments.refundInvoice),
    paidPeriod: withOutages(payments.paidPeriod),
    paidPeriods: withOutages(payments.paidPeriods),
    giveCredit: withOutages(payments.giveCredit),
    refundPart: withOutages(payments.refundPart),
    paidWith: withOutages(payments.paidWith),
    fetchRefund: withOutages(payments.fetchRefund),
    undeliveredEvents: withOutages(payments.undeliveredEvents),
    eventsSince: withOutages(payments.eventsSince),
    verifyWebhook: payments.verifyWebhook,
    fetchBilled: withOutages(changes.fetchBilled),
    previewChange: withOutages(changes.previewChange),
    changePrice: withOutages(changes.changePrice),
    fetchChange: withOutages(changes.fetchChange),
    dropChange: withOutages(changes.dropChange),
    undoChange: withOutages(changes.undoChange),
    changePaidByPage: withOutages(changes.changePaidByPage),
    tellEmail: withOutages(more.tellEmail),
    listPrices: withOutages(more.listPrices),
    setPriceActive: withOutages(more.setPriceActive),
    changeProduct: withOutages(more.changeProduct),
    createCardPage: withOutages(more.createCardPage),
    fetchCardPage: withOutages(more.fetchCardPage),
    markCardTaken: withOutages(more.markCardTaken),
    fetchPayer: withOutages(more.fetchPayer),
    chooseCard: withOutages(more.chooseCard),
    chargeTo: withOutages(more.chargeTo),
    owedBy: withOutages(more.owedBy),
    payWithCard: withOutages(more.payWithCard),
    createPortal: withOutages(more.createPortal),
    startByCard: withOutages(more.startByCard),
    startedFor: withOutages(more.startedFor),
    fetchStarted: withOutages(more.fetchStarted),
    endStarted: withOutages(more.endStarted),
    returnCredit: withOutages(more.returnCredit),
  };
}

/** Who was asked for a card and took it away since owes what comes; who was not is to lose the VM and nothing else. */
const trialData = ({ days, asksForCard }: { days: number; asksForCard: boolean }) => ({
  trial_period_days: days,
  trial_settings: {
    end_behavior: {
      missing_payment_method: asksForCard ? ("create_invoice" as const) : ("cancel" as const),
    },
  },
});

const isOver = ({ status }: SubscriptionState): boolean =>
  status === "canceled" || status === "incomplete_expired";

/** All of it: nothing was charged. */
const isPaidByBalance = (invoice: Stripe.Invoice): boolean =>
  invoice.status === "paid" &&
  invoice.amount_paid === 0 &&
  (invoice.ending_balance ?? 0) - invoice.starting_balance === invoice.total;
