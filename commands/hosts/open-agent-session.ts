import type { AgentSession } from "#core/contracts/agent/channel.ts";
import { loadHost, setQueueUrl } from "#db/hosts/hosts.ts";
import { wantedReleaseOf } from "#db/fleet/releases.ts";
import { loadInstallation } from "#db/hosts/installation.ts";
import type { ChannelDeps } from "#commands/deps.ts";

/**
 * What an agent needs to work: its doorbell with short-lived credentials for that one queue, and the intervals. The
 * doorbell is null when no queue or no credentials can be had: the agent then only polls (design §6).
 */
export async function openAgentSession(deps: ChannelDeps, hostId: string): Promise<AgentSession> {
  const { intervals, releaseKey: key } = deps.settings;
  const [doorbell, installation, wanted] = await Promise.all([
    openDoorbell(deps, hostId),
    loadInstallation(deps.db),
    key === undefined ? undefined : wantedReleaseOf(deps.db, hostId),
  ]);
  return {
    doorbell,
    intervals,
    installation,
    ...(key !== undefined && {
      releases: {
        key,
        wanted: wanted ? { version: wanted.version, manifestUrl: wanted.manifestUrl } : null,
      },
    }),
  };
}

async function openDoorbell(deps: ChannelDeps, hostId: string): Promise<AgentSession["doorbell"]> {
  try {
    const host = await loadHost(deps.db, hostId);
    // An embedded queue forgets itself at a restart, so it is made sure of here each time.
    const queueUrl = await deps.queues.ensureHostQueue(hostId);
    if (host && host.queueUrl !== queueUrl) await setQueueUrl(deps.db, hostId, queueUrl);
    const { region, expiresAt, ...keys } = await deps.hostCredentials.forQueue({
      hostId,
      queueUrl,
    });
    return { queueUrl, region, credentials: { ...keys, expiresAt: expiresAt.toISOString() } };
  } catch (error) {
    deps.log.error("open_agent_session.no_doorbell", { host_id: hostId, error });
    return null;
  }
}
