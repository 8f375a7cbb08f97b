import type { ActionType } from "./action.ts";
import type { DesiredPower, ObservedPower, Presence } from "./vm.ts";

/** What a customer reads in `status`; the words are Hetzner's (design §7). */
export const VM_STATUSES = [
  "initializing",
  "starting",
  "running",
  "stopping",
  "off",
  "migrating",
  "rebuilding",
  "deleting",
  "suspended",
  "lost",
  "unknown",
] as const;
export type VmStatus = (typeof VM_STATUSES)[number];

/** Past this age an observation is no evidence any more, and the status says so. */
export const OBSERVATION_FRESH_MS = 5 * 60_000;

export function vmStatus(vm: {
  presence: Presence;
  desiredPower: DesiredPower;
  observedPower: ObservedPower | null;
  hostLastSeenAt: Date | null;
  runningAction: ActionType | null;
  /** Since when its host says that it is not there. */
  lostAt: Date | null;
  /** It may not run, although it is asked to: its entitlement is over, and the grace too. */
  suspended: boolean;
  now: Date;
}): VmStatus {
  if (vm.presence === "absent") return "deleting";
  // Until it is seen whole again, whatever its host says or does not say meanwhile.
  if (vm.lostAt !== null) return "lost";
  if (vm.runningAction === "create") return "initializing";
  if (vm.runningAction === "migrate") return "migrating";
  if (vm.observedPower === null) return "unknown";
  if (vm.hostLastSeenAt === null || +vm.now - +vm.hostLastSeenAt > OBSERVATION_FRESH_MS)
    return "unknown";
  if (vm.desiredPower === "running" && vm.suspended)
    return vm.observedPower === "off" ? "suspended" : "stopping";
  if (vm.desiredPower === "running") return vm.observedPower === "running" ? "running" : "starting";
  return vm.observedPower === "off" ? "off" : "stopping";
}

export const GUEST_STATES = ["awaited", "ready", "silent"] as const;

/** A guest that speaks after it was delivered in silence is ready like any other. */
export const guestState = (vm: {
  guestReadyAt: Date | null;
  silentFrom: Date | null;
}): (typeof GUEST_STATES)[number] =>
  vm.guestReadyAt !== null ? "ready" : vm.silentFrom !== null ? "silent" : "awaited";
