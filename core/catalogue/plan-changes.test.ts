import { describe, expect, it } from "vitest";
import { decidePlans, type OwnPlan, type WantedPlan } from "./plan-changes.ts";
import { differencesOf, type SoldAs } from "./sold.ts";

const SOLD: SoldAs = {
  size: { vcpus: 1, memoryMib: 1024, diskGib: 20 },
  trafficGib: 1000,
  bandwidthMbit: null,
  diskIops: null,
  downgrade: "renewal",
  prices: [
    { interval: "month", amount: { minor: 500n, currency: "usd" }, taxBehavior: null },
    { interval: "month", amount: { minor: 450n, currency: "eur" }, taxBehavior: "inclusive" },
  ],
};
const wanted = (over: Partial<WantedPlan> = {}): WantedPlan => ({
  ...SOLD,
  name: "S",
  metadata: {},
  ...over,
});
const own = (over: Partial<OwnPlan> = {}): OwnPlan => ({
  ...SOLD,
  id: "plan-s",
  name: "S",
  version: 3,
  available: true,
  ...over,
});
const KEEP = { retire: false };
const [usd, eur] = SOLD.prices;
if (!usd || !eur) throw new Error("two prices");

describe("by what two versions of a plan differ", () => {
  it("is nothing where they sell the same, in whatever order their prices stand", () => {
    expect(differencesOf(SOLD, { ...SOLD, prices: SOLD.prices.toReversed() })).toEqual([]);
  });

  it.each<[string, Partial<SoldAs>]>([
    ["vcpus 1 to 2", { size: { ...SOLD.size, vcpus: 2 } }],
    ["memoryMib 1024 to 2048", { size: { ...SOLD.size, memoryMib: 2048 } }],
    ["diskGib 20 to 40", { size: { ...SOLD.size, diskGib: 40 } }],
    ["trafficGib 1000 to 0", { trafficGib: 0 }],
    ["bandwidthMbit none to 100", { bandwidthMbit: 100 }],
    ["diskIops none to 9", { diskIops: 9 }],
    ["downgrade renewal to now", { downgrade: "now" }],
    ["no price of 4.50 EUR/month, tax inclusive any more", { prices: [usd] }],
    [
      "5.00 USD/month to 5.01 USD/month",
      { prices: [{ ...usd, amount: { minor: 501n, currency: "usd" } }, eur] },
    ],
    [
      "5.00 USD/month to 5.00 USD/month, tax exclusive",
      { prices: [{ ...usd, taxBehavior: "exclusive" }, eur] },
    ],
    ["a price of 5.00 USD/year", { prices: [usd, eur, { ...usd, interval: "year" }] }],
  ])("says: %s", (words, over) => {
    expect(differencesOf(SOLD, { ...SOLD, ...over })).toEqual([words]);
  });
});

describe("what a file changes of our plans", () => {
  it("is nothing where all is the same, whatever is said for the provider alone", () => {
    const changes = decidePlans([wanted({ metadata: { family: "x" } })], [own()], KEEP);
    expect(changes).toEqual({ changes: [], left: [] });
  });

  it("is a plan where there is none of that name, and a version where one differs", () => {
    const { changes } = decidePlans(
      [wanted({ trafficGib: 2000 }), wanted({ name: "M" })],
      [own()],
      KEEP,
    );
    expect(changes.map(({ kind, planId, words }) => [kind, planId, words])).toEqual([
      ["add_version", "plan-s", "plan S: sold as version 4 from now on: trafficGib 1000 to 2000"],
      ["add_plan", null, "plan M: put on sale, at 5.00 USD/month; 4.50 EUR/month, tax inclusive"],
    ]);
  });

  it("puts on sale again what was retired, as another version too where it differs", () => {
    const retired = [own({ available: false })];
    expect(decidePlans([wanted()], retired, KEEP).changes).toMatchObject([{ kind: "sell_plan" }]);
    expect(decidePlans([wanted({ diskIops: 1 })], retired, KEEP).changes).toMatchObject([
      { kind: "add_version" },
      { kind: "sell_plan" },
    ]);
  });

  it("leaves what it does not name, and retires it only when told to; what is retired stays so", () => {
    const all = [own(), own({ id: "plan-old", name: "Old", available: false })];
    expect(decidePlans([], all, KEEP)).toEqual({ changes: [], left: ["S"] });
    expect(decidePlans([], all, { retire: true })).toMatchObject({
      changes: [{ kind: "retire_plan", plan: "S", planId: "plan-s" }],
      left: [],
    });
  });
});
