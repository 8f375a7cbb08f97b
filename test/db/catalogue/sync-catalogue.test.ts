import pg from "pg";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CatalogueFile } from "#core/contracts/api/catalogue-sync.ts";
import type { AccountPrincipal } from "#core/accounts/accounts.ts";
import { syncCatalogue } from "#commands/catalogue/sync-catalogue.ts";
import { earlierEnded } from "#db/catalogue/prices-in-use.ts";
import { aPrincipal } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { anActiveVm, aWorld, sendOrder, valueOf, type World } from "#test/harness/world.ts";

let cp: ControlPlane;
let world: World;
let staff: AccountPrincipal;
beforeEach(async () => {
  cp = await startControlPlane();
  world = await aWorld(cp);
  staff = aPrincipal({ role: "staff" });
});
afterEach(() => cp.drop());

type Raw = Readonly<{ name: string; prices?: readonly object[]; [more: string]: unknown }>;
const aPrice = (over: object = {}) => ({
  interval: "month",
  amountMinor: "700",
  currency: "usd",
  ...over,
});
const file = (...plans: readonly Raw[]) =>
  CatalogueFile.parse({
    plans: plans.map((plan) => ({
      vcpus: 1,
      memoryMib: 1024,
      diskGib: 20,
      trafficGib: 1024,
      prices: [aPrice()],
      ...plan,
    })),
  });
/** The world's own plan, as it is there already. */
const own = (over: object = {}): Raw => ({
  name: world.planId,
  bandwidthMbit: 1000,
  prices: [aPrice({ amountMinor: "500" })],
  ...over,
});

const asked = (catalogue: CatalogueFile, retire = false) => ({ who: staff, catalogue, retire });
const look = async (catalogue: CatalogueFile, retire = false) =>
  valueOf(await syncCatalogue(cp.deps, { ...asked(catalogue, retire), dryRun: true }));
async function sync(catalogue: CatalogueFile, retire = false) {
  // Each in a minute of its own: what is asked for again is asked for under another key.
  cp.clock.advance(60_000);
  const { hash } = await look(catalogue, retire);
  return syncCatalogue(cp.deps, { ...asked(catalogue, retire), dryRun: false, hash });
}
const kindsOf = ({ changes }: { changes: readonly { kind: string }[] }) =>
  changes.map(({ kind }) => kind);
const inStripe = () => ({
  products: cp.stripe.standIn.store.all("product"),
  prices: cp.stripe.standIn.store.all("price"),
});
const made = (calls: readonly string[]) => calls.filter((call) => call === "POST /v1/prices");

describe("a catalogue file", () => {
  test("is shown first, and nothing is changed; then its prices wait at Stripe for the first order", async () => {
    const wanted = file(own(), {
      name: "New",
      prices: [
        aPrice({ taxBehavior: "exclusive" }),
        aPrice({ interval: "year", amountMinor: "7000" }),
      ],
      metadata: { family: "general" },
    });
    const shown = await look(wanted);
    expect(kindsOf(shown)).toEqual(["add_plan", "make_price", "make_price", "make_price"]);
    expect(await cp.rows("select 1 from plans where name = 'New'")).toEqual([]);
    expect(inStripe().prices).toEqual([]);

    valueOf(await sync(wanted));
    const { products, prices } = inStripe();
    const [plan] = await cp.rows("select id from plans where name = 'New'");
    const ours = products.filter(({ name }) => name === "New");
    expect(ours.map(({ metadata }) => metadata)).toEqual([
      { plan_id: plan?.["id"], family: "general" },
      { plan_id: plan?.["id"], family: "general" },
    ]);
    expect(
      prices.map((p) => `${p.unit_amount} ${p.recurring?.interval} ${p.tax_behavior}`),
    ).toEqual(
      expect.arrayContaining([
        "700 month exclusive",
        "7000 year unspecified",
        "500 month unspecified",
      ]),
    );
    expect(await look(wanted)).toMatchObject({ changes: [], effects: [], left: [] });

    cp.stripe.calls.length = 0;
    valueOf(await sendOrder(cp, world));
    expect(made(cp.stripe.calls)).toEqual([]);
  });

  test("that says another price sells another version; who has the first one keeps its price", async () => {
    const before = file(own());
    valueOf(await sync(before));
    const dearer = file(own({ prices: [aPrice({ amountMinor: "600" })] }));
    expect(kindsOf(await look(dearer))).toEqual(["add_version", "make_price", "close_price"]);
    await anActiveVm(cp, world);
    expect(kindsOf(await look(dearer))).toEqual(["add_version", "make_price"]);
    valueOf(await sync(dearer));
    expect(inStripe().prices.map((p) => [p.unit_amount, p.active])).toEqual([
      [500, true],
      [600, true],
    ]);
    expect(await look(dearer)).toMatchObject({ changes: [] });
  });

  test("that says another tax makes another price, and the one before is made inactive", async () => {
    valueOf(await sync(file(own())));
    valueOf(
      await sync(file(own({ prices: [aPrice({ amountMinor: "500", taxBehavior: "inclusive" })] }))),
    );
    expect(inStripe().prices.map((p) => [p.tax_behavior, p.active])).toEqual([
      ["unspecified", false],
      ["inclusive", true],
    ]);
  });

  test("puts right what was changed at Stripe by hand, and touches nothing of another system there", async () => {
    const wanted = file(own());
    valueOf(await sync(wanted));
    const [price] = inStripe().prices;
    const { dashboard } = cp.stripe;
    await dashboard.prices.update(price?.id ?? "", { active: false, lookup_key: "" });
    const [product] = inStripe().products;
    await dashboard.products.update(product?.id ?? "", { name: "Not ours" });
    const foreign = await dashboard.products.create({ name: "Of a shop" });
    await dashboard.prices.create({ product: foreign.id, currency: "usd", unit_amount: 100 });
    const shop = () => inStripe().products.find(({ id }) => id === foreign.id);
    const before = shop();

    expect(kindsOf(await look(wanted))).toEqual(["change_product", "open_price"]);
    valueOf(await sync(wanted));
    expect(inStripe().products[0]?.name).toBe(world.planId);
    expect(inStripe().prices[0]?.active).toBe(true);
    expect(shop()).toEqual(before);
    expect(
      await cp.rows(
        "select detail->>'change' as change from audit_log where action = 'plan.at_provider'",
      ),
    ).toEqual([{ change: "change_product" }, { change: "open_price" }]);
  });

  test("that was cut short between our version and Stripe's price is finished by the next sync", async () => {
    valueOf(await sync(file(own())));
    const wanted = file(own({ prices: [aPrice({ amountMinor: "900" })] }));
    const ensurePrice = () => Promise.reject(new Error("the process was killed"));
    const mortal = { ...cp.deps, payments: { ...cp.deps.payments, ensurePrice } };
    const { hash } = await look(wanted);
    const cut = syncCatalogue(mortal, { ...asked(wanted), dryRun: false, hash });
    await expect(cut).rejects.toThrow("killed");
    expect(kindsOf(await look(wanted))).toEqual(["make_price", "close_price"]);
    valueOf(await sync(wanted));
    expect(await look(wanted)).toMatchObject({ changes: [] });
    expect(await cp.rows("select max(version) as v from plan_versions")).toEqual([{ v: 2 }]);
  });

  test("leaves a plan that it does not name, and says so, until it is told to retire it", async () => {
    const wanted = file({ name: "Only" });
    const { left } = await look(wanted);
    expect(left).toEqual([expect.stringContaining(world.planId)]);
    valueOf(await sync(wanted));
    expect(await cp.rows("select 1 from plans where available")).toHaveLength(2);

    valueOf(await sync(wanted, true));
    expect(await cp.rows("select name from plans where available")).toEqual([{ name: "Only" }]);
    expect(await sendOrder(cp, world)).toMatchObject({ error: { code: "plan_not_found" } });
    const again = file({ name: "Only" }, own());
    expect(kindsOf(await look(again))).toContain("sell_plan");
    valueOf(await sync(again));
    expect(inStripe().prices.every(({ active }) => active)).toBe(true);
  });

  test("is refused when a dry run showed something else, and when nobody could have a plan of it", async () => {
    const wanted = file({ name: "Only" });
    const { hash } = await look(file({ name: "Other" }));
    const call = (catalogue: CatalogueFile) =>
      syncCatalogue(cp.deps, { ...asked(catalogue), dryRun: false, hash });
    expect(await call(wanted)).toMatchObject({ error: { code: "plan_changed" } });
    const between = aPrice({ currency: "kwd", amountMinor: "705" });
    expect(await call(file({ name: "Odd", prices: [between] }))).toMatchObject({
      error: { code: "price_off_step", detail: expect.stringMatching(/^Odd: /) },
    });
    expect(await cp.rows("select 1 from plans")).toHaveLength(1);
  });
});

test("whoever read the catalogue before it was changed is waited for", async () => {
  const slow = new pg.Client({ connectionString: cp.database.url });
  await slow.connect();
  try {
    await slow.query("begin; select pg_current_xact_id()");
    const said: string[] = [];
    const waiting = earlierEnded(cp.deps.db).then((ended) => said.push(`ended: ${ended}`));
    await cp.rows("select pg_sleep(0.2)");
    said.push("still there");
    await slow.query("commit");
    await waiting;
    expect(said).toEqual(["still there", "ended: true"]);
  } finally {
    await slow.end();
  }
});
