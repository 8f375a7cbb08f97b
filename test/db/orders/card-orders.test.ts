import { v7 } from "uuid";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { expireOrders } from "#commands/orders/expire-orders.ts";
import { idIn } from "#core/ids.ts";
import { aCardOnFile } from "#test/harness/cards.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { CARD } from "#test/harness/stripe-in-process.ts";
import { anActiveVm, aWorld, MONTH, sendOrder, valueOf, type World } from "#test/harness/world.ts";

let cp: ControlPlane;
let world: World;
beforeEach(async () => {
  cp = await startControlPlane();
  world = await aWorld(cp, { places: 2 });
});
afterEach(() => cp.drop());

/** Ordered with the card on file. */
const orderByCard = (
  key?: string,
  request: Record<string, unknown> = {},
): ReturnType<typeof sendOrder> =>
  sendOrder(cp, world, {
    ...(key === undefined ? {} : { key }),
    request: { paymentMethod: "default", ...request },
  });
const orders = () => cp.rows("select state, decline_code from orders order by created_at");
const stripe = () => {
  const { store } = cp.stripe.standIn;
  return {
    subscriptions: store.all("subscription").map((s) => s.status),
    invoices: store.all("invoice").map((i) => `${i.status} ${i.amount_paid}`),
    charges: store.all("charge").filter((c) => c.paid).length,
    refunds: store.all("refund").length,
  };
};
const vms = async () => (await cp.rows("select 1 from vms")).length;
const allocated = async () =>
  (await cp.rows("select allocated_memory_mib as mib from hosts"))[0]?.["mib"];
const entries = () =>
  cp.rows(
    `select account, sum(amount_minor)::int as minor from ledger_entries group by account
      having sum(amount_minor) <> 0 order by account::text`,
  );

describe("an order that is paid with the card on file", () => {
  test("is paid with its answer, leads to one VM, and is booked as any other", async () => {
    await aCardOnFile(cp, world.buyer);
    const placed = valueOf(await orderByCard());
    expect(placed).toMatchObject({ checkoutUrl: null, again: false, order: { state: "paid" } });
    expect(await vms()).toBe(1);
    await cp.pump();
    expect(await orders()).toEqual([{ state: "paid", decline_code: null }]);
    expect(stripe()).toEqual({
      subscriptions: ["active"],
      invoices: ["paid 500"],
      charges: 1,
      refunds: 0,
    });
    expect(await entries()).toEqual([
      { account: "customer_revenue", minor: -Number(MONTH) },
      { account: "stripe_balance", minor: Number(MONTH) },
    ]);
    const [service] = await cp.rows(
      "select subscription_id, subscription_status, entitled_until > $1 as runs from services",
      cp.clock.now(),
    );
    expect(service).toMatchObject({ subscription_status: "active", runs: true });
    expect(cp.queues.rings).toMatchObject([{ hostId: world.hostId }]);
  });

  test("may be one with which a page was paid before, that nobody saved", async () => {
    await anActiveVm(cp, world);
    expect(valueOf(await orderByCard()).order.state).toBe("paid");
    expect(await vms()).toBe(2);
  });

  test("takes the customer's credit first, which counts as paid", async () => {
    await aCardOnFile(cp, world.buyer);
    const [customer] = cp.stripe.standIn.store.all("customer");
    const { customers } = cp.stripe.dashboard;
    await customers.createBalanceTransaction(customer?.id ?? "", { amount: -200, currency: "usd" });
    expect(valueOf(await orderByCard()).order.state).toBe("paid");
    expect(stripe().invoices).toEqual(["paid 300"]);
    await cp.pump();
    expect(await entries()).toEqual([
      { account: "customer_credit", minor: 200 },
      { account: "customer_revenue", minor: -500 },
      { account: "stripe_balance", minor: 300 },
    ]);
  });

  test("gives the same answer to a repeat with the same key, and charges once", async () => {
    await aCardOnFile(cp, world.buyer);
    const key = v7();
    const first = valueOf(await orderByCard(key));
    await cp.pump();
    expect(valueOf(await orderByCard(key))).toEqual(first);
    expect(stripe()).toMatchObject({ charges: 1, subscriptions: ["active"] });
  });

  test("is served by the provider's own word when nobody asks again", async () => {
    await aCardOnFile(cp, world.buyer);
    await cp.steps.watch(() => orderByCard(), /^after payments.startByCard/);
    expect(await orders()).toMatchObject([{ state: "awaiting_payment" }]);
    await cp.pump();
    expect(await orders()).toMatchObject([{ state: "paid" }]);
    expect(await vms()).toBe(1);
  });

  test("is found paid by the sweep when no word came either", async () => {
    await aCardOnFile(cp, world.buyer);
    await cp.steps.watch(() => orderByCard(), /^after payments.startByCard/);
    cp.clock.advanceMinutes(32);
    expect(await expireOrders(cp.deps)).toEqual({ expired: 0, paid: 1, failed: 0 });
    expect(await vms()).toBe(1);
    expect(stripe()).toMatchObject({ charges: 1, refunds: 0 });
  });

  test("is not charged again by a repeat that comes when the provider has forgotten our key", async () => {
    await aCardOnFile(cp, world.buyer);
    const key = v7();
    await cp.steps.watch(() => orderByCard(key), /^after payments.startByCard/);
    // Nothing of ours ran for two days, no sweep and no webhook.
    cp.clock.advanceDays(2);
    expect(valueOf(await orderByCard(key)).order.state).toBe("paid");
    expect(stripe()).toMatchObject({ charges: 1, subscriptions: ["active"] });
  });

  test("charges no other card when its customer changes that before the repeat", async () => {
    await aCardOnFile(cp, world.buyer, "5555555555554444");
    const key = v7();
    await cp.steps.watch(() => orderByCard(key), /^before payments.startByCard/);
    cp.clock.advance(60_000);
    await aCardOnFile(cp, world.buyer, CARD.works);
    expect(valueOf(await orderByCard(key)).order.state).toBe("paid");
    expect(stripe()).toMatchObject({ charges: 1, subscriptions: ["active"] });
  });

  test("is given back in full, credit to credit, where its place is gone", async () => {
    await aCardOnFile(cp, world.buyer);
    const [customer] = cp.stripe.standIn.store.all("customer");
    const { customers } = cp.stripe.dashboard;
    await customers.createBalanceTransaction(customer?.id ?? "", { amount: -200, currency: "usd" });
    await cp.steps.watch(() => orderByCard(), /^after payments.startByCard/);
    // As if the sweep had given it up just before the money came: both places are others' now.
    await cp.rows("update orders set state = 'expired'");
    await cp.rows("update hosts set state = 'cordoned'");
    await cp.rows("update reservations set released_at = $1", cp.clock.now());
    await cp.pump();
    expect(await orders()).toMatchObject([{ state: "refunded" }]);
    expect(await vms()).toBe(0);
    expect(stripe()).toMatchObject({ subscriptions: ["canceled"], refunds: 1 });
    expect(cp.stripe.standIn.store.all("refund")).toMatchObject([{ amount: 300 }]);
    expect(cp.stripe.standIn.store.all("customer")).toMatchObject([{ balance: -200 }]);
  });
});

describe("a card that is declined", () => {
  test("leaves nothing owed and no place held, and a repeat is told the same", async () => {
    await aCardOnFile(cp, world.buyer, CARD.failsAtRenewal);
    const key = v7();
    expect(await orderByCard(key)).toMatchObject({ error: { code: "payment_declined" } });
    expect(await orders()).toEqual([{ state: "expired", decline_code: "generic_decline" }]);
    expect(stripe()).toEqual({ subscriptions: [], invoices: [], charges: 0, refunds: 0 });
    expect(await allocated()).toBe(0);
    await aCardOnFile(cp, world.buyer);
    expect(await orderByCard(key)).toMatchObject({ error: { code: "payment_declined" } });
    expect(valueOf(await orderByCard()).order.state).toBe("paid");
  });

  test("that was declined as the answer was lost is declined by the repeat", async () => {
    await aCardOnFile(cp, world.buyer, CARD.failsAtRenewal);
    const key = v7();
    await cp.steps.watch(() => orderByCard(key), /^after payments.startByCard/);
    expect(await orderByCard(key)).toMatchObject({ error: { code: "payment_declined" } });
    expect(stripe()).toMatchObject({ subscriptions: [], charges: 0 });
  });
});

describe("no card", () => {
  test("is told before anything is held", async () => {
    expect(await orderByCard()).toMatchObject({ error: { code: "payment_method_missing" } });
    expect(await orders()).toEqual([]);
  });

  test("is told where the customer has none any more, and the place is free again", async () => {
    await aCardOnFile(cp, world.buyer);
    const [customer] = cp.stripe.standIn.store.all("customer");
    await cp.stripe.dashboard.customers.del(customer?.id ?? "");
    const key = v7();
    expect(await orderByCard(key)).toMatchObject({ error: { code: "payment_method_missing" } });
    expect(await allocated()).toBe(0);
    expect(await orderByCard(key)).toMatchObject({ error: { code: "payment_method_missing" } });
  });
});

describe("a card whose bank asks its holder", () => {
  test("waits on a page for the answer, and is served when it comes", async () => {
    await aCardOnFile(cp, world.buyer, CARD.asks);
    const key = v7();
    const placed = valueOf(await orderByCard(key));
    expect(placed).toMatchObject({ order: { state: "awaiting_payment" } });
    expect(valueOf(await orderByCard(key))).toEqual(placed);
    await cp.pump();
    expect(await vms()).toBe(0);
    expect(stripe()).toMatchObject({ subscriptions: ["incomplete"] });
    const page = String(placed.checkoutUrl);
    expect(await cp.stripe.submit(page, { authenticate: "succeed" })).toBe(303);
    await cp.pump();
    expect(await orders()).toMatchObject([{ state: "paid" }]);
    expect(await vms()).toBe(1);
    expect(stripe()).toMatchObject({ subscriptions: ["active"], charges: 1 });
  });

  test("is handed back to who asks for the same again", async () => {
    await aCardOnFile(cp, world.buyer, CARD.asks);
    const first = valueOf(await orderByCard(v7(), { another: false }));
    const second = valueOf(await orderByCard(v7(), { another: false }));
    expect(second).toEqual({ ...first, again: true });
    // By a page it would be another order.
    expect(await sendOrder(cp, world, { request: { another: false } })).toMatchObject({
      error: { code: "order_open" },
    });
  });

  test("gives up its place in time, and nobody can pay it any more", async () => {
    await aCardOnFile(cp, world.buyer, CARD.asks);
    const { checkoutUrl } = valueOf(await orderByCard());
    cp.clock.advanceMinutes(32);
    expect(await expireOrders(cp.deps)).toEqual({ expired: 1, paid: 0, failed: 0 });
    expect(await allocated()).toBe(0);
    expect(stripe()).toMatchObject({ subscriptions: ["canceled"], invoices: ["void 0"] });
    expect(await cp.stripe.submit(String(checkoutUrl), { authenticate: "succeed" })).not.toBe(303);
    await cp.pump();
    expect(await orders()).toMatchObject([{ state: "expired" }]);
  });

  test("gives up its place also where the answer about it was lost", async () => {
    await aCardOnFile(cp, world.buyer, CARD.asks);
    await cp.steps.watch(() => orderByCard(), /^after payments.startByCard/);
    cp.clock.advanceMinutes(32);
    expect(await expireOrders(cp.deps)).toEqual({ expired: 1, paid: 0, failed: 0 });
    expect(stripe()).toMatchObject({ subscriptions: ["canceled"], invoices: ["void 0"] });
  });

  test("is served when its holder was faster than the sweep", async () => {
    await aCardOnFile(cp, world.buyer, CARD.asks);
    const { checkoutUrl } = valueOf(await orderByCard());
    cp.clock.advanceMinutes(32);
    await cp.stripe.submit(String(checkoutUrl), { authenticate: "succeed" });
    expect(await expireOrders(cp.deps)).toEqual({ expired: 0, paid: 1, failed: 0 });
    expect(stripe()).toMatchObject({ subscriptions: ["active"], charges: 1, refunds: 0 });
    expect(await vms()).toBe(1);
  });
});

test("an order that waits on its page is not charged to a card", async () => {
  await aCardOnFile(cp, world.buyer);
  const open = valueOf(await sendOrder(cp, world));
  expect(await orderByCard(v7(), { another: false })).toMatchObject({
    error: { code: "order_open" },
  });
  const id = idIn("order").parse(open.order.id);
  expect(await cp.rows("select by_card, subscription_id from orders where id = $1", id)).toEqual([
    { by_card: false, subscription_id: null },
  ]);
});
