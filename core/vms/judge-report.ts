import type { GuestEvidence, ObservedVm, ReceivedVmReport } from "#core/contracts/agent/report.ts";
import { isGivenName } from "./guest-name.ts";
import { nextError, type ErrorSeen } from "./last-error.ts";
import type { SeenColumns } from "./seen-size.ts";
import type { ObservedPower, Presence } from "./vm.ts";

/** What is known of a VM by what its host has reported. */
export type KnownOfVm = Readonly<{
  hostname: string;
  generation: number;
  ownerEpoch: number;
  presence: Presence;
  observedPower: ObservedPower | null;
  observedGeneration: number;
  firstSeenAt: Date | null;
  /** Since when it runs in its present boot; null while it does not. */
  runningSince: Date | null;
  /** When it was first seen running, in any boot. */
  firstRunningAt: Date | null;
  /** How long it was seen running in the boots before the present one, in milliseconds. */
  ranMs: number;
  guestReadyAt: Date | null;
  bootEpoch: string | null;
  /** Since when its host says that it is not there any more. */
  lostAt: Date | null;
}> &
  SeenColumns &
  ErrorSeen;

/** `stale`: older than what is known. `foreign`: of an epoch or a generation that the host cannot have. */
export function judgeReport(
  vm: Pick<KnownOfVm, "generation" | "ownerEpoch" | "observedGeneration">,
  report: ReceivedVmReport,
): "current" | "stale" | "foreign" {
  if (report.ownerEpoch !== vm.ownerEpoch) return "foreign";
  if (report.observed && report.observed.ownerEpoch !== vm.ownerEpoch) return "foreign";
  if (report.generation > vm.generation) return "foreign";
  return report.generation < vm.observedGeneration ? "stale" : "current";
}

/**
 * Its host looked for a VM that it had shown whole, and says that it, or a part without which it cannot run, is not there. Only
 * that word counts: what a report does not say, or cannot say of what its agent does not understand, is no loss.
 */
export const isLost = (
  vm: Pick<KnownOfVm, "presence" | "firstSeenAt">,
  { observed, error }: Pick<ReceivedVmReport, "observed" | "error">,
): boolean =>
  vm.presence === "present" &&
  vm.firstSeenAt !== null &&
  observed?.complete !== true &&
  error?.code === "vm_missing";

/** What a driver that runs nothing says of its guests is believed only of hosts that staff have marked for tests. */
const isEvidence = (guest: GuestEvidence, testOnly: boolean): boolean =>
  guest.source !== "simulated" || testOnly;

/** Of what is not whole its host cannot say what size it is. */
function sizeSeen(seen: ObservedVm | null): SeenColumns {
  const whole = seen?.complete ? seen : null;
  return {
    seenVcpus: whole?.size.vcpus ?? null,
    seenMemoryMib: whole?.size.memoryMib ?? null,
    seenDiskGib: whole?.size.diskGib ?? null,
    seenLimitsKnown: whole?.limits !== undefined,
    seenBandwidthMbit: whole?.limits?.bandwidthMbit ?? null,
    seenDiskIops: whole?.limits?.diskIops ?? null,
    seenHotVcpus: whole?.hotVcpus ?? null,
  };
}

/**
 * The observed columns that a report changes; undefined when it says nothing new. A guest that gives another name
 * than it was given is no evidence that the ordered VM is up.
 *
 * `lastWordAt` is when its host was last heard of before: a boot that has ended is known to have run until then, and its
 * time stays in the sum, so that a guest which restarts does not begin to count anew (invariant 26). `testOnly`: staff
 * marked its host for tests.
 */
export function whatChanged(
  vm: KnownOfVm,
  report: ReceivedVmReport,
  { now, lastWordAt, testOnly = false }: { now: Date; lastWordAt: Date | null; testOnly?: boolean },
):
  | (Omit<KnownOfVm, "hostname" | "generation" | "ownerEpoch" | "presence"> & { observedAt: Date })
  | undefined {
  const seen = report.observed;
  const power = seen === null ? null : seen.complete ? seen.power : "off";
  const running = power === "running";
  const bootEpoch = seen?.bootEpoch ?? null;
  const goesOn = running && vm.bootEpoch === bootEpoch && vm.runningSince !== null;
  const guest = seen?.guest ?? null;
  const guestUp =
    running &&
    guest !== null &&
    isEvidence(guest, testOnly) &&
    isGivenName(vm.hostname, guest.hostname);
  const next = {
    observedPower: power,
    observedGeneration: report.generation,
    firstSeenAt: vm.firstSeenAt ?? (seen?.complete ? now : null),
    runningSince: running ? (goesOn ? vm.runningSince : now) : null,
    firstRunningAt: vm.firstRunningAt ?? (running ? now : null),
    ranMs: vm.ranMs + (goesOn ? 0 : spanMs(vm.runningSince, lastWordAt)),
    guestReadyAt: vm.guestReadyAt ?? (guestUp ? now : null),
    bootEpoch,
    ...sizeSeen(seen),
    ...nextError(vm, report.error, now),
    lostAt: isLost(vm, report) ? (vm.lostAt ?? now) : seen?.complete ? null : vm.lostAt,
  };
  const same =
    next.observedPower === vm.observedPower &&
    next.observedGeneration === vm.observedGeneration &&
    next.firstSeenAt === vm.firstSeenAt &&
    next.runningSince === vm.runningSince &&
    next.firstRunningAt === vm.firstRunningAt &&
    next.ranMs === vm.ranMs &&
    next.guestReadyAt === vm.guestReadyAt &&
    next.bootEpoch === vm.bootEpoch &&
    next.seenVcpus === vm.seenVcpus &&
    next.seenMemoryMib === vm.seenMemoryMib &&
    next.seenDiskGib === vm.seenDiskGib &&
    next.seenLimitsKnown === vm.seenLimitsKnown &&
    next.seenBandwidthMbit === vm.seenBandwidthMbit &&
    next.seenDiskIops === vm.seenDiskIops &&
    next.seenHotVcpus === vm.seenHotVcpus &&
    next.lastErrorCode === vm.lastErrorCode &&
    next.lastErrorDetail === vm.lastErrorDetail &&
    next.lastErrorTimes === vm.lastErrorTimes &&
    next.lostAt === vm.lostAt;
  return same ? undefined : { ...next, observedAt: now };
}

/** How long a VM was seen running in its present boot, up to what its host said last. */
export const spanMs = (runningSince: Date | null, lastWordAt: Date | null): number =>
  runningSince === null || lastWordAt === null ? 0 : Math.max(0, +lastWordAt - +runningSince);
