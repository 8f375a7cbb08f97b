import Stripe from "stripe";
import type { CardPage, Cards, Payer, SavedMethod } from "#core/billing/cards.ts";
import { CustomerGone, UnknownToProvider } from "#core/billing/payments.ts";
import { keyOfCall, makeOnce } from "./make-once.ts";
import { listAsked } from "./stripe-asked.ts";
import { isMissing, isOfEnded } from "./stripe-outages.ts";
import { goesOn, idOf, instant, seconds } from "./stripe-states.ts";

/** On the page's session: its card was taken into use. It stands at the provider, where the card does: no restore forgets it. */
const TAKEN = "card_taken";

/** Of the portal's configuration: another number makes another one, and the one before stays for pages that are open. */
const PORTAL_VERSION = "1";
const PORTAL = "berth_portal";

/** Cards on file: pages on which they are saved or changed, and what is charged to which. */
export function createCards(
  stripe: Stripe,
  now: () => Date,
): Omit<Cards, "startByCard" | "startedFor" | "fetchStarted" | "endStarted" | "returnCredit"> {
  const portalConfiguration = async (): Promise<string> => {
    const find = async () =>
      (await stripe.billingPortal.configurations.list({ active: true, limit: 100 })).data.find(
        ({ metadata }) => metadata?.[PORTAL] === PORTAL_VERSION,
      );
    const known = await find();
    if (known !== undefined) return known.id;
    const made = await makeOnce({
      key: `portal-configuration-${PORTAL_VERSION}`,
      now: now(),
      make: (idempotencyKey) =>
        stripe.billingPortal.configurations.create(
          {
            features: {
              customer_update: { enabled: true, allowed_updates: ["address", "name", "tax_id"] },
              invoice_history: { enabled: true },
              payment_method_update: { enabled: true },
              // What is bought is changed and ended here, where the VM is.
              subscription_cancel: { enabled: false },
              subscription_update: { enabled: false },
            },
            metadata: { [PORTAL]: PORTAL_VERSION },
          },
          { idempotencyKey },
        ),
      find,
    });
    return made.id;
  };

  return {
    createCardPage: async ({ customerId, currency, successUrl, cancelUrl, expiresAt }) => {
      const session = await stripe.checkout.sessions
        .create({
          mode: "setup",
          customer: customerId,
          currency,
          success_url: successUrl,
          cancel_url: cancelUrl,
          expires_at: seconds(expiresAt),
        })
        .catch(tellingGone);
      if (session.url === null) throw new Error(`card page ${session.id} has no page`);
      return { url: session.url };
    },
    fetchCardPage: async (pageId) =>
      cardPage(
        await stripe.checkout.sessions.retrieve(pageId, {
          expand: ["setup_intent.payment_method"],
        }),
      ),
    markCardTaken: async (pageId) => {
      const key = keyOfCall("card-taken", pageId, now());
      await stripe.checkout.sessions.update(pageId, { metadata: { [TAKEN]: "true" } }, key);
    },

    fetchPayer: async (customerId): Promise<Payer> => {
      const customer = await stripe.customers.retrieve(customerId, {
        expand: ["invoice_settings.default_payment_method"],
      });
      if (customer.deleted === true)
        throw new UnknownToProvider(`Stripe: the customer ${customerId} was deleted`);
      const subscriptions: Payer["subscriptions"][number][] = [];
      const all = { customer: customerId, limit: 100, expand: ["data.default_payment_method"] };
      for await (const subscription of stripe.subscriptions.list(all))
        if (goesOn(subscription))
          subscriptions.push({
            id: subscription.id,
            method: methodOf(subscription.default_payment_method),
          });
      return { chosen: methodOf(customer.invoice_settings.default_payment_method), subscriptions };
    },
    chooseCard: async (customerId, methodId) => {
      await stripe.customers.update(
        customerId,
        { invoice_settings: { default_payment_method: methodId } },
        keyOfCall("choose", `${customerId}-${methodId}`, now()),
      );
    },
    chargeTo: async (subscriptionId, methodId) => {
      try {
        await stripe.subscriptions.update(
          subscriptionId,
          { default_payment_method: methodId },
          keyOfCall("charge-to", `${subscriptionId}-${methodId}`, now()),
        );
      } catch (error) {
        if (!isOfEnded(error)) throw error;
      }
    },
    owedBy: async (customerId) =>
      (await listAsked(stripe, customerId, ["open"]))
        // A subscription's is due also when the provider has stopped to ask for it by itself: its tries are used up.
        .filter(({ isDue, collects, subscriptionId }) =>
          subscriptionId === null ? collects : isDue,
        )
        .map(({ id }) => id),
    payWithCard: async (invoiceId, methodId) => {
      try {
        const key = keyOfCall("pay", `${invoiceId}-${methodId}`, now());
        const paid = await stripe.invoices.pay(invoiceId, { payment_method: methodId }, key);
        return paid.status === "paid" ? "paid" : "declined";
      } catch (error) {
        if (!(error instanceof Stripe.errors.StripeError)) throw error;
        if (error.code === "invoice_payment_intent_requires_action") return "asks_customer";
        if (error instanceof Stripe.errors.StripeCardError) return "declined";
        if (!(error instanceof Stripe.errors.StripeInvalidRequestError)) throw error;
        if ((await stripe.invoices.retrieve(invoiceId)).status === "open") throw error;
        return "over";
      }
    },

    createPortal: async ({ customerId, returnUrl }) => {
      const configuration = await portalConfiguration();
      const { url } = await stripe.billingPortal.sessions
        .create({ customer: customerId, configuration, return_url: returnUrl })
        .catch(tellingGone);
      return { url };
    },
  };
}

/** Nothing opens for a customer that was deleted. */
export function tellingGone(cause: unknown): never {
  if (isMissing(cause) && cause.param === "customer")
    throw new CustomerGone(`Stripe: ${cause.message}`, { cause });
  throw cause;
}

/** What was fetched with what is charged. */
function methodOf(method: string | Stripe.PaymentMethod | null): SavedMethod | null {
  if (method === null) return null;
  if (typeof method === "string") throw new Error(`payment method ${method} was not fetched`);
  const { card } = method;
  return {
    id: method.id,
    createdAt: instant(method.created),
    card:
      card === undefined
        ? null
        : {
            brand: card.brand,
            last4: card.last4,
            expMonth: card.exp_month,
            expYear: card.exp_year,
          },
  };
}

function cardPage(session: Stripe.Checkout.Session): CardPage {
  const { setup_intent: intent, customer, metadata } = session;
  if (customer === null || intent === null || typeof intent === "string")
    throw new Error(`checkout session ${session.id} saves no card of a customer`);
  const method = intent.payment_method;
  // It may have been taken away again since.
  const isThere = typeof method === "object" && method !== null && method.customer !== null;
  return {
    id: session.id,
    customerId: idOf(customer),
    method: session.status === "complete" && isThere ? methodOf(method) : null,
    isTaken: metadata?.[TAKEN] !== undefined,
  };
}
