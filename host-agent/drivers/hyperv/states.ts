import type { ObservedPower } from "#core/vms/vm.ts";

/**
 * The states that `Get-VM` names (VMState of the Hyper-V module; Msvm_ComputerSystem.EnabledState), and what each
 * means to the planner.
 */
const POWER_BY_STATE: ReadonlyMap<string, ObservedPower> = new Map<string, ObservedPower>([
  ["Running", "running"],
  ["Off", "off"],
  ["Stopping", "stopping"],
  ["ForceShutdown", "stopping"],
  ["Saving", "stopping"],
  ["FastSaving", "stopping"],
  ["Pausing", "stopping"],
  // Its memory lies on disk: not off, as a resize would lose it, and `start` resumes it.
  ["Saved", "paused"],
  ["FastSaved", "paused"],
  ["Paused", "paused"],
  ["Starting", "starting"],
  ["Resuming", "starting"],
  ["Reset", "starting"],
  ["ForceReboot", "starting"],
]);

/** A state that is not in the table needs staff: among them every "…Critical", which means trouble with storage. */
export const observedPower = (state: string): ObservedPower =>
  POWER_BY_STATE.get(state) ?? "failed";
