import { needsOf, rankHosts, runsImage, type VmDemand } from "#core/hosts/place-vm.ts";
import { hostCandidates } from "#db/hosts/capacity.ts";
import { freeAddresses } from "#db/network/pools.ts";
import {
  listImages,
  listLocations,
  listPlans,
  type Image,
  type Location,
  type Plan,
} from "#db/catalogue/catalogue.ts";
import type { Deps } from "#commands/deps.ts";

export type PlanOffer = Readonly<{
  plan: Plan;
  locations: readonly { locationId: string; available: boolean; imageIds: readonly string[] }[];
}>;
export type ImageOffer = Readonly<{ image: Image; locationIds: readonly string[] }>;

const demand = (plan: Plan, image: Image): VmDemand => ({
  size: plan.size,
  image,
  needs: needsOf(plan),
});
const bigEnough = (plan: Plan, image: Image) =>
  plan.size.memoryMib >= image.minMemoryMib && plan.size.diskGib >= image.minDiskGib;

/** The plans on sale, each with the locations that have room and an address now, and for which images. */
export async function showPlans(deps: Pick<Deps, "db" | "clock">): Promise<readonly PlanOffer[]> {
  const now = deps.clock.now();
  const [plans, locations, images] = await Promise.all([
    listPlans(deps.db),
    listLocations(deps.db),
    listImages(deps.db),
  ]);
  const stock = await Promise.all(
    locations.map(async (l) => ({
      locationId: l.id,
      hosts: await hostCandidates(deps.db, l.id),
      addresses: await freeAddresses(deps.db, l.id, now),
    })),
  );
  return plans.map((plan) => ({
    plan,
    locations: stock.map(({ locationId, hosts, addresses }) => {
      const placeable = images.filter(
        (image) =>
          addresses > 0 &&
          bigEnough(plan, image) &&
          rankHosts(hosts, demand(plan, image), now).length > 0,
      );
      return {
        locationId,
        available: placeable.length > 0,
        imageIds: placeable.map((image) => image.id),
      };
    }),
  }));
}

/** The images, each with the locations whose hosts run it. */
export async function showImages(deps: Pick<Deps, "db">): Promise<readonly ImageOffer[]> {
  const [images, locations] = await Promise.all([listImages(deps.db), listLocations(deps.db)]);
  const hosts = await Promise.all(
    locations.map(async (l) => [l.id, await hostCandidates(deps.db, l.id)] as const),
  );
  return images.map((image) => ({
    image,
    locationIds: hosts
      .filter(([, candidates]) => candidates.some((h) => runsImage(h, image)))
      .map(([id]) => id),
  }));
}

export const showLocations = (deps: Pick<Deps, "db">): Promise<readonly Location[]> =>
  listLocations(deps.db);
