import { gzipSync } from "node:zlib";
import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ProviderUnavailable } from "#core/billing/payments.ts";
import type { PaymentProvider } from "#core/billing/price-changes.ts";
import type { DriverCapabilities } from "#core/contracts/agent/report.ts";
import { LOOSE_UNPAID_LIMITS } from "#core/orders/unpaid-limits.ts";
import { expireOrders } from "#commands/orders/expire-orders.ts";
import { toWireId } from "#core/ids.ts";
import { until } from "#local/client.ts";
import { ALL_CAPABILITIES, AN_SSH_KEY } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { PATIENCE_MS } from "#test/harness/patience.ts";
import {
  aNewVersion,
  aBuyer,
  anEnrolledHost,
  aPlacedOrder,
  aWorld,
  sendOrder,
  valueOf,
  type World,
} from "#test/harness/world.ts";

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

const SESSION_NOT_WRITTEN_DOWN = /^before update "orders" set "checkout_id"/;
const ordersOf = (world: World) =>
  cp.rows("select * from orders where account_id = $1", world.buyer.accountId);

async function whileStripeIsDown(run: () => Promise<void>) {
  cp.stripe.trouble.outage = true;
  try {
    await run();
  } finally {
    cp.stripe.trouble.outage = false;
  }
}

describe("the idempotency key of an order", () => {
  test("sent twice with the same body is one order and one answer", async () => {
    const world = await aWorld(cp);
    const key = v7();
    const first = await sendOrder(cp, world, { key });
    const second = await sendOrder(cp, world, { key });
    expect(first.ok).toBe(true);
    expect(second).toEqual(first);
    expect(await ordersOf(world)).toHaveLength(1);
  });

  test("sent ten times at once is one order, one session and one answer", async () => {
    const world = await aWorld(cp);
    const key = v7();
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => sendOrder(cp, world, { key })),
    );
    expect(new Set(answers.map((a) => JSON.stringify(a))).size).toBe(1);
    const [order, ...others] = await ordersOf(world);
    expect(others).toEqual([]);
    expect(answers[0]).toMatchObject({ value: { checkoutUrl: order?.["checkout_url"] } });
  });

  test("sent with another body is refused and changes nothing", async () => {
    const world = await aWorld(cp);
    const key = v7();
    await sendOrder(cp, world, { key });
    const other = await sendOrder(cp, world, { key, request: { hostname: "db-1" } });
    expect(other).toMatchObject({ ok: false, error: { code: "idempotency_key_reused" } });
    expect(await ordersOf(world)).toHaveLength(1);
  });

  test("belongs to one customer: another's same key is another order", async () => {
    const world = await aWorld(cp);
    const key = v7();
    const mine = valueOf(await sendOrder(cp, world, { key }));
    const theirs = valueOf(await sendOrder(cp, world, { key, buyer: await aBuyer(cp) }));
    expect(theirs.order.id).not.toBe(mine.order.id);
  });

  test("is not used up by a refusal", async () => {
    const world = await aWorld(cp, { places: 1 });
    await aPlacedOrder(cp, world);
    const key = v7();
    expect(await sendOrder(cp, world, { key })).toMatchObject({ error: { code: "no_capacity" } });
    await anEnrolledHost(cp, { locationId: world.locationId, places: 1 });
    expect(await sendOrder(cp, world, { key })).toMatchObject({ ok: true });
  });
});

// 4b A6: the same buyer, plan and host name twice under two keys made two VMs.
describe("a second click, under a key of its own,", () => {
  const click = (world: World, over: Record<string, unknown> = {}, key = v7()) =>
    sendOrder(cp, world, { key, request: { another: undefined, ...over } });

  test("is the open order again, with the page to pay it on, and says so to every repeat of its key", async () => {
    const world = await aWorld(cp);
    const first = valueOf(await click(world));
    const key = v7();
    const second = await click(world, {}, key);
    expect(first.again).toBe(false);
    expect(second).toEqual({ ok: true, value: { ...first, again: true } });
    await cp.stripe.pay(first.checkoutUrl);
    await cp.pump();
    expect(await click(world, {}, key)).toEqual(second);
    expect(await ordersOf(world)).toHaveLength(1);
  });

  test("together with the first, on two connections, is one order", async () => {
    const world = await aWorld(cp);
    const answers = (await Promise.all([click(world), click(world)])).map(valueOf);
    expect(new Set(answers.map((a) => a.checkoutUrl)).size).toBe(1);
    expect(answers.filter((a) => a.again)).toHaveLength(1);
    expect(await ordersOf(world)).toHaveLength(1);
  });

  test("goes on with an order whose page was never opened, and so does a repeat of its key", async () => {
    const world = await aWorld(cp);
    const keys = { first: v7(), second: v7() };
    await whileStripeIsDown(async () => {
      await expect(click(world, {}, keys.first)).rejects.toBeInstanceOf(ProviderUnavailable);
      await expect(click(world, {}, keys.second)).rejects.toBeInstanceOf(ProviderUnavailable);
    });
    const second = valueOf(await click(world, {}, keys.second));
    expect(valueOf(await click(world, {}, keys.first)).order.id).toBe(second.order.id);
    expect(await ordersOf(world)).toHaveLength(1);
  });

  test.each([
    ["user-data", { userData: "#cloud-config\n" }],
    ["keys", { sshKeys: [`${AN_SSH_KEY}-2`] }],
    ["an interval", { billingInterval: "year" }],
  ])("with other %s is refused, and names the open order", async (_, over) => {
    const world = await aWorld(cp);
    const { order } = valueOf(await click(world));
    expect(await click(world, over)).toMatchObject({
      ok: false,
      error: { code: "order_open", detail: expect.stringContaining(order.id) },
    });
    expect(await ordersOf(world)).toHaveLength(1);
  });

  test("is a new order with `another`, for another host name, and once the first is paid or has run out", async () => {
    const world = await aWorld(cp, { places: 6 });
    const first = valueOf(await click(world));
    expect(valueOf(await click(world, { another: true })).again).toBe(false);
    expect(valueOf(await click(world, { hostname: "web-2.example.com" })).again).toBe(false);
    cp.clock.advanceMinutes(32);
    await anEnrolledHost(cp, { locationId: world.locationId, places: 2 });
    // Past its hold, though no sweep has seen it yet.
    const later = valueOf(await click(world));
    expect(later).toMatchObject({ again: false });
    expect(later.order.id).not.toBe(first.order.id);
    await cp.stripe.pay(later.checkoutUrl);
    await cp.pump();
    expect(valueOf(await click(world)).order.id).not.toBe(later.order.id);
    expect(await ordersOf(world)).toHaveLength(5);
  });

  test("takes no more than the first of what an account may hold unpaid", async () => {
    const few = await startControlPlane({
      unpaidLimits: { ...LOOSE_UNPAID_LIMITS, ofAccount: 1 },
    });
    try {
      const world = await aWorld(few);
      const send = () => sendOrder(few, world, { request: { another: undefined } });
      const first = valueOf(await send());
      expect(valueOf(await send()).order.id).toBe(first.order.id);
    } finally {
      await few.drop();
    }
  });
});

// 4b A8
test("an order shows its host name as it was folded, and keeps its keys and user-data as the guest gets them", async () => {
  const world = await aWorld(cp);
  const placed = await sendOrder(cp, world, {
    request: {
      hostname: "Web-1.Bücher.example.",
      sshKeys: [`\ufeff${AN_SSH_KEY}\r\n${AN_SSH_KEY}-2\t\r\n`],
      userData: gzipSync("#!/bin/sh\n").toString("base64"),
      userDataEncoding: "base64",
    },
  });
  expect(valueOf(placed).order.hostname).toBe("web-1.xn--bcher-kva.example");
  expect(await ordersOf(world)).toMatchObject([
    {
      hostname: "web-1.xn--bcher-kva.example",
      ssh_keys: [AN_SSH_KEY, `${AN_SSH_KEY}-2`],
      user_data: "#!/bin/sh\n",
    },
  ]);
});

describe("an outage of Stripe's after the place is held", () => {
  test.each([0, 5, 29])(
    "the same key goes on %d minutes later, with the place it holds",
    async (minutes) => {
      const world = await aWorld(cp, { places: 1 });
      const key = v7();
      await whileStripeIsDown(async () => {
        await expect(sendOrder(cp, world, { key })).rejects.toBeInstanceOf(ProviderUnavailable);
      });
      cp.clock.advanceMinutes(minutes);
      const placed = valueOf(await sendOrder(cp, world, { key }));
      expect(await cp.stripe.pay(placed.checkoutUrl)).toBe(303);
      await cp.pump();
      expect(await ordersOf(world)).toMatchObject([{ state: "paid" }]);
    },
  );

  test.each([
    [0, 28],
    [29, 28],
    [61, 28],
    [89, 28],
    [0, 600],
  ])(
    "the same key goes on %d seconds later, although Stripe then takes %d seconds to answer",
    async (seconds, slowness) => {
      const world = await aWorld(cp);
      const key = v7();
      await whileStripeIsDown(async () => {
        await expect(sendOrder(cp, world, { key })).rejects.toThrow("Stripe");
      });
      cp.clock.advance(seconds * 1000);
      const { ensureCustomer } = cp.deps.payments;
      const slow: typeof ensureCustomer = async (input) => {
        const id = await ensureCustomer(input);
        cp.clock.advance(slowness * 1000);
        return id;
      };
      const payments = { ...cp.deps.payments, ensureCustomer: slow };
      const placed = await sendOrder({ ...cp, deps: { ...cp.deps, payments } }, world, { key });
      expect(placed).toMatchObject({ ok: true });
    },
  );

  // Found by the simulator: seed 811.
  test("a session that was asked for too late for its hold is an outage too, and the same key goes on", async () => {
    const world = await aWorld(cp);
    const key = v7();
    cp.stripe.trouble.behindMs = -120_000;
    await expect(sendOrder(cp, world, { key })).rejects.toBeInstanceOf(ProviderUnavailable);
    cp.clock.advance(120_000);
    cp.stripe.trouble.behindMs = 0;
    expect(await sendOrder(cp, world, { key })).toMatchObject({ ok: true });
    expect(await ordersOf(world)).toHaveLength(1);
  });

  test("two repeats at once pay into the one session that the order keeps", async () => {
    const world = await aWorld(cp);
    const key = v7();
    await whileStripeIsDown(async () => {
      await expect(sendOrder(cp, world, { key })).rejects.toThrow("Stripe");
    });
    cp.clock.advanceMinutes(5);
    const answers = await Promise.all([
      sendOrder(cp, world, { key }),
      sendOrder(cp, world, { key }),
    ]);
    const [order] = await ordersOf(world);
    for (const answer of answers) expect(valueOf(answer).checkoutUrl).toBe(order?.["checkout_url"]);
  });

  test("an order whose hold ran out meanwhile is refused, and says so", async () => {
    const world = await aWorld(cp);
    const key = v7();
    await whileStripeIsDown(async () => {
      await expect(sendOrder(cp, world, { key })).rejects.toThrow("Stripe");
    });
    cp.clock.advanceMinutes(32);
    await expireOrders(cp.deps);
    expect(await sendOrder(cp, world, { key })).toMatchObject({
      ok: false,
      error: { code: "order_wrong_state" },
    });
  });

  test("an order whose session was lost and has expired is refused, and not an error of ours", async () => {
    const world = await aWorld(cp);
    const key = v7();
    await cp.steps.watch(() => sendOrder(cp, world, { key }), SESSION_NOT_WRITTEN_DOWN);
    expect(await ordersOf(world)).toMatchObject([{ checkout_id: null }]);
    cp.clock.advanceMinutes(32);
    await expireOrders(cp.deps);
    cp.stripe.standIn.runDue();
    await cp.pump();
    expect(await sendOrder(cp, world, { key })).toMatchObject({
      ok: false,
      error: { code: "order_wrong_state" },
    });
  });
});

test("what is not on sale, or is no more, is refused by its name before it takes anything", async () => {
  const world = await aWorld(cp, { places: 1 });
  const refused = async (request: Record<string, unknown>, code: string) =>
    expect(await sendOrder(cp, world, { request })).toMatchObject({ ok: false, error: { code } });
  await refused({ planId: toWireId("plan", world.imageId) }, "plan_not_found");
  await refused({ imageId: toWireId("image", world.planId) }, "image_not_found");
  await refused({ locationId: toWireId("location", world.hostId) }, "location_not_found");
  for (const [table, id, code] of [
    ["plans", world.planId, "plan_not_found"],
    ["images", world.imageId, "image_not_found"],
  ] as const) {
    await cp.rows(`update ${table} set available = false where id = $1`, id);
    await refused({}, code);
    await cp.rows(`update ${table} set available = true where id = $1`, id);
  }
  expect(await ordersOf(world)).toEqual([]);
  expect(await sendOrder(cp, world)).toMatchObject({ ok: true });
});

test("an order by the hour is refused before it takes anything, although the plan has a price for it", async () => {
  const world = await aWorld(cp, { places: 1 });
  await cp.rows(
    `insert into plan_prices (id, plan_id, plan_version, interval, amount_minor, currency, created_at)
     values ($1, $2, 1, 'hour', 1, 'usd', $3)`,
    v7(),
    world.planId,
    cp.clock.now(),
  );
  const refused = await sendOrder(cp, world, { request: { billingInterval: "hour" } });
  expect(refused).toMatchObject({ error: { code: "billing_interval_unavailable" } });
  expect(await ordersOf(world)).toEqual([]);
  expect(await sendOrder(cp, world)).toMatchObject({ ok: true });
});

test.each([
  [
    "another price for an interval and currency",
    "usd",
    450,
    "plan_prices_version_interval_currency_key",
  ],
  ["a price between two steps", "kwd", 4505, "plan_prices_on_step"],
  ["a price of hundredths that are none", "isk", 45_050, "plan_prices_on_step"],
])("Postgres refuses %s", async (_, currency, minor, constraint) => {
  const world = await aWorld(cp);
  const another = cp.rows(
    `insert into plan_prices (id, plan_id, plan_version, interval, amount_minor, currency, created_at)
     values ($1, $2, 1, 'month', $3, $4, $5)`,
    v7(),
    world.planId,
    minor,
    currency,
    cp.clock.now(),
  );
  await expect(another).rejects.toThrow(constraint);
});

test("orders of one account that come at the same instant count each other", async () => {
  const few = await startControlPlane({
    unpaidLimits: { ...LOOSE_UNPAID_LIMITS, ofAccount: 3 },
  });
  try {
    const world = await aWorld(few, { places: 10 });
    const buyer = await aBuyer(few);
    const all = await Promise.all(
      Array.from({ length: 10 }, () => sendOrder(few, world, { buyer })),
    );
    expect(all.filter((placed) => placed.ok)).toHaveLength(3);
  } finally {
    await few.drop();
  }
});

test("an account holds so many places without paying, and no more until it pays", async () => {
  const few = await startControlPlane({
    unpaidLimits: { ...LOOSE_UNPAID_LIMITS, ofAccount: 2 },
  });
  try {
    const world = await aWorld(few, { places: 5 });
    const key = v7();
    const [paid, repeated] = [await aPlacedOrder(few, world), await sendOrder(few, world, { key })];
    const refused = { error: { code: "too_many_unpaid_orders" } };
    expect(await sendOrder(few, world)).toMatchObject(refused);
    expect(await sendOrder(few, world, { key })).toEqual(repeated);
    expect(await sendOrder(few, world, { buyer: await aBuyer(few) })).toMatchObject({ ok: true });
    await few.stripe.pay(paid.checkoutUrl);
    await few.pump();
    expect(await sendOrder(few, world)).toMatchObject({ ok: true });
    expect(await sendOrder(few, world)).toMatchObject(refused);
  } finally {
    await few.drop();
  }
});

// Found by the simulator: seed 20059 (invariant 5).
test("an order whose session is written down while the sweep gives it up is not given up unseen", async () => {
  const world = await aWorld(cp);
  const { orderId } = await aPlacedOrder(cp, world);
  const write = "update orders set checkout_id = $2 where id = $1";
  const [row] = await cp.rows("select checkout_id from orders where id = $1", orderId);
  const state = async () => (await cp.rows("select state from orders where id = $1", orderId))[0];
  await cp.rows(write, orderId, null);
  cp.clock.advanceMinutes(32);
  const placing = await cp.database.pool.connect();
  try {
    await placing.query("begin");
    await placing.query(write, [orderId, row?.["checkout_id"]]);
    // The sweep has seen no session, and waits for the order.
    const swept = expireOrders(cp.deps);
    await until("the sweep waits", PATIENCE_MS, async () => {
      const waiting = await cp.rows(
        "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
      );
      return waiting.length > 0 ? true : undefined;
    });
    await placing.query("commit");
    expect(await swept).toMatchObject({ failed: 0 });
    expect(await state()).toEqual({ state: "awaiting_payment" });
  } finally {
    placing.release();
  }
  expect(await expireOrders(cp.deps)).toMatchObject({ expired: 1, failed: 0 });
  expect(await state()).toEqual({ state: "expired" });
});

test("two customers that were made at Stripe for one account at once: every order names the first", async () => {
  const world = await aWorld(cp);
  let made = 0;
  const bothMade = Promise.withResolvers<void>();
  const payments: PaymentProvider = {
    ...cp.deps.payments,
    // As after a 500 that hides whether the other one made it.
    ensureCustomer: async ({ email, name }) => {
      const customer = await cp.stripe.dashboard.customers.create({ email, name });
      if (++made === 2) bothMade.resolve();
      await bothMade.promise;
      return customer.id;
    },
  };
  const both = { ...cp, deps: { ...cp.deps, payments } };
  const key = v7();
  const answers = await Promise.all([1, 2].map(() => sendOrder(both, world, { key })));
  expect(answers).toEqual([answers[0], answers[0]]);
  expect(answers[0]).toMatchObject({ ok: true });
  expect(made).toBe(2);
});

describe("a call that Stripe answers with 500, and then for a day so under its key,", () => {
  /** How many customers and prices there are at Stripe for this world. */
  async function madeFor(world: World) {
    const { customers, prices } = cp.stripe.dashboard;
    const all = { limit: 100 };
    const mine = (await customers.list(all)).data.filter(
      (c) => c.metadata["account_id"] === world.buyer.accountId,
    );
    const [row] = await cp.rows("select id from plan_prices where plan_id = $1", world.planId);
    const priced = await prices.list({ ...all, lookup_keys: [`berth-${String(row?.["id"])}`] });
    return { customers: mine.length, prices: priced.data.length };
  }

  test.each(
    ["POST /v1/customers", "POST /v1/prices"].flatMap((call) => [
      { call, done: false },
      { call, done: true },
    ]),
  )("stands in no order's way: $call, done: $done", async ({ call, done }) => {
    const world = await aWorld(cp);
    await cp.stripe.local("/fail-calls", { call, done });
    expect(await sendOrder(cp, world)).toMatchObject({ ok: true });
    expect(await sendOrder(cp, world)).toMatchObject({ ok: true });
    expect(await madeFor(world)).toEqual({ customers: 1, prices: 1 });
  });

  test.each([
    ["POST /v1/customers", 2],
    ["POST /v1/prices", 2],
    ["POST /v1/checkout/sessions", 1],
  ])("and again, is forgotten a minute later: %s", async (call, count) => {
    const world = await aWorld(cp);
    const key = v7();
    await cp.stripe.local("/fail-calls", { call, count });
    await expect(sendOrder(cp, world, { key })).rejects.toBeInstanceOf(ProviderUnavailable);
    cp.clock.advance(61_000);
    expect(await sendOrder(cp, world, { key })).toMatchObject({ ok: true });
    expect(await madeFor(world)).toEqual({ customers: 1, prices: 1 });
  });
});

describe("a plan that promises what a host must be able to do", () => {
  const without = (lacks: Partial<DriverCapabilities>) => ({
    facts: { capabilities: { ...ALL_CAPABILITIES, ...lacks } },
  });
  const limitedTo = (world: World, mbit: number | null, iops: number | null) =>
    aNewVersion(cp, world.planId, { bandwidthMbit: mbit, diskIops: iops });

  test.each([
    ["bandwidth", { bandwidthLimit: false }, 321, null],
    ["disk operations", { iopsLimit: false }, null, 654],
  ] as const)(
    "limited %s is not placed where it cannot be limited",
    async (_, lacks, mbit, iops) => {
      const world = await aWorld(cp, without(lacks));
      await limitedTo(world, mbit, iops);
      expect(await sendOrder(cp, world)).toMatchObject({
        ok: false,
        error: { code: "plan_unavailable_here" },
      });
      // A host that can is taken, although the other has more room.
      const able = await anEnrolledHost(cp, { locationId: world.locationId, places: 1 });
      const { orderId } = await aPlacedOrder(cp, world);
      expect(
        await cp.rows(
          "select host_id from reservations where vm_id = (select vm_id from orders where id = $1)",
          orderId,
        ),
      ).toEqual([{ host_id: able }]);
    },
  );

  test("needs nothing where nothing is limited", async () => {
    const world = await aWorld(cp, without({ bandwidthLimit: false, iopsLimit: false }));
    await limitedTo(world, null, null);
    expect(await sendOrder(cp, world)).toMatchObject({ ok: true });
  });
});
