import type { FindingKind } from "#core/hosts/finding.ts";
import { billedAgain, hangingInvoices } from "#db/billing/hanging-invoices.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { endThese, logFindings, openFindings } from "#commands/hosts/note-findings.ts";

const KIND = "invoice_hangs" satisfies FindingKind;
const ACTOR = { kind: "system", id: "tell-hanging-invoices" } as const;

/** Stripe finalises a renewal's invoice, and charges it, an hour after the period has ended (docs.stripe.com/billing/invoices/subscription). */
const HANGS_AFTER_MS = 3 * 60 * 60_000;
const AT_ONCE = 200;

/**
 * Tells of VMs whose period is over and for which nothing was sent that could be paid: the invoice is stuck as a draft, its finalisation
 * failed, or there is none. Nobody is dunned for it, so nobody else would hear of it. Ends when something was sent, or is paid.
 */
export async function tellHangingInvoices(deps: Deps): Promise<{ opened: number; ended: number }> {
  const at = stamp(deps);
  const before = new Date(+at.now - HANGS_AFTER_MS);
  const noted = await inTransaction(deps.db, async (tx) => {
    const ended = await endThese(tx, await billedAgain(tx, KIND, before, AT_ONCE), at, ACTOR);
    const hanging = await hangingInvoices(tx, KIND, before, AT_ONCE);
    const found = hanging.map(({ vmId, hostId, until }) => ({
      kind: KIND,
      subject: vmId,
      vmId,
      hostId,
      detail: `paid until ${until.toISOString()}, and no invoice was sent for what follows`,
    }));
    return { opened: await openFindings(tx, found, at, ACTOR), ended };
  });
  logFindings(deps, noted);
  return { opened: noted.opened.length, ended: noted.ended.length };
}
