import type Stripe from "stripe";
import type { CatalogueAtProvider, ProviderPrice } from "#core/catalogue/at-provider.ts";
import { keyOfCall } from "./make-once.ts";

/*
 * Stripe's products and prices as our catalogue sees them. A price of ours is known by its lookup key, which Stripe gives to one price
 * alone, or by its id, where somebody took the key away. It belongs to one product for ever, which is then ours too.
 */

const MARK = "berth-";
export const lookupKeyOf = (planPriceId: string): string => `${MARK}${planPriceId}`;

export function createCatalogue(stripe: Stripe, now: () => Date): CatalogueAtProvider {
  return {
    listPrices: async (known) => {
      const found: ProviderPrice[] = [];
      // Of all prices, since Stripe finds lookup keys only whole, and ten at a time.
      for await (const price of stripe.prices.list({ limit: 100, expand: ["data.product"] })) {
        const { lookup_key: key, product } = price;
        const marked = key?.startsWith(MARK) === true ? key.slice(MARK.length) : undefined;
        const planPriceId = known.get(price.id) ?? marked;
        if (planPriceId === undefined || typeof product === "string" || product.deleted === true)
          continue;
        const { id, name, active, metadata } = product;
        found.push({
          id: price.id,
          planPriceId,
          active: price.active,
          product: { id, name, active, metadata },
        });
      }
      return found;
    },
    setPriceActive: async (priceId, active) => {
      const key = keyOfCall(active ? "open" : "close", priceId, now());
      await stripe.prices.update(priceId, { active }, key);
    },
    changeProduct: async (productId, to) => {
      await stripe.products.update(productId, { ...to }, keyOfCall("product", productId, now()));
    },
  };
}
