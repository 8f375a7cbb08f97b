import { Stripe } from "stripe";
import { refuseOffStep } from "./amounts.ts";
import { invalidRequest } from "./api-error.ts";
import { operation, listOperation } from "./operation.ts";
import {
  bool,
  changedMetadata,
  choice,
  clearable,
  int,
  listOf,
  listParamsOf,
  metadata,
  paramsOf,
  text,
  tree,
} from "./params.ts";
import { createProduct, type ProductDraft } from "./products.ts";
import { idOf, type Sandbox } from "./sandbox.ts";

/** Prices here are licensed and per unit: metered, tiered and decimal ones are refused. */

const currency = () => text(3);
const recurring = () =>
  tree({
    interval: choice(["day", "week", "month", "year"]),
    interval_count: int({ min: 1, max: 1095 }).optional(),
    usage_type: choice(["licensed"]).optional(),
  });
/** One that was said stands for ever: only `unspecified` may still become another. */
const TAX_BEHAVIORS = ["exclusive", "inclusive", "unspecified"] as const;
const unitAmount = () => int({ min: 0, max: 99_999_999 });

export type PriceDraft = {
  active?: boolean | undefined;
  currency: string;
  lookup_key?: string | undefined;
  metadata?: Record<string, string> | null | undefined;
  nickname?: string | undefined;
  product: string;
  tax_behavior?: "exclusive" | "inclusive" | "unspecified" | undefined;
  recurring?: { interval: string; interval_count?: number | undefined } | undefined;
  unit_amount: number;
};

export function createPrice(sandbox: Sandbox, given: PriceDraft): Stripe.Price {
  refuseOffStep(given.unit_amount, given.currency, "unit_amount");
  const price = sandbox.store.put("price", {
    id: sandbox.ids.next("price"),
    object: "price",
    active: given.active ?? true,
    billing_scheme: "per_unit",
    created: sandbox.now(),
    currency: given.currency.toLowerCase(),
    custom_unit_amount: null,
    livemode: false,
    lookup_key: given.lookup_key ?? null,
    metadata: changedMetadata({}, given.metadata),
    nickname: given.nickname ?? null,
    product: given.product,
    recurring:
      given.recurring === undefined
        ? null
        : {
            interval: given.recurring.interval,
            interval_count: given.recurring.interval_count ?? 1,
            meter: null,
            trial_period_days: null,
            usage_type: "licensed",
          },
    tax_behavior: given.tax_behavior ?? "unspecified",
    tiers_mode: null,
    transform_quantity: null,
    type: given.recurring === undefined ? "one_time" : "recurring",
    unit_amount: given.unit_amount,
    unit_amount_decimal: Stripe.Decimal.from(given.unit_amount),
  });
  sandbox.emit("price.created", price);
  return price;
}

/** A lookup key names one price: taking it from another needs `transfer_lookup_key`. */
function claimLookupKey(
  sandbox: Sandbox,
  key: string | null | undefined,
  transfer: boolean | undefined,
  self?: string,
): void {
  if (key === undefined || key === null) return;
  const holder = sandbox.store
    .all("price")
    .find((price) => price.lookup_key === key && price.id !== self);
  if (holder === undefined) return;
  if (transfer !== true)
    throw invalidRequest(
      `A price (\`${holder.id}\`) already uses that lookup key. To move it, pass \`transfer_lookup_key\`.`,
      { param: "lookup_key" },
    );
  const { object, previous } = sandbox.change("price", holder.id, { lookup_key: null });
  sandbox.emit("price.updated", object, previous);
}

/** The product that a price is for: named, or made from `product_data` once everything else was checked. */
function productFor(
  sandbox: Sandbox,
  given: { product?: string | undefined; product_data?: ProductDraft | undefined },
): () => string {
  const { product, product_data: draft } = given;
  if (product !== undefined && draft === undefined) {
    sandbox.refer("product", product, "product");
    return () => product;
  }
  if (product === undefined && draft !== undefined) return () => createProduct(sandbox, draft).id;
  throw invalidRequest(
    "You must specify either `product` or `product_data` when creating a price.",
  );
}

/** The price a parameter names, which must be for sale. */
export function activePrice(sandbox: Sandbox, id: string, param: string): Stripe.Price {
  const price = sandbox.refer("price", id, param);
  if (!price.active)
    throw invalidRequest(
      "The price specified is inactive. This field only accepts active prices.",
      { param },
    );
  return price;
}

/** What one unit costs, in the currency's minor unit. */
export function unitAmountOf(price: Stripe.Price): number {
  if (price.unit_amount === null) throw new Error(`price ${price.id} has no unit amount`);
  return price.unit_amount;
}

export const priceOperations = [
  operation({
    method: "POST",
    path: "/v1/prices",
    returns: "price",
    params: paramsOf<Stripe.PriceCreateParams>()({
      active: bool().optional(),
      currency: currency(),
      lookup_key: text(200).optional(),
      metadata: metadata().optional(),
      nickname: text().optional(),
      product: text().optional(),
      product_data: tree({ name: text(), metadata: metadata().optional() }).optional(),
      recurring: recurring().optional(),
      tax_behavior: choice(TAX_BEHAVIORS).optional(),
      transfer_lookup_key: bool().optional(),
      unit_amount: unitAmount(),
    }),
    run: ({ sandbox, params }) => {
      const { product: _named, product_data: _inline, ...draft } = params;
      const product = productFor(sandbox, params);
      claimLookupKey(sandbox, params.lookup_key, params.transfer_lookup_key);
      return createPrice(sandbox, { ...draft, product: product() });
    },
  }),
  operation({
    method: "GET",
    path: "/v1/prices/:id",
    returns: "price",
    params: paramsOf<Stripe.PriceRetrieveParams>()({}),
    run: ({ sandbox, id }) => sandbox.find("price", id),
  }),
  operation({
    method: "POST",
    path: "/v1/prices/:id",
    returns: "price",
    params: paramsOf<Stripe.PriceUpdateParams>()({
      active: bool().optional(),
      lookup_key: clearable(text(200)).optional(),
      metadata: metadata().optional(),
      nickname: clearable(text()).optional(),
      transfer_lookup_key: bool().optional(),
    }),
    run: ({ sandbox, id, params }) => {
      const before = sandbox.find("price", id);
      claimLookupKey(sandbox, params.lookup_key, params.transfer_lookup_key, id);
      const { object, previous } = sandbox.change("price", id, {
        ...(params.active === undefined ? {} : { active: params.active }),
        ...(params.lookup_key === undefined ? {} : { lookup_key: params.lookup_key }),
        ...(params.nickname === undefined ? {} : { nickname: params.nickname }),
        metadata: changedMetadata(before.metadata, params.metadata),
      });
      sandbox.emit("price.updated", object, previous);
      return object;
    },
  }),
  listOperation({
    path: "/v1/prices",
    of: "price",
    params: listParamsOf<Stripe.PriceListParams>()({
      active: bool().optional(),
      currency: currency().optional(),
      lookup_keys: listOf(text()).optional(),
      product: text().optional(),
      type: choice(["one_time", "recurring"]).optional(),
    }),
    keep: (params) => (price) =>
      (params.active === undefined || price.active === params.active) &&
      (params.currency === undefined || price.currency === params.currency) &&
      (params.lookup_keys === undefined ||
        (price.lookup_key !== null && params.lookup_keys.includes(price.lookup_key))) &&
      (params.product === undefined || idOf(price.product) === params.product) &&
      (params.type === undefined || price.type === params.type),
  }),
];
