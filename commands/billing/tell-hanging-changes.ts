import { overHangingFindings, untoldHangingChanges } from "#db/billing/plan-changes.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { endThese, logFindings, openFindings } from "#commands/hosts/note-findings.ts";

const ACTOR = { kind: "system", id: "tell-hanging-changes" } as const;
/** What a change may take beyond its deadlines to go back: its host must answer, and the bank. */
const HANGS_AFTER_MS = 60 * 60_000;
/** So many are told of in a minute at most. */
const MOST = 200;

/**
 * Tells staff of changes that are neither done nor taken back long after their deadlines: whoever pays for one pays for what he has not,
 * or has what he does not pay for (invariants 21 and 22). Runs every minute, and ends what is over.
 */
export async function tellHangingChanges(deps: Deps): Promise<{ opened: number; ended: number }> {
  const at = stamp(deps);
  const before = new Date(+at.now - HANGS_AFTER_MS);
  const noted = await inTransaction(deps.db, async (tx) => {
    const hanging = await untoldHangingChanges(tx, before, MOST);
    const found = hanging.map(({ vmId, hostId, money, machine }) => ({
      kind: "plan_change_hangs",
      subject: vmId,
      vmId,
      detail: `its money is ${money}, its machine is ${machine}`,
      hostId,
    }));
    const over = await overHangingFindings(tx, before, MOST);
    return {
      opened: await openFindings(tx, found, at, ACTOR),
      ended: await endThese(tx, over, at, ACTOR),
    };
  });
  logFindings(deps, noted);
  return { opened: noted.opened.length, ended: noted.ended.length };
}
