import type { ActionReport, ObservedVm } from "#core/contracts/agent/report.ts";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import type { OneShotAction } from "#core/vms/vm.ts";
import type { ActionJournal } from "./actions.ts";
import { DriverError, type VmDriver } from "#host-agent/drivers/driver.ts";
import type { Reporter } from "#host-agent/channel/reporter.ts";
import { within } from "#host-agent/time-limit.ts";
import { agentError, driverError, type StepPorts } from "./vm-step.ts";

type ActionPorts = Pick<StepPorts, "clock" | "log" | "signal" | "slot" | "stepLimitMs"> & {
  driver: Pick<VmDriver, "once">;
  journal: ActionJournal;
  reporter: Pick<Reporter, "action">;
};

const LOST = {
  code: "driver_failed",
  detail:
    "the agent stopped in the middle of it: whether it happened is not known, and it is not repeated",
} as const;

/**
 * Does what is pending for a VM that needs no other step, each action once, and reports how it ended; reports
 * again what it did before, for as long as it is asked for. true: the VM was touched, so look at it again.
 * `refusal` is why the VM cannot be worked on, when it cannot. `isWanted`: whether `desired` is what is desired still.
 * A newer document may ask for the action no longer, and then the journal has forgotten that it was done.
 */
export async function doPendingActions(
  ports: ActionPorts,
  desired: DesiredVm,
  observed: ObservedVm | null,
  refusal: DriverError | null,
  isWanted: () => boolean,
): Promise<boolean> {
  const { journal, reporter } = ports;
  let touched = false;
  for (const action of desired.pendingActions) {
    if (!isWanted()) break;
    const state = journal.state(action.id);
    if (state === "under_way") continue;
    const about = { actionId: action.id, vmId: desired.vmId };
    if (typeof state === "object") {
      reporter.action(state);
      continue;
    }
    const why = refusal ?? (observed?.power === "running" ? null : notRunning(desired, observed));
    let error: ActionReport["error"] = null;
    if (state === "lost") error = agentError(LOST);
    else if (why !== null) error = agentError({ code: why.code, detail: why.message });
    else {
      await journal.begin(action.id, desired.vmId);
      touched = true;
      error = await once(ports, desired, action.type);
    }
    const report: ActionReport = { ...about, outcome: error === null ? "success" : "error", error };
    await journal.finish(report);
    reporter.action(report);
    ports.log.info("vm_action", {
      vm_id: desired.vmId,
      action_id: action.id,
      type: action.type,
      outcome: error?.code ?? "success",
    });
  }
  return touched;
}

const notRunning = (desired: DesiredVm, observed: ObservedVm | null): DriverError =>
  new DriverError("unsupported", `VM ${desired.vmId} is ${observed?.power ?? "not there"}`);

/** A stop of the agent meanwhile is thrown on, and leaves the action begun: its outcome is not known. */
async function once(
  ports: ActionPorts,
  desired: DesiredVm,
  action: OneShotAction,
): Promise<ActionReport["error"]> {
  const { clock, signal, stepLimitMs } = ports;
  const late = () =>
    new DriverError("timed_out", `${action} took longer than ${stepLimitMs / 1000} s`);
  try {
    await ports.slot(() =>
      within({ clock, ms: stepLimitMs, late, parent: signal }, (inner) =>
        ports.driver.once(desired, action, inner),
      ),
    );
    return null;
  } catch (error) {
    if (signal.aborted) throw error;
    const failure = driverError(error);
    return agentError({ code: failure.code, detail: failure.message });
  }
}
