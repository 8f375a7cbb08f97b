import { createRoute, z } from "@hono/zod-openapi";
import { InvoiceView, InvoicePage } from "#core/contracts/api/billing.ts";
import { PageQuery } from "#core/contracts/api/page.ts";
import { QuotedResize, QuoteResize, ResizeOptions } from "#core/contracts/api/resizes.ts";
import { idIn } from "#core/ids.ts";
import { createSlowDown } from "#commands/accounts/slow-down.ts";
import { quoteResize } from "#commands/billing/quote-resize.ts";
import { showInvoice, showInvoices } from "#commands/billing/show-invoices.ts";
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
