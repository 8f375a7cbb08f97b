import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import type { Action, ActionErrorCode, ActionType } from "./action.ts";
import type { VmDesire } from "./decide-action.ts";
import type { DesiredPower, ObservedPower, StopMode } from "./vm.ts";

/**
 * What staff's calling off makes of what an action asked for: the power that should have been before is desired again, or the
 * work is asked for no longer. `no`: money hangs on it, and its end is another action's, the order's or the change's.
 */
export const CALLING_OFF = {
  create: "no",
  start: "power_back",
  shutdown: "power_back",
  stop: "power_back",
  reboot: "withdraw",
  reset: "withdraw",
  delete: "no",
  adopt_disk: "withdraw",
  restore_trash: "withdraw",
  recreate: "withdraw",
  resize: "no",
  migrate: "no",
} as const satisfies Record<ActionType, "no" | "power_back" | "withdraw">;

/**
 * How it ends. `kept_from`: no document that its host was ever given holds it, so nobody can have begun it. `given`: its host may
 * have begun it, and then it is never said to be cancelled: whoever does not wait any longer says so (`abandon`).
 */
export const END_OF_CALL = {
  kept_from: { cancel: "cancelled", abandon: "cancelled" },
  given: { cancel: null, abandon: "abandoned" },
} as const satisfies Record<
  "kept_from" | "given",
  Record<"cancel" | "abandon", ActionErrorCode | null>
>;

export type CalledOff = Readonly<{
  /** null: it was called off before, and nothing changes. */
  end: { code: "cancelled" | "abandoned"; message: string } | null;
  desire: VmDesire;
}>;

const MESSAGE = {
  cancelled: "called off before its host was told of it",
  abandoned: "given up though its host was told of it: it may have been carried out",
} as const;

/**
 * Calls an action off. `served` is the newest generation of its host's document that was given out; `hostGeneration` the first
 * that may hold the action (null: not known).
 */
export function callOff(
  vm: VmDesire & { observedPower: ObservedPower | null },
  kept: Readonly<{
    action: Action;
    hostGeneration: number | null;
    prior: { power: DesiredPower; stopMode: StopMode } | null;
  }>,
  served: number | null,
  how: "cancel" | "abandon",
): Result<
  CalledOff,
  Refusal<"action_ended" | "action_not_cancellable" | "action_may_be_under_way">
> {
  const { action, hostGeneration, prior } = kept;
  const { presence, power, stopMode, generation } = vm;
  const desire: VmDesire = { presence, power, stopMode, generation };
  if (action.status !== "running" && action.status !== "waiting") {
    const code = action.error?.code;
    return code === "cancelled" || code === "abandoned"
      ? ok({ end: null, desire })
      : refuse("action_ended", `this ${action.type} has ended: ${code ?? action.status}`);
  }
  const way = CALLING_OFF[action.type];
  if (way === "no" || presence === "absent")
    return refuse("action_not_cancellable", presence === "absent" ? GONE : whyNot(action.type));
  const code = END_OF_CALL[wasGiven(hostGeneration, served) ? "given" : "kept_from"][how];
  if (code === null)
    return refuse(
      "action_may_be_under_way",
      `its host was told of this ${action.type} and may have begun it; with \`abandon\` it is waited for no longer`,
    );
  const end = { code, message: MESSAGE[code] };
  if (way === "withdraw") return ok({ end, desire });
  const seen: DesiredPower = vm.observedPower === "off" ? "off" : "running";
  const back = prior ?? { power: seen, stopMode };
  return ok({ end, desire: { ...desire, ...back, generation: generation + 1 } });
}

/** Whether a document that may hold it was given out. */
export const wasGiven = (hostGeneration: number | null, served: number | null): boolean =>
  hostGeneration === null || (served !== null && served >= hostGeneration);

const whyNot = (type: ActionType): string => {
  const why: Partial<Record<ActionType, string>> = WHY_NOT;
  return why[type] ?? GONE;
};

const GONE = "a delete is not called off: its subscription has ended with it";
const WHY_NOT = {
  create:
    "a VM that is being made is not called off: delete it, and what was paid for it goes back",
  delete: GONE,
  resize: "a resize ends by itself, at the new size or at the old one: drop it while it waits",
  migrate: "a move is stopped by its own id, and ends where its VM is whole",
} as const satisfies Partial<Record<ActionType, string>>;
