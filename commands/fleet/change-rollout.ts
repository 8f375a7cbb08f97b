import { moveRollout, type RolloutCommand } from "#core/fleet/rollout.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import type { Tx } from "#db/client.ts";
import {
  endRolloutHosts,
  listRollouts,
  loadRollout,
  lockRollout,
  openRolloutHosts,
  saveRollout,
  type Rollout,
  type RolloutRow,
} from "#db/fleet/rollouts.ts";
import { recordChange, type Actor } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { cursorToId, cutPage, type Page, type PageRequest } from "#commands/page.ts";

export type { Rollout };

type Changed = Result<Rollout, Refusal<"agent_rollout_not_found" | "rollout_wrong_state">>;
export type RolloutChange = Readonly<{
  state?: "running" | "paused" | "cancelled" | undefined;
  atATime?: number | undefined;
  stopAfterFailed?: number | undefined;
}>;

const COMMAND = {
  running: "resume",
  paused: "pause",
  cancelled: "cancel",
} as const satisfies Record<NonNullable<RolloutChange["state"]>, RolloutCommand>;

/**
 * Changes a rollout's pace, pauses it, resumes it or cancels it. Paused, those that were told go on. Resumed, what failed before
 * stops it no more. Cancelled, what was told is withdrawn from all that have not come; a host that is upgrading may come all
 * the same.
 */
export async function changeRollout(
  deps: Deps,
  by: Actor,
  id: string,
  change: RolloutChange,
): Promise<Changed> {
  const at = stamp(deps);
  return inTransaction(deps.db, async (tx): Promise<Changed> => {
    const rollout = await lockRollout(tx, id, "wait");
    if (!rollout) return refuse("agent_rollout_not_found", "no such rollout");
    const moved =
      change.state === undefined
        ? ok(rollout.state)
        : moveRollout(rollout.state, COMMAND[change.state]);
    if (!moved.ok) return moved;
    const next = {
      state: moved.value,
      atATime: change.atATime ?? rollout.atATime,
      stopAfterFailed: change.stopAfterFailed ?? rollout.stopAfterFailed,
    };
    if (!differs(rollout, next)) return ok(await found(tx, id));
    const { hosts } = await found(tx, id);
    const isResumed = rollout.state === "paused" && next.state === "running";
    await saveRollout(tx, id, { ...next, ...(isResumed && { failedBefore: hosts.failed }) });
    if (next.state === "cancelled") {
      const open = await openRolloutHosts(tx, id);
      const withdrawn = open.map(
        ({ hostId }) => ({ hostId, outcome: "withdrawn", detail: "" }) as const,
      );
      await endRolloutHosts(tx, id, withdrawn, at.now);
    }
    await recordChange(
      tx,
      {
        actor: by,
        action: "agent_rollout.change",
        subject: { kind: "agent_rollout", id },
        detail: {
          state: next.state,
          at_a_time: next.atATime,
          stop_after_failed: next.stopAfterFailed,
        },
        events: [{ name: "agent_rollout.changed.v1", data: { rolloutId: id } }],
      },
      at,
    );
    return ok(await found(tx, id));
  });
}

type Pace = Pick<RolloutRow, "state" | "atATime" | "stopAfterFailed">;
const differs = (a: Pace, b: Pace): boolean =>
  a.state !== b.state || a.atATime !== b.atATime || a.stopAfterFailed !== b.stopAfterFailed;

async function found(tx: Tx, id: string): Promise<Rollout> {
  const rollout = await loadRollout(tx, id);
  if (!rollout) throw new Error(`rollout ${id} vanished`);
  return rollout;
}

export async function showRollout(
  deps: Pick<Deps, "db">,
  id: string,
): Promise<Result<Rollout, Refusal<"agent_rollout_not_found">>> {
  const rollout = await loadRollout(deps.db, id);
  return rollout ? ok(rollout) : refuse("agent_rollout_not_found", "no such rollout");
}

/** The rollouts, the newest first. */
export async function showRollouts(
  deps: Pick<Deps, "db">,
  page: PageRequest,
): Promise<Page<Rollout>> {
  const before = cursorToId(page.cursor);
  const rows = await listRollouts(deps.db, { limit: page.limit + 1, before });
  return cutPage(rows, page.limit, (r) => r.id);
}
