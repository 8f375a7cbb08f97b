import { freeAddressesNeeded, freeRoomNeeded } from "#core/hosts/newcomers-share.ts";
import {
  needsOf,
  rankHosts,
  runsVm,
  silentBefore,
  whyNoHost,
  type HostCandidate,
  type NoHostCode,
  type VmDemand,
} from "#core/hosts/place-vm.ts";
import { secondsUntilFirst } from "#core/orders/unpaid-limits.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { leaseAddress } from "#db/network/addresses.ts";
import {
  bestHosts,
  haveFreeRoom,
  hostsAmong,
  releaseReservation,
  reserve,
} from "#db/hosts/capacity.ts";
import { kindsOfHosts } from "#db/hosts/kinds.ts";
import type { Image, Plan } from "#db/catalogue/catalogue.ts";
import type { Tx } from "#db/client.ts";
import { freeAddressesUpTo, lockNewcomersHolds } from "#db/orders/newcomers-holds.ts";

/** `newcomersOneIn`: it is held for a newcomer, who shares one in so many of the free places with all others. */
type Taker = Readonly<{ now: Date; newId: () => string; newcomersOneIn?: number | undefined }>;
export type NoPlaceCode = NoHostCode | "no_address" | "newcomers_share_taken";

/** So many of each kind of host are looked at; when others took the room of all, the next ones are. */
const LOOKED_AT = 5;

/**
 * Holds a place for an order's VM: room on the best host that still has it, and an address. Takes both or neither.
 */
export async function takePlace(
  tx: Tx,
  order: { vmId: string; locationId: string; rootPassword: boolean },
  what: { plan: Plan; image: Image },
  at: Taker,
): Promise<Result<{ hostId: string }, Refusal<NoPlaceCode>>> {
  const { plan, image } = what;
  const { newcomersOneIn } = at;
  // Before the hosts are looked at: what ends meanwhile is then counted twice, as held and as free, and never not at all.
  const newcomers =
    newcomersOneIn === undefined ? undefined : await lockNewcomersHolds(tx, order.locationId);
  const demand: VmDemand = {
    size: plan.size,
    image,
    needs: [
      ...needsOf(plan),
      ...(order.rootPassword && image.os === "linux" ? (["rootPassword"] as const) : []),
    ],
  };
  const kinds = await kindsOfHosts(tx, { locationId: order.locationId, files: [image.file] });
  const able = {
    kinds: kinds.filter((kind) => runsVm(kind, demand)),
    heardSince: silentBefore(at.now),
  };
  for (let looks = 1; ; looks++) {
    // Newcomers' holds lie together, so that the large places of other hosts stay whole.
    const packed = await hostsAmong(tx, able, [...(newcomers?.byHost.keys() ?? [])]);
    const best = await bestHosts(tx, able, plan.size, LOOKED_AT);
    const ranked = rankHosts(once([...packed, ...best]), demand, at.now, newcomers?.byHost);
    if (ranked.length === 0) {
      const code = whyNoHost(kinds, demand);
      return refuse(code, WHY[code](plan.name, image.name));
    }
    if (newcomers && newcomersOneIn !== undefined && looks === 1) {
      const held = packed.flatMap(({ id }) => newcomers.byHost.get(id) ?? []);
      const room = freeRoomNeeded(held, plan.size, newcomersOneIn);
      const needed = freeAddressesNeeded(newcomers.unpaidUntil.length, newcomersOneIn);
      const free = await freeAddressesUpTo(tx, order.locationId, needed, at.now);
      // Without any address it is `no_address`, to newcomers and others.
      const isWithin = (free >= needed || free === 0) && (await haveFreeRoom(tx, able, room));
      if (!isWithin)
        return refuse(
          "newcomers_share_taken",
          `the places for ${plan.name} that this location keeps for first orders are held, and wait to be paid; try again ` +
            "later, or another location",
          secondsUntilFirst(newcomers.unpaidUntil, at.now),
        );
    }
    for (const host of ranked) {
      const place = {
        id: at.newId(),
        vmId: order.vmId,
        hostId: host.id,
        size: plan.size,
        now: at.now,
      };
      if (!(await reserve(tx, place))) continue;
      const address = await leaseAddress(tx, {
        id: at.newId(),
        locationId: order.locationId,
        vmId: order.vmId,
        now: at.now,
      });
      if (address !== undefined) return ok({ hostId: host.id });
      await releaseReservation(tx, order.vmId, at.now);
      return refuse("no_address", "no address is free in this location");
    }
  }
}

/** Each host once. */
const once = (hosts: readonly HostCandidate[]): readonly HostCandidate[] => [
  ...new Map(hosts.map((host) => [host.id, host])).values(),
];

const WHY: Readonly<Record<NoHostCode, (plan: string, image: string) => string>> = {
  no_capacity: (plan) => `no host in this location has room for ${plan} now`,
  image_unavailable_here: (_, image) => `no host in this location runs ${image}`,
  plan_unavailable_here: (plan, image) => `no host in this location runs ${image} as ${plan}`,
};
