import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { expireOrders } from "#commands/orders/expire-orders.ts";
import { retryInbox } from "#commands/messages/retry-inbox.ts";
import { storeDelivery, takeUnapplied } from "#db/messages/inbox.ts";
import { markTried, orderIdsPastHold } from "#db/orders/orders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { aPlacedOrder, aWorld } from "#test/harness/world.ts";

let cp: ControlPlane;
beforeEach(async () => {
  cp = await startControlPlane();
});
afterEach(() => cp.drop());

/** What a sweep cannot finish must not keep it from the rest, however much of it there is. */
describe("work that always fails", () => {
  test("in the inbox lets later deliveries have their turn", async () => {
    const store = (id: string) =>
      storeDelivery(
        cp.deps.db,
        { id, type: "invoice.paid", object: { kind: "invoice", id: "in_1" } },
        "{}",
        cp.clock.now(),
      );
    for (const id of ["evt_1", "evt_2", "evt_3"]) {
      await store(id);
      cp.clock.advance(1000);
    }
    cp.clock.advanceMinutes(2);
    const take = () => {
      const now = cp.clock.now();
      return takeUnapplied(cp.deps.db, { now, before: new Date(+now - 60_000), limit: 2 });
    };
    expect((await take()).toSorted()).toEqual(["evt_1", "evt_2"]);
    expect(await take()).toEqual(["evt_3"]);
    expect(await take()).toEqual([]);
    expect(await retryInbox(cp.deps)).toBe(0);
    cp.clock.advanceMinutes(2);
    expect((await take()).toSorted()).toEqual(["evt_1", "evt_2"].toSorted());
  });

  test("among orders past their hold lets the others have their turn", async () => {
    const world = await aWorld(cp);
    const stuck = await aPlacedOrder(cp, world);
    cp.clock.advance(1000);
    const next = await aPlacedOrder(cp, world);
    cp.clock.advanceMinutes(32);
    const first = () => orderIdsPastHold(cp.deps.db, cp.clock.now(), 1);
    expect(await first()).toEqual([stuck.orderId]);
    cp.stripe.trouble.outage = true;
    expect(await expireOrders(cp.deps)).toMatchObject({ expired: 0, failed: 2 });
    cp.clock.advance(1000);
    await markTried(cp.deps.db, stuck.orderId, cp.clock.now());
    expect(await first()).toEqual([next.orderId]);
    cp.stripe.trouble.outage = false;
    expect(await expireOrders(cp.deps)).toMatchObject({ expired: 2, failed: 0 });
  });
});
