import type { MachineSize } from "#core/billing/quote.ts";
import {
  needsOf,
  rankHosts,
  runsVm,
  silentBefore,
  type ImageDemand,
  type VmDemand,
} from "#core/hosts/place-vm.ts";
import { largerOf, type VmSize } from "#core/vms/vm.ts";
import type { Capacity } from "#core/hosts/capacity.ts";
import { isOverdue } from "#core/billing/entitlement.ts";
import {
  formatBetween,
  preflight,
  type Checked,
  type End,
  type MovingVm,
} from "#core/moves/preflight.ts";
import type { MoveMethod } from "#core/moves/move.ts";
import { refuse, ok, type Refusal, type Result } from "#core/result.ts";
import { loadService } from "#db/billing/services.ts";
import { loadImage } from "#db/catalogue/catalogue.ts";
import type { Tx } from "#db/client.ts";
import { bestHosts } from "#db/hosts/capacity.ts";
import { factsOf, loadHost, type Host } from "#db/hosts/hosts.ts";
import { kindsById, kindsOfHosts, type KindHere } from "#db/hosts/kinds.ts";
import { lockOpenMove } from "#db/moves/moves.ts";
import { nicsOf } from "#db/network/addresses.ts";
import { runningActionOf } from "#db/vms/actions.ts";
import { lockVm, type VmRow } from "#db/vms/vms.ts";
import { hashOf, type ForcedPlan } from "#commands/forced.ts";
import { candidateOf } from "#commands/hosts/show-hosts.ts";

/** Of so many of the best hosts of each kind the first is taken that a move can go to. */
const LOOKED_AT = 5;

export type AskedMove = Readonly<{
  vmId: string;
  /** Left out: the best that placement finds. */
  hostId?: string | undefined;
  method: MoveMethod | "auto";
  /** What those before it in a plan of many would take, by host. */
  taken?: Taken | undefined;
  /** What it is to become once it is there: its destination is to have room for it, and to be able to give it. */
  becomes?: MachineSize | undefined;
}>;
export type Taken = ReadonlyMap<string, Capacity>;

/** What a move would do, by all that is known now. */
export type MovePlan = Readonly<{
  vm: VmRow;
  source: Host;
  /** null: no host was named, and placement finds none. */
  destination: Host | null;
  checks: readonly Checked[];
  /** What is held for it there. */
  size: VmSize;
  /** null: it cannot be moved there. */
  way: Readonly<{
    method: MoveMethod;
    ends: { source: End; destination: End };
    /** What does not go with it. */
    leaves: readonly string[];
  }> | null;
}>;

export type NotPlanned = Refusal<"vm_not_found" | "host_not_found">;

/** Looks at a move, with its VM held. */
export async function planMove(
  tx: Tx,
  asked: AskedMove,
  now: Date,
): Promise<Result<MovePlan, NotPlanned>> {
  const vm = await lockVm(tx, asked.vmId);
  if (!vm || vm.deletedAt !== null) return refuse("vm_not_found", "no such VM");
  const [image, source, service, running, open] = [
    await loadImage(tx, vm.imageId),
    await loadHost(tx, vm.hostId),
    await loadService(tx, vm.id),
    await runningActionOf(tx, vm.id),
    await lockOpenMove(tx, vm.id),
  ];
  if (!image || !source) throw new Error(`the host or the image of VM ${vm.id} vanished`);
  const demand = demandOfMove(vm, image, asked.becomes);
  const { size } = demand;
  const destination =
    asked.hostId === undefined
      ? await bestFor(tx, vm, demand, { now, taken: asked.taken ?? new Map() })
      : ((await loadHost(tx, asked.hostId)) ?? null);
  if (asked.hostId !== undefined && destination === null)
    return refuse("host_not_found", "no such host");
  if (destination === null)
    return ok({
      vm,
      source,
      destination,
      size,
      checks: [
        { check: "destination_host", ok: false, detail: "no host of its location can take it now" },
      ],
      way: null,
    });
  const ends = {
    source: await endOf(tx, source, image.file),
    destination: await endOf(tx, destination, image.file),
  };
  if (!ends.source || !ends.destination) {
    const check = ends.source ? ("destination_host" as const) : ("source_host" as const);
    const detail = "its agent has not enrolled, or what it last said cannot be read";
    return ok({ vm, source, destination, size, checks: [{ check, ok: false, detail }], way: null });
  }
  const both = { source: ends.source, destination: ends.destination };
  const nics = await nicsOf(tx, [vm.id], () => null);
  const moving: MovingVm = {
    ...vm,
    runningAction: running?.type ?? null,
    openMove: open?.move.step ?? null,
    isSuspended: service.suspensions.length > 0 || isOverdue(service, now),
    vlans: (nics.get(vm.id) ?? []).map(({ vlan }) => vlan),
  };
  const { checks, method, leaves } = preflight(moving, demand, both, asked.method, now);
  const way = method && { method, ends: both, leaves };
  return ok({ vm, source, destination, size, checks, way });
}

/** What a host must have, and be able to do, for a VM that moves there, and that may become another one there. */
export function demandOfMove(
  vm: Pick<VmRow, "vcpus" | "memoryMib" | "diskGib" | "bandwidthMbit" | "diskIops">,
  image: ImageDemand,
  becomes: MachineSize | undefined,
): VmDemand {
  const { vcpus, memoryMib, diskGib } = vm;
  const size = { vcpus, memoryMib, diskGib };
  return becomes === undefined
    ? { size, image, needs: needsOf(vm) }
    : {
        size: largerOf(size, becomes),
        image,
        needs: [...new Set([...needsOf(vm), ...needsOf(becomes)])],
      };
}

/** Where placement would put it, of those that can take what moves. Unlocked: the reservation decides. */
async function bestFor(
  tx: Tx,
  vm: VmRow,
  demand: VmDemand,
  { now, taken }: { now: Date; taken: Taken },
): Promise<Host | null> {
  const wanted = { ...demand, needs: [...demand.needs, "moveCold" as const] };
  const kinds = (
    await kindsOfHosts(tx, { locationId: vm.locationId, files: [demand.image.file] })
  ).filter((kind) => runsVm(kind, wanted));
  const among = { kinds, heardSince: silentBefore(now) };
  // One more: it may be among them itself. And as many more as have less than they say.
  const best = await bestHosts(tx, among, demand.size, LOOKED_AT + 1 + taken.size);
  const left = best.map((of) => ({ ...of, free: less(of.free, taken.get(of.id)) }));
  for (const { id } of rankHosts(left, wanted, now)) {
    if (id === vm.hostId) continue;
    const host = await loadHost(tx, id);
    if (host && factsOf(host)?.migrationAddress) return host;
  }
  return null;
}

const less = (free: Capacity, taken: Capacity | undefined): Capacity =>
  taken === undefined
    ? free
    : {
        vcpus: free.vcpus - taken.vcpus,
        memoryMib: free.memoryMib - taken.memoryMib,
        diskGib: free.diskGib - taken.diskGib,
        vms: free.vms - taken.vms,
      };

async function endOf(tx: Tx, host: Host, file: string): Promise<End | null> {
  const kinds = host.kindId === null ? null : await kindsById(tx, [host.kindId], [file]);
  return endOfKind(host, kinds?.get(host.kindId ?? ""));
}

/** null: its agent has not enrolled, or what it last said cannot be read. */
export function endOfKind(host: Host, kind: KindHere | undefined): End | null {
  const facts = factsOf(host);
  return facts && kind ? { host, facts, candidate: candidateOf(host, kind) } : null;
}

/** The plan as staff are shown it; `hash` names it, and is null where it cannot be done. */
export function toForced({ vm, destination, way, checks }: MovePlan): ForcedPlan | null {
  if (way === null || destination === null) return null;
  const effects = [...effectsOf(vm, destination, way.method), ...way.leaves];
  const { id: vmId, hostId: from, ownerEpoch, generation } = vm;
  const to = { host: destination.id, method: way.method, format: formatOf(way.ends) };
  return {
    effects,
    hash: hashOf({
      vmId,
      from,
      ownerEpoch,
      generation,
      to,
      checks: checks.map(({ check }) => check),
    }),
  };
}

export const formatOf = ({ source, destination }: { source: End; destination: End }) => {
  const format = formatBetween(source.facts, destination.facts);
  if (format === null) throw new Error("these hosts have no format of disks in common");
  return format;
};

const effectsOf = (vm: VmRow, to: Host, method: MoveMethod): readonly string[] => [
  method === "live"
    ? `it moves to ${to.name} while it runs; its guest pauses for a moment`
    : vm.desiredPower === "running"
      ? `it is shut down, copied to ${to.name}, and started there`
      : `it is copied to ${to.name}, and stays off`,
  "its address, MAC, name, label, usage and what was paid for it go with it",
  "until it has ended, nothing else is done with it; a delete waits for its end",
];
