import { v7 } from "uuid";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { applyBillingEvent } from "#commands/orders/apply-billing-event.ts";
import { expireOrders } from "#commands/orders/expire-orders.ts";
import { refundOrder, retryRefunds } from "#commands/orders/refund-order.ts";
import { inTransaction } from "#db/transaction.ts";
import { desiredVmsOf } from "#db/vms/vms.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { CARD } from "#test/harness/stripe-in-process.ts";
import {
  anEnrolledHost,
  aPaidOrder,
  aPlacedOrder,
  aProvisionedVm,
  aWorld,
  sendOrder,
  type World,
} from "#test/harness/world.ts";

let cp: ControlPlane;
beforeEach(async () => {
  cp = await startControlPlane();
});
afterEach(() => cp.drop());

const one = async (query: string, ...values: unknown[]) => (await cp.rows(query, ...values))[0];
const order = (id: string) => one("select * from orders where id = $1", id);
const host = (id: string) => one("select * from hosts where id = $1", id);
const freeAddresses = async (world: World) =>
  (
    await cp.rows(
      `select a.address from ip_addresses a join network_pools p on p.id = a.pool_id
       where p.location_id = $1 and a.busy_until <= $2`,
      world.locationId,
      cp.clock.now(),
    )
  ).length;
const ledger = (orderId: string) =>
  cp.rows(
    `select e.account, sum(e.amount_minor)::int as minor from ledger_entries e
     join ledger_transactions t on t.id = e.transaction_id where t.order_id = $1
     group by e.account order by e.account::text`,
    orderId,
  );

describe("paying", () => {
  test("makes the VM's row on the host that held the place, and books the money", async () => {
    const world = await aWorld(cp);
    const { orderId, vmId } = await aProvisionedVm(cp, world);
    expect(await order(orderId)).toMatchObject({ state: "paid", paid_at: cp.clock.now() });
    expect(await one("select * from vms where id = $1", vmId)).toMatchObject({
      host_id: world.hostId,
      presence: "present",
      desired_power: "running",
      generation: 1,
    });
    expect(
      await one("select entitled_until as until from services where vm_id = $1", vmId),
    ).toEqual({
      // A month from the payment on, not from the order.
      until: new Date("2026-04-01T12:00:17.000Z"),
    });
    expect(await ledger(orderId)).toEqual([
      { account: "customer_revenue", minor: -500 },
      { account: "stripe_balance", minor: 500 },
    ]);
    expect(cp.queues.rings).toMatchObject([{ hostId: world.hostId }]);
  });

  test("with a card that is declined leaves the order payable and nothing provisioned", async () => {
    const world = await aWorld(cp);
    const { orderId, vmId, checkoutUrl } = await aPlacedOrder(cp, world);
    expect(await cp.stripe.pay(checkoutUrl, CARD.declined)).not.toBe(303);
    await cp.pump();
    expect(await order(orderId)).toMatchObject({ state: "awaiting_payment" });
    expect(await cp.rows("select id from vms where id = $1", vmId)).toEqual([]);
    expect(cp.queues.rings).toEqual([]);
    expect(await cp.stripe.pay(checkoutUrl)).toBe(303);
    await cp.pump();
    expect(await order(orderId)).toMatchObject({ state: "paid" });
  });

  test("another amount than the order costs is given back in full, and its place is free again", async () => {
    const world = await aWorld(cp, { places: 1, addresses: 1 });
    const { orderId } = await aPaidOrder(cp, world);
    await cp.rows("update orders set total_minor = 501 where id = $1", orderId);
    await cp.pump();
    expect(await order(orderId)).toMatchObject({ state: "refunded" });
    expect(cp.stripe.standIn.store.all("refund")).toMatchObject([{ amount: 500 }]);
    expect(cp.stripe.standIn.store.all("subscription")).toMatchObject([{ status: "canceled" }]);
    expect(await host(world.hostId)).toMatchObject({ allocated_memory_mib: 0 });
    expect(await freeAddresses(world)).toBe(1);
    expect(await cp.rows("select 1 from vms")).toEqual([]);
  });

  test("while the sweep closes the session is served: the payer was faster", async () => {
    const { orderId } = await aPaidOrder(cp, await aWorld(cp));
    cp.clock.advanceMinutes(32);
    expect(await expireOrders(cp.deps)).toMatchObject({ expired: 0, paid: 1, failed: 0 });
    expect(await order(orderId)).toMatchObject({ state: "paid" });
  });
});

describe("an order that is not paid in time", () => {
  test.each([
    { by: "the sweep", expire: () => expireOrders(cp.deps) },
    {
      by: "Stripe's own event",
      expire: async () => {
        cp.stripe.standIn.runDue();
        await cp.pump();
      },
    },
  ])("is given up by $by, and its place and address are free again", async ({ expire }) => {
    const world = await aWorld(cp, { places: 1, addresses: 1 });
    const { orderId, checkoutUrl } = await aPlacedOrder(cp, world);
    expect(await host(world.hostId)).toMatchObject({ allocated_memory_mib: 1024 });
    expect(await sendOrder(cp, world)).toMatchObject({ error: { code: "no_capacity" } });
    cp.clock.advanceMinutes(32);
    await expire();
    expect(await order(orderId)).toMatchObject({ state: "expired" });
    expect(await host(world.hostId)).toMatchObject({
      allocated_vcpus: 0,
      allocated_memory_mib: 0,
      allocated_disk_gib: 0,
    });
    expect(await freeAddresses(world)).toBe(1);
    expect(await cp.stripe.pay(checkoutUrl)).not.toBe(303);
  });
});

describe("a payment that comes after its order was given up", () => {
  /** Stripe's clock is a little behind, and the session was never written down: the sweep cannot close it. */
  async function expiredAndPayable(
    world: World,
  ): Promise<{ orderId: string; pay: () => Promise<number> }> {
    cp.stripe.trouble.behindMs = 120_000;
    const key = v7();
    await cp.steps.watch(
      () => sendOrder(cp, world, { key }),
      /^before update "orders" set "checkout_id"/,
    );
    const [session] = cp.stripe.standIn.store.all("checkout_session");
    const orderId = session?.metadata?.["order_id"];
    const url = session?.url;
    if (orderId === undefined || url === undefined || url === null) throw new Error("no session");
    cp.clock.advanceMinutes(32);
    expect(await expireOrders(cp.deps)).toMatchObject({ expired: 1 });
    return { orderId, pay: () => cp.stripe.pay(url) };
  }

  test("is served when there is still room", async () => {
    const world = await aWorld(cp, { places: 1, addresses: 1 });
    const { orderId, pay } = await expiredAndPayable(world);
    await enrolledAgain(world);
    expect(await pay()).toBe(303);
    await cp.pump();
    expect(await order(orderId)).toMatchObject({ state: "paid" });
    expect(await freeAddresses(world)).toBe(0);
    expect(cp.stripe.standIn.store.all("refund")).toEqual([]);
    // Of its two leases one ended with the order's hold.
    const leases = await cp.rows(
      `select released_at is null as held, host(address) as address from ip_leases
        where vm_id = (select vm_id from orders where id = $1) order by 1`,
      orderId,
    );
    expect(leases.map(({ held }) => held)).toEqual([false, true]);
    const [on] = await cp.rows(
      "select host_id from vms where id = (select vm_id from orders where id = $1)",
      orderId,
    );
    const [vm] = await desiredOf(String(on?.["host_id"]));
    expect(vm?.nics.map(({ ipv4 }) => ipv4.address)).toEqual([leases[1]?.["address"]]);
  });

  test("is given back in full when there is no room, and its subscription ends", async () => {
    const world = await aWorld(cp, { places: 1 });
    const { orderId, pay } = await expiredAndPayable(world);
    await enrolledAgain(world);
    await aPlacedOrder(cp, world);
    expect(await pay()).toBe(303);
    await cp.pump();
    expect(await order(orderId)).toMatchObject({ state: "refunded" });
    expect(await cp.rows("select id from vms")).toEqual([]);
    expect(cp.stripe.standIn.store.all("refund")).toMatchObject([
      { amount: 500, status: "succeeded" },
    ]);
    expect(cp.stripe.standIn.store.all("subscription")).toMatchObject([{ status: "canceled" }]);
    expect(await ledger(orderId)).toEqual([
      { account: "customer_refunds", minor: 500 },
      { account: "customer_revenue", minor: -500 },
      { account: "stripe_balance", minor: 0 },
    ]);
  });

  test("is given back by the sweep when Stripe was away at first", async () => {
    const world = await aWorld(cp, { places: 1 });
    const { orderId, pay } = await expiredAndPayable(world);
    await pay();
    await cp.stripe.standIn.webhooks.deliverDue();
    cp.stripe.trouble.outage = true;
    await cp.pump();
    expect(await order(orderId)).toMatchObject({ state: "expired" });
    cp.stripe.trouble.outage = false;
    await cp.pump();
    // The host was silent for half an hour by now, so there is no room.
    expect(await order(orderId)).toMatchObject({ state: "refunded" });
    expect(await retryRefunds(cp.deps)).toEqual({ refunded: 0, failed: 0 });
  });

  test("is given back once, also when the answer was lost and Stripe has forgotten our key", async () => {
    const world = await aWorld(cp, { places: 1 });
    const { orderId, pay } = await expiredAndPayable(world);
    await pay();
    await cp.stripe.standIn.webhooks.deliverDue();
    for (const { message_id: id } of await cp.rows("select message_id from inbox"))
      await applyBillingEvent(cp.deps, String(id));
    expect(await order(orderId)).toMatchObject({ state: "refunding" });
    await cp.steps.watch(() => refundOrder(cp.deps, orderId), /^after payments.refundInvoice/);
    // Keys may be forgotten after a day (Stripe, "Idempotent requests").
    cp.clock.advanceDays(2);
    expect(await retryRefunds(cp.deps)).toEqual({ refunded: 1, failed: 0 });
    expect(cp.stripe.standIn.store.all("refund")).toHaveLength(1);
  });

  /** The world's host was silent while the clock moved: another one takes its place. */
  async function enrolledAgain(world: World) {
    await anEnrolledHost(cp, { locationId: world.locationId, places: 1 });
  }
});

const desiredOf = (hostId: string) => inTransaction(cp.deps.db, (tx) => desiredVmsOf(tx, hostId));
