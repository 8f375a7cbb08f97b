import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { loadReleaseOf } from "#db/fleet/releases.ts";
import { insertRollout, loadRollout, type Rollout } from "#db/fleet/rollouts.ts";
import { recordChange, type Actor } from "#db/record-change.ts";
import { violates } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { undoOnRefusal } from "#commands/undo-on-refusal.ts";

type BeginRefusal = Refusal<
  "agent_release_not_found" | "releases_not_signed" | "rollout_open" | "rollout_without_hosts"
>;

/**
 * Begins to bring a release to these hosts, or to those that are in a group now. The sweep tells them, so many at a time
 * (`follow-rollouts.ts`). A host is in one rollout at a time.
 */
export async function beginRollout(
  deps: Deps,
  by: Actor,
  asked: {
    version: string;
    hosts: Readonly<{ group: string } | { ids: readonly string[] }>;
    atATime: number;
    stopAfterFailed: number;
  },
): Promise<Result<Rollout, BeginRefusal>> {
  const at = stamp(deps);
  if (deps.settings.releaseKey === undefined)
    return refuse(
      "releases_not_signed",
      "agents trust no release of this installation: it has no release key (BERTH_RELEASE_KEY)",
    );
  const id = at.newId();
  return undoOnRefusal(deps.db, async (tx): Promise<Result<Rollout, BeginRefusal>> => {
    const release = await loadReleaseOf(tx, asked.version);
    if (!release)
      return refuse("agent_release_not_found", `no release ${asked.version} is registered`);
    const { hosts: of, atATime, stopAfterFailed } = asked;
    const group = "group" in of ? of.group : null;
    const hosts = await insertRollout(
      tx,
      { id, releaseId: release.id, hostGroup: group, atATime, stopAfterFailed, createdAt: at.now },
      of,
    );
    if (hosts < ("ids" in of ? new Set(of.ids).size : 1))
      return refuse(
        "rollout_without_hosts",
        group === null
          ? "one of the hosts is not there, or is retired"
          : `no host is in the group ${group}`,
      );
    await recordChange(
      tx,
      {
        actor: by,
        action: "agent_rollout.begin",
        subject: { kind: "agent_rollout", id },
        detail: { version: asked.version, group, hosts, at_a_time: atATime },
        events: [{ name: "agent_rollout.began.v1", data: { rolloutId: id } }],
      },
      at,
    );
    const made = await loadRollout(tx, id);
    if (!made) throw new Error(`rollout ${id} vanished`);
    return ok(made);
  }).catch((error: unknown) => {
    if (violates(error, "agent_rollout_hosts_one_open_key"))
      return refuse(
        "rollout_open",
        "one of the hosts is in a rollout that has not ended: cancel that one, or wait for it",
      );
    throw error;
  });
}
