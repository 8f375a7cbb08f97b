import type {
  AgentErrorCode,
  DriverCapabilities,
  ObservedVm,
} from "#core/contracts/agent/report.ts";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { assertNever, ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { whyBeyondLimits, type PlatformLimits } from "#core/hosts/limits.ts";
import { howToResize, type ResizeRefusal } from "#core/vms/resize-method.ts";
import { sizeIsSeen, wholeSize } from "#core/vms/seen-size.ts";
import type { DesiredPower, StopMode } from "#core/vms/vm.ts";

/** One move of an agent. `wait`: something is under way in the hypervisor or the guest; look again. */
export type VmStep =
  | { do: "nothing" }
  | { do: "wait" }
  | { do: "create" }
  | { do: "adopt" }
  | { do: "restore" }
  | { do: "start" }
  | { do: "stop"; mode: StopMode }
  | { do: "resize" }
  | { do: "erase_seed" }
  | { do: "destroy" };

export type VmSituation = Readonly<{
  desired: DesiredVm;
  /** null: looked for, and not there. */
  observed: ObservedVm | null;
  can: DriverCapabilities;
  limits: PlatformLimits;
  now: Date;
  /** The control plane's time, as far as the host knows it: a lease is judged by it, whatever the host's clock says. */
  planeNow: Date;
  entitlementGraceSeconds: number;
  /** Since when the VM has been asked, or seen, to shut down; null: it is not. The agent remembers it. */
  stoppingSince: Date | null;
  /** The driver refused this size while the VM runs (past what it was started with): stop it first. */
  liveResizeRefused: boolean;
  /** Why the driver refused this size for good though the VM was off for it; null: it did not. */
  resizeRefused: string | null;
  /** Since when the guest has been seen without a break; null: it is not. The agent remembers it. */
  guestSince: Date | null;
}>;

/** How long a guest has for its shutdown before the power is cut. */
export const GRACEFUL_STOP_MS = 90_000;

/**
 * How long a guest has been up before its first-boot seed is erased. It is first seen in the midst of its first boot:
 * cloud-init's last stage, or Windows' own set-up with its restarts, may still read.
 */
export const SEED_GRACE_MS = 15 * 60_000;

/**
 * One step from what is observed towards what is desired. Called again after each step, so it needs no history.
 * It refuses what no step can reach: another owner epoch, a size that the host's hypervisor does not support, a disk
 * that would shrink, a limit that the host cannot hold it to, a VM that has failed, or one that has vanished.
 */
export function planVmStep(situation: VmSituation): Result<VmStep, Refusal<AgentErrorCode>> {
  const { desired, observed } = situation;
  if (observed !== null && observed.ownerEpoch !== desired.ownerEpoch)
    return refuse(
      "stale_epoch",
      `the VM here is tagged with epoch ${observed.ownerEpoch}, not ${desired.ownerEpoch}`,
    );
  if (desired.presence === "absent") return ok({ do: observed === null ? "nothing" : "destroy" });
  if (observed === null) return create(situation, "this VM was here and is gone");
  // Before anything stops it: what has no definition is gone when it stops.
  if (observed.defined === false && observed.power !== "off") return ok({ do: "adopt" });
  if (allowedPower(situation) === "off" && observed.power !== "off")
    return ok(stop(situation, observed));
  if (!observed.complete) return create(situation, "this VM was whole and lacks a part");
  const seen = { size: observed.size, limits: observed.limits ?? null };
  if (sizeIsSeen(wholeSize(desired), seen) === "differs") return resize(situation, observed);
  return allowedPower(situation) === "off" ? ok({ do: "nothing" }) : run(situation, observed);
}

/**
 * Only what was never seen whole is made: a disk in the place of one that was in use would be a new machine. That is for
 * staff to say (`repair`), and what then is in its place goes into the trash before.
 */
function create(
  { desired, observed, limits, can }: VmSituation,
  missing: string,
): Result<VmStep, Refusal<AgentErrorCode>> {
  const { repair } = desired;
  if (!desired.mayCreate && repair === undefined)
    return refuse("vm_missing", `${missing}; it is not made again by itself`);
  if (repair === "adopt_disk") {
    if (can.adoptDisk !== true) return refuse("unsupported", "this host cannot adopt a disk");
    return observed === null ? refuse("vm_missing", "no disk of it is here") : ok({ do: "adopt" });
  }
  if (repair === "restore_trash")
    return can.restoreTrash === true
      ? ok({ do: "restore" })
      : refuse("unsupported", "this host cannot bring a disk back from its trash");
  if (repair === "recreate" && observed !== null) return ok({ do: "destroy" });
  const why = whyBeyondLimits(desired.size, limits);
  return why === null ? ok({ do: "create" }) : refuse("beyond_limits", why);
}

/** What the power may be: a VM whose entitlement and grace have passed is off, whatever was asked. */
function allowedPower(
  situation: Pick<VmSituation, "desired" | "planeNow" | "entitlementGraceSeconds">,
): DesiredPower {
  const until =
    Date.parse(situation.desired.entitledUntil) + situation.entitlementGraceSeconds * 1000;
  return situation.planeNow.getTime() > until ? "off" : situation.desired.power;
}

/** Asks the guest, again and again for the grace, and then cuts the power. A guest that cannot hear is not asked. */
function stop(situation: VmSituation, observed: ObservedVm): VmStep {
  const hears = observed.power !== "paused" && observed.power !== "failed";
  const ask = situation.desired.stopMode === "graceful" && situation.can.gracefulStop && hears;
  return { do: "stop", mode: ask && !graceIsOver(situation) ? "graceful" : "firm" };
}

function graceIsOver({ stoppingSince, now }: VmSituation): boolean {
  return stoppingSince !== null && now.getTime() - stoppingSince.getTime() >= GRACEFUL_STOP_MS;
}

/** In the agents' words. */
const CODE_OF_REFUSAL = {
  beyond_limits: "beyond_limits",
  disk_shrinks: "unsupported",
  memory_below_image: "unsupported",
  limit_unsupported: "unsupported",
} as const satisfies Record<ResizeRefusal["code"], AgentErrorCode>;

function resize(
  situation: VmSituation,
  observed: ObservedVm,
): Result<VmStep, Refusal<AgentErrorCode>> {
  const { can, limits } = situation;
  const { image } = situation.desired;
  const { method, refusals } = howToResize(
    { size: observed.size, limits: observed.limits ?? null, hotVcpus: observed.hotVcpus ?? null },
    wholeSize(situation.desired),
    { capabilities: can, limits, imageMinMemoryMib: image.minMemoryMib },
    observed.power,
  );
  const [refused] = refusals;
  const why = refused
    ? refuse(CODE_OF_REFUSAL[refused.code], refused.detail)
    : situation.resizeRefused === null
      ? null
      : refuse("unsupported", situation.resizeRefused);
  // It goes on as it is: what was stopped for this size runs again, and nothing is stopped for it.
  if (why !== null)
    return allowedPower(situation) === "off" || observed.power === "running"
      ? why
      : run(situation, observed);
  if (observed.power === "off") return ok({ do: "resize" });
  // A VM on its way up or down, or that has failed, is first brought to where the hypervisor takes changes.
  if (observed.power !== "running" && observed.power !== "paused") return run(situation, observed);
  const live = method === "live" && !situation.liveResizeRefused;
  return ok(live ? { do: "resize" } : stop(situation, observed));
}

const seedIsDue = ({ guestSince, now }: VmSituation, { seeded }: ObservedVm): boolean =>
  seeded && guestSince !== null && now.getTime() - guestSince.getTime() >= SEED_GRACE_MS;

/** Towards running. */
function run(
  situation: VmSituation,
  observed: ObservedVm,
): Result<VmStep, Refusal<AgentErrorCode>> {
  switch (observed.power) {
    case "running":
      return ok({ do: seedIsDue(situation, observed) ? "erase_seed" : "nothing" });
    case "off":
    case "paused":
      return ok({ do: "start" });
    case "starting":
      return ok({ do: "wait" });
    case "stopping":
      // It comes back once it is off; a guest that hangs on its way down is cut off.
      return ok(graceIsOver(situation) ? { do: "stop", mode: "firm" } : { do: "wait" });
    case "failed":
      return refuse("driver_failed", "the hypervisor says that the VM has failed: staff must look");
    default:
      return assertNever(observed.power);
  }
}
