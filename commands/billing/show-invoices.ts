import { mayTouch, type AccountPrincipal } from "#core/accounts/accounts.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { listInvoices, loadInvoice, type Invoice } from "#db/billing/invoices.ts";
import type { Deps } from "#commands/deps.ts";
import { cursorToId, cutPage, type Page, type PageRequest } from "#commands/page.ts";

export type { Invoice };

/** The caller's invoices, newest first. */
export async function showInvoices(
  deps: Pick<Deps, "db">,
  who: AccountPrincipal,
  page: PageRequest,
): Promise<Page<Invoice>> {
  const rows = await listInvoices(deps.db, who.accountId, {
    limit: page.limit + 1,
    before: cursorToId(page.cursor),
  });
  return cutPage(rows, page.limit, (r) => r.id);
}

export async function showInvoice(
  deps: Pick<Deps, "db">,
  who: AccountPrincipal,
  invoiceId: string,
): Promise<Result<Invoice, Refusal<"invoice_not_found">>> {
  const invoice = await loadInvoice(deps.db, invoiceId);
  return invoice && mayTouch(who, invoice.accountId)
    ? ok(invoice)
    : refuse("invoice_not_found", "no such invoice");
}
