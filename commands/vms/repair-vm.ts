import type { AccountPrincipal } from "#core/accounts/accounts.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import type { Action } from "#core/vms/action.ts";
import { planRepair, type RepairWay } from "#core/vms/plan-repair.ts";
import type { OsFamily } from "#core/vms/vm.ts";
import { loadImage } from "#db/catalogue/catalogue.ts";
import type { Tx } from "#db/client.ts";
import { factsOf, loadHost, type Host } from "#db/hosts/hosts.ts";
import { inTransaction } from "#db/transaction.ts";
import { lockVm, type VmRow } from "#db/vms/vms.ts";
import type { Deps } from "#commands/deps.ts";
import { hashOf, refuseOther, type ForcedPlan } from "#commands/forced.ts";
import { requestAction, type ActionRefusal } from "./request-action.ts";

/** What a repair would do. */
export type RepairPlan = ForcedPlan & Readonly<{ how: RepairWay }>;
export type RepairRefusal =
  | Refusal<"vm_not_found" | "vm_not_lost" | "repair_unavailable" | "plan_changed">
  | ActionRefusal;
type Asked = Readonly<{ vmId: string; how: RepairWay }>;

/** What a repair of a lost VM would do; it changes nothing. */
export const showRepair = (deps: Deps, asked: Asked): Promise<Result<RepairPlan, RepairRefusal>> =>
  inTransaction(deps.db, (tx) => plan(tx, asked));

/**
 * Begins the repair of a VM that its host has lost: an action, which ends when the VM is seen whole, or with the host's refusal;
 * giving it up is its delete.
 */
export async function repairVm(
  deps: Deps,
  asked: Asked & { who: AccountPrincipal; hash?: string | undefined },
): Promise<Result<Action, RepairRefusal>> {
  return inTransaction(deps.db, async (tx): Promise<Result<Action, RepairRefusal>> => {
    const planned = await plan(tx, asked);
    if (!planned.ok) return planned;
    const same = refuseOther(planned.value, asked.hash);
    if (!same.ok) return same;
    const type = asked.how === "give_up" ? "delete" : asked.how;
    return requestAction({ ...deps, db: tx }, { who: asked.who, vmId: asked.vmId, type });
  });
}

async function plan(tx: Tx, { vmId, how }: Asked): Promise<Result<RepairPlan, RepairRefusal>> {
  const vm = await lockVm(tx, vmId);
  if (!vm || vm.presence === "absent") return refuse("vm_not_found", "no such VM");
  const host = await loadHost(tx, vm.hostId);
  const image = await loadImage(tx, vm.imageId);
  if (!host || !image) throw new Error(`the host or the image of VM ${vmId} vanished`);
  return planOf(vm, image.os, how, host);
}

/** `host` is the VM's. */
export function planOf(
  vm: VmRow,
  os: OsFamily,
  how: RepairWay,
  host: Host,
): Result<RepairPlan, Refusal<"vm_not_lost" | "repair_unavailable">> {
  const can = factsOf(host)?.capabilities ?? null;
  const planned = planRepair({ ...vm, os }, how, can, host.understands);
  if (!planned.ok) return planned;
  const { id: vmId, hostId, generation } = vm;
  return ok({
    how,
    effects: planned.value,
    hash: hashOf({ vmId, how, hostId, generation, effects: planned.value }),
  });
}
