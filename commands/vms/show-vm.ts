import type { AccountPrincipal } from "#core/accounts/accounts.ts";
import { OLDEST_SAMPLE_MS } from "#core/usage/judge-sample.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import type { Action } from "#core/vms/action.ts";
import type { SeenOfVm } from "#core/vms/action-steps.ts";
import { loadActionWithOwner } from "#db/vms/actions.ts";
import { measuredUntil, usageBuckets, type UsageBucket } from "#db/usage/usage.ts";
import { listVmViews, loadVm, loadVmView, type VmView } from "#db/vms/vms.ts";
import type { Deps } from "#commands/deps.ts";
import { cursorToId, cutPage, type Page, type PageRequest } from "#commands/page.ts";
import { mayTouch } from "./request-action.ts";

export type { VmView };

type Read = Pick<Deps, "db" | "clock">;
const noVm = () => refuse("vm_not_found", "no such VM");

/** The caller's VMs that are not gone, newest first. */
export async function listVms(
  deps: Read,
  who: AccountPrincipal,
  page: PageRequest,
): Promise<Page<VmView>> {
  const rows = await listVmViews(deps.db, who.accountId, {
    limit: page.limit + 1,
    before: cursorToId(page.cursor),
  });
  return cutPage(rows, page.limit, (r) => r.vm.id);
}

/** A VM, for its owner or staff; one that is gone is "not found", as is anybody else's. */
export async function showVm(
  deps: Read,
  who: AccountPrincipal,
  vmId: string,
): Promise<Result<VmView, Refusal<"vm_not_found">>> {
  const found = await loadVmView(deps.db, vmId);
  return found && found.vm.deletedAt === null && mayTouch(who, found.vm.accountId)
    ? ok(found)
    : noVm();
}

/** An action, with what its host has shown of the VM: how far it is. */
export async function showAction(
  deps: Read,
  who: AccountPrincipal,
  actionId: string,
): Promise<Result<{ action: Action; seen: SeenOfVm | null }, Refusal<"action_not_found">>> {
  const found = await loadActionWithOwner(deps.db, actionId);
  if (!found || !mayTouch(who, found.accountId))
    return refuse("action_not_found", "no such action");
  const vm = await loadVm(deps.db, found.action.vmId);
  return ok({ action: found.action, seen: vm ?? null });
}

export type Usage = Readonly<{
  from: Date;
  to: Date;
  buckets: readonly UsageBucket[];
  measuredUntil: Date | null;
}>;

const DAY_MS = 24 * 60 * 60_000;

/** A VM's usage, by hour or day; the last day when nothing else is asked, and 35 days at most. */
export async function showUsage(
  deps: Read,
  who: AccountPrincipal,
  q: { vmId: string; from: Date | undefined; to: Date | undefined; by: "hour" | "day" },
): Promise<Result<Usage, Refusal<"vm_not_found" | "invalid_request">>> {
  const vm = await loadVm(deps.db, q.vmId);
  if (!vm || !mayTouch(who, vm.accountId)) return noVm();
  const to = q.to ?? deps.clock.now();
  const from = q.from ?? new Date(+to - DAY_MS);
  if (from >= to) return refuse("invalid_request", "`from` must be before `to`");
  if (+to - +from > OLDEST_SAMPLE_MS)
    return refuse("invalid_request", "35 days at most can be asked for at once");
  const [buckets, until] = await Promise.all([
    usageBuckets(deps.db, { vmId: vm.id, from, to, by: q.by }),
    measuredUntil(deps.db, vm.id),
  ]);
  return ok({ from, to, buckets, measuredUntil: until });
}
