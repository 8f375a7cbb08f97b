import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { retryCancellations } from "#commands/billing/cancel-subscription.ts";
import { expireOrders } from "#commands/orders/expire-orders.ts";
import { retryRefunds } from "#commands/orders/refund-order.ts";
import { watchProvisioning } from "#commands/orders/watch-provisioning.ts";
import { retryInbox } from "#commands/messages/retry-inbox.ts";
import { storeDeliveries, takeUnapplied } from "#db/messages/inbox.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { anActiveVm, aPlacedOrder, aProvisionedVm, aWorld } from "#test/harness/world.ts";

let cp: ControlPlane;
beforeEach(async () => {
  cp = await startControlPlane();
});
afterEach(() => cp.drop());

/** What a sweep cannot finish must not keep it from the rest, however much of it there is. */
describe("work that always fails", () => {
  test("in the inbox lets later deliveries have their turn", async () => {
    const store = (id: string) =>
      storeDeliveries(cp.deps.db, [
        {
          event: {
            id,
            type: "invoice.paid",
            object: { kind: "invoice", id: "in_1", version: null },
            awaited: false,
          },
          queue: "billing-events",
          body: "{}",
          receivedAt: cp.clock.now(),
          mailId: cp.deps.ids.newId(),
        },
      ]);
    for (const id of ["evt_1", "evt_2", "evt_3"]) {
      await store(id);
      cp.clock.advance(1000);
    }
    cp.clock.advanceMinutes(2);
    const take = () => {
      const now = cp.clock.now();
      return takeUnapplied(cp.deps.db, {
        queue: "billing-events",
        now,
        before: new Date(+now - 60_000),
        limit: 2,
      });
    };
    expect((await take()).toSorted()).toEqual(["evt_1", "evt_2"]);
    expect(await take()).toEqual(["evt_3"]);
    expect(await take()).toEqual([]);
    expect(await retryInbox(cp.deps)).toBe(0);
    cp.clock.advanceMinutes(2);
    expect((await take()).toSorted()).toEqual(["evt_1", "evt_2"].toSorted());
  });

  /** Copies of an order, older than it, for whose Checkout Sessions Stripe has no name: nothing can be done about them. */
  const hopeless = async (orderId: string, state: string, many: number) => {
    await cp.rows(
      `insert into orders
         select (jsonb_populate_record(o, jsonb_build_object(
           'id', gen_random_uuid(), 'vm_id', gen_random_uuid(), 'state', $2::text,
           'checkout_id', 'cs_nowhere_' || n,
           'expires_at', o.expires_at - interval '1 minute',
           'paid_at', case when $2 = 'awaiting_payment' then null else o.created_at - interval '1 hour' end
         ))).* from orders o, generate_series(1, $3::int) n where o.id = $1`,
      orderId,
      state,
      many,
    );
  };
  const stateOf = async (orderId: string) =>
    (await cp.rows("select state from orders where id = $1", orderId))[0]?.["state"];

  test("among orders past their hold lets the others have their turn", async () => {
    const { orderId } = await aPlacedOrder(cp, await aWorld(cp));
    await hopeless(orderId, "awaiting_payment", 100);
    cp.clock.advanceMinutes(32);
    expect(await expireOrders(cp.deps)).toEqual({ expired: 0, paid: 0, failed: 100 });
    cp.clock.advanceMinutes(1);
    expect(await expireOrders(cp.deps)).toEqual({ expired: 1, paid: 0, failed: 99 });
    expect(await stateOf(orderId)).toBe("expired");
  });

  test("among refunds lets the others have their turn", async () => {
    const { orderId } = await aProvisionedVm(cp, await aWorld(cp));
    cp.clock.advanceMinutes(121);
    expect(await watchProvisioning(cp.deps)).toMatchObject({ refunding: 1 });
    await hopeless(orderId, "refunding", 50);
    expect(await retryRefunds(cp.deps)).toEqual({ refunded: 0, failed: 50 });
    cp.clock.advanceMinutes(1);
    expect(await retryRefunds(cp.deps)).toEqual({ refunded: 1, failed: 49 });
    expect(await stateOf(orderId)).toBe("refunded");
  });

  test("among cancellations lets the others have their turn", async () => {
    const { orderId, vmId } = await anActiveVm(cp, await aWorld(cp));
    await hopeless(orderId, "completed", 50);
    // Each has a VM that is to be gone, and a subscription that Stripe does not know.
    await cp.rows(
      `insert into services select (jsonb_populate_record(s, jsonb_build_object(
           'vm_id', o.vm_id, 'subscription_id', 'sub_' || o.checkout_id, 'updated_at', s.updated_at - interval '1 hour'))).*
         from services s, orders o where s.vm_id = $1 and o.checkout_id like 'cs_nowhere%'`,
      vmId,
    );
    await cp.rows(
      `insert into vms select (jsonb_populate_record(v, jsonb_build_object('id', o.vm_id, 'presence', 'absent'))).*
         from vms v, orders o where v.id = $1 and o.checkout_id like 'cs_nowhere%'`,
      vmId,
    );
    await cp.rows("update vms set presence = 'absent' where id = $1", vmId);
    cp.clock.advanceMinutes(1);
    expect(await retryCancellations(cp.deps)).toEqual({ canceled: 0, failed: 50 });
    cp.clock.advanceMinutes(1);
    expect(await retryCancellations(cp.deps)).toEqual({ canceled: 1, failed: 49 });
    const left = "select subscription_status as s from services where vm_id = $1";
    expect(await cp.rows(left, vmId)).toEqual([{ s: "canceled" }]);
  });

  test("a subscription that ended unpaid is not ended again and again", async () => {
    const { vmId } = await anActiveVm(cp, await aWorld(cp));
    await cp.rows("update vms set presence = 'absent' where id = $1", vmId);
    await cp.rows("update services set settled_at = $1", cp.clock.now());
    for (const ended of ["canceled", "incomplete_expired"]) {
      await cp.rows("update services set subscription_status = $1", ended);
      expect(await retryCancellations(cp.deps)).toEqual({ canceled: 0, failed: 0 });
    }
    await cp.rows("update services set subscription_status = 'past_due', settled_at = null");
    expect(await retryCancellations(cp.deps)).toEqual({ canceled: 1, failed: 0 });
  });
});

test("orders that only wait for their VM let one be judged that is due", async () => {
  const { orderId } = await aProvisionedVm(cp, await aWorld(cp));
  // Of a VM that is nowhere, nothing can be said.
  await cp.rows(
    `insert into orders select (jsonb_populate_record(o, jsonb_build_object(
         'id', gen_random_uuid(), 'vm_id', gen_random_uuid(), 'checkout_id', 'cs_waits_' || n,
         'paid_at', o.paid_at - interval '1 hour'))).*
       from orders o, generate_series(1, 200) n where o.id = $1`,
    orderId,
  );
  cp.clock.advanceMinutes(121);
  expect(await watchProvisioning(cp.deps)).toMatchObject({ refunding: 0, failed: 0 });
  cp.clock.advanceMinutes(1);
  expect(await watchProvisioning(cp.deps)).toMatchObject({ refunding: 1, failed: 0 });
});
