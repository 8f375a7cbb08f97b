import { silentBefore } from "#core/hosts/place-vm.ts";
import type { PlanChange } from "#core/billing/plan-change.ts";
import { hostsOfMoves, shownMove, type ShownMove } from "#core/moves/shown-move.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { waitsFor, type WaitsFor } from "#core/vms/waits-for.ts";
import { latestChangesOf } from "#db/billing/plan-changes.ts";
import { listFindings, type Finding } from "#db/hosts/findings.ts";
import { loadHost, loadServed, namesOfHosts, type Host } from "#db/hosts/hosts.ts";
import { latestMovesOf } from "#db/moves/moves.ts";
import { latestActionsOf, type KeptAction } from "#db/vms/actions.ts";
import { loadVmView, type VmView } from "#db/vms/vms.ts";
import type { Deps } from "#commands/deps.ts";

/** A VM as staff look at it: also one that is gone. */
export type StaffVm = Readonly<{
  view: VmView;
  host: Host;
  hostSilentSince: Date | null;
  /** The newest, each with what it waits for; null of one that has ended. */
  actions: readonly (KeptAction & { waitsFor: WaitsFor | null })[];
  /** The newest, of what was bought. */
  changes: readonly PlanChange[];
  /** The newest, from host to host. */
  moves: readonly ShownMove[];
  findings: readonly Finding[];
}>;

const MOST_SHOWN = 20;
const MOST_MOVES = 5;

export async function showStaffVm(
  deps: Pick<Deps, "db" | "clock">,
  vmId: string,
): Promise<Result<StaffVm, Refusal<"vm_not_found">>> {
  const { db } = deps;
  const view = await loadVmView(db, vmId);
  if (!view) return refuse("vm_not_found", "no such VM");
  const { hostId } = view.vm;
  const open = { state: "open", kind: null } as const;
  const page = { limit: MOST_SHOWN, after: null };
  const [host, served, actions, changes, kept, findings, away] = await Promise.all([
    loadHost(db, hostId),
    loadServed(db, hostId),
    latestActionsOf(db, vmId, MOST_SHOWN),
    latestChangesOf(db, vmId, MOST_SHOWN),
    latestMovesOf(db, vmId, MOST_MOVES),
    listFindings(db, { ...open, hostId: null, vmId }, page),
    listFindings(db, { ...open, hostId, vmId: null, kind: "hypervisor_away" }, page),
  ]);
  if (!host) throw new Error(`the host of VM ${vmId} vanished`);
  const isSilent = host.lastSeenAt === null || host.lastSeenAt < silentBefore(deps.clock.now());
  const stands = {
    isInMaintenance: host.state === "maintenance",
    isSilent,
    isHypervisorAway: away.rows.length > 0,
    served: served?.served?.generation ?? null,
  };
  const hosts = await namesOfHosts(db, hostsOfMoves(kept));
  const moves = kept.map((of) => shownMove(of, hosts, deps.clock.now()));
  /** Two hosts carry out a move, and it waits for either. */
  const awaited = (of: KeptAction) =>
    of.action.type === "migrate" && of.action.status === "running"
      ? (moves.find(({ move }) => move.actionId === of.action.id)?.waitsFor ?? null)
      : waitsFor(of, view.vm, stands);
  return ok({
    view,
    host,
    hostSilentSince: isSilent ? host.lastSeenAt : null,
    actions: actions.map((of) => ({ ...of, waitsFor: awaited(of) })),
    changes,
    moves,
    findings: findings.rows,
  });
}
