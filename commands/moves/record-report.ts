import type { Announced } from "#core/contracts/agent/protocol.ts";
import type { ReceivedReport, ReportReceipt } from "#core/contracts/agent/report.ts";
import { ok, type Refusal, type Result } from "#core/result.ts";
import type { AgentDeps } from "#commands/deps.ts";
import { recordVmReport } from "#commands/vms/record-vm-report.ts";
import { followReportedMoves } from "./follow-move.ts";

/** Records what an agent saw, and then goes on with the moves that it speaks of. */
export async function recordReport(
  deps: AgentDeps,
  hostId: string,
  report: ReceivedReport,
  announced?: Announced,
): Promise<Result<ReportReceipt, Refusal<"report_stale">>> {
  const recorded = await recordVmReport(deps, hostId, report, announced);
  if (!recorded.ok) return recorded;
  const { receipt, speaksOfMoves } = recorded.value;
  if (speaksOfMoves) await followReportedMoves(deps, hostId, report);
  return ok(receipt);
}
