import type { FindingKind } from "#core/hosts/finding.ts";
import { billedAgain, hangingInvoices, stuckInvoices } from "#db/billing/hanging-invoices.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { endThese, logFindings, openFindings } from "#commands/hosts/note-findings.ts";

const KIND = "invoice_hangs" satisfies FindingKind;
const ACTOR = { kind: "system", id: "tell-hanging-invoices" } as const;

/** Stripe finalises a renewal's invoice, and charges it, an hour after the period has ended (docs.stripe.com/billing/invoices/subscription). */
const HANGS_AFTER_MS = 3 * 60 * 60_000;
const AT_ONCE = 200;

/**
 * Tells of VMs for which nothing was sent that could be paid: at once where the provider says that it could not send their invoice, and
 * where their period is over for hours, for whatever reason. Nobody is dunned for it, so nobody else would hear of it. Ends when something
 * was sent, or is paid.
 */
export async function tellHangingInvoices(deps: Deps): Promise<{ opened: number; ended: number }> {
  const at = stamp(deps);
  const before = new Date(+at.now - HANGS_AFTER_MS);
  const noted = await inTransaction(deps.db, async (tx) => {
    const ended = await endThese(tx, await billedAgain(tx, KIND, before, AT_ONCE), at, ACTOR);
    const stuck = (await stuckInvoices(tx, KIND, AT_ONCE)).map(
      ({ vmId, hostId, providerId, why }) => ({
        kind: KIND,
        subject: vmId,
        vmId,
        hostId,
        detail: `Stripe could not send its invoice ${providerId}: ${why}`,
      }),
    );
    const isStuck = new Set(stuck.map(({ vmId }) => vmId));
    const hanging = await hangingInvoices(tx, KIND, before, AT_ONCE);
    const late = hanging
      .filter(({ vmId }) => !isStuck.has(vmId))
      .map(({ vmId, hostId, until }) => ({
        kind: KIND,
        subject: vmId,
        vmId,
        hostId,
        detail: `paid until ${until.toISOString()}, and no invoice was sent for what follows`,
      }));
    return { opened: await openFindings(tx, [...stuck, ...late], at, ACTOR), ended };
  });
  logFindings(deps, noted);
  return { opened: noted.opened.length, ended: noted.ended.length };
}
