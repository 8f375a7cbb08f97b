import { createRoute, z } from "@hono/zod-openapi";
import { InvoiceView, InvoicePage } from "#core/contracts/api/billing.ts";
import {
  CardPageView,
  OpenCardPage,
  OpenPortal,
  PaymentMethodAnswer,
  PortalView,
} from "#core/contracts/api/cards.ts";
import { PageQuery } from "#core/contracts/api/page.ts";
import { QuotedResize, QuoteResize, ResizeOptions } from "#core/contracts/api/resizes.ts";
import { idIn } from "#core/ids.ts";
import { createSlowDown } from "#commands/accounts/slow-down.ts";
import { openCardPage } from "#commands/billing/open-card-page.ts";
import { openPortal } from "#commands/billing/open-portal.ts";
import { quoteResize } from "#commands/billing/quote-resize.ts";
import { showInvoice, showInvoices } from "#commands/billing/show-invoices.ts";
import { showPaymentMethod } from "#commands/billing/show-payment-method.ts";
import { showResizeOptions } from "#commands/billing/show-resize-options.ts";
import type { Deps } from "#commands/deps.ts";
import { forAccounts, type AccountEnv } from "#functions/access.ts";
import { OptionalIdempotencyKey, requestKey } from "#functions/idempotency-key.ts";
import { problems, unwrap } from "#functions/problems.ts";
import { toQuotedView, toResizeOptionsView } from "#functions/quote-views.ts";
import { newRouter } from "#functions/router.ts";
import { toInvoiceView } from "#functions/views.ts";

const listRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["customer"], "billing:read"),
    operationId: "listInvoices",
    summary: "Your invoices, newest first",
    tags: ["Billing"],
    method: "get",
    path: "/v1/invoices",
    request: { query: PageQuery },
    responses: {
      200: {
        description: "A page of invoices",
        content: { "application/json": { schema: InvoicePage } },
      },
    },
  });
const showRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["customer", "staff"], "billing:read"),
    operationId: "showInvoice",
    summary: "An invoice",
    tags: ["Billing"],
    method: "get",
    path: "/v1/invoices/{id}",
    request: { params: z.object({ id: idIn("invoice") }) },
    responses: {
      200: { description: "The invoice", content: { "application/json": { schema: InvoiceView } } },
      ...problems("invoice_not_found"),
    },
  });

export const invoiceRoutes = (deps: Deps) =>
  newRouter<AccountEnv>()
    .openapi(listRoute(deps), async (c) => {
      const { limit, cursor } = c.req.valid("query");
      const page = await showInvoices(deps, c.get("who"), { limit, cursor: cursor ?? null });
      return c.json({ items: page.items.map(toInvoiceView), nextCursor: page.nextCursor }, 200);
    })
    .openapi(showRoute(deps), async (c) => {
      const invoice = await showInvoice(deps, c.get("who"), c.req.valid("param").id);
      return c.json(toInvoiceView(unwrap(invoice)), 200);
    });

const json = <T extends z.ZodType>(schema: T) => ({ "application/json": { schema } });
const vmParam = z.object({ id: idIn("vm") });

const quoteRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["customer"], "vms:write"),
    operationId: "quoteResize",
    summary: "What another plan, or another interval, would come to",
    description:
      "What would change, how it would be made and for how long the VM would be down, what is due now to the cent, and what is " +
      "paid from then on. Nothing is changed. A quote can be taken for a quarter of an hour. Thirty are made an hour, options counted with them.",
    tags: ["VMs"],
    method: "post",
    path: "/v1/vms/{id}/resize-quotes",
    request: {
      headers: OptionalIdempotencyKey,
      params: vmParam,
      body: { required: true, content: json(QuoteResize) },
    },
    responses: {
      200: {
        description: "There is no quote: what stands against it",
        content: json(QuotedResize),
      },
      201: { description: "The quote", content: json(QuotedResize) },
      ...problems("vm_not_found", "payment_provider_unavailable"),
    },
  });

const optionsRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["customer"], "vms:read"),
    operationId: "listResizeOptions",
    summary: "What a VM could become",
    description:
      "Every plan on sale by each of its intervals, whether it is possible or what stands against it, and the difference in price.",
    tags: ["VMs"],
    method: "get",
    path: "/v1/vms/{id}/resize-options",
    request: { params: vmParam },
    responses: {
      200: { description: "What it is, and could be", content: json(ResizeOptions) },
      ...problems("vm_not_found", "payment_provider_unavailable"),
    },
  });

/** What a change of a VM's plan would come to. Each of these costs calls of the payment provider, and is counted. */
export const resizeRoutes = (deps: Deps) => {
  const slowDown = createSlowDown(deps);
  return newRouter<AccountEnv>()
    .openapi(quoteRoute(deps), async (c) => {
      const who = c.get("who");
      unwrap(await slowDown.take("quote", who.accountId));
      const wanted = c.req.valid("json");
      const key = requestKey(c, c.req.valid("header")["idempotency-key"], wanted);
      const vmId = c.req.valid("param").id;
      const quoted = unwrap(await quoteResize(deps, { who, vmId, wanted, key }, toQuotedView));
      return c.json(quoted, quoted.quote === null ? 200 : 201);
    })
    .openapi(optionsRoute(deps), async (c) => {
      const who = c.get("who");
      unwrap(await slowDown.take("quote", who.accountId));
      const shown = await showResizeOptions(deps, who, c.req.valid("param").id);
      return c.json(toResizeOptionsView(unwrap(shown)), 200);
    });
};

const cardRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["customer"], "billing:write"),
    operationId: "openCardPage",
    summary: "A page on which you save a card",
    description:
      "Nothing is charged on it. The card that was saved becomes yours and that of each of your subscriptions, and what you owe is tried with it " +
      "at once. Twenty pages and looks at cards are opened at once, and one more each three minutes.",
    tags: ["Billing"],
    method: "post",
    path: "/v1/billing/card-session",
    request: { body: { required: true, content: json(OpenCardPage) } },
    responses: {
      201: { description: "The page", content: json(CardPageView) },
      ...problems("email_not_verified", "currency_fixed", "payment_provider_unavailable"),
    },
  });

const portalRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["customer"], "billing:write"),
    operationId: "openPortal",
    summary: "The payment provider's page about you",
    description:
      "There you change your cards, billing address, name and tax id, and see invoices. What was bought is changed and cancelled here, where " +
      "the VM is.",
    tags: ["Billing"],
    method: "post",
    path: "/v1/billing/portal-session",
    request: { body: { required: true, content: json(OpenPortal) } },
    responses: {
      201: { description: "The page", content: json(PortalView) },
      ...problems("return_url_foreign", "payment_provider_unavailable"),
    },
  });

const methodRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["customer"], "billing:read"),
    operationId: "showPaymentMethod",
    summary: "Your card on file",
    tags: ["Billing"],
    method: "get",
    path: "/v1/billing/payment-method",
    responses: {
      200: { description: "The card, or null", content: json(PaymentMethodAnswer) },
      ...problems("payment_provider_unavailable"),
    },
  });

/** Cards on file. Each of these costs calls of the payment provider, and is counted. */
export const cardRoutes = (deps: Deps) => {
  const slowDown = createSlowDown(deps);
  return newRouter<AccountEnv>()
    .openapi(cardRoute(deps), async (c) => {
      const who = c.get("who");
      unwrap(await slowDown.take("card", who.accountId));
      const { currency = null } = c.req.valid("json");
      const { url, expiresAt } = unwrap(await openCardPage(deps, who, currency));
      return c.json({ url, expiresAt: expiresAt.toISOString() }, 201);
    })
    .openapi(portalRoute(deps), async (c) => {
      const who = c.get("who");
      unwrap(await slowDown.take("card", who.accountId));
      const { returnUrl = null } = c.req.valid("json");
      return c.json(unwrap(await openPortal(deps, who, returnUrl)), 201);
    })
    .openapi(methodRoute(deps), async (c) => {
      const who = c.get("who");
      unwrap(await slowDown.take("card", who.accountId));
      return c.json({ paymentMethod: await showPaymentMethod(deps, who) }, 200);
    });
};
