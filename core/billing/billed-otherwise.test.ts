import { expect, test } from "vitest";
import { billedOtherwise, type BilledItem } from "./billed-otherwise.ts";

const price = { interval: "month", amount: { minor: 500n, currency: "usd" } } as const;
const item = (of: Partial<BilledItem> = {}): BilledItem => ({
  minor: 500n,
  currency: "usd",
  interval: "month",
  intervalCount: 1,
  quantity: 1,
  ...of,
});

test.each<[string, readonly BilledItem[], boolean]>([
  ["its price, once", [item()], false],
  ["less", [item({ minor: 499n })], true],
  ["more", [item({ minor: 501n })], true],
  ["it twice", [item({ quantity: 2 })], true],
  ["it not at all", [item({ quantity: 0 })], true],
  ["the same in another currency", [item({ currency: "eur" })], true],
  ["the same for a year", [item({ interval: "year" })], true],
  ["the same for three months", [item({ intervalCount: 3 })], true],
  ["by tiers", [item({ minor: null })], true],
  ["nothing", [], true],
  ["something beside it", [item(), item({ minor: 1n })], true],
])("a subscription that bills %s differs from what was bought: %s", (_, items, differs) => {
  expect(billedOtherwise(price, items) !== null).toBe(differs);
});

test("what has no price of ours differs from nothing", () => {
  expect(billedOtherwise(null, [item()])).toBeNull();
});
