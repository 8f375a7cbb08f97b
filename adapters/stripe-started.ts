import Stripe from "stripe";
import type { Cards } from "#core/billing/cards.ts";
import type { CheckoutState, SubscriptionState } from "#core/billing/payments.ts";
import { makeOnce, keyOfCall } from "./make-once.ts";
import { tellingGone } from "./stripe-cards.ts";
import { isMissing } from "./stripe-outages.ts";
import { latestInvoiceOf, money, startedState } from "./stripe-states.ts";

/** The bank wants its customer there: nothing was started (https://docs.stripe.com/error-codes). */
const ASKS = "subscription_payment_intent_requires_action";

/** On what is given back of a customer's balance with an order. */
const CREDIT_OF = "credit_of_order";

/** Subscriptions that are started with a card on file, and no page. */
export function createStarted(
  stripe: Stripe,
  of: {
    now: () => Date;
    stateOf: (subscription: Stripe.Subscription) => Promise<SubscriptionState>;
    balanceOf: (customerId: string) => Promise<readonly Stripe.CustomerBalanceTransaction[]>;
    cancel: (subscriptionId: string) => Promise<unknown>;
  },
): Pick<Cards, "startByCard" | "startedFor" | "fetchStarted" | "endStarted" | "returnCredit"> {
  const find = async ({ orderId, customerId }: { orderId: string; customerId: string }) => {
    const all = { customer: customerId, status: "all" as const, limit: 100 };
    for await (const subscription of stripe.subscriptions.list(all))
      if (subscription.metadata["order_id"] === orderId) return subscription;
    return undefined;
  };

  /** Its first invoice is its latest, or the oldest of all: it has been renewed since. */
  const firstInvoice = async (subscription: Stripe.Subscription): Promise<Stripe.Invoice> => {
    const latest = latestInvoiceOf(subscription);
    if (latest?.billing_reason === "subscription_create") return latest;
    for await (const invoice of stripe.invoices.list({ subscription: subscription.id, limit: 100 }))
      if (invoice.billing_reason === "subscription_create") return invoice;
    throw new Error(`subscription ${subscription.id} has no first invoice`);
  };

  const fetchStarted = async (subscriptionId: string): Promise<CheckoutState> => {
    const subscription = await stripe.subscriptions.retrieve(subscriptionId, {
      expand: ["latest_invoice"],
    });
    const first = await firstInvoice(subscription);
    return startedState(subscription, first, await of.stateOf(subscription));
  };

  return {
    startByCard: async ({ orderId, customerId, priceId, methodId }) => {
      const start = (suffix: string, behaviour: "error_if_incomplete" | "allow_incomplete") =>
        makeOnce({
          key: `start-${orderId}-${customerId}${suffix}`,
          now: of.now(),
          make: (idempotencyKey) =>
            stripe.subscriptions.create(
              {
                customer: customerId,
                items: [{ price: priceId }],
                default_payment_method: methodId,
                off_session: true,
                payment_behavior: behaviour,
                metadata: { order_id: orderId },
              },
              { idempotencyKey },
            ),
          find: () => find({ orderId, customerId }),
        });
      try {
        const { id } = await start("", "error_if_incomplete").catch((error: unknown) => {
          if (!(error instanceof Stripe.errors.StripeCardError) || error.code !== ASKS) throw error;
          return start("-asks", "allow_incomplete");
        });
        return { kind: "started", subscriptionId: id };
      } catch (error) {
        if (error instanceof Stripe.errors.StripeCardError)
          return { kind: "declined", code: error.decline_code ?? error.code ?? "card_declined" };
        // The customer took it away meanwhile.
        if (isMissing(error) && error.param === "default_payment_method")
          return { kind: "declined", code: "card_removed" };
        return tellingGone(error);
      }
    },
    startedFor: async (asked) => (await find(asked))?.id ?? null,
    fetchStarted,
    endStarted: async (subscriptionId) => {
      const before = await fetchStarted(subscriptionId);
      if (before.paid) return before;
      // The invoice first: who pays it at this moment is faster or is refused. A subscription that were cancelled first could be paid yet.
      if (before.invoiceId !== null && before.status !== "expired")
        try {
          const key = keyOfCall("void", before.invoiceId, of.now());
          await stripe.invoices.voidInvoice(before.invoiceId, {}, key);
        } catch (error) {
          if (!(error instanceof Stripe.errors.StripeInvalidRequestError)) throw error;
          const then = await fetchStarted(subscriptionId);
          if (then.paid) return then;
          if (then.status !== "expired") throw error;
        }
      await of.cancel(subscriptionId);
      return fetchStarted(subscriptionId);
    },
    returnCredit: async ({ orderId, invoiceId }) => {
      const invoice = await stripe.invoices.retrieve(invoiceId);
      const used = (invoice.ending_balance ?? invoice.starting_balance) - invoice.starting_balance;
      const { customer, currency } = invoice;
      if (used <= 0 || customer === null) return null;
      const customerId = typeof customer === "string" ? customer : customer.id;
      const made = async () =>
        (await of.balanceOf(customerId)).find((each) => each.metadata?.[CREDIT_OF] === orderId);
      const { id } =
        (await made()) ??
        (await makeOnce({
          key: `refund-credit-${orderId}`,
          now: of.now(),
          make: (idempotencyKey) =>
            stripe.customers.createBalanceTransaction(
              customerId,
              { amount: -used, currency, metadata: { [CREDIT_OF]: orderId } },
              { idempotencyKey },
            ),
          find: made,
        }));
      return { id, amount: money(used, currency) };
    },
  };
}
