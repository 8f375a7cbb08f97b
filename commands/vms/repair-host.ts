import type { AccountPrincipal } from "#core/accounts/accounts.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import type { Action } from "#core/vms/action.ts";
import type { Repair } from "#core/vms/vm.ts";
import type { Db } from "#db/client.ts";
import { loadHost } from "#db/hosts/hosts.ts";
import { lostVmsOf } from "#db/vms/vms.ts";
import type { Deps } from "#commands/deps.ts";
import { hashOf, refuseOther } from "#commands/forced.ts";
import { planOf, repairVm, type RepairRefusal } from "./repair-vm.ts";

/** Of one VM: what would be done, or why it cannot be; and once it was asked for, its action. */
export type RepairOfOne = Readonly<{
  vmId: string;
  hostname: string;
  effects: readonly string[];
  refusal: RepairRefusal | null;
  action: Action | null;
}>;
/** `hash` names all of it, the VMs and what each comes to. `more`: the host has lost others besides, which come next time. */
export type HostRepair = Readonly<{
  how: Repair;
  vms: readonly RepairOfOne[];
  hash: string;
  more: boolean;
}>;
type HostRepairRefusal = Refusal<"host_not_found" | "plan_changed">;
type Asked = Readonly<{ hostId: string; how: Repair }>;

/** Each is a transaction of its own, and all are one request. */
export const MOST_AT_ONCE = 200;

/** What a repair of all VMs that this host has lost would do; it changes nothing. */
export async function showHostRepair(
  deps: Pick<Deps, "db">,
  asked: Asked,
): Promise<Result<HostRepair, HostRepairRefusal>> {
  const planned = await planAll(deps.db, asked);
  return planned.ok ? ok(planned.value.repair) : planned;
}

/**
 * Begins the repair of every VM that this host has lost, as after it was rebuilt with its disks kept. One that cannot be
 * repaired in this way keeps no other from it, and is told. Repeated, it goes on with those that it did not come to.
 */
export async function repairHost(
  deps: Deps,
  asked: Asked & { who: AccountPrincipal; hash?: string | undefined },
): Promise<Result<HostRepair, HostRepairRefusal>> {
  const planned = await planAll(deps.db, asked);
  if (!planned.ok) return planned;
  const { repair, hashes } = planned.value;
  const same = refuseOther(repair, asked.hash);
  if (!same.ok) return same;
  const vms: RepairOfOne[] = [];
  for (const one of repair.vms) {
    const { vmId } = one;
    const hash = hashes.get(vmId);
    // One after the other: they ring the same host, whose row each of them holds for a moment.
    const begun =
      hash === undefined
        ? undefined
        : await repairVm(deps, { who: asked.who, vmId, how: asked.how, hash });
    if (begun === undefined) vms.push(one);
    else if (begun.ok) vms.push({ ...one, action: begun.value });
    else vms.push({ ...one, refusal: begun.error });
  }
  return ok({ ...repair, vms });
}

async function planAll(
  db: Db,
  { hostId, how }: Asked,
): Promise<Result<{ repair: HostRepair; hashes: ReadonlyMap<string, string> }, HostRepairRefusal>> {
  const host = await loadHost(db, hostId);
  if (!host) return refuse("host_not_found", "no such host");
  const lost = await lostVmsOf(db, hostId, MOST_AT_ONCE + 1);
  const hashes = new Map<string, string>();
  const vms = lost.slice(0, MOST_AT_ONCE).map(({ vm, os }): RepairOfOne => {
    const planned = planOf(vm, os, how, host);
    const of = { vmId: vm.id, hostname: vm.hostname, action: null };
    if (!planned.ok) return { ...of, effects: [], refusal: planned.error };
    hashes.set(vm.id, planned.value.hash);
    return { ...of, effects: planned.value.effects, refusal: null };
  });
  const hash = hashOf({
    hostId,
    how,
    vms: vms.map(({ vmId }) => [vmId, hashes.get(vmId) ?? null]),
  });
  return ok({ repair: { how, vms, hash, more: lost.length > vms.length }, hashes });
}
