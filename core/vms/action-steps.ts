import { EFFECT_OF_ACTION, type Action } from "./action.ts";

/**
 * What an action goes through. `make` and `boot` are a new VM's; those from `reserve` to `commit` a resize's
 * (`core/billing/change-steps.ts`), those from `prepare` on a move's (`core/moves/move-steps.ts`), and `revert` is of both; any
 * other action is carried out in one step.
 */
export const ACTION_STEPS = [
  "request",
  "make",
  "boot",
  "carry_out",
  "reserve",
  "pay",
  "apply",
  "verify",
  "commit",
  "prepare",
  "copy",
  "release",
  "take_over",
  "revert",
] as const;
/** `pending`: not begun, and once the action has ended, never. */
export const STEP_STATUSES = ["pending", "running", "success", "error"] as const;

export type ActionStep = Readonly<{
  name: (typeof ACTION_STEPS)[number];
  status: (typeof STEP_STATUSES)[number];
  startedAt: Date | null;
  finishedAt: Date | null;
}>;

/** What the host has shown of the VM. */
export type SeenOfVm = Readonly<{
  observedGeneration: number;
  firstSeenAt: Date | null;
  guestReadyAt: Date | null;
}>;

type Planned = { name: ActionStep["name"]; endedAt: Date | null };

/** The steps, in order, each with the instant that proves its end. `seen` is null when the host has not been asked. */
function planned(action: Action, seen: SeenOfVm | null): readonly Planned[] {
  const request: Planned = { name: "request", endedAt: action.startedAt };
  if (action.type !== "create") return [request, { name: "carry_out", endedAt: null }];
  return [
    request,
    { name: "make", endedAt: seen?.firstSeenAt ?? null },
    { name: "boot", endedAt: seen?.guestReadyAt ?? null },
  ];
}

/**
 * How far an action is, by what is stored of it and its VM: no step is called done that nothing proves. What the
 * action's own end proves is dated by that end.
 */
export function stepsOf(action: Action, seen: SeenOfVm | null): readonly ActionStep[] {
  let before: Date | null = action.startedAt;
  return planned(action, seen).map(({ name, endedAt }): ActionStep => {
    const startedAt = before;
    if (startedAt === null) return { name, status: "pending", startedAt: null, finishedAt: null };
    const proved = endedAt ?? (action.status === "success" ? action.finishedAt : null);
    before = proved && within(proved, startedAt, action.finishedAt);
    if (before !== null) return { name, status: "success", startedAt, finishedAt: before };
    return action.status === "error"
      ? { name, status: "error", startedAt, finishedAt: action.finishedAt }
      : { name, status: "running", startedAt, finishedAt: null };
  });
}

const within = (at: Date, from: Date, to: Date | null): Date => {
  if (at < from) return from;
  return to !== null && at > to ? to : at;
};

/**
 * Percent: the share of the work's steps that are done. An action that changes what a VM should be is half done
 * when its host has reported on that change.
 */
export function progressOf(action: Action, seen: SeenOfVm | null): number {
  if (action.status === "success") return 100;
  const work = stepsOf(action, seen).filter((step) => step.name !== "request");
  const done = work.filter((step) => step.status === "success").length;
  const taken =
    action.type !== "create" &&
    EFFECT_OF_ACTION[action.type].kind !== "once" &&
    seen !== null &&
    seen.observedGeneration >= action.generation;
  return Math.min(99, Math.floor(((taken ? 0.5 : done) / work.length) * 100));
}
