import type { AgentSession } from "#core/contracts/agent/channel.ts";

/* What is decided about releases, without a look at anything. */

export type Wanted = NonNullable<NonNullable<AgentSession["releases"]>["wanted"]>;

/** Below 0: `a` is older than `b`. Both are three numbers with dots. */
export function compareVersions(a: string, b: string): number {
  const numbers = (version: string) => version.split(".").map(Number);
  const [left, right] = [numbers(a), numbers(b)];
  for (let n = 0; n < 3; n++) {
    const difference = (left[n] ?? 0) - (right[n] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** A new release that has not shown by then that it works is replaced by the one before. */
export const TRIAL_MS = 2 * 60_000;

export type Trial = Readonly<{
  elapsedMs: number;
  /** The hypervisor was looked at, and every VM handed to its worker. */
  passDone: boolean;
  /** The control plane took a report. */
  reached: boolean;
  /** Whether the release before reached it when it was replaced. */
  reachedBefore: boolean;
}>;

/** Why a release was taken back. `crashed`, `hung` and `broken` are the launcher's words, `by_hand` is an operator's. */
export type TakenBack = "no_pass" | "not_reached" | "crashed" | "hung" | "broken" | "by_hand";

/** Whether a new release stays. */
export function judgeTrial(trial: Trial): "keep" | "wait" | TakenBack {
  const { passDone, reached } = trial;
  if (passDone && reached) return "keep";
  if (trial.elapsedMs < TRIAL_MS) return "wait";
  if (!passDone) return "no_pass";
  // As unreachable as for the release before: it is not this one's fault.
  return trial.reachedBefore ? "not_reached" : "keep";
}

/** What became of the last want that this agent tried. */
export type Attempt = Readonly<{
  version: string;
  manifestUrl: string;
  /** How often; what may pass is tried again. */
  tries: number;
  lastAt: number;
  /** Why the last try came to nothing; null: it was put in place, or is under way. */
  failure: Readonly<{ detail: string; mayPass: boolean }> | null;
}>;

const FIRST_REST_MS = 60 * 60_000;
const LONGEST_REST_MS = 24 * 60 * 60_000;

export type WantedDecision = { do: "nothing" } | { do: "upgrade" } | { do: "tell"; detail: string };

/**
 * What to do about the version that staff want. One that failed is told, and not tried again until staff want something else;
 * what may pass by itself (a server that does not answer) is tried again after an hour, then two, and so on up to a day.
 * Staff may want an older version: what they may not is one below `oldest`.
 */
export function decideWanted(state: {
  own: string;
  wanted: Wanted | null;
  oldest: string | null;
  /** The last release that was taken back. */
  takenBack: Readonly<{ version: string; why: string }> | null;
  attempt: Attempt | null;
  now: number;
}): WantedDecision {
  const { own, wanted, oldest, takenBack, attempt } = state;
  if (wanted === null || wanted.version === own) return { do: "nothing" };
  const { version } = wanted;
  if (oldest !== null && compareVersions(version, oldest) < 0)
    return {
      do: "tell",
      detail: `${version} is wanted, and nothing older than ${oldest} may run here: berth-agent upgrade --allow-downgrade on the host`,
    };
  const isSame = attempt?.version === version && attempt.manifestUrl === wanted.manifestUrl;
  if (takenBack?.version === version && (isSame || attempt === null))
    return { do: "tell", detail: `${version} was taken back: ${takenBack.why}` };
  if (!isSame || attempt.failure === null) return { do: "upgrade" };
  const rest = Math.min(LONGEST_REST_MS, FIRST_REST_MS * 2 ** (attempt.tries - 1));
  const isDue = attempt.failure.mayPass && state.now - attempt.lastAt >= rest;
  return isDue ? { do: "upgrade" } : { do: "tell", detail: attempt.failure.detail };
}
