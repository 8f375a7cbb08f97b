import { runsImage, runsVm, silentBefore } from "#core/hosts/place-vm.ts";
import { demandOf, isBigEnough } from "#core/hosts/why-no-vms.ts";
import { isOffered, type TrialPolicy } from "#core/catalogue/trial-policy.ts";
import { trialPolicyNow } from "#db/catalogue/trial-policies.ts";
import { kindsWithRoom } from "#db/hosts/capacity.ts";
import { kindsOfHosts } from "#db/hosts/kinds.ts";
import { locationsWithAddress } from "#db/network/pools.ts";
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
  /** By which terms it may be tried; null: by none. */
  trial: TrialPolicy | null;
  locations: readonly { locationId: string; available: boolean; imageIds: readonly string[] }[];
}>;
export type ImageOffer = Readonly<{ image: Image; locationIds: readonly string[] }>;

const filesOf = (images: readonly Image[]) => [...new Set(images.map(({ file }) => file))];

/** The plans on sale, each with the locations that have room and an address now, and for which images. */
export async function showPlans(deps: Pick<Deps, "db" | "clock">): Promise<readonly PlanOffer[]> {
  const now = deps.clock.now();
  const [plans, locations, images, withAddress, trials] = await Promise.all([
    listPlans(deps.db),
    listLocations(deps.db),
    listImages(deps.db),
    locationsWithAddress(deps.db, now),
    trialPolicyNow(deps.db),
  ]);
  const kinds = await kindsOfHosts(deps.db, { files: filesOf(images) });
  const sizes = plans.map(({ size }) => size);
  const withRoom = await kindsWithRoom(deps.db, { kinds, heardSince: silentBefore(now) }, sizes);
  return plans.map((plan, nth) => ({
    plan,
    trial:
      trials && plan.prices.some(({ interval }) => isOffered(trials, { planId: plan.id, interval }))
        ? trials
        : null,
    locations: locations.map(({ id }) => {
      const roomy = withAddress.has(id)
        ? kinds.filter((kind) => kind.locationId === id && withRoom[nth]?.has(kind.kindId))
        : [];
      const placeable = images.filter(
        (image) =>
          isBigEnough(plan, image) && roomy.some((kind) => runsVm(kind, demandOf(plan, image))),
      );
      return {
        locationId: id,
        available: placeable.length > 0,
        imageIds: placeable.map((image) => image.id),
      };
    }),
  }));
}

/** The images, each with the locations whose hosts run it. */
export async function showImages(deps: Pick<Deps, "db">): Promise<readonly ImageOffer[]> {
  const [images, locations] = await Promise.all([listImages(deps.db), listLocations(deps.db)]);
  const kinds = await kindsOfHosts(deps.db, { files: filesOf(images) });
  return images.map((image) => ({
    image,
    locationIds: locations
      .filter(({ id }) => kinds.some((k) => k.locationId === id && runsImage(k, image)))
      .map(({ id }) => id),
  }));
}

export const showLocations = (deps: Pick<Deps, "db">): Promise<readonly Location[]> =>
  listLocations(deps.db);
