import { actorOf, type AccountPrincipal } from "#core/accounts/accounts.ts";
import {
  decideAtProvider,
  goneAtProvider,
  type OwnPrice,
  type ProviderChange,
} from "#core/catalogue/at-provider.ts";
import { newestOf, pricesAfter } from "#core/catalogue/own-prices.ts";
import { decidePlans, type PlanChange, type WantedPlan } from "#core/catalogue/plan-changes.ts";
import { priceText } from "#core/catalogue/sold.ts";
import type { CatalogueFile } from "#core/contracts/api/catalogue-sync.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { loadAllPlans, lockPlans, savePlanAvailable, type Plan } from "#db/catalogue/catalogue.ts";
import { earlierEnded, versionsInUse } from "#db/catalogue/prices-in-use.ts";
import { recordChange, recordChanges, type Actor } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { hashOf, refuseOther, type Asked, type ForcedPlan } from "#commands/forced.ts";
import { priceAtProvider } from "./price-at-provider.ts";
import { undoOnRefusal } from "#commands/undo-on-refusal.ts";
import { addPlan, soldAs, whyUnfit } from "./add-catalogue.ts";
import { addPlanVersion } from "./add-plan-version.ts";

type CatalogueChange = PlanChange | ProviderChange;
export type CatalogueSync = ForcedPlan &
  Readonly<{ changes: readonly CatalogueChange[]; left: readonly string[] }>;
type Refused = Refusal<"plan_beyond_limits" | "price_off_step" | "plan_changed">;
type Input = Asked & Readonly<{ who: AccountPrincipal; catalogue: CatalogueFile; retire: boolean }>;

/**
 * Makes what we sell, and what the provider has of it, what a file says. A dry run says each change and makes none; the true call
 * carries its hash. What is ours is one transaction; the provider follows from that by calls which ask for a state, so that a sync which
 * was cut short is finished by the next one.
 */
export async function syncCatalogue(
  deps: Deps,
  input: Input,
): Promise<Result<CatalogueSync, Refused>> {
  for (const plan of input.catalogue.plans) {
    const unfit = whyUnfit(plan);
    if (unfit && !unfit.ok) return refuse(unfit.error.code, `${plan.name}: ${unfit.error.detail}`);
  }
  const shown = await plan(deps, input);
  if (input.dryRun) return ok(shown);
  const same = refuseOther(shown, input.hash);
  if (!same.ok) return same;
  const changed = await changePlans(deps, input, shown);
  if (!changed.ok) return changed;
  await changeAtProvider(deps, input);
  return ok(shown);
}

/** Of what a plan is to be: its prices' ids here are no part of it. */
const wantedOf = ({ plans }: CatalogueFile): readonly WantedPlan[] =>
  plans.map((plan) => ({
    name: plan.name,
    metadata: plan.metadata,
    ...soldAs(plan, () => ""),
  }));

const plansToChange = (input: Input, plans: readonly Plan[]) =>
  decidePlans(wantedOf(input.catalogue), newestOf(plans), input);

async function plan(deps: Deps, input: Input): Promise<CatalogueSync> {
  const plans = await loadAllPlans(deps.db);
  const here = plansToChange(input, plans);
  const there = await lookAtProvider(deps, input, plans, here.changes);
  const changes = [...here.changes, ...decideAtProvider(there.own, there.found)];
  const effects = changes.map(({ words }) => words);
  const left = [
    ...here.left.map((name) => `plan ${name} is not in the file, and is sold all the same`),
    ...goneAtProvider(there.own, there.found).map(
      (price) =>
        `Stripe shows no ${price.providerPriceId}, which plan ${price.plan} is sold by (${priceText(price)}): look there`,
    ),
  ];
  const { catalogue, retire } = input;
  return { changes, effects, left, hash: hashOf({ catalogue, retire, effects }) };
}

async function lookAtProvider(
  deps: Deps,
  { catalogue }: Input,
  plans: readonly Plan[],
  changes: readonly PlanChange[],
) {
  const known = new Map(
    plans.flatMap(({ prices }) =>
      prices.flatMap(({ id, stripePriceId }) =>
        stripePriceId === null ? [] : [[stripePriceId, id] as const],
      ),
    ),
  );
  const [found, used] = await Promise.all([
    deps.payments.listPrices(known),
    versionsInUse(deps.db, deps.clock.now()),
  ]);
  const inUse = new Set(used.map(keyOf));
  const own = pricesAfter(plans, changes, wantedOf(catalogue), (of) => inUse.has(keyOf(of)));
  return { own, found };
}

const keyOf = ({ planId, version }: { planId: string; version: number }) => `${planId} ${version}`;

/** What is ours, or none of it: somebody may have changed a plan since we looked. */
const changePlans = (
  deps: Deps,
  input: Input,
  shown: CatalogueSync,
): Promise<Result<null, Refused>> =>
  undoOnRefusal(deps.db, async (tx): Promise<Result<null, Refused>> => {
    await lockPlans(tx);
    const { changes } = plansToChange(input, await loadAllPlans(tx));
    const isShown = new Set(shown.effects);
    if (!changes.every(({ words }) => isShown.has(words))) return changedMeanwhile();
    for (const change of changes) {
      const done = await changePlan({ ...deps, db: tx }, input, change);
      if (!done.ok) return done;
    }
    return ok(null);
  });

const changedMeanwhile = () => refuse("plan_changed", "somebody changes the catalogue: look again");

async function changePlan(
  deps: Deps,
  { who, catalogue }: Input,
  change: PlanChange,
): Promise<Result<null, Refused>> {
  const by = actorOf(who);
  const { kind, planId } = change;
  const asked = catalogue.plans.find(({ name }) => name === change.plan);
  if (kind === "add_plan" || kind === "add_version") {
    if (asked === undefined) throw new Error(`plan ${change.plan} is to be changed unasked`);
    const { metadata: _provider, name, ...version } = asked;
    const done =
      planId === null
        ? await addPlan(deps, by, { name, ...version })
        : await addPlanVersion(deps, by, planId, version);
    if (done.ok) return ok(null);
    const { code, detail } = done.error;
    return code === "name_taken" || code === "plan_not_found"
      ? changedMeanwhile()
      : refuse(code, detail);
  }
  if (planId === null) throw new Error(`plan ${change.plan} has no id`);
  await putOnSale(deps, by, planId, kind === "sell_plan");
  return ok(null);
}

async function putOnSale(deps: Deps, by: Actor, planId: string, available: boolean): Promise<void> {
  const at = stamp(deps);
  await inTransaction(deps.db, async (tx) => {
    await savePlanAvailable(tx, planId, available);
    const subject = { kind: "plan", id: planId } as const;
    const action = available ? "plan.sell" : "plan.retire";
    await recordChange(tx, { actor: by, action, subject, events: [] }, at);
  });
}

/**
 * Prices are made by the code that orders use, before anything is closed. Whoever had read the catalogue of before may still be placing
 * an order by it: a price is closed when such a transaction has ended and its order would be seen.
 */
async function changeAtProvider(deps: Deps, input: Input): Promise<void> {
  const plans = await loadAllPlans(deps.db);
  const first = await lookAtProvider(deps, input, plans, []);
  const toMake = first.own.filter(({ onSale, providerPriceId }) => onSale && !providerPriceId);
  await fewAtOnce(toMake, (price) => makePrice(deps, price));
  const mayClose = await earlierEnded(deps.db);
  const { own, found } = await lookAtProvider(deps, input, await loadAllPlans(deps.db), []);
  const changes = decideAtProvider(own, found).filter(
    ({ kind }) => mayClose || kind !== "close_price",
  );
  await fewAtOnce(changes, (change) => changeOne(deps, change));
  await audit(deps, actorOf(input.who), changes);
}

async function makePrice(deps: Deps, price: OwnPrice): Promise<void> {
  const { planId, version: planVersion, interval } = price;
  if (planId === null || interval === "hour") return;
  const { currency } = price.amount;
  await priceAtProvider(deps, { planId, planVersion, interval, currency });
}

async function changeOne({ payments }: Deps, change: ProviderChange): Promise<void> {
  switch (change.kind) {
    case "make_price":
      return; // Made already, or its plan was changed meanwhile, by somebody whose orders will make it.
    case "open_price":
    case "close_price":
      return payments.setPriceActive(change.priceId, change.kind === "open_price");
    case "change_product":
      return payments.changeProduct(change.productId, change.to);
  }
}

async function audit(deps: Deps, actor: Actor, changes: readonly ProviderChange[]): Promise<void> {
  const at = stamp(deps);
  const rows = changes.flatMap(({ planId, kind, words }) =>
    planId === null || kind === "make_price"
      ? []
      : [
          {
            actor,
            action: "plan.at_provider",
            subject: { kind: "plan" as const, id: planId },
            detail: { change: kind, words },
            events: [],
          },
        ],
  );
  await inTransaction(deps.db, (tx) => recordChanges(tx, rows, at));
}

/** Stripe takes 25 calls a second of a test account (docs.stripe.com/rate-limits). */
const AT_ONCE = 4;
async function fewAtOnce<T>(all: readonly T[], each: (one: T) => Promise<void>): Promise<void> {
  for (let n = 0; n < all.length; n += AT_ONCE)
    await Promise.all(all.slice(n, n + AT_ONCE).map(each));
}
