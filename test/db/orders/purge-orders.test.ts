import { v7 } from "uuid";
import { afterAll, beforeAll, expect, test } from "vitest";
import { expireOrders } from "#commands/orders/expire-orders.ts";
import { purgeExpiredOrders } from "#commands/orders/purge-orders.ts";
import { lockOrder } from "#db/orders/orders.ts";
import { inTransaction } from "#db/transaction.ts";
import { idIn } from "#core/ids.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { aPlacedOrder, aProvisionedVm, aWorld, sendOrder, valueOf } from "#test/harness/world.ts";

/* 4b A2: expired orders are purged in time. */

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

const DAY = 24 * 60;
/** How many rows there are of an order. */
async function rowsOf(order: { orderId: string; vmId: string }) {
  const [row] = await cp.rows(
    `select (select count(*)::int from orders where id = $1) as orders,
       (select count(*)::int from reservations where vm_id = $2) as reservations,
       (select count(*)::int from ip_leases where vm_id = $2) as leases,
       (select count(*)::int from idempotency_keys where resource_id = $1) as keys,
       (select count(*)::int from audit_log where subject_id = $1) as audit`,
    order.orderId,
    order.vmId,
  );
  return row;
}
const WHOLE = { orders: 1, reservations: 1, leases: 1, keys: 1, audit: 2 };
const PURGED = { orders: 0, reservations: 0, leases: 0, keys: 0, audit: 2 };

async function anExpiredOrder() {
  const world = await aWorld(cp);
  const order = await aPlacedOrder(cp, world);
  cp.clock.advanceMinutes(32);
  await expireOrders(cp.deps);
  return { ...order, world };
}

test("an order that ran out is deleted thirty days later, with what it held, and its audit rows stay", async () => {
  const order = await anExpiredOrder();
  cp.clock.advanceMinutes(30 * DAY - 1);
  expect(await purgeExpiredOrders(cp.deps)).toEqual({ purged: 0 });
  expect(await rowsOf(order)).toEqual(WHOLE);
  cp.clock.advanceMinutes(1);
  expect(await purgeExpiredOrders(cp.deps)).toEqual({ purged: 1 });
  expect(await rowsOf(order)).toEqual(PURGED);
  expect(await purgeExpiredOrders(cp.deps)).toEqual({ purged: 0 });
});

test("what waits to be paid, was paid, led to a VM, or has an invoice stays for good", async () => {
  const world = await aWorld(cp, { places: 4 });
  const sold = await aProvisionedVm(cp, world);
  const invoiced = await anExpiredOrder();
  await cp.rows(
    `insert into invoices (id, account_id, order_id, provider_id, status, total_minor, paid_minor, currency, created_at)
     select $1, account_id, id, 'in_' || id, 'open', 500, 0, 'usd', $2 from orders where id = $3`,
    v7(),
    cp.clock.now(),
    invoiced.orderId,
  );
  cp.clock.advanceMinutes(29 * DAY);
  await cp.rows("update hosts set last_seen_at = $1", cp.clock.now());
  const waiting = valueOf(await sendOrder(cp, world));
  cp.clock.advanceMinutes(2 * DAY);
  await purgeExpiredOrders(cp.deps);
  expect(await rowsOf(sold)).toMatchObject({ orders: 1, reservations: 1, leases: 1, keys: 1 });
  expect(await rowsOf(invoiced)).toEqual(WHOLE);
  expect(
    await cp.rows("select state from orders where id = $1", idIn("order").parse(waiting.order.id)),
  ).toEqual([{ state: "awaiting_payment" }]);
});

test("one that somebody is at work on is left for the next sweep, and holds up no other", async () => {
  const [busy, other] = [await anExpiredOrder(), await anExpiredOrder()];
  cp.clock.advanceMinutes(31 * DAY);
  await inTransaction(cp.deps.db, async (tx) => {
    await lockOrder(tx, busy.orderId);
    expect((await purgeExpiredOrders(cp.deps)).purged).toBeGreaterThanOrEqual(1);
    expect(await rowsOf(busy)).toEqual(WHOLE);
    expect(await rowsOf(other)).toEqual(PURGED);
  });
  await purgeExpiredOrders(cp.deps);
  expect(await rowsOf(busy)).toEqual(PURGED);
});

test("a delivery about an order that is gone, and its key sent again, do no harm", async () => {
  const world = await aWorld(cp);
  const key = v7();
  const placed = valueOf(await sendOrder(cp, world, { key }));
  cp.clock.advanceMinutes(32);
  await expireOrders(cp.deps);
  cp.clock.advanceMinutes(31 * DAY);
  await purgeExpiredOrders(cp.deps);
  await cp.pump();
  await cp.rows("update hosts set last_seen_at = $1", cp.clock.now());
  const again = valueOf(await sendOrder(cp, world, { key }));
  expect(again.order.id).not.toBe(placed.order.id);
});

test.each([
  ["orders", "id = $1", "only_expired_is_deleted"],
  ["reservations", "vm_id = (select vm_id from orders where id = $1)", "held_rooms_stay"],
  ["ip_leases", "vm_id = (select vm_id from orders where id = $1)", "leases_of_vms_stay"],
])("nobody deletes the %s of an order that was paid", async (table, where, constraint) => {
  const { orderId } = await aProvisionedVm(cp, await aWorld(cp));
  const statement = `delete from ${table} where ${where}`;
  await expect(cp.rows(statement, orderId)).rejects.toMatchObject({ constraint });
});

test.each(["reservations", "ip_leases"])(
  "nobody deletes the %s of one that waits",
  async (table) => {
    const { vmId } = await aPlacedOrder(cp, await aWorld(cp));
    await expect(cp.rows(`delete from ${table} where vm_id = $1`, vmId)).rejects.toThrow("stays");
  },
);
