import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import type { DriverCapabilities, ObservedVm, VmReport } from "#core/contracts/agent/report.ts";
import type { PlatformLimits } from "#core/hosts/limits.ts";
import { planVmStep, type VmStep } from "#core/vms/plan-vm-step.ts";
import { desiredLimits, wholeSize } from "#core/vms/seen-size.ts";
import type { ActionJournal } from "./actions.ts";
import type { MadeVms } from "./made-vms.ts";
import { DriverError } from "#host-agent/drivers/driver.ts";
import type { Look, Observer } from "./observer.ts";
import type { Reporter } from "#host-agent/channel/reporter.ts";
import { backOffMs, pause, WAITED_ENOUGH } from "#host-agent/time-limit.ts";
import { doPendingActions } from "./vm-actions.ts";
import { agentError, applyStep, driverError, type Doing, type StepPorts } from "./vm-step.ts";

export type WorkerPorts = StepPorts & {
  observer: Observer;
  reporter: Reporter;
  journal: ActionJournal;
  made: MadeVms;
  capabilities: () => DriverCapabilities;
  limits: () => PlatformLimits;
  entitlementGraceSeconds: () => number;
  /** The control plane's time, whatever the host's clock is set to. */
  planeNow: () => Date;
};

/** Brings one VM to what is desired of it, alone: a VM that is slow or broken delays no other. */
export interface VmWorker {
  /** What the VM should be now, and a look at it. A worker that waits looks again at once. */
  give(desired: DesiredVm, look: Look, reportAgain: boolean): void;
  /** The control plane names the VM no longer: leaves it as it is. */
  release(): void;
  /** It has not ended: a step of it may be under way, also when the VM was released meanwhile. */
  isWorking(): boolean;
  /** Resolves when it has ended. */
  ended(): Promise<void>;
  /** Resolves when the worker has ended, or waits for the hypervisor, the guest or its next attempt. */
  idle(): Promise<void>;
}

/** A guest that is not seen for so long is looked for only by the passes. */
const GUEST_PATIENCE_MS = 15 * 60_000;
/** A guest that was asked to stop is asked again so often: one that boots misses the first (`facts/kvm.md` §3). */
const ASK_AGAIN_MS = 5_000;

export function createVmWorker(vmId: string, ports: WorkerPorts): VmWorker {
  const { observer, reporter, clock, log, signal } = ports;
  let desired: DesiredVm | null = null;
  let given: Look | null = null;
  let reportAgain = false;
  /** The work that is under way; null: none is. Never two at once. */
  let working: symbol | null = null;
  let waiting = false;
  let wake = new AbortController();
  let idlers: (() => void)[] = [];
  let enders: (() => void)[] = [];
  /** Looks up to this number may have been before the last step. */
  let staleUpTo = 0;
  let stoppingSince: Date | null = null;
  let askedAt: Date | null = null;
  let liveResizeRefusedFor: string | null = null;
  /** The size that was refused for good while the VM was off, and why; forgotten with the agent. */
  let resizeRefused: { size: string; why: string } | null = null;
  let guestSince: Date | null = null;
  /** Why the planner goes no further, as it was logged; null: it does. */
  let refused: string | null = null;
  /** What the VM is known to be without a look. */
  let known: ObservedVm | null = null;
  /** When the worker last had something to do. */
  let since = clock.now();
  const waited = () => clock.now().getTime() - since.getTime();
  let failures = 0;
  /** Steps that succeeded since the desire last changed, or the last pause for a step without effect. */
  const done = new Set<VmStep["do"]>();

  const becomeIdle = () => {
    for (const resolve of idlers) resolve();
    idlers = [];
  };

  /** Until the time has passed, or there is something else to do than `want`. */
  async function waitFor(ms: number, want: DesiredVm): Promise<void> {
    if (desired !== want) return;
    waiting = true;
    becomeIdle();
    wake = new AbortController();
    const stop = () => wake.abort(WAITED_ENOUGH);
    signal.addEventListener("abort", stop, { once: true });
    await pause(clock, ms, wake.signal);
    signal.removeEventListener("abort", stop);
    waiting = false;
  }

  async function freshLook(): Promise<Look> {
    const look = given;
    given = null;
    return look !== null && look.number > staleUpTo ? look : observer.look();
  }

  function remember(observed: ObservedVm | null): void {
    guestSince = observed?.guest ? (guestSince ?? clock.now()) : null;
    if (observed === null || observed.power === "off") {
      stoppingSince = null;
      askedAt = null;
      liveResizeRefusedFor = null;
    } else if (observed.power === "stopping") stoppingSince ??= clock.now();
  }

  function report(
    want: DesiredVm,
    observed: ObservedVm | null,
    settled: boolean,
    error: VmReport["error"] = null,
  ): void {
    // Released meanwhile: whoever released it says what there is to say.
    if (desired === null) return;
    const { generation, ownerEpoch } = want;
    reporter.vm({ vmId, generation, ownerEpoch, observed, settled, error }, reportAgain);
    reportAgain = false;
  }

  const plan = (want: DesiredVm, observed: ObservedVm | null) =>
    planVmStep({
      desired: ports.made.withoutMaking(want),
      observed,
      can: ports.capabilities(),
      limits: ports.limits(),
      now: clock.now(),
      planeNow: ports.planeNow(),
      entitlementGraceSeconds: ports.entitlementGraceSeconds(),
      stoppingSince,
      liveResizeRefused: liveResizeRefusedFor === sizeKey(want),
      resizeRefused: resizeRefused?.size === sizeKey(want) ? resizeRefused.why : null,
      guestSince,
    });

  /** A stop that was just asked for is waited for, not asked for again. */
  const isAskedAlready = (step: VmStep): boolean =>
    step.do === "stop" &&
    step.mode === "graceful" &&
    askedAt !== null &&
    clock.now().getTime() - askedAt.getTime() < ASK_AGAIN_MS;

  /** One step. null: done, or the planner has another way; else why not. */
  async function take(
    step: Doing,
    want: DesiredVm,
    observed: ObservedVm | null,
  ): Promise<DriverError | null> {
    try {
      await applyStep(ports, step, want, observed);
      if (step.do !== "stop" || step.mode === "firm") done.add(step.do);
      if (step.do === "stop") {
        stoppingSince ??= clock.now();
        askedAt = clock.now();
      }
      return null;
    } catch (error) {
      if (signal.aborted) throw error;
      const failure = driverError(error);
      if (step.do !== "resize") return failure;
      const size = sizeKey(want);
      const isOff = observed?.power === "off";
      if (failure.code === "must_be_off" && !isOff) liveResizeRefusedFor = size;
      else if (failure.code === "unsupported" && isOff)
        resizeRefused = { size, why: failure.message };
      else return failure;
      return null;
    } finally {
      staleUpTo = observer.begun();
      reporter.findings(ports.driver.takeFindings());
    }
  }

  /** Says why it goes no further now, and tries again later, each time later still. */
  async function fail(
    want: DesiredVm,
    observed: ObservedVm | null,
    why: DriverError,
  ): Promise<void> {
    failures += 1;
    report(want, observed, false, agentError({ code: why.code, detail: why.message }));
    await waitFor(backOffMs(failures), want);
  }

  /** The planner's refusal, once at its beginning and once at its end: nothing else in the log says that a VM stands still. */
  function tellRefusal(want: DesiredVm, refusal: DriverError | null): void {
    const now = refusal && `${refusal.code} ${refusal.message}`;
    if (now === refused) return;
    refused = now;
    const fields = { vm_id: vmId, generation: want.generation };
    if (refusal)
      log.error("vm_refused", { ...fields, code: refusal.code, detail: refusal.message });
    else log.info("vm_refused_no_more", fields);
  }

  /** Settled, or refused for good: nothing to do but one-shot actions, and to see the guest. false: the end. */
  async function rest(want: DesiredVm, observed: ObservedVm | null, refusal: DriverError | null) {
    failures = 0;
    if (observed?.power !== "stopping") {
      stoppingSince = null;
      askedAt = null;
    }
    if (await doPendingActions(ports, want, observed, refusal, () => desired === want)) {
      staleUpTo = observer.begun();
      since = clock.now();
      return true;
    }
    const error = refusal && agentError({ code: refusal.code, detail: refusal.message });
    report(want, observed, refusal === null, error);
    const guestDue = refusal === null && observed?.power === "running" && observed.guest === null;
    if (!guestDue || waited() >= GUEST_PATIENCE_MS) return desired !== want;
    await waitFor(pollMs(waited()), want);
    return true;
  }

  /** One round of look, plan, step. false: there is nothing more to do. */
  async function round(want: DesiredVm): Promise<boolean> {
    const observed: ObservedVm | null = known ?? (await freshLook()).vms.get(vmId) ?? null;
    known = null;
    remember(observed);
    // Before it is told to anyone: whoever hears of it counts on it that no empty one comes in its place.
    if (observed?.complete && observed.ownerEpoch === want.ownerEpoch) await ports.made.note(want);
    const planned = plan(want, observed);
    const refusal = planned.ok ? null : new DriverError(planned.error.code, planned.error.detail);
    tellRefusal(want, refusal);
    if (!planned.ok) return rest(want, observed, refusal);
    const step = planned.value;
    if (step.do === "nothing") return rest(want, observed, null);
    if (step.do === "erase_seed") {
      // Housekeeping: a VM that is as it should be stays settled though it fails, and a later pass tries again.
      const erased = !done.has(step.do) && (await take(step, want, observed)) === null;
      return erased || rest(want, observed, null);
    }
    if (step.do === "wait" || isAskedAlready(step)) {
      report(want, observed, false);
      await waitFor(pollMs(waited()), want);
      return true;
    }
    if (done.has(step.do)) {
      // It was done and is to be done again: a VM that dies as soon as it starts must not spin the host.
      done.clear();
      await fail(
        want,
        observed,
        new DriverError("driver_failed", `${step.do} had no lasting effect`),
      );
      return true;
    }
    const failure = await take(step, want, observed);
    since = clock.now();
    if (failure !== null) {
      const seen = await observer.look();
      await fail(want, seen.vms.get(vmId) ?? null, failure);
      return true;
    }
    // `create` promises what it leaves (`VmDriver`), so a new VM starts without another look.
    if (step.do === "create" && observed === null) known = justCreated(want);
    return true;
  }

  async function work(): Promise<void> {
    known = null;
    since = clock.now();
    failures = 0;
    for (let last: DesiredVm | null = null; ;) {
      const want = desired;
      if (want === null || signal.aborted) {
        working = null;
        return;
      }
      if (want !== last) done.clear();
      last = want;
      if ((await round(want)) || desired !== want || reportAgain) continue;
      // In one breath with the check: what is given from here on starts the work anew.
      working = null;
      return;
    }
  }

  async function run(): Promise<void> {
    const mine = Symbol(vmId);
    working = mine;
    try {
      await work();
    } catch (error) {
      // The hypervisor cannot be looked at, or the agent stops: nothing is known, so nothing is reported.
      if (!signal.aborted) log.error("vm_work_failed", { vm_id: vmId, error: String(error) });
    } finally {
      // Unless something was given since the check, and the next work has begun.
      if (working === mine) working = null;
      if (working === null) {
        waiting = false;
        becomeIdle();
        for (const resolve of enders) resolve();
        enders = [];
      }
    }
  }

  return {
    give(wanted, look, again) {
      const changed = desired === null || JSON.stringify(desired) !== JSON.stringify(wanted);
      if (changed) desired = wanted;
      reportAgain ||= again;
      // A VM that waits or fails is not tried again because a doorbell rang for another one.
      if (working !== null && !changed && !again) return;
      given = look;
      if (working !== null) wake.abort(WAITED_ENOUGH);
      else void run();
    },
    release() {
      desired = null;
      wake.abort(WAITED_ENOUGH);
    },
    isWorking: () => working !== null,
    ended: () =>
      working === null ? Promise.resolve() : new Promise((resolve) => enders.push(resolve)),
    idle: () =>
      working === null || waiting
        ? Promise.resolve()
        : new Promise((resolve) => idlers.push(resolve)),
  };
}

const sizeKey = (vm: DesiredVm): string => JSON.stringify(wholeSize(vm));

const justCreated = (vm: DesiredVm): ObservedVm => ({
  vmId: vm.vmId,
  ownerEpoch: vm.ownerEpoch,
  power: "off",
  size: vm.size,
  limits: desiredLimits(vm),
  complete: true,
  bootEpoch: null,
  guest: null,
  seeded: true,
});

/** A quarter of the time waited so far: soon after the start, seldom later. Looks are shared by all who wait. */
const pollMs = (waitedMs: number): number =>
  waitedMs < 60_000 ? Math.min(500, Math.max(25, waitedMs / 4)) : 5_000;
