import { html } from "hono/html";
import type { Stripe } from "stripe";
import { written } from "./amounts.ts";

type Html = ReturnType<typeof html>;

/** The frame of every page. Values are escaped by `html`; nothing from outside is loaded. */
const page = (title: string, body: Html): Html =>
  html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title}</title>
        <style>
          :root {
            color-scheme: light dark;
          }
          body {
            font:
              1rem/1.5 system-ui,
              sans-serif;
            margin: 0;
            background: Canvas;
            color: CanvasText;
          }
          main {
            max-width: 30rem;
            margin: 0 auto;
            padding: 2rem 1rem;
          }
          .test {
            background: #6b4a00;
            color: #fff;
            padding: 0.5rem 1rem;
            text-align: center;
            margin: 0;
          }
          table {
            width: 100%;
            border-collapse: collapse;
            margin: 1rem 0;
          }
          th,
          td {
            text-align: left;
            padding: 0.5rem 0;
            border-bottom: 1px solid GrayText;
            font-weight: normal;
          }
          td:last-child,
          th:last-child {
            text-align: right;
            font-variant-numeric: tabular-nums;
          }
          tfoot th,
          tfoot td {
            font-weight: 600;
            border-bottom: 0;
          }
          label {
            display: block;
            font-weight: 600;
            margin-bottom: 0.25rem;
          }
          input {
            font: inherit;
            width: 100%;
            box-sizing: border-box;
            padding: 0.6rem;
            border: 1px solid GrayText;
            border-radius: 0.4rem;
          }
          button {
            font: inherit;
            font-weight: 600;
            width: 100%;
            padding: 0.7rem;
            margin-top: 1rem;
            border: 0;
            border-radius: 0.4rem;
            background: #1d4ed8;
            color: #fff;
            cursor: pointer;
          }
          button.quiet {
            background: transparent;
            color: inherit;
            border: 1px solid GrayText;
          }
          :focus-visible {
            outline: 3px solid #f59e0b;
            outline-offset: 2px;
          }
          .error {
            border-left: 4px solid #b91c1c;
            padding: 0.5rem 1rem;
            margin: 1rem 0;
            background: #b91c1c1a;
          }
          .hint {
            font-size: 0.9rem;
          }
        </style>
      </head>
      <body>
        <p class="test">Test mode: this is Berth's local stand-in for Stripe. No money moves.</p>
        <main>${body}</main>
      </body>
    </html>`;

/** How often an item is paid, as words; empty for once. */
function cadence(price: Stripe.Price | null): string {
  if (!price?.recurring) return "";
  const { interval, interval_count: count } = price.recurring;
  return count === 1 ? `per ${interval}` : `every ${count} ${interval}s`;
}

/** Where a card's number is typed. `error` is why the last attempt did not succeed. */
const cardForm = (label: string, error: string | null): Html =>
  html`${error === null ? "" : html`<p class="error" role="alert" id="error">${error}</p>`}
    <form method="post">
      <label for="card">Card number</label>
      <input
        id="card"
        name="card"
        inputmode="numeric"
        autocomplete="cc-number"
        required
        autofocus
        placeholder="4242 4242 4242 4242"
        aria-describedby="hint${error === null ? "" : " error"}"
        ${error === null ? "" : html` aria-invalid="true"`}
      />
      <p class="hint" id="hint">
        Use a Stripe test number: 4242 4242 4242 4242 succeeds, 4000 0000 0000 0002 is declined,
        4000 0025 0000 3155 asks for 3D Secure.
      </p>
      <button>${label}</button>
    </form>`;

/** The page on which an open session is paid. `error` is why the last attempt did not succeed. */
export const payPage = (
  session: Stripe.Checkout.Session,
  items: readonly Stripe.LineItem[],
  { error, needsNoCard }: { error: string | null; needsNoCard: boolean },
): Html => {
  const total = written(session.amount_total ?? 0, session.currency ?? "usd");
  return page(
    `Pay ${total}`,
    html`<h1>${session.mode === "subscription" ? "Subscribe" : "Pay"}</h1>
      <table>
        <thead>
          <tr>
            <th scope="col">Item</th>
            <th scope="col">Amount</th>
          </tr>
        </thead>
        <tbody>
          ${items.map(
            (item) =>
              html`<tr>
                <td>${item.quantity ?? 1} × ${item.description} ${cadence(item.price)}</td>
                <td>${written(item.amount_total, item.currency)}</td>
              </tr>`,
          )}
        </tbody>
        <tfoot>
          <tr>
            <th scope="row">Due today</th>
            <td>${total}</td>
          </tr>
        </tfoot>
      </table>
      ${
        needsNoCard
          ? html`<p>No card is needed now.</p>
              <form method="post"><button>Start</button></form>`
          : cardForm(
              session.mode === "subscription" ? `Subscribe for ${total}` : `Pay ${total}`,
              error,
            )
      }
      ${session.cancel_url === null ? "" : html`<p><a href="${session.cancel_url}">Cancel and go back</a></p>`}`,
  );
};

/** The page on which a card is saved. */
export const savePage = (session: Stripe.Checkout.Session, error: string | null): Html =>
  page(
    "Save a card",
    html`<h1>Save a card</h1>
      <p>Nothing is charged now.</p>
      ${cardForm("Save card", error)}
      ${session.cancel_url === null ? "" : html`<p><a href="${session.cancel_url}">Cancel and go back</a></p>`}`,
  );

/** What a customer may see and change of themselves. `cards`: null where they may change none. */
export const portalPage = (
  customer: Stripe.Customer,
  of: {
    cards: readonly Stripe.PaymentMethod[] | null;
    invoices: readonly Stripe.Invoice[];
    returnUrl: string | null;
    error: string | null;
  },
): Html => {
  const { default_payment_method: chosen } = customer.invoice_settings;
  return page(
    "Your billing",
    html`<h1>Your billing</h1>
      <p>${customer.name ?? ""} ${customer.email ?? ""}</p>
      ${
        of.cards === null
          ? ""
          : html`<h2>Cards</h2>
              ${of.cards.map(
                (method) =>
                  html`<form method="post">
                    <input type="hidden" name="default" value="${method.id}" />
                    <p>
                      ${method.card?.brand ?? method.type} •••• ${method.card?.last4 ?? ""}
                      ${
                        method.id === chosen
                          ? html`<strong>default</strong>`
                          : html`<button class="quiet">Make it the default</button>`
                      }
                    </p>
                  </form>`,
              )}
              <h2>Add a card</h2>
              ${cardForm("Add it as the default", of.error)}`
      }
      <h2>Invoices</h2>
      <ul>
        ${of.invoices.map(
          (invoice) =>
            html`<li>
              <a href="${invoice.hosted_invoice_url ?? ""}">${invoice.number}</a>,
              ${invoice.status}, ${written(invoice.total, invoice.currency)}
            </li>`,
        )}
      </ul>
      ${of.returnUrl === null ? "" : html`<p><a href="${of.returnUrl}">Go back</a></p>`}`,
  );
};

/** The bank's question, for cards that ask it. */
export const authenticationPage = (
  /** null: of a card that is saved. */
  payment: { amount: number; currency: string } | null,
  /** Typed on the page before, where nobody keeps it until the answer. */
  card: string | null = null,
): Html =>
  page(
    "Confirm it's you",
    html`<h1>Confirm it's you</h1>
      <p>
        Your bank asks you to confirm
        ${payment === null ? "your card" : `the payment of ${written(payment.amount, payment.currency)}`}.
        ${"This stands for 3D Secure."}
      </p>
      <form method="post">
        ${card === null ? "" : html`<input type="hidden" name="card" value="${card}" />`}
        <button name="authenticate" value="succeed">Complete authentication</button>
        <button class="quiet" name="authenticate" value="fail">Fail authentication</button>
      </form>`,
  );

/** A session that cannot be paid: over, or unknown. */
export const messagePage = (
  title: string,
  message: string,
  next: { href: string; label: string } | null,
): Html =>
  page(
    title,
    html`<h1>${title}</h1>
      <p>${message}</p>
      ${next === null ? "" : html`<p><a href="${next.href}">${next.label}</a></p>`}`,
  );

/** An invoice as its customer sees it, with a form to pay it while it is open. `error` is why the last attempt did not succeed. */
export const invoicePage = (
  invoice: Stripe.Invoice,
  lines: readonly Stripe.InvoiceLineItem[],
  error: string | null,
): Html =>
  page(
    `Invoice ${invoice.number ?? ""}`,
    html`<h1>Invoice ${invoice.number ?? ""}</h1>
      <p>
        Status:
        <strong>${invoice.status ?? "unknown"}</strong
        >${invoice.customer_email === null ? "" : html`, for ${invoice.customer_email}`}
      </p>
      <table>
        <thead>
          <tr>
            <th scope="col">Description</th>
            <th scope="col">Amount</th>
          </tr>
        </thead>
        <tbody>
          ${lines.map(
            (line) =>
              html`<tr>
                <td>${line.description}</td>
                <td>${written(line.amount, line.currency)}</td>
              </tr>`,
          )}
        </tbody>
        <tfoot>
          <tr>
            <th scope="row">Total</th>
            <td>${written(invoice.total, invoice.currency)}</td>
          </tr>
          <tr>
            <th scope="row">Left to pay</th>
            <td>${written(invoice.amount_remaining, invoice.currency)}</td>
          </tr>
        </tfoot>
      </table>
      ${
        invoice.status === "open"
          ? cardForm(`Pay ${written(invoice.amount_remaining, invoice.currency)}`, error)
          : ""
      }`,
  );
