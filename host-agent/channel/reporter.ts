import type {
  ActionReport,
  AgentReport,
  HostFacts,
  VmReport,
} from "#core/contracts/agent/report.ts";
import type { MoveReport } from "#core/contracts/agent/moves.ts";
import { MOST_FINDINGS } from "#core/contracts/agent/report.ts";
import type { Clock, Log } from "#core/ports.ts";
import { ControlPlaneError, IdentityRevoked, type ControlPlane } from "./control-plane.ts";
import type { DesiredState } from "#host-agent/converge/desired.ts";
import { backOffMs, pause, WAITED_ENOUGH } from "#host-agent/time-limit.ts";

/**
 * Sends what was found, at once; what comes while a report is on its way goes together in the next one. A report
 * that cannot be sent is kept, the newest for each VM, and tried again. One that is refused for good is sent again in
 * parts, and only the part that is refused alone is given up: one VM's report never keeps the others back.
 */
export interface Reporter {
  /** Sent unless the control plane has the same already; `again` sends it all the same. */
  vm(report: VmReport, again: boolean): void;
  /** The VM is desired no longer: what is known of it is of no use. */
  forget(vmId: string): void;
  action(report: ActionReport): void;
  /** How far the host's part of a VM's move is; as `vm`. */
  move(report: MoveReport, again: boolean): void;
  /** There is no move of the VM any more. */
  forgetMove(vmId: string): void;
  strangers(list: AgentReport["strangers"], again: boolean): void;
  facts(facts: HostFacts): void;
  /** Each is sent once; the newest, when the control plane is away for long. */
  findings(list: Readonly<NonNullable<AgentReport["findings"]>>): void;
  /** Why the host could not be looked at for a while; null: it could. Each report says so as long as it is so. */
  away(why: AgentReport["hypervisorAway"] | null): void;
  /** Sends a report even when there is nothing to tell. */
  sign(): void;
  /** Resolves when everything is sent, or the last attempt failed. */
  flushed(): Promise<void>;
}

/** The report as reports of one thing each; none for one that tells nothing. */
function partsOf(report: AgentReport): readonly AgentReport[] {
  const { desiredGeneration, hypervisorAway } = report;
  const empty: AgentReport = {
    ...(hypervisorAway && { hypervisorAway }),
    desiredGeneration,
    vms: [],
    actions: [],
    strangers: [],
    facts: null,
  };
  return [
    ...report.vms.map((vm) => ({ ...empty, vms: [vm] })),
    ...report.actions.map((action) => ({ ...empty, actions: [action] })),
    ...(report.moves ?? []).map((move) => ({ ...empty, moves: [move] })),
    ...(report.strangers.length > 0 ? [{ ...empty, strangers: report.strangers }] : []),
    ...(report.facts === null ? [] : [{ ...empty, facts: report.facts }]),
    ...(report.findings ?? []).map((finding) => ({ ...empty, findings: [finding] })),
    ...(report.refusedDesired ? [{ ...empty, refusedDesired: report.refusedDesired }] : []),
  ];
}

/** A report holds so many VMs at most (the contract allows 2,000). */
const VMS_A_REPORT = 500;
/** And so many moves, as the contract allows. */
const MOVES_A_REPORT = 500;

export function createReporter(ports: {
  controlPlane: Pick<ControlPlane, "report">;
  desired: Pick<DesiredState, "current" | "refused">;
  clock: Clock;
  log: Log;
  signal: AbortSignal;
  revoked: (error: IdentityRevoked) => void;
}): Reporter {
  const { controlPlane, desired, clock, log, signal } = ports;
  const vms = new Map<string, VmReport>();
  const actions = new Map<string, ActionReport>();
  /** By VM, the report that the control plane acknowledged, as text. */
  const known = new Map<string, string>();
  const moves = new Map<string, MoveReport>();
  const knownMoves = new Map<string, string>();
  let strangers: AgentReport["strangers"] = [];
  let knownStrangers = "[]";
  let facts: HostFacts | null = null;
  let findings: NonNullable<AgentReport["findings"]> = [];
  let away: AgentReport["hypervisorAway"] | null = null;
  let due = false;
  let sending = false;
  /** After a failed attempt, until the next one. */
  let resting = false;
  let retry = new AbortController();
  let waiting: (() => void)[] = [];

  function wake(): void {
    due = true;
    resting = false;
    retry.abort(WAITED_ENOUGH);
    if (!sending) {
      sending = true;
      // One tick later, so that what is found together is sent together.
      queueMicrotask(() => void send());
    }
  }

  function settle(): void {
    for (const resolve of waiting) resolve();
    waiting = [];
  }

  async function send(): Promise<void> {
    let failures = 0;
    while (due && !signal.aborted) {
      due = false;
      retry = new AbortController();
      const report = take();
      try {
        await deliver(report);
        failures = 0;
        due ||= vms.size > 0 || moves.size > 0;
      } catch (error) {
        if (error instanceof IdentityRevoked) ports.revoked(error);
        if (signal.aborted || error instanceof IdentityRevoked) break;
        failures += 1;
        log.error("report_failed", { vms: report.vms.length, failures, error: String(error) });
        settle();
        due = true;
        resting = true;
        await pause(clock, backOffMs(failures), AbortSignal.any([retry.signal, signal]));
        resting = false;
      }
    }
    sending = false;
    settle();
  }

  /** Throws when the control plane could not be asked; what it has not got then is put back. */
  async function deliver(report: AgentReport): Promise<void> {
    try {
      await controlPlane.report(report, signal);
    } catch (error) {
      const final = error instanceof ControlPlaneError && error.isFinal;
      if (!final || error instanceof IdentityRevoked) {
        putBack(report);
        throw error;
      }
      const parts = partsOf(report);
      if (parts.length > 1) {
        for (const [n, part] of parts.entries())
          await deliver(part).catch((outage: unknown) => {
            for (const rest of parts.slice(n + 1)) putBack(rest);
            throw outage;
          });
        return;
      }
      log.error("report_refused", {
        vms: report.vms.map((vm) => vm.vmId),
        actions: report.actions.map((action) => action.actionId),
        moves: (report.moves ?? []).map((move) => move.moveId),
        error: String(error),
      });
    }
    // What was given up counts as told: it would be refused again, and is sent anew when it changes.
    for (const vm of report.vms) known.set(vm.vmId, JSON.stringify(vm));
    for (const move of report.moves ?? []) knownMoves.set(move.vmId, JSON.stringify(move));
    knownStrangers = JSON.stringify(report.strangers);
  }

  function take(): AgentReport {
    const taken = [...vms.values()].slice(0, VMS_A_REPORT);
    for (const vm of taken) vms.delete(vm.vmId);
    const moving = [...moves.values()].slice(0, MOVES_A_REPORT);
    for (const move of moving) moves.delete(move.vmId);
    const refused = desired.refused();
    const report: AgentReport = {
      desiredGeneration: desired.current()?.generation ?? 0,
      vms: taken,
      actions: [...actions.values()],
      strangers,
      facts,
      ...(moving.length > 0 ? { moves: moving } : {}),
      ...(refused ? { refusedDesired: refused } : {}),
      ...(away ? { hypervisorAway: away } : {}),
      ...(findings.length > 0 ? { findings: [...findings] } : {}),
    };
    actions.clear();
    facts = null;
    findings = [];
    return report;
  }

  /** What a failed report held, unless something newer came meanwhile. */
  function putBack(report: AgentReport): void {
    for (const vm of report.vms) if (!vms.has(vm.vmId)) vms.set(vm.vmId, vm);
    for (const action of report.actions) actions.set(action.actionId, action);
    for (const move of report.moves ?? []) if (!moves.has(move.vmId)) moves.set(move.vmId, move);
    facts ??= report.facts;
    findings = [...(report.findings ?? []), ...findings].slice(-MOST_FINDINGS);
  }

  return {
    vm(report, again) {
      const pending = vms.get(report.vmId);
      if (!again && !pending && known.get(report.vmId) === JSON.stringify(report)) return;
      vms.set(report.vmId, report);
      wake();
    },
    forget(vmId) {
      vms.delete(vmId);
      known.delete(vmId);
    },
    action(report) {
      actions.set(report.actionId, report);
      wake();
    },
    move(report, again) {
      const { vmId } = report;
      if (!again && !moves.has(vmId) && knownMoves.get(vmId) === JSON.stringify(report)) return;
      moves.set(vmId, report);
      wake();
    },
    forgetMove(vmId) {
      moves.delete(vmId);
      knownMoves.delete(vmId);
    },
    strangers(list, again) {
      strangers = list;
      if (again || JSON.stringify(list) !== knownStrangers) wake();
    },
    facts(found) {
      facts = found;
      wake();
    },
    findings(list) {
      if (list.length === 0) return;
      findings = [...findings, ...list].slice(-MOST_FINDINGS);
      wake();
    },
    away(why) {
      if (why === null && away === null) return;
      away = why;
      wake();
    },
    sign: wake,
    flushed: () =>
      sending && !resting ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(),
  };
}
