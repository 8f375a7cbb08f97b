import { agentAge, MOST_RELEASES_BEHIND } from "#core/fleet/agent-age.ts";
import { agentVersionsInUse, pastOldAgents, untoldOldAgents } from "#db/fleet/rollouts.ts";
import type { Actor } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { listReleases } from "#db/fleet/releases.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { endThese, logFindings, openFindings } from "#commands/hosts/note-findings.ts";

const ACTOR: Actor = { kind: "system", id: "note-old-agents" };
/** So many at once: the others come with the next minute. */
const AT_ONCE = 200;

/** Tells of agents that are older than is promised to work, and that they are so no more. Runs every minute. */
export async function noteOldAgents(deps: Deps): Promise<{ opened: number; ended: number }> {
  const at = stamp(deps);
  const [releases, versions] = await Promise.all([
    listReleases(deps.db),
    agentVersionsInUse(deps.db),
  ]);
  const released = releases.map(({ version }) => version);
  const tooOld = versions.filter((version) => agentAge(version, released) === "too_old");
  const noted = await inTransaction(deps.db, async (tx) => {
    const untold = await untoldOldAgents(tx, tooOld, AT_ONCE);
    const opened = await openFindings(
      tx,
      untold.map(({ hostId, version }) => ({
        kind: "agent_old",
        subject: hostId,
        vmId: null,
        hostId,
        detail: `its agent is ${version}, and more than ${MOST_RELEASES_BEHIND} releases are newer`,
      })),
      at,
      ACTOR,
    );
    const ended = await endThese(tx, await pastOldAgents(tx, tooOld, AT_ONCE), at, ACTOR);
    return { opened, ended };
  });
  logFindings(deps, noted);
  return { opened: noted.opened.length, ended: noted.ended.length };
}
