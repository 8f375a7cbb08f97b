import { DESTROYS_HELD_MS, OLDEST_RESTORE_MS } from "#core/hosts/restored.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import {
  findRestore,
  holdAllHosts,
  insertRestore,
  listUnheardHosts,
  listUnknownCheckouts,
  listUnknownVms,
  spendWhatMayBeSpent,
  type Restore,
  type UnknownCheckout,
  type UnknownVm,
} from "#db/hosts/restores.ts";
import { recordChange, type Actor } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";

/** How far the product is with a restore; `restore` is null while it is not written down: a dry run. */
export type RestoreState = Readonly<{
  restore: Restore | null;
  destroysHeldUntil: Date | null;
  unheardHosts: readonly { id: string; name: string; lastSeenAt: Date | null }[];
  unknownVms: readonly UnknownVm[];
  unknownCheckouts: readonly UnknownCheckout[];
}>;

/**
 * Says that the database was restored to the state of `restoredTo`. From then on each host's counters rise above what its agent
 * holds as soon as it asks, nothing is destroyed for a day, what may have been spent since is spent, and the provider's events
 * since are taken in again. A repeat changes nothing, and says how far it is; so does a dry run of one that is not said yet.
 */
export async function recordRestore(
  deps: Deps,
  by: Actor,
  asked: { restoredTo: Date; dryRun: boolean },
): Promise<Result<RestoreState, Refusal<"restore_point_invalid">>> {
  const at = stamp(deps);
  const { restoredTo } = asked;
  if (restoredTo > at.now || +at.now - +restoredTo > OLDEST_RESTORE_MS)
    return refuse("restore_point_invalid", "it must lie in the 30 days before now");
  if (!asked.dryRun)
    await inTransaction(deps.db, async (tx) => {
      const restore = { id: at.newId(), restoredTo, recordedAt: at.now };
      if (!(await insertRestore(tx, restore))) return;
      const hosts = await holdAllHosts(tx, heldUntil(at.now));
      const spent = await spendWhatMayBeSpent(tx, at.now);
      await recordChange(
        tx,
        {
          actor: by,
          action: "database.restored",
          subject: { kind: "restore", id: restore.id },
          detail: {
            restored_to: restoredTo.toISOString(),
            hosts,
            join_tokens: spent.joinTokens,
            links: spent.links,
            sessions: spent.sessions,
          },
          events: [],
        },
        at,
      );
    });
  return ok(await stateOf(deps, restoredTo));
}

const heldUntil = (recordedAt: Date) => new Date(+recordedAt + DESTROYS_HELD_MS);

async function stateOf(deps: Deps, restoredTo: Date): Promise<RestoreState> {
  const restore = (await findRestore(deps.db, restoredTo)) ?? null;
  return {
    restore,
    destroysHeldUntil: restore && heldUntil(restore.recordedAt),
    unheardHosts: await listUnheardHosts(deps.db),
    unknownVms: await listUnknownVms(deps.db),
    unknownCheckouts: restore ? await listUnknownCheckouts(deps.db, restore.recordedAt) : [],
  };
}
