import { afterEach, beforeEach, expect, test } from "vitest";
import { expireOrders } from "#commands/orders/expire-orders.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { emits } from "#test/harness/emits.ts";
import {
  anActiveVm,
  aPaidOrder,
  aPlacedOrder,
  aWorld,
  GUEST,
  hostSees,
} from "#test/harness/world.ts";

let cp: ControlPlane;
beforeEach(async () => {
  cp = await startControlPlane();
});
afterEach(() => cp.drop());

const asking = async (type: "stop" | "delete") => {
  const world = await aWorld(cp);
  const { vmId } = await anActiveVm(cp, world);
  return () => requestAction(cp.deps, { who: world.buyer, vmId, type });
};

test("a step that emits what was said passes, and its answer with it", async () => {
  const answer = await emits(cp, ["vm.change_requested.v1"], await asking("stop"));
  expect(answer.ok).toBe(true);
});

test("an event that is missing fails", async () => {
  const stop = await asking("stop");
  await expect(emits(cp, ["vm.change_requested.v1", "vm.deleted.v1"], stop)).rejects.toThrow(
    "missing vm.deleted.v1",
  );
});

test("an event that nobody asked for fails", async () => {
  const stop = await asking("stop");
  await expect(emits(cp, [], stop)).rejects.toThrow("not expected vm.change_requested.v1");
});

test("one event less of two alike fails", async () => {
  const stop = await asking("stop");
  await expect(
    emits(cp, ["vm.change_requested.v1", "vm.change_requested.v1"], stop),
  ).rejects.toThrow("missing vm.change_requested.v1");
});

test("the right events in another order fail", async () => {
  const remove = await asking("delete");
  await expect(
    emits(cp, ["subscription.cancellation_fell_due.v1", "vm.change_requested.v1"], remove),
  ).rejects.toThrow("in another order");
});

test("an order that is not paid in time is placed and given up", async () => {
  const world = await aWorld(cp);
  await emits(cp, ["order.placed.v1"], () => aPlacedOrder(cp, world));
  cp.clock.advanceMinutes(45);
  const swept = await emits(cp, ["order.expired.v1"], () => expireOrders(cp.deps));
  expect(swept.expired).toBe(1);
});

test("the main line: placed, paid, delivered, renewed, deleted", async () => {
  const world = await aWorld(cp);
  await emits(cp, ["order.placed.v1"], () => aPaidOrder(cp, world));
  await emits(cp, ["order.paid.v1", "vm.change_requested.v1"], () => cp.pump());
  const vmId = String((await cp.rows("select id from vms"))[0]?.["id"]);
  await emits(cp, ["order.activated.v1", "action.finished.v1"], () =>
    hostSees(cp, world.hostId, vmId, { observed: { guest: GUEST } }),
  );
  cp.clock.advanceDays(31);
  cp.stripe.standIn.runDue();
  await emits(cp, [], () => cp.pump());
  cp.clock.advanceMinutes(61);
  cp.stripe.standIn.runDue();
  await emits(cp, ["entitlement.changed.v1", "vm.change_requested.v1"], () => cp.pump());
  const events = ["vm.change_requested.v1", "subscription.cancellation_fell_due.v1"] as const;
  const deleted = await emits(cp, events, () =>
    requestAction(cp.deps, { who: world.buyer, vmId, type: "delete" }),
  );
  expect(deleted.ok).toBe(true);
});
