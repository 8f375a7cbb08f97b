import type { Clock } from "#core/ports.ts";
import type { Looked } from "./check.ts";
import { readState } from "./read-state.ts";

/** As `berth-agent status --json` prints it. What cannot be told is null. */
export type Status = Readonly<{
  running: boolean;
  hostId: string | null;
  api: string | null;
  driver: string | null;
  version: string | null;
  pid: number | null;
  startedAt: string | null;
  lastReportAt: string | null;
  reportError: string | null;
  /** Of the document that it holds. */
  generation: number | null;
  vms: Readonly<Record<string, number>>;
  spool: Readonly<{ pages: number; oldestAt: string | null; refusedPages: number }> | null;
  /** State files that cannot be read. */
  faults: readonly string[];
}>;

/** What the agent on this state folder last did. Reads, and changes nothing. */
export async function readAgentStatus(stateDir: string, clock: Clock, root = "/"): Promise<Status> {
  const state = await readState(stateDir, clock, root);
  const running = seenOr(state.agents, null)?.mine ?? false;
  const status = seenOr(state.status, null);
  const spool = seenOr(state.spool, null);
  return {
    running,
    hostId: seenOr(state.identity, null)?.enrolled.hostId ?? null,
    api: status?.api ?? null,
    driver: status?.driver ?? null,
    version: status?.version ?? null,
    // Of one that has ended it may be another's by now.
    pid: running ? (status?.pid ?? null) : null,
    startedAt: status?.startedAt ?? null,
    lastReportAt: status?.lastReport?.at ?? null,
    reportError: status?.reportError?.error ?? null,
    generation: seenOr(state.desired, null)?.generation ?? null,
    vms: status?.vms ?? {},
    spool: spool && {
      pages: spool.pages,
      oldestAt: spool.oldest?.toISOString() ?? null,
      refusedPages: spool.refused,
    },
    faults: "unseen" in state.corrupt ? [state.corrupt.unseen] : state.corrupt.seen,
  };
}

const seenOr = <T, D>(looked: Looked<T>, otherwise: D): T | D =>
  "seen" in looked ? looked.seen : otherwise;

/** For people. */
export function statusAsText(stateDir: string, status: Status): string {
  const { spool } = status;
  const vms = Object.entries(status.vms).map(([state, count]) => `${count} ${state}`);
  const or = (value: string | number | null) => value ?? "not known";
  return `${[
    status.running
      ? `an agent runs on ${stateDir} (process ${or(status.pid)})`
      : `no agent runs on ${stateDir}; what the last one left:`,
    `host          ${or(status.hostId)}`,
    `control plane ${or(status.api)}`,
    `driver        ${or(status.driver)}`,
    `version       ${or(status.version)}`,
    `started       ${or(status.startedAt)}`,
    `last report   ${status.lastReportAt ?? "none was acknowledged"}`,
    ...(status.reportError === null ? [] : [`not reported  ${status.reportError}`]),
    `generation    ${or(status.generation)}`,
    `VMs           ${vms.length === 0 ? "none reported" : vms.join(", ")}`,
    `usage waiting ${spool === null ? "not known" : `${spool.pages} pages${spool.oldestAt === null ? "" : `, the oldest of ${spool.oldestAt}`}, ${spool.refusedPages} refused`}`,
    ...status.faults.map((fault) => `fault         ${fault}`),
  ].join("\n")}\n`;
}
