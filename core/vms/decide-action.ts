import { keepsData, type Suspension } from "#core/billing/suspension.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import {
  DELETE_TAKES_OVER,
  DESTROYS,
  EFFECT_OF_ACTION,
  type Action,
  type PlainAction,
} from "./action.ts";
import type { DesiredPower, ObservedPower, Presence, StopMode } from "./vm.ts";

export type VmDesire = Readonly<{
  presence: Presence;
  power: DesiredPower;
  stopMode: StopMode;
  generation: number;
}>;

/** What an action makes of a VM's desire. A delete ends the action that runs, where it may (`DELETE_TAKES_OVER`). */
export function decideAction(
  vm: VmDesire & {
    observedPower: ObservedPower | null;
    /** When its host stops it, if nothing is paid. */
    stopsAt: Date;
    /** Why it may not run though it is paid. */
    suspensions: readonly Suspension[];
    deleteProtected: boolean;
    /** Since when its host says that it is not there. */
    lostAt: Date | null;
  },
  runningAction: Pick<Action, "type"> | null,
  type: PlainAction,
  by: Asker,
  now: Date,
): Result<
  VmDesire,
  Refusal<
    | "vm_locked"
    | "vm_lost"
    | "vm_not_lost"
    | "vm_not_running"
    | "vm_suspended"
    | "vm_protected"
    | "vm_not_found"
  >
> {
  if (vm.presence === "absent") return refuse("vm_not_found", "this VM is deleted");
  if (runningAction && !(type === "delete" && DELETE_TAKES_OVER[runningAction.type]))
    return refuse("vm_locked", `a ${runningAction.type} is running; wait for it to end`);
  if (DESTROYS.has(type) && vm.deleteProtected)
    return refuse("vm_protected", "it is protected from deletion: take that off first");
  const effect = EFFECT_OF_ACTION[type];
  const desire: VmDesire = {
    presence: vm.presence,
    power: vm.power,
    stopMode: vm.stopMode,
    generation: vm.generation,
  };
  if (effect.kind === "absent" && by === "owner" && keepsData(vm.suspensions))
    return refuse("vm_suspended", `${whySuspended(vm.suspensions)}; until then it stays`);
  if (effect.kind === "absent")
    return ok({ ...desire, presence: "absent", generation: vm.generation + 1 });
  if (effect.kind === "repair")
    return vm.lostAt === null
      ? refuse("vm_not_lost", "its host does not say that this VM is not there")
      : ok({ ...desire, generation: vm.generation + 1 });
  if (vm.lostAt !== null)
    return refuse("vm_lost", "its host says that this VM is not there any more; it can be deleted");
  const isToRun = effect.kind === "once" || effect.power === "running";
  if (isToRun && vm.suspensions.length > 0)
    return refuse("vm_suspended", whySuspended(vm.suspensions));
  if (effect.kind === "once")
    return vm.power === "running" && vm.observedPower === "running"
      ? ok(desire)
      : refuse("vm_not_running", `a VM that is off cannot ${type}`);
  // As long as its host would let it run: a renewal is charged an hour after the period has ended.
  if (effect.power === "running" && now > vm.stopsAt)
    return refuse("vm_suspended", "its entitlement has ended; pay first");
  return ok({
    ...desire,
    power: effect.power,
    stopMode: effect.stopMode,
    generation: vm.generation + 1,
  });
}

/** Who asks: whose VM it is, staff, or a job of ours. */
export type Asker = "owner" | "staff" | "system";

const whySuspended = (suspensions: readonly Suspension[]): string =>
  `it is suspended (${suspensions.join(", ")}): ask our support, who can lift it`;

/** Whether what was seen at `generation` finishes an action that asked for `action.generation`. */
export function actionIsDone(
  action: Pick<Action, "type" | "generation">,
  seen: {
    generation: number;
    settled: boolean;
    power: ObservedPower | "gone";
    complete: boolean;
    guestReady: boolean;
  },
): boolean {
  if (seen.generation < action.generation) return false;
  switch (action.type) {
    case "create":
      return seen.power === "running" && seen.guestReady;
    case "start":
      return seen.power === "running" && seen.settled;
    case "shutdown":
    case "stop":
      return seen.power === "off" && seen.settled;
    case "delete":
      return seen.power === "gone";
    case "adopt_disk":
    case "restore_trash":
    case "recreate":
      return seen.complete;
    case "reboot":
    case "reset":
      return false; // these end by the agent's own report on the action
    case "resize":
      return false; // its money has a say too (`core/billing/plan-change-step.ts`)
    case "migrate":
      return false; // two hosts have (`core/moves/next-step.ts`)
  }
}

/**
 * Whether what its host says of a VM ends an action that runs on it as an error. A repair is of a VM that is lost: what ends all
 * else is its reason, and it fails when its host, asked for it, still finds no VM or refuses for good.
 */
export function whyActionFailed(
  action: Pick<Action, "type" | "generation">,
  seen: { generation: number; lost: boolean; code: string | null },
): "vm_lost" | "host_refused" | null {
  if (EFFECT_OF_ACTION[action.type].kind === "move") return null;
  if (action.type === "create" || action.type === "resize") return null;
  if (EFFECT_OF_ACTION[action.type].kind === "repair")
    return seen.generation >= action.generation && FINAL_OF_A_REPAIR.has(seen.code ?? "")
      ? "host_refused"
      : null;
  if (seen.lost) return "vm_lost";
  return seen.code === "unsupported" ? "host_refused" : null;
}
const FINAL_OF_A_REPAIR: ReadonlySet<string> = new Set([
  "vm_missing",
  "unsupported",
  "beyond_limits",
]);
