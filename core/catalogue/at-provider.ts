import type { BillingInterval } from "#core/orders/order.ts";
import { priceText, type SoldPrice } from "./sold.ts";

/** A price of the provider's that bears our mark, with its product. */
export type ProviderPrice = Readonly<{
  id: string;
  /** Of the price of a plan's version that it was made for. */
  planPriceId: string;
  active: boolean;
  product: Readonly<{
    id: string;
    name: string;
    active: boolean;
    metadata: Readonly<Record<string, string>>;
  }>;
}>;

/** The part of the payment provider that shows what is sold. Each call asks for a state, and may be repeated. */
export type CatalogueAtProvider = {
  /** All that bear our mark or are known, for sale or not; what other systems have on the same account is left out. */
  listPrices: (
    /** Which price of a plan's version each is that we know the provider's id of. */
    known: ReadonlyMap<string, string>,
  ) => Promise<readonly ProviderPrice[]>;
  setPriceActive: (priceId: string, active: boolean) => Promise<void>;
  /** Metadata that is not named stays. */
  changeProduct: (
    productId: string,
    to: { name?: string; active?: boolean; metadata?: Readonly<Record<string, string>> },
  ) => Promise<void>;
};

/** A price of one version of a plan of ours. */
export type OwnPrice = SoldPrice &
  Readonly<{
    /** null: it is still to be added. */
    planPriceId: string | null;
    /** null: nobody has needed it at the provider. */
    providerPriceId: string | null;
    planId: string | null;
    plan: string;
    version: number;
    /** Its version is sold now. */
    onSale: boolean;
    /** Somebody has that version, or is about to: a subscription may come to that price, or back to it. */
    inUse: boolean;
    /** What a catalogue file says of the plan; null: the file names none. */
    metadata: Readonly<Record<string, string>> | null;
  }>;

export type ProviderChange = Readonly<{ plan: string; planId: string | null; words: string }> &
  (
    | Readonly<{ kind: "make_price" }>
    | Readonly<{ kind: "open_price" | "close_price"; priceId: string }>
    | Readonly<{
        kind: "change_product";
        productId: string;
        to: Parameters<CatalogueAtProvider["changeProduct"]>[1];
      }>
  );

/** An hour's price is no subscription's. */
const isBilledThere = ({ interval }: { interval: BillingInterval }): boolean => interval !== "hour";

/**
 * What the provider is to be asked for, so that each price on sale is there before anybody orders by it, what may be billed again
 * can be, and nothing else of ours is offered. A mark that leads to no price of ours (another installation's, or one that a restored
 * database has forgotten) is left.
 */
export function decideAtProvider(
  own: readonly OwnPrice[],
  found: readonly ProviderPrice[],
): readonly ProviderChange[] {
  const there = Map.groupBy(found, ({ planPriceId }) => planPriceId);
  const changes = own.filter(isBilledThere).flatMap((price): readonly ProviderChange[] => {
    const { plan, planId, planPriceId } = price;
    const [first] = (planPriceId !== null && there.get(planPriceId)) || [];
    if (first !== undefined) return asItShouldBe(price, first);
    if (!price.onSale || price.providerPriceId !== null) return [];
    const words = `Stripe: a price for plan ${plan}, ${priceText(price)}`;
    return [{ kind: "make_price", plan, planId, words }];
  });
  return changes.toSorted((a, b) => TURNS.indexOf(a.kind) - TURNS.indexOf(b.kind));
}

/** What is bought is there before anything is closed. */
const TURNS = [
  "make_price",
  "change_product",
  "open_price",
  "close_price",
] as const satisfies readonly ProviderChange["kind"][];

/** Prices on sale that we know an id of which the provider does not: only a person can say what became of them. */
export const goneAtProvider = (
  own: readonly OwnPrice[],
  found: readonly ProviderPrice[],
): readonly OwnPrice[] => {
  const there = new Set(found.map(({ planPriceId }) => planPriceId));
  return own.filter(
    ({ planPriceId, providerPriceId, onSale }) =>
      onSale && planPriceId !== null && providerPriceId !== null && !there.has(planPriceId),
  );
};

function asItShouldBe(own: OwnPrice, there: ProviderPrice): readonly ProviderChange[] {
  const { plan, planId, version } = own;
  const wanted = own.onSale || own.inUse;
  const which = `Stripe: ${there.id} (plan ${plan}, version ${version}, ${priceText(own)})`;
  const priceId = there.id;
  return [
    ...productOf(own, there, wanted),
    ...(there.active || !wanted
      ? []
      : [{ kind: "open_price" as const, plan, planId, priceId, words: `${which} is made active` }]),
    ...(wanted || !there.active
      ? []
      : [
          {
            kind: "close_price" as const,
            plan,
            planId,
            priceId,
            words: `${which} is made inactive`,
          },
        ]),
  ];
}

/** A product's name is read on invoices: those of an older version too. One that nobody needs is left. */
function productOf(
  own: OwnPrice,
  { product }: ProviderPrice,
  wanted: boolean,
): readonly ProviderChange[] {
  if (!wanted) return [];
  const { plan, planId } = own;
  const metadata = own.metadata === null ? {} : missingOf(own.metadata, product.metadata);
  const says = Object.entries(metadata).map(([key, value]) => `${key}=${value}`);
  const to = {
    ...(product.name === plan ? {} : { name: plan }),
    ...(product.active ? {} : { active: true }),
    ...(says.length === 0 ? {} : { metadata }),
  };
  if (Object.keys(to).length === 0) return [];
  const parts = [
    ...(to.name === undefined ? [] : [`is called ${plan} again, not ${product.name}`]),
    ...(to.active === undefined ? [] : ["is made active"]),
    ...(says.length === 0 ? [] : [`has ${says.join(", ")}`]),
  ];
  const words = `Stripe: product ${product.id} of plan ${plan} ${parts.join(", and ")}`;
  return [{ kind: "change_product", plan, planId, productId: product.id, to, words }];
}

const missingOf = (
  wanted: Readonly<Record<string, string>>,
  has: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(wanted).filter(([key, value]) => has[key] !== value));
