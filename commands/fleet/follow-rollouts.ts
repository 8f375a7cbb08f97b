import type { Found } from "#core/hosts/finding.ts";
import { decideRollout, type RolloutStep } from "#core/fleet/rollout.ts";
import type { Tx } from "#db/client.ts";
import {
  endRolloutHosts,
  failuresOf,
  loadRollout,
  lockRollout,
  openRolloutHosts,
  openRolloutIds,
  pastFailures,
  saveRollout,
  tellRolloutHosts,
} from "#db/fleet/rollouts.ts";
import { recordChange, type Actor } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import {
  endThese,
  logFindings,
  openFindings,
  type NotedFindings,
} from "#commands/hosts/note-findings.ts";

const ACTOR: Actor = { kind: "system", id: "follow-rollouts" };
const NOTHING: NotedFindings = { opened: [], ended: [] };
/** So many failures that are over are ended at once. */
const AT_ONCE = 200;

/**
 * Brings every rollout on: notes who has come to the version and who has not, and tells the next ones. Runs every minute; each
 * rollout is one transaction, with the same statements however many hosts it has.
 */
export async function followRollouts(
  deps: Deps,
): Promise<{ rollouts: number; told: number; failed: number }> {
  const ids = await openRolloutIds(deps.db);
  let told = 0;
  let failed = 0;
  for (const id of ids) {
    const followed = await inTransaction(deps.db, (tx) => follow(deps, tx, id));
    if (!followed) continue;
    logFindings(deps, followed.noted);
    const { step } = followed;
    told += step.tell.length;
    failed += step.ended.filter(({ outcome }) => outcome === "failed").length;
    if (followed.hasStopped) deps.log.error("agent_rollout.stopped", { rollout_id: id });
  }
  const ended = await inTransaction(deps.db, async (tx) =>
    endThese(tx, await pastFailures(tx, AT_ONCE), stamp(deps), ACTOR),
  );
  logFindings(deps, { opened: [], ended });
  return { rollouts: ids.length, told, failed };
}

/** undefined: somebody else is at it, or it has ended meanwhile. */
async function follow(
  deps: Deps,
  tx: Tx,
  id: string,
): Promise<{ step: RolloutStep; noted: NotedFindings; hasStopped: boolean } | undefined> {
  const at = stamp(deps);
  const row = await lockRollout(tx, id, "skip");
  if (!row || row.state === "done" || row.state === "cancelled") return undefined;
  const rollout = await loadRollout(tx, id);
  if (!rollout) throw new Error(`rollout ${id} vanished`);
  const { state } = row;
  const step = decideRollout(
    { ...rollout, state, failed: rollout.hosts.failed - rollout.failedBefore },
    await openRolloutHosts(tx, id),
    at.now,
  );
  const hasChanged = step.state !== state;
  if (step.ended.length === 0 && step.tell.length === 0 && !hasChanged)
    return { step, noted: NOTHING, hasStopped: false };
  await endRolloutHosts(tx, id, step.ended, at.now);
  await tellRolloutHosts(tx, row, step.tell, at.now);
  const failures = step.ended.filter(({ outcome }) => outcome === "failed");
  const noted = {
    opened: await openFindings(tx, failures.map(failureOf), at, ACTOR),
    // Of an attempt before: what is told from now on is of this one.
    ended: await endThese(tx, await failuresOf(tx, step.tell), at, ACTOR),
  };
  if (hasChanged) await saveRollout(tx, id, { state: step.state });
  await recordChange(
    tx,
    {
      actor: ACTOR,
      action: "agent_rollout.follow",
      subject: { kind: "agent_rollout", id },
      detail: { state: step.state, told: step.tell.length, ended: step.ended.length },
      events: [
        ...step.ended.map(
          ({ hostId }) =>
            ({ name: "host.upgrade_ended.v1", data: { hostId, rolloutId: id } }) as const,
        ),
        ...step.tell.map(
          (hostId) =>
            ({ name: "host.upgrade_asked_for.v1", data: { hostId, rolloutId: id } }) as const,
        ),
        ...(hasChanged
          ? [{ name: "agent_rollout.changed.v1", data: { rolloutId: id } } as const]
          : []),
      ],
    },
    at,
  );
  return { step, noted, hasStopped: hasChanged && step.state === "paused" };
}

/** Its agent may have said so itself: then it is open already. */
const failureOf = ({
  hostId,
  detail,
}: RolloutStep["ended"][number]): Found & { hostId: string } => ({
  kind: "upgrade_failed",
  subject: hostId,
  vmId: null,
  hostId,
  detail,
});
