import { HANGS_AFTER_MS } from "#core/moves/next-step.ts";
import { overMoveFindings, untoldHangingMoves } from "#db/moves/hanging.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { endThese, logFindings, openFindings } from "#commands/hosts/note-findings.ts";

const ACTOR = { kind: "system", id: "tell-hanging-moves" } as const;
/** So many are told of in a minute at most. */
const MOST = 200;

/**
 * Tells staff of moves that wait for a host, where there is no way but to wait: the VM is its destination's and was not seen there, its source
 * does not say that it holds it, or a copy is not put away. Runs every minute, and ends what is over.
 */
export async function tellHangingMoves(deps: Deps): Promise<{ opened: number; ended: number }> {
  const at = stamp(deps);
  const before = new Date(+at.now - HANGS_AFTER_MS);
  const noted = await inTransaction(deps.db, async (tx) => {
    const hanging = await untoldHangingMoves(tx, before, MOST);
    const found = hanging.map(({ moveId, vmId, hostId, step }) => ({
      kind: "move_hangs",
      subject: vmId,
      vmId,
      detail: `move ${moveId} waits for this host at ${step}`,
      hostId,
    }));
    return {
      opened: await openFindings(tx, found, at, ACTOR),
      ended: await endThese(tx, await overMoveFindings(tx, before, MOST), at, ACTOR),
    };
  });
  logFindings(deps, noted);
  return { opened: noted.opened.length, ended: noted.ended.length };
}
