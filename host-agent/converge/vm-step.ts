import type { AgentErrorCode, ObservedVm, VmReport } from "#core/contracts/agent/report.ts";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import type { Clock, Log } from "#core/ports.ts";
import { assertNever } from "#core/result.ts";
import type { VmStep } from "#core/vms/plan-vm-step.ts";
import type { DestroyLimit } from "./destroy-limit.ts";
import { DriverError, type VmDriver } from "#host-agent/drivers/driver.ts";
import { countError, type AgentMetrics } from "#host-agent/metrics.ts";
import { within } from "#host-agent/time-limit.ts";

export type StepPorts = {
  driver: VmDriver;
  clock: Clock;
  log: Log;
  metrics: AgentMetrics;
  destroyLimit: DestroyLimit;
  /** Takes a last usage sample of VMs that are about to lose their counters. Never throws. */
  beforePowerOff: () => Promise<void>;
  /** The control plane gives it to this host alone, and only while the VM is being made. */
  initialPassword: (vmId: string, signal?: AbortSignal) => Promise<string>;
  /** Runs the step when the host has a hand free. */
  slot: <T>(work: () => Promise<T>) => Promise<T>;
  stepLimitMs: number;
  signal: AbortSignal;
};

export type Doing = Exclude<VmStep, { do: "nothing" | "wait" }>;

/** Carries out one planned step, within its time limit. Throws `DriverError`, or the signal's reason. */
export async function applyStep(
  ports: StepPorts,
  step: Doing,
  desired: DesiredVm,
  observed: ObservedVm | null,
): Promise<void> {
  const { clock, log, metrics, signal } = ports;
  const fields = { vm_id: desired.vmId, generation: desired.generation, step: step.do };
  const began = clock.now().getTime();
  const took = () => clock.now().getTime() - began;
  const late = () =>
    new DriverError("timed_out", `${step.do} took longer than ${ports.stepLimitMs / 1000} s`);
  try {
    await ports.slot(() =>
      within({ clock, ms: ports.stepLimitMs, late, parent: signal }, (inner) =>
        callDriver(ports, step, desired, observed, inner),
      ),
    );
    metrics.count("berth_agent_steps_total", { step: step.do, outcome: "done" });
    log.info("vm_step", { ...fields, outcome: "done", duration_ms: took() });
  } catch (error) {
    if (signal.aborted) throw error;
    const failure = driverError(error);
    metrics.count("berth_agent_steps_total", { step: step.do, outcome: "failed" });
    countError(metrics, failure);
    log.error("vm_step", {
      ...fields,
      outcome: failure.code,
      detail: failure.message,
      duration_ms: took(),
    });
    throw failure;
  }
}

async function callDriver(
  ports: StepPorts,
  step: Doing,
  desired: DesiredVm,
  observed: ObservedVm | null,
  signal: AbortSignal,
): Promise<void> {
  const { driver } = ports;
  const losesCounters = observed !== null && observed.power !== "off";
  switch (step.do) {
    case "create":
      return driver.create(desired, signal, {
        administratorPassword: (inner) => ports.initialPassword(desired.vmId, inner ?? signal),
      });
    case "adopt":
      return driver.adopt(desired, signal);
    case "restore":
      return driver.restore(desired, signal);
    case "start":
      return driver.start(desired, signal);
    case "stop":
      if (losesCounters) await ports.beforePowerOff();
      return driver.stop(desired, step.mode, signal);
    case "resize":
      return driver.resize(desired, signal);
    case "erase_seed":
      return driver.eraseSeed(desired, signal);
    case "destroy":
      if (!isElsewhere(desired)) await ports.destroyLimit.admit(desired.vmId);
      if (losesCounters) await ports.beforePowerOff();
      return driver.destroy(desired, signal);
    default:
      return assertNever(step);
  }
}

/** What goes is a copy that a move has left over: its VM is another host's, in writing. */
const isElsewhere = ({ move }: DesiredVm): boolean =>
  move !== undefined && move.step === (move.role === "source" ? "clean" : "drop");

/** Anything that a driver throws without a code of its own is `driver_failed`. */
export const driverError = (error: unknown): DriverError =>
  error instanceof DriverError
    ? error
    : new DriverError("driver_failed", String(error), { cause: error });

export const agentError = (error: {
  code: AgentErrorCode;
  detail: string;
}): NonNullable<VmReport["error"]> => ({ code: error.code, detail: error.detail.slice(0, 1000) });
