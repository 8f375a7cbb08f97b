import { hangingMigrations, openMigrationFindings } from "#db/billing/plan-migrations.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { endThese, logFindings, openFindings } from "#commands/hosts/note-findings.ts";

const ACTOR = { kind: "system", id: "tell-hanging-migrations" } as const;
/** Longer than a change takes to be paid, seen, or to go back. */
const HANGS_AFTER_MS = 4 * 60 * 60_000;

/**
 * Tells staff of plan migrations that run and do not move, though VMs of them have their turn or should have it. Runs every minute, and
 * ends what is over.
 */
export async function tellHangingMigrations(
  deps: Deps,
): Promise<{ opened: number; ended: number }> {
  const at = stamp(deps);
  const before = new Date(+at.now - HANGS_AFTER_MS);
  const noted = await inTransaction(deps.db, async (tx) => {
    const hanging = await hangingMigrations(tx, before);
    const open = await openMigrationFindings(tx);
    const told = new Set(open.map(({ subject }) => subject));
    const hangs = new Set(hanging.map(({ id }) => id));
    const found = hanging
      .filter(({ id }) => !told.has(id))
      .map(({ id, vmId, hostId }) => ({
        kind: "plan_migration_hangs",
        subject: id,
        vmId,
        detail: `nothing of it has moved for hours; this VM of it waits`,
        hostId,
      }));
    return {
      opened: await openFindings(tx, found, at, ACTOR),
      ended: await endThese(
        tx,
        open.filter(({ subject }) => !hangs.has(subject)),
        at,
        ACTOR,
      ),
    };
  });
  logFindings(deps, noted);
  return { opened: noted.opened.length, ended: noted.ended.length };
}
