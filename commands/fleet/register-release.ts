import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import {
  insertRelease,
  listReleases,
  loadReleaseOf,
  type AgentRelease,
} from "#db/fleet/releases.ts";
import { recordChange, type Actor } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { pageOfAll, type Page, type PageRequest } from "#commands/page.ts";

export type { AgentRelease };

type Registered = Result<AgentRelease, Refusal<"release_exists">>;

/**
 * Makes a release of the agent known, by its version and where its signed manifest lies. The same again is the same release;
 * another place for a version that is known is refused, as agents may have taken it from the first.
 */
export async function registerRelease(
  deps: Deps,
  by: Actor,
  release: { version: string; manifestUrl: string },
): Promise<Registered> {
  const at = stamp(deps);
  return inTransaction(deps.db, async (tx): Promise<Registered> => {
    const made = await insertRelease(tx, { ...release, id: at.newId(), createdAt: at.now });
    if (!made) {
      const known = await loadReleaseOf(tx, release.version);
      return known?.manifestUrl === release.manifestUrl
        ? ok(known)
        : refuse(
            "release_exists",
            `release ${release.version} is registered, with its manifest at ${known?.manifestUrl}`,
          );
    }
    await recordChange(
      tx,
      {
        actor: by,
        action: "agent_release.register",
        subject: { kind: "agent_release", id: made.id },
        detail: release,
        events: [{ name: "agent_release.registered.v1", data: { releaseId: made.id } }],
      },
      at,
    );
    return ok(made);
  });
}

/** The releases, registered last first. */
export const showReleases = async (
  deps: Pick<Deps, "db">,
  page: PageRequest,
): Promise<Page<AgentRelease>> => pageOfAll(await listReleases(deps.db), page, (r) => r.id);

/** All of them: what agents' age is measured by. */
export const allReleases = (deps: Pick<Deps, "db">): Promise<readonly AgentRelease[]> =>
  listReleases(deps.db);
