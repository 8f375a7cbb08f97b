import { paymentReceived, type BookedTo } from "#core/billing/ledger.ts";
import type { InvoiceState } from "#core/billing/payments.ts";
import { saveInvoice, saveShown } from "#db/billing/invoices.ts";
import type { Tx } from "#db/client.ts";
import { post } from "#db/billing/ledger.ts";
import { insertDueMails } from "#db/messages/mails.ts";
import { together } from "#db/together.ts";

/**
 * Keeps an invoice of an account, and of its order if there is one, as the provider shows it, and books its payment once it is paid, with the mail that says so: the
 * first one and every renewal. May be repeated; the ledger takes each invoice once, and `posted` says that it was now. Part of the caller's
 * transaction.
 */
export async function bookInvoice(
  tx: Tx,
  to: BookedTo,
  invoice: InvoiceState,
  at: { now: Date; newId: () => string },
): Promise<"posted" | "unchanged"> {
  const owner = { id: at.newId(), ...to };
  const isNothing = invoice.paid.minor === 0n && invoice.fromCredit.minor === 0n;
  const [, posted] = await together([
    // One that nobody ever owed here is none of its customer's: a subscription whose collection is paused makes one a month.
    invoice.status === "void" ? saveShown(tx, invoice) : saveInvoice(tx, owner, invoice),
    invoice.status !== "paid" || isNothing
      ? Promise.resolve("unchanged")
      : post(tx, paymentReceived(to, invoice.id, invoice), at),
  ]);
  if (posted !== "posted") return "unchanged";
  const due = { kind: "invoice_paid" as const, cause: invoice.id, about: invoice.id };
  await insertDueMails(tx, [{ id: at.newId(), accountId: to.accountId, ...due }], at.now);
  return posted;
}
