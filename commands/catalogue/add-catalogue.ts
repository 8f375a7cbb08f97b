import type { AddImage, AddPlan, AddPlanVersion } from "#core/contracts/api/catalogue.ts";
import { LIMITS, PLATFORMS, withinLimits } from "#core/hosts/limits.ts";
import { stepOf } from "#core/currencies.ts";
import { isOnStep } from "#core/money.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { insertImage, insertLocation, insertPlan, type Sold } from "#db/catalogue/catalogue.ts";
import type { Tx } from "#db/client.ts";
import { recordChange, type Actor, type SubjectKind } from "#db/record-change.ts";
import { inTransaction, violates } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";

type NameTaken = Refusal<"name_taken">;

/** Puts a plan on sale. A size that no platform supports is refused. */
export async function addPlan(
  deps: Deps,
  by: Actor,
  plan: AddPlan,
): Promise<Result<{ id: string }, NameTaken | UnfitPlan>> {
  const unfit = whyUnfit(plan);
  if (unfit) return unfit;
  return add(deps, by, "plan", plan.name, "plans_name_key", (tx, id, now) =>
    insertPlan(tx, { id, name: plan.name, available: true, ...soldAs(plan, deps.ids.newId) }, now),
  );
}

type UnfitPlan = Refusal<"plan_beyond_limits" | "price_off_step">;

/** Why nobody could have it, or pay for it; null: nothing stands against it. */
export function whyUnfit(plan: AddPlanVersion): Result<never, UnfitPlan> | null {
  if (!PLATFORMS.some((p) => withinLimits(plan, LIMITS[p])))
    return refuse("plan_beyond_limits", "no hypervisor supports a VM of this size");
  const wrong = plan.prices
    .map(({ amountMinor, currency }) => ({ minor: BigInt(amountMinor), currency }))
    .find((amount) => !isOnStep(amount));
  return wrong === undefined
    ? null
    : refuse(
        "price_off_step",
        `${wrong.minor} is no amount of ${wrong.currency}: it has to be a multiple of ${stepOf(wrong.currency)}`,
      );
}

/** What staff ask to sell, as a version of a plan. */
export const soldAs = (
  {
    vcpus,
    memoryMib,
    diskGib,
    trafficGib,
    bandwidthMbit,
    diskIops,
    downgrade,
    prices,
  }: AddPlanVersion,
  newId: () => string,
): Sold => ({
  size: { vcpus, memoryMib, diskGib },
  trafficGib,
  bandwidthMbit,
  diskIops,
  downgrade,
  prices: prices.map((p) => ({
    id: newId(),
    interval: p.interval,
    amount: { minor: BigInt(p.amountMinor), currency: p.currency },
    taxBehavior: p.taxBehavior ?? null,
    stripePriceId: null,
  })),
});

/** Offers an image. Its file must lie in the image folder of every host that is to run it. */
export const addImage = (
  deps: Deps,
  by: Actor,
  image: AddImage,
): Promise<Result<{ id: string }, NameTaken>> => {
  const { firmware, secureBoot, diskBus, ...rest } = image;
  const hardware = { firmware, secureBoot, diskBus };
  return add(deps, by, "image", image.name, "images_name_key", (tx, id, now) =>
    insertImage(tx, { id, ...rest, hardware, available: true }, now),
  );
};

/** Opens a location. It sells nothing before it has hosts and addresses. */
export const addLocation = (
  deps: Deps,
  by: Actor,
  location: { name: string; city: string; country: string; nameservers: readonly string[] },
): Promise<Result<{ id: string }, NameTaken>> =>
  add(deps, by, "location", location.name, "locations_name_key", (tx, id, now) =>
    insertLocation(tx, { id, ...location }, now),
  );

async function add(
  deps: Deps,
  by: Actor,
  kind: Extract<SubjectKind, "plan" | "image" | "location">,
  name: string,
  nameKey: string,
  insert: (tx: Tx, id: string, now: Date) => Promise<void>,
): Promise<Result<{ id: string }, NameTaken>> {
  const at = stamp(deps);
  const id = at.newId();
  try {
    await inTransaction(deps.db, async (tx) => {
      await insert(tx, id, at.now);
      await recordChange(
        tx,
        { actor: by, action: `${kind}.add`, subject: { kind, id }, events: [] },
        at,
      );
    });
  } catch (error) {
    if (violates(error, nameKey)) return refuse("name_taken", `a ${kind} named ${name} exists`);
    throw error;
  }
  return ok({ id });
}
