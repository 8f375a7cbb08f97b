import type { DesiredVm } from "#core/contracts/agent/desired.ts";

/*
 * What follows when the database was restored to an earlier state (docs/adr/0040): hosts hold more than it knows of.
 */

const DAY_MS = 24 * 60 * 60_000;
/** So long no host is told to destroy anything, and no order is undone because its VM is not proven. */
export const DESTROYS_HELD_MS = DAY_MS;
/** Stripe tells of its events for 30 days: of what is older nothing can be fetched again. */
export const OLDEST_RESTORE_MS = 30 * DAY_MS;
/** No host comes so far in the hours that are lost: one that says more makes its counters up, and they stay (ADR 0024). */
export const MOST_RAISED = 1_000_000;
/** Of one host: what it makes up fills no table, and takes no location's addresses. */
export const MOST_UNKNOWN_VMS = 200;

export const areDestroysHeld = (
  host: Readonly<{ destroysHeldUntil: Date | null }>,
  now: Date,
): boolean => host.destroysHeldUntil !== null && now < host.destroysHeldUntil;

/** Whether its database was restored, and how lately; `never` of a host that was added since. */
export type Restored = "lately" | "once" | "never";

export function howRestored(
  host: Readonly<{ destroysHeldUntil: Date | null }>,
  now: Date,
): Restored {
  if (host.destroysHeldUntil === null) return "never";
  return areDestroysHeld(host, now) ? "lately" : "once";
}

/** A document by its name. */
type Named = Readonly<{ generation: number; hash: string }>;

/** Of an agent's `If-None-Match`; null for one that holds no document. */
export function documentNamedBy(etag: string | undefined): Named | null {
  const [, generation, hash] = /^(?:W\/)?"(\d{1,10})-([0-9a-f]{64})"$/.exec(etag ?? "") ?? [];
  return generation === undefined || hash === undefined
    ? null
    : { generation: Number(generation), hash };
}

/**
 * By how much the counters of a host and of all its VMs must rise so that they are above whatever its agent holds. A VM's
 * generation never rises without its host's, so what is enough for the host is enough for each of its VMs.
 *
 * `known` is the host's generation when the database was restored, `served` what the host had been given by then.
 */
export function raiseAbove(
  known: number,
  served: Named | null,
  held: Named | null,
): number | "too_far" {
  if (held === null || held.generation < known) return 0;
  // What was served last is written down before it is sent, so this one was made before the state that was restored.
  if (served?.generation === held.generation && served.hash === held.hash) return 0;
  const by = held.generation - known + 1;
  return by > MOST_RAISED ? "too_far" : by;
}

/** The same VM without a destroy: what is to go is off, and is not made if it is gone. That it is gone still ends it. */
export const withoutDestroy = (vm: DesiredVm): DesiredVm =>
  vm.presence === "absent"
    ? { ...vm, presence: "present", power: "off", mayCreate: false, pendingActions: [] }
    : vm;
