import type { MaintenanceWindow } from "#core/hosts/maintenance.ts";
import { MOVE_FAILURES, type Move } from "./move.ts";
import { MOVE_CHECKS, type Checked, type MoveCheck } from "./preflight.ts";

/*
 * A host is emptied: its VMs move away, so many at once, each to where placement would put it (docs/adr/0058). It goes on for as long as the
 * host is `draining`, and ends when every VM that was on it has come to an end here.
 */

/** `live`, where the two hosts can and the guest runs; or all of them cold. */
export const DRAIN_METHODS = ["auto", "cold"] as const;
export type DrainMethod = (typeof DRAIN_METHODS)[number];

/** `left`: some VMs stay, each with its reason. `stopped`: the host was brought into another state meanwhile. */
export const DRAIN_OUTCOMES = ["empty", "left", "stopped"] as const;
export type DrainOutcome = (typeof DRAIN_OUTCOMES)[number];

/**
 * Where one VM of it is. `stays`: it could not be moved; `gone`: it was deleted, or is another host's, without our doing; `left_out`: the drain
 * was stopped before its turn.
 */
export const DRAIN_VM_STATES = ["waiting", "moving", "moved", "stays", "gone", "left_out"] as const;
export type DrainVmState = (typeof DRAIN_VM_STATES)[number];

export const DRAIN_VM_COMMANDS = [
  "begin",
  "put_off",
  "arrive",
  "give_up",
  "vanish",
  "leave_out",
] as const;
export type DrainVmCommand = (typeof DRAIN_VM_COMMANDS)[number];

/** Every legal step of a VM; there is no other list. A move in flight is not called off by the end of the drain: it is left to itself. */
export const DRAIN_VM_MOVES = {
  waiting: {
    begin: "moving",
    put_off: "waiting",
    give_up: "stays",
    vanish: "gone",
    leave_out: "left_out",
  },
  moving: { arrive: "moved", give_up: "stays", vanish: "gone" },
  moved: {},
  stays: {},
  gone: {},
  left_out: {},
} as const satisfies Record<DrainVmState, Partial<Record<DrainVmCommand, DrainVmState>>>;

export function nextDrainVmState(
  from: DrainVmState,
  command: DrainVmCommand,
): DrainVmState | undefined {
  const moves: Partial<Record<DrainVmCommand, DrainVmState>> = DRAIN_VM_MOVES[from];
  return moves[command];
}

/** Why a VM waits or stays: the check that stands against it, or how its move failed. Stable. */
export const DRAIN_REASONS = [
  ...MOVE_CHECKS,
  ...MOVE_FAILURES,
  /** No host of its location can take it. */
  "no_destination",
  /** The room that was found for it was taken before it was held. */
  "no_capacity",
  /** It would be stopped, and the time that its customer was told of has not come. */
  "window_ahead",
  /** That time is over. */
  "window_over",
] as const;
export type DrainReason = (typeof DRAIN_REASONS)[number];

export type WhyNotDrained = Readonly<{ reason: DrainReason; detail: string }>;

/** So long until what passes is looked at again, and so often. */
const AGAIN_MS = 5 * 60_000;
/** The same while its announced time is ahead, which may be for days. */
const AHEAD_AGAIN_MS = 60 * 60_000;
export const MOST_TRIES = 12;

/** What passes by itself: an action ends, a guest has booted, a host is heard of again, others make room. */
const PASSES: ReadonlySet<DrainReason> = new Set<DrainReason>([
  "running_action",
  "first_boot",
  "source_host",
  "destination_host",
  "room",
  "no_destination",
  "no_capacity",
]);

export const doesPass = ({ reason }: WhyNotDrained): boolean => PASSES.has(reason);

/** What comes of a VM at its turn. */
export type DrainTurn =
  | Readonly<{ as: "begin" }>
  | Readonly<{ as: "put_off"; until: Date; tries: number; why: WhyNotDrained }>
  | Readonly<{ as: "give_up"; why: WhyNotDrained }>
  | Readonly<{ as: "vanish" }>;

type Planned = Readonly<{
  checks: readonly Checked[];
  /** Whether a host was found for it. */
  hasDestination: boolean;
}>;

/** What stands against a move, the first of it named; null: nothing. What does not pass goes before what does. */
export function whyNotNow({ checks, hasDestination }: Planned): WhyNotDrained | null {
  const against = checks.filter(({ ok }) => !ok);
  const [first] = against.toSorted(
    (a, b) => Number(PASSES.has(a.check)) - Number(PASSES.has(b.check)),
  );
  if (first === undefined) return null;
  const isNowhere = !hasDestination && first.check === ("destination_host" satisfies MoveCheck);
  return {
    reason: isNowhere ? "no_destination" : first.check,
    detail: against.map(({ check, detail }) => `${check}: ${detail}`).join("; "),
  };
}

/** Again in a while what passes, so many times; or it stays. `tries`: how often it was put off already. */
export function putOffOrGiveUp(why: WhyNotDrained, tries: number, now: Date): DrainTurn {
  return doesPass(why) && tries + 1 < MOST_TRIES
    ? { as: "put_off", until: new Date(+now + AGAIN_MS), tries: tries + 1, why }
    : { as: "give_up", why };
}

/** In which running VMs are stopped to be moved. */
export type DrainWindow = Pick<MaintenanceWindow, "startsAt" | "endsAt">;

/**
 * The turn of a VM whose move was planned. `isHere`: it is this host's, and not to be deleted. `interrupts`: its guest runs, and would be stopped;
 * all others move whenever their turn comes. `window` null: those too.
 */
export function decideTurn(
  planned: Planned & Readonly<{ isHere: boolean; interrupts: boolean }>,
  { tries, window }: Readonly<{ tries: number; window: DrainWindow | null }>,
  now: Date,
): DrainTurn {
  if (!planned.isHere) return { as: "vanish" };
  const why = whyNotNow(planned);
  const isAhead = window !== null && now < window.startsAt;
  // Nothing is given up for good before the time that was announced for it.
  if (why !== null && isAhead && doesPass(why))
    return { as: "put_off", until: earlier(+now + AHEAD_AGAIN_MS, window.startsAt), tries, why };
  if (why !== null) return putOffOrGiveUp(why, tries, now);
  if (window === null || !planned.interrupts) return { as: "begin" };
  const { startsAt, endsAt } = window;
  // No try of its own: nothing stands against it but the hour.
  if (isAhead) return { as: "put_off", until: startsAt, tries, why: ahead(startsAt) };
  return now < endsAt
    ? { as: "begin" }
    : { as: "give_up", why: { reason: "window_over", detail: over(endsAt) } };
}

const earlier = (one: number, other: Date): Date => new Date(Math.min(one, +other));
const ahead = (startsAt: Date): WhyNotDrained => ({
  reason: "window_ahead",
  detail: `it runs and would be stopped, which is announced for ${startsAt.toISOString()}`,
});
const over = (endsAt: Date): string =>
  `it runs and would be stopped, which was announced until ${endsAt.toISOString()} alone`;

/** What came of a move that was begun. */
export type CameOf =
  | Readonly<{ as: "arrive" }>
  | Readonly<{ as: "give_up"; why: WhyNotDrained }>
  | Readonly<{ as: "vanish" }>;

/**
 * What came of a move as far as its VM is concerned, which is before its last copy is put away; null: it goes on. A VM that its new host has lost stays
 * too: its copy is kept here until it was repaired there.
 */
export function cameOf(
  { step, outcome, failure }: Pick<Move, "step" | "outcome" | "failure">,
  vm: Readonly<{ isLost: boolean; isToGo: boolean }>,
): CameOf | null {
  if (step === "clean" || outcome === "moved") return { as: "arrive" };
  if (step === "take_over" && vm.isLost)
    return {
      as: "give_up",
      why: { reason: "vm_lost", detail: "its new host does not find it; its copy is kept here" },
    };
  if (step !== "drop" && outcome !== "turned_back") return null;
  if (failure === null) throw new Error("a move was turned back and does not say why");
  if (vm.isToGo) return { as: "vanish" };
  return { as: "give_up", why: { reason: failure.code, detail: failure.detail } };
}

/** What the drain itself comes to; null: it goes on. `isComing`: something is on its way to the host that is no VM of it yet. */
export function decideDrain(now: {
  isDraining: boolean;
  isComing: boolean;
  vms: Readonly<Partial<Record<DrainVmState, number>>>;
}): DrainOutcome | null {
  if (!now.isDraining) return "stopped";
  const { waiting = 0, moving = 0, stays = 0 } = now.vms;
  if (waiting + moving > 0 || now.isComing) return null;
  return stays > 0 ? "left" : "empty";
}
