import { toMoneyView } from "#core/money.ts";
import { findInvoice, type BilledInvoice } from "#db/billing/invoices.ts";
import { loadDelivery } from "#db/messages/inbox.ts";
import { isToldOf, recipientOf, type TakenMail } from "#db/messages/mails.ts";
import type { Filler, MailDeps } from "#commands/messages/send-mail.ts";

const HOUR_MS = 60 * 60_000;

/** Whether the delivery that it fell due with was looked at: before that we hold its invoice as it was, or not at all. */
async function isApplied(deps: MailDeps, { cause }: TakenMail): Promise<boolean> {
  const delivery = await loadDelivery(deps.db, cause);
  return delivery === undefined || delivery.appliedAt !== null;
}
const NOT_APPLIED = { wait: "its delivery is not applied yet" };

/** What the provider's invoice is for, and whom its mail is for. */
async function look(deps: MailDeps, providerId: string) {
  const billed = await findInvoice(deps.db, providerId);
  const recipient = billed && (await recipientOf(deps.db, billed.invoice.accountId));
  if (billed === undefined || recipient === undefined) return undefined;
  const { to, locale } = recipient;
  return { ...billed, owner: { accountId: billed.invoice.accountId, to, locale } };
}

export const dueOf = ({ total, paid }: BilledInvoice["invoice"]) =>
  toMoneyView({ minor: total.minor - paid.minor, currency: total.currency });

/** It is paid. What nothing was paid for says nothing. */
export const PAID_MAIL: Filler = {
  fill: async (deps, { about }) => {
    const found = await look(deps, about);
    if (found === undefined) return { drop: "nobody_to_mail" };
    const { invoice, vm, owner } = found;
    if (invoice.paid.minor <= 0n) return { drop: "nothing_was_paid" };
    const { number, hostedUrl: url } = invoice;
    const values = {
      number,
      amount: toMoneyView(invoice.paid),
      hostname: vm?.hostname ?? null,
      url,
    };
    return { ...owner, letter: { kind: "invoice_paid", values } };
  },
};

/** It could not be collected, and is not paid since. What the bank wants confirmed has a mail of its own, that says more. */
export const FAILED_MAIL: Filler = {
  fill: async (deps, mail) => {
    if (!(await isApplied(deps, mail))) return NOT_APPLIED;
    const { about, createdAt } = mail;
    const found = await look(deps, about);
    if (found === undefined || found.vm === null) return { drop: "nobody_to_mail" };
    const { invoice, owner } = found;
    const { hostname, stopsAt } = found.vm;
    if (invoice.status !== "open") return { drop: "not_open_any_more" };
    const since = new Date(+createdAt - HOUR_MS);
    if (await isToldOf(deps.db, "payment_needs_confirmation", about, since))
      return { drop: "confirmation_asked_for" };
    const { number, hostedUrl: url } = invoice;
    const values = {
      number,
      due: dueOf(invoice),
      hostname,
      url,
      stopsAt: stopsAt.toISOString(),
    };
    return { ...owner, letter: { kind: "payment_failed", values } };
  },
};

/** Its bank wants the customer to confirm it. */
export const CONFIRM_MAIL: Filler = {
  fill: async (deps, mail) => {
    if (!(await isApplied(deps, mail))) return NOT_APPLIED;
    const found = await look(deps, mail.about);
    if (found === undefined || found.vm === null) return { drop: "nobody_to_mail" };
    const { invoice, owner } = found;
    const { hostname } = found.vm;
    if (invoice.status !== "open") return { drop: "not_open_any_more" };
    const values = { due: dueOf(invoice), hostname, url: invoice.hostedUrl };
    return { ...owner, letter: { kind: "payment_needs_confirmation", values } };
  },
};
