import type { Stripe } from "stripe";
import { cardOf } from "./cards.ts";
import { updateCustomer } from "./customers.ts";
import { NO_SUCH_CARD, type PageOutcome } from "./page-outcome.ts";
import { attach, createPaymentMethod } from "./payment-methods.ts";
import { AUTHENTICATION_FAILURE } from "./payments.ts";
import { idOf, type Sandbox } from "./sandbox.ts";

/** A portal's page is the customer's for an hour; Stripe says that it is short-lived, and not for how long. */
const HOUR = 3600;

/** The session, while it leads to its page and its customer is there. */
export function openPortal(
  sandbox: Sandbox,
  id: string,
): { session: Stripe.BillingPortal.Session; customer: Stripe.Customer } | undefined {
  const session = sandbox.store.get("portal_session", id);
  if (session === undefined || sandbox.now() >= session.created + HOUR) return undefined;
  const customer = sandbox.store.get("customer", session.customer);
  return customer && { session, customer };
}

/** What the customer may do there. */
export const portalFeatures = (
  sandbox: Sandbox,
  { configuration }: Stripe.BillingPortal.Session,
): Stripe.BillingPortal.Configuration["features"] =>
  sandbox.find("portal_configuration", idOf(configuration)).features;

export const cardsOf = (sandbox: Sandbox, customer: string): Stripe.PaymentMethod[] =>
  sandbox.store
    .all("payment_method")
    .filter((method) => method.customer !== null && idOf(method.customer) === customer);

/** Adds a card and makes it the default, or makes one the default that is there already: of the customer, and of no subscription. */
export function submitPortal(sandbox: Sandbox, id: string, form: URLSearchParams): PageOutcome {
  const open = openPortal(sandbox, id);
  if (open === undefined || !portalFeatures(sandbox, open.session).payment_method_update.enabled)
    return refused(400, "not_allowed", "This page changes no cards.");
  const { session, customer } = open;
  const chosen = form.get("default");
  if (chosen !== null)
    return cardsOf(sandbox, customer.id).some((method) => method.id === chosen)
      ? makeDefault(sandbox, session, chosen)
      : refused(400, "resource_missing", "There is no such card.");
  const card = cardOf(form.get("card") ?? "");
  if (card === undefined) return NO_SUCH_CARD;
  if (card.decline !== null) return refused(402, card.decline.code, card.decline.message);
  const answer = form.get("authenticate");
  if (card.authenticates && answer === null) return { step: "authenticate" };
  if (card.authenticates && answer !== "succeed")
    return refused(402, "setup_intent_authentication_failure", AUTHENTICATION_FAILURE.message);
  const method = createPaymentMethod(sandbox, card, { email: customer.email });
  attach(sandbox, method.id, customer.id);
  return makeDefault(sandbox, session, method.id);
}

function makeDefault(
  sandbox: Sandbox,
  { customer, url }: Stripe.BillingPortal.Session,
  method: string,
): PageOutcome {
  updateCustomer(sandbox, customer, { invoice_settings: { default_payment_method: method } });
  return { step: "done", redirectTo: url };
}

const refused = (status: 400 | 402, code: string, message: string): PageOutcome => ({
  step: "refused",
  status,
  code,
  message,
});
