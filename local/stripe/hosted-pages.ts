import { Hono, type Context } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { Stripe } from "stripe";
import { answerAuthentication, payWithCard, type CheckoutOutcome } from "./checkout-payment.ts";
import { allLinesOf } from "./invoice-lines.ts";
import { answerForInvoice, asksForAction, payInvoiceWithCard } from "./invoice-payment.ts";
import { currencyRefusal } from "./customer-currency.ts";
import { authenticationPage, invoicePage, messagePage, payPage } from "./pages.ts";
import type { Sandbox } from "./sandbox.ts";

const LARGEST_FORM = 4096;

/** The pages a person opens: Checkout at `/c/pay/{session}` and invoices at `/i/{invoice}`. */
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
    const { authenticating, lineItems } = sandbox.find("checkout_detail", session.id);
    return c.html(
      authenticating === null
        ? payPage(session, lineItems, null)
        : authenticationPage(dueOf(session)),
    );
  });
  pages.post("/c/pay/:id", bodyLimit({ maxSize: LARGEST_FORM }), async (c) => {
    const form = new URLSearchParams(await c.req.text());
    const session = sandbox.store.get("checkout_session", c.req.param("id"));
    if (session?.status !== "open") return closedPage(c, session);
    return outcomePage(c, sandbox, session.id, submit(sandbox, session, form));
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

const dueOf = ({ amount_total: amount, currency }: Stripe.Checkout.Session) => ({
  amount: amount ?? 0,
  currency: currency ?? "usd",
});

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
): CheckoutOutcome {
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
  return payWithCard(sandbox, session.id, form.get("card") ?? "");
}

function outcomePage(
  c: Context,
  sandbox: Sandbox,
  id: string,
  outcome: CheckoutOutcome,
): Response | Promise<Response> {
  const session = sandbox.find("checkout_session", id);
  if (outcome.step === "done") return c.redirect(outcome.redirectTo, 303);
  if (outcome.step === "authenticate") return c.html(authenticationPage(dueOf(session)));
  const { lineItems } = sandbox.find("checkout_detail", id);
  // For callers that are no browsers: Stripe's own code.
  c.header("x-stripe-error-code", outcome.code);
  return c.html(payPage(session, lineItems, outcome.message), outcome.status);
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
