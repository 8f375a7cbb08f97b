import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { showResizeOptions } from "#commands/billing/show-resize-options.ts";
import { addPlan } from "#commands/catalogue/add-catalogue.ts";
import { addPlanVersion } from "#commands/catalogue/add-plan-version.ts";
import type { Payments } from "#core/billing/payments.ts";
import type { Currency } from "#core/money.ts";
import { idIn } from "#core/ids.ts";
import { listPlans } from "#db/catalogue/catalogue.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { isSeen, moneyOf, onItsPage, paysOtherwise, take } from "#test/harness/plan-changes.ts";
import { CARD } from "#test/harness/stripe-in-process.ts";
import { aMemberOfStaff, planned } from "#test/harness/plan-migrations.ts";
import {
  aBuyer,
  aNewVersion,
  aWorld,
  GUEST,
  hostSees,
  sendOrder,
  SYSTEM,
  valueOf,
  type World,
} from "#test/harness/world.ts";
import { aLargePlan, quoted } from "#test/db/billing/resize-builders.ts";

/* 7a 1: a plan is sold in several currencies, and an account pays in one. */

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

/** What the world's plan is sold for, by the month. */
const PRICES = {
  usd: "500",
  eur: "450",
  jpy: "750",
  kwd: "1530",
  isk: "69000",
} as const satisfies Partial<Record<Currency, string>>;
type Sold = keyof typeof PRICES;

const monthly = (currencies: readonly Sold[]) =>
  currencies.map((currency) => ({
    interval: "month" as const,
    amountMinor: PRICES[currency],
    currency,
  }));

async function aWorldSoldIn(...currencies: readonly Sold[]): Promise<World> {
  const world = await aWorld(cp, { places: 6 });
  await aNewVersion(cp, world.planId, { prices: monthly(currencies) });
  return world;
}

const ordered = async (world: World, currency?: Currency) =>
  valueOf(await sendOrder(cp, world, { request: currency === undefined ? {} : { currency } }));
const codeOf = async (world: World, currency?: Currency) => {
  const answer = await sendOrder(cp, world, {
    request: currency === undefined ? {} : { currency },
  });
  return answer.ok ? answer.value.order.total.currency : answer.error.code;
};

async function paid(world: World, currency?: Currency): Promise<string> {
  const { order, checkoutUrl } = await ordered(world, currency);
  cp.clock.advance(17_000);
  expect(await cp.stripe.pay(checkoutUrl)).toBe(303);
  await cp.pump();
  const [row] = await cp.rows(
    "select vm_id from orders where id = $1",
    idIn("order").parse(order.id),
  );
  return String(row?.["vm_id"]);
}

describe("an order", () => {
  test.each(["eur", "jpy", "kwd", "isk"] as const)(
    "in %s is billed, booked and renewed in it",
    async (currency) => {
      const world = await aWorldSoldIn("usd", "eur", "jpy", "kwd", "isk");
      const vmId = await paid(world, currency);
      const minor = Number(PRICES[currency]);
      const [service] = await cp.rows(
        `select s.currency, s.amount_minor::int as minor, s.subscription_id, o.state, o.currency as of_order
         from services s join orders o on o.vm_id = s.vm_id where s.vm_id = $1`,
        vmId,
      );
      expect(service).toMatchObject({ currency, minor, state: "paid", of_order: currency });
      const subscription = String(service?.["subscription_id"]);
      const { price } = await cp.deps.payments.fetchBilled(subscription);
      expect(price.amount).toEqual({ minor: BigInt(minor), currency });
      const invoices = () =>
        cp.rows(
          `select currency, total_minor::int as total, paid_minor::int as paid from invoices where account_id = $1`,
          world.buyer.accountId,
        );
      const invoice = { currency, total: minor, paid: minor };
      expect(await invoices()).toEqual([invoice]);
      cp.clock.advanceDays(31);
      cp.stripe.standIn.runDue();
      await cp.pump();
      // Stripe charges a renewal about an hour after the period has moved on.
      cp.clock.advanceMinutes(61);
      cp.stripe.standIn.runDue();
      await cp.pump();
      expect(await invoices()).toEqual([invoice, invoice]);
      const booked = await cp.rows(
        `select distinct e.currency from ledger_entries e join ledger_transactions t on t.id = e.transaction_id
         join orders o on o.id = t.order_id where o.vm_id = $1`,
        vmId,
      );
      expect(booked).toEqual([{ currency }]);
    },
  );

  test("in none that it names is in the usual one, or in the only one that is sold", async () => {
    expect(await codeOf(await aWorldSoldIn("eur", "usd"))).toBe("usd");
    expect(await codeOf(await aWorldSoldIn("kwd"))).toBe("kwd");
    const world = await aWorldSoldIn("eur", "usd");
    const deps = { ...cp.deps, settings: { ...cp.deps.settings, currency: "eur" as const } };
    const placed = valueOf(await sendOrder({ ...cp, deps }, world));
    expect(placed.order.total).toEqual({ currency: "eur", minor: "450" });
  });

  test("in one that the plan is not sold in is refused, and so is one that leaves it open between others", async () => {
    const world = await aWorldSoldIn("eur", "jpy");
    expect(await codeOf(world, "isk")).toBe("currency_not_sold");
    expect(await codeOf(world)).toBe("currency_not_sold");
    expect(
      await cp.rows("select 1 from orders where account_id = $1", world.buyer.accountId),
    ).toEqual([]);
  });

  test("in another than the first payment's is refused, and the account's own is then taken by itself", async () => {
    const world = await aWorldSoldIn("usd", "eur", "jpy");
    // Nothing is paid yet: each may be chosen.
    expect(await codeOf(world, "jpy")).toBe("jpy");
    await paid(world, "eur");
    expect(await sendOrder(cp, world, { request: { currency: "usd" } })).toEqual({
      ok: false,
      error: {
        code: "currency_fixed",
        detail:
          "this account pays in eur since its first payment: leave the currency out, or use another account for usd",
      },
    });
    expect(await codeOf(world, "eur")).toBe("eur");
    expect(await codeOf(world)).toBe("eur");
    // Another account is another customer of the provider.
    expect(await codeOf({ ...world, buyer: await aBuyer(cp) }, "usd")).toBe("usd");
    await aNewVersion(cp, world.planId, { prices: monthly(["usd"]) });
    expect(await codeOf(world)).toBe("currency_not_sold");
  });

  test("that was open in another currency when the first was paid is served in its own, and fixes nothing", async () => {
    const world = await aWorldSoldIn("usd", "eur");
    const open = await ordered(world, "usd");
    await paid(world, "eur");
    cp.clock.advance(5_000);
    expect(await cp.stripe.pay(open.checkoutUrl)).toBe(303);
    await cp.pump();
    const services = await cp.rows(
      `select s.currency from services s join orders o on o.vm_id = s.vm_id where o.account_id = $1 order by 1`,
      world.buyer.accountId,
    );
    expect(services).toEqual([{ currency: "eur" }, { currency: "usd" }]);
    expect(await codeOf(world)).toBe("eur");
  });

  test("that is paid in another currency than its own is booked in that, goes back whole, and fixes nothing", async () => {
    const world = await aWorldSoldIn("usd", "eur");
    const { dashboard } = cp.stripe;
    const product = await dashboard.products.create({ name: "by hand" });
    const recurring = { interval: "month" } as const;
    const pounds = { product: product.id, currency: "gbp", unit_amount: 450, recurring };
    const { id: inPounds } = await dashboard.prices.create(pounds);
    const createCheckout: Payments["createCheckout"] = (input) =>
      cp.deps.payments.createCheckout({ ...input, priceId: inPounds });
    const deps = { ...cp.deps, payments: { ...cp.deps.payments, createCheckout } };
    const placed = valueOf(
      await sendOrder({ ...cp, deps }, world, { request: { currency: "eur" } }),
    );
    expect(await cp.stripe.pay(placed.checkoutUrl)).toBe(303);
    await cp.pump();
    const orderId = idIn("order").parse(placed.order.id);
    expect(await cp.rows("select state, currency from orders where id = $1", orderId)).toEqual([
      { state: "refunded", currency: "eur" },
    ]);
    const books = await cp.rows(
      `select t.kind, e.account, e.amount_minor::int as minor, e.currency from ledger_entries e
       join ledger_transactions t on t.id = e.transaction_id where t.order_id = $1 and e.account = 'stripe_balance'
       order by t.kind`,
      orderId,
    );
    expect(books).toEqual([
      { kind: "payment", account: "stripe_balance", minor: 450, currency: "gbp" },
      { kind: "refund", account: "stripe_balance", minor: -450, currency: "gbp" },
    ]);
    expect(await codeOf(world, "usd")).toBe("usd");
  });

  test("for the same again is that order, unless it asks for another currency", async () => {
    const world = await aWorldSoldIn("usd", "eur");
    const again = (currency?: Currency) =>
      sendOrder(cp, world, { request: { another: undefined, ...(currency && { currency }) } });
    const first = valueOf(await again("eur"));
    expect(valueOf(await again())).toMatchObject({ again: true, order: { id: first.order.id } });
    expect(valueOf(await again("eur"))).toMatchObject({ again: true });
    expect(await again("usd")).toMatchObject({ error: { code: "order_open" } });
  });
});

test("the catalogue shows each price of a plan, by currency", async () => {
  const { planId } = await aWorldSoldIn("usd", "jpy", "eur");
  const plan = (await listPlans(cp.deps.db)).find(({ id }) => id === planId);
  expect(plan?.prices.map(({ amount }) => amount)).toEqual([
    { minor: 450n, currency: "eur" },
    { minor: 750n, currency: "jpy" },
    { minor: 500n, currency: "usd" },
  ]);
});

test.each([
  ["kwd", "1535", "1535 is no amount of kwd: it has to be a multiple of 10"],
  ["isk", "69050", "69050 is no amount of isk: it has to be a multiple of 100"],
] as const)(
  "a price in %s of %s, between two steps, is put on sale by nobody",
  async (currency, amountMinor, detail) => {
    const { planId } = await aWorld(cp);
    const prices = [{ interval: "month" as const, amountMinor, currency }];
    const size = {
      vcpus: 1,
      memoryMib: 1024,
      diskGib: 20,
      trafficGib: 1,
      bandwidthMbit: null,
      diskIops: null,
    };
    const version = { ...size, downgrade: "renewal" as const, prices };
    expect(await addPlanVersion(cp.deps, SYSTEM, planId, version)).toEqual({
      ok: false,
      error: { code: "price_off_step", detail },
    });
    expect(await addPlan(cp.deps, SYSTEM, { ...version, name: v7() })).toMatchObject({
      error: { code: "price_off_step" },
    });
  },
);

describe("a VM that is paid in another currency than the usual one", () => {
  const price = (currency: Sold, minor: bigint) => ({
    id: v7(),
    interval: "month" as const,
    amount: { minor, currency },
    taxBehavior: null,
    stripePriceId: null,
  });

  test("becomes another plan at its price in that currency, to the step, and none that has none in it", async () => {
    const world = await aWorldSoldIn("usd", "kwd");
    const vmId = await paid(world, "kwd");
    const limits = { bandwidthMbit: 1000, diskIops: null };
    await hostSees(cp, world.hostId, vmId, { observed: { guest: GUEST, limits } });
    await cp.pump();
    const large = await aLargePlan(cp, { prices: [price("usd", 1550n), price("kwd", 4770n)] });
    const other = await aLargePlan(cp, { prices: [price("usd", 1550n), price("eur", 1450n)] });
    cp.clock.advanceDays(7);
    const vm = { world, vmId };
    const { quote } = await quoted(cp.deps, vm, { planId: large.id });
    expect(quote).toMatchObject({
      from: { price: { amount: { minor: 1530n, currency: "kwd" } } },
      to: { price: { amount: { minor: 4770n, currency: "kwd" } } },
      dueNow: { currency: "kwd" },
      differsBy: { minor: 0n },
    });
    for (const { amount } of quote?.lines ?? []) expect(amount.minor % 10n).toBe(0n);
    expect(quote?.lines.length).toBe(2);
    const refused = await quoted(cp.deps, vm, { planId: other.id });
    expect(refused).toMatchObject({ quote: null, refusals: [{ code: "currency_differs" }] });
    const { options } = valueOf(await showResizeOptions(cp.deps, world.buyer, vmId));
    const shown = (planId: string) =>
      options
        .filter(({ plan }) => plan.id === planId)
        .map((option) => [option.price.amount.currency, option.refusals.map(({ code }) => code)]);
    expect(shown(large.id)).toEqual([["kwd", []]]);
    expect(shown(other.id)).toEqual([[expect.any(String), ["currency_differs"]]]);
  });

  test.each(["card", "bank"] as const)(
    "is paid the difference for by %s in that currency, and billed the new price in it",
    async (by) => {
      const world = await aWorldSoldIn("usd", "kwd");
      const vm = { world, vmId: await paid(world, "kwd") };
      const limits = { bandwidthMbit: 1000, diskIops: null };
      await hostSees(cp, world.hostId, vm.vmId, { observed: { guest: GUEST, limits } });
      await cp.pump();
      if (by === "bank") await paysOtherwise(cp, vm);
      const large = await aLargePlan(cp, { prices: [price("usd", 1550n), price("kwd", 4770n)] });
      const { quote } = await quoted(cp.deps, vm, { planId: large.id });
      if (!quote?.dueNow) throw new Error("nothing is due");
      valueOf(await take(cp, vm, quote.id));
      await cp.pump();
      // A card is charged by itself.
      const answered = by === "card" ? 303 : await onItsPage(cp, vm, { card: CARD.works });
      expect(answered).toBe(303);
      await cp.pump();
      await isSeen(cp, vm);
      await cp.pump();
      const [service] = await cp.rows(
        "select plan_id, currency, amount_minor::int as minor from services where vm_id = $1",
        vm.vmId,
      );
      expect(service).toEqual({ plan_id: large.id, currency: "kwd", minor: 4770 });
      expect(await moneyOf(cp, vm)).toMatchObject({
        billed: 4770,
        kept: 1530 + Number(quote.dueNow.minor),
        balance: 0,
        open: 0,
      });
    },
  );

  test("is migrated at its price in that currency, and left out where the plan has none in it", async () => {
    const world = await aWorldSoldIn("usd", "eur", "jpy");
    const vmIds = [await paidByAnother(world, "eur"), await paidByAnother(world, "jpy")];
    await aNewVersion(cp, world.planId, {
      vcpus: 2,
      prices: monthly(["usd", "eur"]).map((each) => ({ ...each, amountMinor: "990" })),
    });
    const { id } = await planned(cp, { world, vmIds, staff: await aMemberOfStaff(cp) });
    const rows = await cp.rows(
      `select m.refusals, m.difference_minor::int as difference, s.currency from plan_migration_vms m
       join services s on s.vm_id = m.vm_id where m.migration_id = $1 order by s.currency`,
      id,
    );
    expect(rows).toMatchObject([
      { currency: "eur", difference: 540 },
      { currency: "jpy", difference: null },
    ]);
    const refusals = rows.map((row) => String(row["refusals"]));
    expect(refusals[0]).not.toContain("currency_differs");
    expect(refusals[1]).toContain("currency_differs");
  });
});

async function paidByAnother(world: World, currency: Sold): Promise<string> {
  return paid({ ...world, buyer: await aBuyer(cp) }, currency);
}
