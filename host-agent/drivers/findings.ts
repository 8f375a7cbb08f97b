import { MOST_FINDINGS, type HostFinding } from "#core/contracts/agent/report.ts";
import type { Log } from "#core/ports.ts";

/** A host that has just booted may lack a network or memory: a memory that could still be restored is waited for so long. */
export const SAVED_STATE_PATIENCE_MS = 3 * 60_000;

/** Keeps what a driver finds until it is asked for, and logs it at once: the log is what outlives the agent. */
export function createFindings(log: Log) {
  let found: HostFinding[] = [];
  return {
    add({ vmId, code, detail }: HostFinding): void {
      log.error("host_finding", { vm_id: vmId, code, detail });
      // The oldest go: a host on which everything is amiss is told of by what was found last.
      found = [...found, { vmId, code, detail: detail.slice(0, 1000) }].slice(-MOST_FINDINGS);
    },
    take(): readonly HostFinding[] {
      const taken = found;
      found = [];
      return taken;
    },
  };
}
export type Findings = ReturnType<typeof createFindings>;
