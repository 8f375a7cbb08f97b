import { createRoute, z } from "@hono/zod-openapi";
import { InvoiceView, InvoicePage } from "#core/contracts/api/billing.ts";
import { PageQuery } from "#core/contracts/api/page.ts";
import { idIn } from "#core/ids.ts";
import type { Deps } from "#commands/deps.ts";
import { showInvoice, showInvoices } from "#commands/billing/show-invoices.ts";
import { forAccounts, type AccountEnv } from "#functions/access.ts";
import { newRouter } from "#functions/router.ts";
import { problems, unwrap } from "#functions/problems.ts";
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
