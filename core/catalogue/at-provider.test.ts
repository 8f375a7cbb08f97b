import { describe, expect, it } from "vitest";
import {
  decideAtProvider,
  goneAtProvider,
  type OwnPrice,
  type ProviderPrice,
} from "./at-provider.ts";

const own = (over: Partial<OwnPrice> = {}): OwnPrice => ({
  planPriceId: "pp-1",
  providerPriceId: "price_1",
  planId: "plan-s",
  plan: "S",
  version: 2,
  interval: "month",
  amount: { minor: 500n, currency: "usd" },
  taxBehavior: null,
  onSale: true,
  inUse: false,
  metadata: null,
  ...over,
});
const there = (
  over: Partial<ProviderPrice> = {},
  product: Partial<ProviderPrice["product"]> = {},
): ProviderPrice => ({
  id: "price_1",
  planPriceId: "pp-1",
  active: true,
  product: { id: "prod_1", name: "S", active: true, metadata: { plan_id: "plan-s" }, ...product },
  ...over,
});
const kinds = (...of: Parameters<typeof decideAtProvider>) =>
  decideAtProvider(...of).map(({ kind }) => kind);

describe("what the provider is asked for", () => {
  it("is nothing where it has all as it should be", () => {
    expect(kinds([own()], [there()])).toEqual([]);
  });

  it("is a price that is on sale and not there, but for one by the hour", () => {
    const added = { planPriceId: null, providerPriceId: null };
    expect(kinds([own(added), own({ ...added, interval: "hour" })], [])).toEqual(["make_price"]);
    expect(kinds([own({ providerPriceId: null, onSale: false, inUse: true })], [])).toEqual([]);
  });

  it.each([
    ["on sale", { onSale: true, inUse: false }, true],
    ["of who has it or is about to", { onSale: false, inUse: true }, true],
    ["nobody's any more", { onSale: false, inUse: false }, false],
  ])("is that a price %s can be bought: %o, %s", (_, of, active) => {
    expect(kinds([own(of)], [there({ active: !active })])).toEqual([
      active ? "open_price" : "close_price",
    ]);
    expect(kinds([own(of)], [there({ active })])).toEqual([]);
  });

  it("puts a product's name, its sale and its metadata right by one call, and leaves what else it says", () => {
    const metadata = { family: "a", tier: "1" };
    const product = { name: "Shop", active: false, metadata: { family: "a", theirs: "x" } };
    expect(decideAtProvider([own({ metadata })], [there({}, product)])).toMatchObject([
      {
        kind: "change_product",
        productId: "prod_1",
        to: { name: "S", active: true, metadata: { tier: "1" } },
        words:
          "Stripe: product prod_1 of plan S is called S again, not Shop, and is made active, and has tier=1",
      },
    ]);
    expect(kinds([own({ onSale: false })], [there({ active: false }, product)])).toEqual([]);
  });

  it("leaves a price whose mark leads to none of ours", () => {
    expect(kinds([], [there()])).toEqual([]);
  });

  it("makes what is bought before it closes anything", () => {
    const old = own({ planPriceId: "pp-0", onSale: false });
    const added = own({ planPriceId: null, providerPriceId: null });
    expect(kinds([old, added], [there({ planPriceId: "pp-0" })])).toEqual([
      "make_price",
      "close_price",
    ]);
  });
});

it("a price on sale whose id the provider does not know is told, and not made a second time", () => {
  expect(kinds([own()], [])).toEqual([]);
  expect(goneAtProvider([own(), own({ planPriceId: "pp-2", onSale: false })], [])).toEqual([own()]);
  expect(goneAtProvider([own()], [there()])).toEqual([]);
});
