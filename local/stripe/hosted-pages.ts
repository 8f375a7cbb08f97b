import { Hono, type Context } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { Stripe } from "stripe";
import {
  answerAuthentication,
  completeWithoutCard,
  needsNoCard,
  payWithCard,
} from "./checkout-payment.ts";
import { allLinesOf } from "./invoice-lines.ts";
import { answerForInvoice, asksForAction, payInvoiceWithCard } from "./invoice-payment.ts";
import { currencyRefusal } from "./customer-currency.ts";
import type { PageOutcome } from "./page-outcome.ts";
import type { Wallet } from "./payment-methods.ts";
import {
  authenticationPage,
  invoicePage,
  messagePage,
  payPage,
  portalPage,
  savePage,
} from "./pages.ts";
import { cardsOf, openPortal, portalFeatures, submitPortal } from "./portal-page.ts";
import { idOrNull, type Sandbox } from "./sandbox.ts";
import { saveTypedCard } from "./setup-session.ts";

const LARGEST_FORM = 4096;

/** The pages a person opens: Checkout at `/c/pay/{session}`, invoices at `/i/{invoice}`, and the portal at `/p/session/{session}`. */
export function createHostedPages(deps: { sandbox: Sandbox; catchUp: () => void }): Hono {
  const { sandbox } = deps;
  const pages = new Hono();
  pages.use(async (c, next) => {
    deps.catchUp();
    await next();
    c.header("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'");
    c.header("referrer-policy", "no-referrer");
    c.header("cache-control", "no-store");
  });
  pages.get("/c/pay/:id", (c) => {
    const session = sandbox.store.get("checkout_session", c.req.param("id"));
    if (session?.status !== "open") return closedPage(c, session);
    const { authenticating } = sandbox.find("checkout_detail", session.id);
    return c.html(
      authenticating === null
        ? sessionPage(sandbox, session, null)
        : authenticationPage(dueOf(session)),
    );
  });
  pages.post("/c/pay/:id", bodyLimit({ maxSize: LARGEST_FORM }), async (c) => {
    const form = new URLSearchParams(await c.req.text());
    const session = sandbox.store.get("checkout_session", c.req.param("id"));
    if (session?.status !== "open") return closedPage(c, session);
    return outcomePage(c, sandbox, session.id, submit(sandbox, session, form));
  });
  pages.get("/p/session/:id", (c) => showPortal(c, sandbox, c.req.param("id"), null));
  pages.post("/p/session/:id", bodyLimit({ maxSize: LARGEST_FORM }), async (c) => {
    const form = new URLSearchParams(await c.req.text());
    const id = c.req.param("id");
    if (openPortal(sandbox, id) === undefined) return showPortal(c, sandbox, id, null);
    const outcome = submitPortal(sandbox, id, form);
    if (outcome.step === "done") return c.redirect(outcome.redirectTo, 303);
    if (outcome.step === "authenticate") return c.html(authenticationPage(null, form.get("card")));
    c.header("x-stripe-error-code", outcome.code);
    c.status(outcome.status);
    return showPortal(c, sandbox, id, outcome.message);
  });
  pages.get("/i/:id", (c) => showInvoice(c, sandbox, c.req.param("id")));
  pages.post("/i/:id", bodyLimit({ maxSize: LARGEST_FORM }), async (c) => {
    const form = new URLSearchParams(await c.req.text());
    const id = c.req.param("id");
    if (sandbox.store.get("invoice", id)?.status !== "open") return showInvoice(c, sandbox, id);
    const answer = form.get("authenticate");
    const outcome =
      answer === "succeed" || answer === "fail"
        ? answerForInvoice(sandbox, id, answer === "succeed")
        : payInvoiceWithCard(sandbox, id, form.get("card") ?? "");
    if (outcome.step === "done") return c.redirect(outcome.redirectTo, 303);
    if (outcome.step === "authenticate") return showInvoice(c, sandbox, id);
    c.header("x-stripe-error-code", outcome.code);
    const invoice = sandbox.find("invoice", id);
    return c.html(
      invoicePage(invoice, allLinesOf(sandbox, invoice), outcome.message),
      outcome.status,
    );
  });
  return pages;
}

/** What the bank would be asked to pay; null: nothing, as a card is saved. */
const dueOf = ({ amount_total: amount, currency, mode }: Stripe.Checkout.Session) =>
  mode === "setup" ? null : { amount: amount ?? 0, currency: currency ?? "usd" };

const sessionPage = (sandbox: Sandbox, session: Stripe.Checkout.Session, error: string | null) =>
  session.mode === "setup"
    ? savePage(session, error)
    : payPage(session, sandbox.find("checkout_detail", session.id).lineItems, {
        error,
        needsNoCard: needsNoCard(session),
      });

function showPortal(
  c: Context,
  sandbox: Sandbox,
  id: string,
  error: string | null,
): Response | Promise<Response> {
  const open = openPortal(sandbox, id);
  if (open === undefined)
    return c.html(messagePage("Expired", "This page is over: ask for another one.", null), 410);
  const { session, customer } = open;
  const features = portalFeatures(sandbox, session);
  const invoices = sandbox.store
    .all("invoice")
    .filter((each) => each.status !== "draft" && idOrNull(each.customer) === customer.id);
  return c.html(
    portalPage(customer, {
      cards: features.payment_method_update.enabled ? cardsOf(sandbox, customer.id) : null,
      invoices: features.invoice_history.enabled ? invoices.toReversed() : [],
      returnUrl: session.return_url,
      error,
    }),
  );
}

/** The invoice, or the bank's question about its payment. */
function showInvoice(c: Context, sandbox: Sandbox, id: string): Response | Promise<Response> {
  const invoice = sandbox.store.get("invoice", id);
  if (invoice === undefined || invoice.status === "draft")
    return c.html(messagePage("Not found", "There is no such invoice.", null), 404);
  return c.html(
    invoice.status === "open" && asksForAction(sandbox, id)
      ? authenticationPage({ amount: invoice.amount_remaining, currency: invoice.currency })
      : invoicePage(invoice, allLinesOf(sandbox, invoice), null),
  );
}

function submit(
  sandbox: Sandbox,
  session: Stripe.Checkout.Session,
  form: URLSearchParams,
): PageOutcome {
  const { customer } = session;
  if (typeof customer === "string" && sandbox.store.get("customer", customer) === undefined)
    return {
      step: "refused",
      status: 400,
      code: "resource_missing",
      message: "The customer of this session was deleted.",
    };
  // Two sessions may have been open, one in each currency.
  const refused =
    typeof customer === "string" && session.mode === "subscription"
      ? currencyRefusal(sandbox, customer, session.currency ?? "usd")
      : null;
  if (refused !== null)
    return { step: "refused", status: 400, code: "currency_mismatch", message: refused };
  const answer = form.get("authenticate");
  if (answer === "succeed" || answer === "fail")
    return answerAuthentication(sandbox, session.id, answer === "succeed");
  const typed = form.get("card") ?? "";
  if (typed === "" && needsNoCard(session)) return completeWithoutCard(sandbox, session.id);
  return session.mode === "setup"
    ? saveTypedCard(sandbox, session.id, typed)
    : payWithCard(sandbox, session.id, typed, walletOf(form.get("wallet")));
}

/** For callers that are no browsers: the card comes out of a wallet, whose fingerprint is another than the card's own. */
const walletOf = (given: string | null): Wallet | null =>
  given === "apple_pay" || given === "link" ? given : null;

function outcomePage(
  c: Context,
  sandbox: Sandbox,
  id: string,
  outcome: PageOutcome,
): Response | Promise<Response> {
  const session = sandbox.find("checkout_session", id);
  if (outcome.step === "done") return c.redirect(outcome.redirectTo, 303);
  if (outcome.step === "authenticate") return c.html(authenticationPage(dueOf(session)));
  // For callers that are no browsers: Stripe's own code.
  c.header("x-stripe-error-code", outcome.code);
  return c.html(sessionPage(sandbox, session, outcome.message), outcome.status);
}

function closedPage(
  c: Context,
  session: Stripe.Checkout.Session | undefined,
): Response | Promise<Response> {
  if (session === undefined)
    return c.html(messagePage("Not found", "There is no such checkout page.", null), 404);
  if (session.status === "complete") {
    const next =
      session.success_url === null
        ? null
        : {
            href: session.success_url.replaceAll("{CHECKOUT_SESSION_ID}", session.id),
            label: "Continue",
          };
    return c.html(messagePage("Already paid", "You're all done here.", next), 409);
  }
  const next = session.cancel_url === null ? null : { href: session.cancel_url, label: "Go back" };
  return c.html(
    messagePage("Expired", "This checkout page has timed out. Nothing was charged.", next),
    410,
  );
}
