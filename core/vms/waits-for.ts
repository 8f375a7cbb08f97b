import { wasGiven } from "./call-off.ts";
import type { Action } from "./action.ts";
import type { KnownOfVm } from "./judge-report.ts";

/** What an action that runs waits for. Stable. Only one action of a VM runs at a time, so none waits for another. */
export const WAITS_FOR_CODES = [
  "host_in_maintenance",
  "hypervisor_away",
  "host_silent",
  "host_to_fetch",
  "agent_upgrade",
  "vm_lost",
  "vm_off",
  "host_to_succeed",
  "host_to_report",
  "guest_to_speak",
  "guest_to_shut_down",
  "host_to_finish",
] as const;
export type WaitsForCode = (typeof WAITS_FOR_CODES)[number];
/** Of a move, that a word of that end is awaited (`core/moves/waits-for-move.ts`). */
export const MOVE_WAITS_FOR_CODES = ["move_source", "move_destination"] as const;

const WORDS = {
  host_in_maintenance: "somebody is at its host, which speaks again when that is over",
  hypervisor_away: "its host's agent does not reach the hypervisor",
  host_silent: "its host was not heard of for five minutes or longer",
  host_to_fetch: "its host has not fetched it yet; it does with its next poll",
  agent_upgrade: "its host's agent does not understand what the VM holds: a newer one will",
  vm_lost: "its host says that the VM is not there",
  vm_off: "its host can do it only once the VM is off",
  host_to_succeed: "its host tries, and fails",
  host_to_report: "its host was told of it, and has reported nothing of the VM since",
  guest_to_speak: "the VM runs, and its guest has not said yet that it is up",
  guest_to_shut_down: "the guest was asked to shut down, and still runs",
  host_to_finish: "its host is at it",
} as const satisfies Record<WaitsForCode, string>;

const CODE_OF_ERROR: ReadonlyMap<string, WaitsForCode> = new Map([
  ["unsupported_by_agent", "agent_upgrade"],
  ["vm_missing", "vm_lost"],
  ["must_be_off", "vm_off"],
  ["hypervisor_unavailable", "hypervisor_away"],
]);

export type WaitsFor = Readonly<{
  code: WaitsForCode | (typeof MOVE_WAITS_FOR_CODES)[number];
  detail: string;
}>;

/** null: it has ended. */
export function waitsFor(
  { action, hostGeneration }: { action: Action; hostGeneration: number | null },
  vm: Pick<
    KnownOfVm,
    | "observedGeneration"
    | "observedPower"
    | "guestReadyAt"
    | "lastErrorCode"
    | "lastErrorDetail"
    | "lostAt"
  >,
  host: {
    isInMaintenance: boolean;
    isSilent: boolean;
    isHypervisorAway: boolean;
    served: number | null;
  },
): WaitsFor | null {
  if (action.status !== "running") return null;
  const code = codeOf();
  const said = vm.lastErrorCode;
  const isOfError = said !== null && code === (CODE_OF_ERROR.get(said) ?? "host_to_succeed");
  const detail = isOfError ? `${WORDS[code]}: ${said}, ${vm.lastErrorDetail ?? ""}` : WORDS[code];
  return { code, detail };

  function codeOf(): WaitsForCode {
    if (host.isInMaintenance && (host.isSilent || host.isHypervisorAway))
      return "host_in_maintenance";
    if (host.isHypervisorAway) return "hypervisor_away";
    if (host.isSilent) return "host_silent";
    if (!wasGiven(hostGeneration, host.served)) return "host_to_fetch";
    if (vm.observedGeneration < action.generation) return "host_to_report";
    if (vm.lastErrorCode !== null) return CODE_OF_ERROR.get(vm.lastErrorCode) ?? "host_to_succeed";
    if (vm.lostAt !== null) return "vm_lost";
    const isRunning = vm.observedPower === "running";
    if (action.type === "create" && isRunning && vm.guestReadyAt === null) return "guest_to_speak";
    if (action.type === "shutdown" && isRunning) return "guest_to_shut_down";
    return "host_to_finish";
  }
}
