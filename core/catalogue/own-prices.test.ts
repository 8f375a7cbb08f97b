import { expect, it } from "vitest";
import { newestOf, pricesAfter, type OwnVersion } from "./own-prices.ts";
import { decidePlans, type WantedPlan } from "./plan-changes.ts";

const version = (n: number, over: Partial<OwnVersion> = {}): OwnVersion => ({
  id: "plan-s",
  name: "S",
  version: n,
  available: true,
  size: { vcpus: n, memoryMib: 1024, diskGib: 20 },
  trafficGib: 1000,
  bandwidthMbit: null,
  diskIops: null,
  downgrade: "renewal",
  prices: [
    {
      id: `pp-${n}`,
      interval: "month",
      amount: { minor: 500n, currency: "usd" },
      taxBehavior: null,
      stripePriceId: `price_${n}`,
    },
  ],
  ...over,
});
const wantedAs = ({ id: _id, version: _v, available: _a, ...sold }: OwnVersion): WantedPlan => ({
  ...sold,
  metadata: { family: "a" },
});
const after = (
  versions: readonly OwnVersion[],
  wanted: readonly WantedPlan[],
  { retire = false, used = 0 } = {},
) =>
  pricesAfter(
    versions,
    decidePlans(wanted, newestOf(versions), { retire }).changes,
    wanted,
    (of) => of.version === used,
  ).map(({ planPriceId, version: v, onSale, inUse }) => [planPriceId, v, onSale, inUse]);

it("the newest version of a plan on sale is sold, and those before are in use or nobody's", () => {
  const versions = [version(2), version(1)];
  expect(after(versions, [wantedAs(version(2))], { used: 1 })).toEqual([
    ["pp-2", 2, true, false],
    ["pp-1", 1, false, true],
  ]);
});

it("a version that is to be added takes the newest one's place, and its price is nowhere yet", () => {
  expect(after([version(1)], [wantedAs(version(9))])).toEqual([
    ["pp-1", 1, false, false],
    [null, 2, true, false],
  ]);
});

it("what is to be retired is not sold after, and what is to be sold again is", () => {
  const wanted = [wantedAs(version(1))];
  expect(after([version(1)], [], { retire: true })).toEqual([["pp-1", 1, false, false]]);
  expect(after([version(1, { available: false })], wanted)).toEqual([["pp-1", 1, true, false]]);
});

it("what a file says for the provider is of all of a plan's versions", () => {
  const own = pricesAfter([version(2), version(1)], [], [wantedAs(version(2))], () => false);
  expect(own.map(({ metadata }) => metadata)).toEqual([{ family: "a" }, { family: "a" }]);
});
