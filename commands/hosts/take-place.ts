import {
  needsOf,
  rankHosts,
  whyNoHost,
  type NoHostCode,
  type VmDemand,
} from "#core/hosts/place-vm.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { leaseAddress } from "#db/network/addresses.ts";
import { hostCandidates, releaseReservation, reserve } from "#db/hosts/capacity.ts";
import type { Image, Plan } from "#db/catalogue/catalogue.ts";
import type { Tx } from "#db/client.ts";

/**
 * Holds a place for an order's VM: room on the best host that still has it, and an address. Takes both or neither.
 */
export async function takePlace(
  tx: Tx,
  order: { id: string; vmId: string; locationId: string; rootPassword: boolean },
  what: { plan: Plan; image: Image },
  at: { now: Date; newId: () => string },
): Promise<Result<{ hostId: string }, Refusal<NoHostCode | "no_address">>> {
  const { plan, image } = what;
  const candidates = await hostCandidates(tx, order.locationId);
  const demand: VmDemand = {
    size: plan.size,
    image,
    needs: [
      ...needsOf(plan),
      ...(order.rootPassword && image.os === "linux" ? (["rootPassword"] as const) : []),
    ],
  };
  const ranked = rankHosts(candidates, demand, at.now);
  for (const host of ranked) {
    const place = {
      id: at.newId(),
      orderId: order.id,
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
    await releaseReservation(tx, order.id, at.now);
    return refuse("no_address", "no address is free in this location");
  }
  const code = whyNoHost(candidates, demand);
  return refuse(code, WHY[code](plan.name, image.name));
}

const WHY: Readonly<Record<NoHostCode, (plan: string, image: string) => string>> = {
  no_capacity: (plan) => `no host in this location has room for ${plan} now`,
  image_unavailable_here: (_, image) => `no host in this location runs ${image}`,
  plan_unavailable_here: (plan, image) => `no host in this location runs ${image} as ${plan}`,
};
