/** Releases that a side of the agents' wire may be older than the other (docs/adr/0037): past that nothing is promised. */
export const MOST_RELEASES_BEHIND = 2;

export const AGENT_AGES = ["current", "old", "too_old"] as const;
export type AgentAge = (typeof AGENT_AGES)[number];

type Version = readonly [number, number, number];

/** Of `1.2.3`; null: it is the version of no release. */
function parseVersion(text: string): Version | null {
  const parts = /^(\d{1,5})\.(\d{1,5})\.(\d{1,5})$/.exec(text);
  return parts && [Number(parts[1]), Number(parts[2]), Number(parts[3])];
}

const compare = (a: Version, b: Version): number => a[0] - b[0] || a[1] - b[1] || a[2] - b[2];

/** How many of the registered releases are newer; null: it is the version of no release, or none is registered. */
function releasesBehind(version: string, releases: readonly string[]): number | null {
  const own = parseVersion(version);
  if (own === null || releases.length === 0) return null;
  return releases.filter((release) => {
    const other = parseVersion(release);
    return other !== null && compare(other, own) > 0;
  }).length;
}

/** How old an agent is, by the releases that staff have registered; null where that cannot be said. */
export function agentAge(version: string | null, releases: readonly string[]): AgentAge | null {
  const behind = version === null ? null : releasesBehind(version, releases);
  if (behind === null) return null;
  if (behind === 0) return "current";
  return behind <= MOST_RELEASES_BEHIND ? "old" : "too_old";
}
