import { aheadOf } from "#core/billing/dunning.ts";
import { hostStopsAt } from "#core/billing/entitlement.ts";
import { toWireId } from "#core/ids.ts";
import { findDunning } from "#db/billing/dunnings.ts";
import { openInvoiceOf } from "#db/billing/invoices.ts";
import { loadService } from "#db/billing/services.ts";
import { mailsAbout, recipientOf } from "#db/messages/mails.ts";
import { loadVm } from "#db/vms/vms.ts";
import type { Filler, MailDeps } from "#commands/messages/send-mail.ts";
import { dueOf } from "./fill-invoice-mails.ts";

/** What is dunned for, and whom its mail is for; undefined: that is over, or nobody is there. */
async function look(deps: MailDeps, id: string) {
  const dunning = await findDunning(deps.db, id);
  const vm = dunning && (await loadVm(deps.db, dunning.vmId));
  if (dunning === undefined || vm === undefined || vm.presence === "absent") return undefined;
  const recipient = await recipientOf(deps.db, vm.accountId);
  if (recipient?.isCustomer !== true) return undefined;
  const { to, locale } = recipient;
  const service = await loadService(deps.db, vm.id);
  const stopsAt = hostStopsAt(service);
  return { dunning, vm, service, stopsAt, owner: { accountId: vm.accountId, to, locale } };
}
const DAY_MS = 24 * 60 * 60_000;
const OVER = { drop: "nobody_owes_it_any_more" };

/** It is not paid, and its VM stops by then. A mail of the failed payment that has left has said so already. */
export const OVERDUE_MAIL: Filler = {
  fill: async (deps, { about }) => {
    const found = await look(deps, about);
    if (found?.dunning.state !== "begun") return OVER;
    const invoice = await openInvoiceOf(deps.db, found.vm.id);
    if (invoice === undefined) return OVER;
    const failed = await mailsAbout(deps.db, "payment_failed", invoice.providerId);
    if (failed.includes("sent")) return { drop: "told_by_the_failed_payment" };
    if (failed.includes("waiting")) return { wait: "the mail of its failed payment says it first" };
    const { service, vm, owner } = found;
    // The suspend days begin anew with this mail, where it comes late.
    const warned = +deps.clock.now() + service.suspendDays * DAY_MS;
    const stopsAt = new Date(Math.max(+found.stopsAt, warned));
    const values = {
      due: dueOf(invoice),
      hostname: vm.hostname,
      url: invoice.hostedUrl,
      stopsAt: stopsAt.toISOString(),
    };
    return { ...owner, letter: { kind: "payment_overdue", values } };
  },
};

/** It was stopped as it is not paid. */
export const STOPPED_MAIL: Filler = {
  fill: async (deps, { about }) => {
    const found = await look(deps, about);
    if (found?.dunning.state !== "suspended") return OVER;
    const { dunning, vm, stopsAt, owner } = found;
    const invoice = await openInvoiceOf(deps.db, vm.id);
    const { endsAt } = aheadOf(dunning, dunning.policy, stopsAt);
    if (endsAt === null) return OVER;
    const values = {
      hostname: vm.hostname,
      due: invoice === undefined ? null : dueOf(invoice),
      url: invoice?.hostedUrl ?? null,
      endsAt: endsAt.toISOString(),
    };
    return { ...owner, letter: { kind: "vm_stopped_for_debt", values } };
  },
};

/** Its subscription has ended, and what is on it is kept for a while. */
export const ENDED_MAIL: Filler = {
  fill: async (deps, { about }) => {
    const found = await look(deps, about);
    if (found?.dunning.state !== "terminated") return OVER;
    const { dunning, vm, stopsAt, owner } = found;
    const { deletesAt } = aheadOf(dunning, dunning.policy, stopsAt);
    if (deletesAt === null) return OVER;
    const values = {
      hostname: vm.hostname,
      keptUntil: deletesAt.toISOString(),
      vm: toWireId("vm", vm.id),
    };
    return { ...owner, letter: { kind: "vm_kept_after_end", values } };
  },
};
