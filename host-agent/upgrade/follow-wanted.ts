import { z } from "zod";
import type { AgentSession } from "#core/contracts/agent/channel.ts";
import type { OwnFinding } from "#core/contracts/agent/report.ts";
import type { Clock, Log } from "#core/ports.ts";
import { loadSaved, save } from "#host-agent/state/saved.ts";
import type { StateStore } from "#host-agent/state/state-store.ts";
import { decideWanted, type Attempt, type Wanted } from "./decide.ts";
import { pinOnce } from "./release-key.ts";
import type { ReleaseHome } from "./release-home.ts";
import { oldestOf, takeRelease } from "./swap.ts";
import { UpgradeError } from "./upgrade-error.ts";
import type { ReleaseManifest } from "./manifest.ts";

const FILE = "upgrade.json";
const Saved = z.object({
  version: z.string(),
  manifestUrl: z.string(),
  tries: z.int(),
  lastAt: z.number(),
  failure: z.object({ detail: z.string(), mayPass: z.boolean() }).nullable(),
});

/**
 * Given what a session says of releases, brings this host to the wanted one. Answers what staff must hear of, each time as long as
 * it is so. While one session's is under way, another's does nothing.
 */
export type FollowWanted = (
  releases: AgentSession["releases"],
  signal: AbortSignal,
) => Promise<readonly OwnFinding[]>;

export function createFollowWanted(ports: {
  own: string;
  /** null: it was not started by the launcher, and so cannot be replaced. */
  home: ReleaseHome | null;
  store: StateStore;
  clock: Clock;
  log: Log;
  /** Fetches and checks it; what runs is not touched. Throws `UpgradeError`. */
  obtain: (
    wanted: Wanted & { key: string; oldest: string | null },
    signal: AbortSignal,
  ) => Promise<ReleaseManifest>;
  /** Ends this process, whose next start is the new release. */
  restart: (why: string) => void;
}): FollowWanted {
  const { own, home, store, clock, log } = ports;
  const finding = (detail: string): readonly OwnFinding[] => [
    { code: "upgrade_failed", detail: detail.slice(0, 1000) },
  ];
  let isBusy = false;

  async function follow(
    { key: told, wanted }: NonNullable<AgentSession["releases"]>,
    signal: AbortSignal,
  ): Promise<readonly OwnFinding[]> {
    const key = await pinOnce(store, told, log);
    if (wanted === null || wanted.version === own) return [];
    if (home === null)
      return finding(`${wanted.version} is wanted, and no launcher started this agent`);
    // Another is in place already, and this process about to end; or this one is on trial, which is judged first.
    if ((await home.version("current")) !== own) return [];
    if ((await home.read("trial"))?.[0] === own) return [];
    const attempt: Attempt | null = await loadSaved(store, FILE, Saved);
    const [version, why = ""] = (await home.read("failed")) ?? [];
    const oldest = await oldestOf(home);
    const now = +clock.now();
    const takenBack = version === undefined ? null : { version, why };
    const decision = decideWanted({ own, wanted, oldest, takenBack, attempt, now });
    if (decision.do === "nothing") return [];
    if (decision.do === "tell") return finding(decision.detail);
    const isSame =
      attempt?.version === wanted.version && attempt.manifestUrl === wanted.manifestUrl;
    const trying = { ...wanted, tries: isSame ? attempt.tries + 1 : 1, lastAt: now };
    log.info("upgrade_begins", { version: wanted.version, tries: trying.tries });
    try {
      const release = await ports.obtain({ ...wanted, key, oldest }, signal);
      // Before the swap: what was tried must be known to the release that it comes back to.
      await save(store, FILE, { ...trying, failure: null });
      // The session that asked for it came from the control plane.
      await takeRelease(home, release, true);
    } catch (error) {
      signal.throwIfAborted();
      const failure = {
        detail: `${wanted.version}: ${error instanceof Error ? error.message : String(error)}`,
        mayPass: !(error instanceof UpgradeError) || error.mayPass,
      };
      log.error("upgrade_failed", { version: wanted.version, error: failure.detail });
      await save(store, FILE, { ...trying, failure });
      return finding(failure.detail);
    }
    ports.restart(`release ${wanted.version} is in place`);
    return [];
  }

  return async (releases, signal) => {
    if (releases === undefined || isBusy) return [];
    isBusy = true;
    try {
      return await follow(releases, signal);
    } finally {
      isBusy = false;
    }
  };
}
