import { refuse, ok, type Refusal, type Result } from "#core/result.ts";
import type { HostState } from "#core/hosts/host-state.ts";
import { silentBefore } from "#core/hosts/place-vm.ts";

/* How a version of the agent comes to many hosts: so many at a time, and no further once too many could not take it. */

export const ROLLOUT_STATES = ["running", "paused", "done", "cancelled"] as const;
export type RolloutState = (typeof ROLLOUT_STATES)[number];
export type RolloutCommand = "pause" | "resume" | "cancel" | "finish";

export const ROLLOUT_MOVES = {
  running: { pause: "paused", cancel: "cancelled", finish: "done" },
  paused: { resume: "running", cancel: "cancelled", finish: "done" },
  done: {},
  cancelled: {},
} as const satisfies Record<RolloutState, Partial<Record<RolloutCommand, RolloutState>>>;

/** What a command leads to. One that is true already changes nothing. */
export function moveRollout(
  state: RolloutState,
  command: RolloutCommand,
): Result<RolloutState, Refusal<"rollout_wrong_state">> {
  const to = TARGET[command];
  if (state === to) return ok(state);
  const moves: Partial<Record<RolloutCommand, RolloutState>> = ROLLOUT_MOVES[state];
  return moves[command] === undefined
    ? refuse("rollout_wrong_state", `a rollout that is ${state} cannot ${command}`)
    : ok(to);
}
const TARGET = {
  pause: "paused",
  resume: "running",
  cancel: "cancelled",
  finish: "done",
} as const satisfies Record<RolloutCommand, RolloutState>;

/** How it ended for a host. `left_out`: it left the fleet before; `withdrawn`: the rollout was cancelled. */
export const ROLLOUT_OUTCOMES = ["upgraded", "failed", "left_out", "withdrawn"] as const;
export type RolloutOutcome = (typeof ROLLOUT_OUTCOMES)[number];

/**
 * An agent hears of a wanted version with its next session, forty minutes later at the most (two thirds of its credentials' life),
 * and the version that runs then is told at once. Twice that and an hour: who has not come by then is not coming.
 */
export const UPGRADE_TIME_LIMIT_MS = 140 * 60_000;

/** A host for which the rollout has not ended yet. */
export type RolloutHost = Readonly<{
  hostId: string;
  state: HostState;
  /** As it last said. */
  agentVersion: string | null;
  lastSeenAt: Date | null;
  toldAt: Date | null;
  /** Its agent's own word that it could not, since it was told; null: there is none. */
  failure: string | null;
}>;

export type RolloutStep = Readonly<{
  state: RolloutState;
  ended: readonly Readonly<{ hostId: string; outcome: RolloutOutcome; detail: string }>[];
  /** Those that are told now to upgrade. */
  tell: readonly string[];
}>;

/**
 * What a rollout comes to now. Nobody who is silent is told, nor waited for: what it was told before counts as failed when its
 * time is over, so that it keeps no other from its turn.
 */
export function decideRollout(
  rollout: Readonly<{
    state: "running" | "paused";
    version: string;
    atATime: number;
    stopAfterFailed: number;
    /** Since it was begun or resumed. */
    failed: number;
  }>,
  /** In the order in which they are to be told. */
  hosts: readonly RolloutHost[],
  now: Date,
): RolloutStep {
  const ended: { hostId: string; outcome: RolloutOutcome; detail: string }[] = [];
  const open: RolloutHost[] = [];
  for (const host of hosts) {
    const end = endOf(host, rollout.version, now);
    if (end === null) open.push(host);
    else ended.push({ hostId: host.hostId, ...end });
  }
  if (open.length === 0) return { state: "done", ended, tell: [] };
  const failed = rollout.failed + ended.filter(({ outcome }) => outcome === "failed").length;
  if (rollout.state === "paused" || failed >= rollout.stopAfterFailed)
    return { state: "paused", ended, tell: [] };
  const upgrading = open.filter(({ toldAt }) => toldAt !== null).length;
  const ready = open.filter(
    ({ toldAt, lastSeenAt, state }) =>
      toldAt === null &&
      state !== "enrolling" &&
      lastSeenAt !== null &&
      lastSeenAt >= silentBefore(now),
  );
  const free = Math.max(0, rollout.atATime - upgrading);
  return { state: "running", ended, tell: ready.slice(0, free).map(({ hostId }) => hostId) };
}

function endOf(
  host: RolloutHost,
  version: string,
  now: Date,
): { outcome: RolloutOutcome; detail: string } | null {
  if (host.state === "retired") return { outcome: "left_out", detail: "the host is retired" };
  if (host.agentVersion === version) return { outcome: "upgraded", detail: "" };
  if (host.toldAt === null) return null;
  if (host.failure !== null) return { outcome: "failed", detail: host.failure };
  return +now - +host.toldAt < UPGRADE_TIME_LIMIT_MS
    ? null
    : {
        outcome: "failed",
        detail: `told to upgrade to ${version} at ${host.toldAt.toISOString()}, and says still that it is ${host.agentVersion ?? "of no version"}`,
      };
}
