import type { SoldAs, SoldPrice } from "./sold.ts";
import type { OwnPrice } from "./at-provider.ts";
import type { PlanChange, WantedPlan } from "./plan-changes.ts";

/** A version of a plan, with what its prices are called here and at the provider. */
export type OwnVersion = Omit<SoldAs, "prices"> &
  Readonly<{
    id: string;
    name: string;
    version: number;
    available: boolean;
    prices: readonly (SoldPrice & Readonly<{ id: string; stripePriceId: string | null }>)[];
  }>;

/** Of each plan its newest version, which is what is sold of it. */
export const newestOf = (versions: readonly OwnVersion[]): readonly OwnVersion[] =>
  [...Map.groupBy(versions, ({ id }) => id).values()].flatMap((all) =>
    all.toSorted((a, b) => b.version - a.version).slice(0, 1),
  );

/**
 * All prices that there are once these changes are made. `inUse`: of which versions somebody has or is about to have a VM. A price that
 * is still to be added has no id, and so is nowhere yet.
 */
export function pricesAfter(
  versions: readonly OwnVersion[],
  changes: readonly PlanChange[],
  wanted: readonly WantedPlan[],
  inUse: (of: { planId: string; version: number }) => boolean,
): readonly OwnPrice[] {
  const newest = new Map(newestOf(versions).map(({ id, version }) => [id, version]));
  const replaced = new Set(
    changes.flatMap(({ kind, planId }) => (kind === "add_version" ? [planId] : [])),
  );
  const sold = new Map(
    changes.flatMap(({ kind, planId }) =>
      kind === "sell_plan" || kind === "retire_plan" ? [[planId, kind === "sell_plan"]] : [],
    ),
  );
  const metadataOf = new Map(wanted.map(({ name, metadata }) => [name, metadata]));
  const isSold = ({ id, version, available }: OwnVersion) =>
    version === newest.get(id) && !replaced.has(id) && (sold.get(id) ?? available);

  const there = versions.flatMap((of) =>
    of.prices.map(({ id, stripePriceId, ...price }) => ({
      ...price,
      planPriceId: id,
      providerPriceId: stripePriceId,
      planId: of.id,
      plan: of.name,
      version: of.version,
      onSale: isSold(of),
      inUse: inUse({ planId: of.id, version: of.version }),
      metadata: metadataOf.get(of.name) ?? null,
    })),
  );
  const added = changes.flatMap((change) =>
    change.kind === "add_plan" || change.kind === "add_version"
      ? change.wanted.prices.map((price) => ({
          ...price,
          planPriceId: null,
          providerPriceId: null,
          planId: change.planId,
          plan: change.plan,
          version: (newest.get(change.planId ?? "") ?? 0) + 1,
          onSale: true,
          inUse: false,
          metadata: change.wanted.metadata,
        }))
      : [],
  );
  return [...there, ...added];
}
