import { afterAll, beforeAll, expect, test } from "vitest";
import { expireOrders } from "#commands/orders/expire-orders.ts";
import { watchProvisioning } from "#commands/orders/watch-provisioning.ts";
import { expireInitialPasswords } from "#commands/vms/expire-initial-passwords.ts";
import { handInitialPassword } from "#commands/vms/hand-initial-password.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import { takeInitialPassword } from "#commands/vms/take-initial-password.ts";
import { INITIAL_PASSWORD_LIFE_MS } from "#core/vms/initial-password.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { CARD } from "#test/harness/stripe-in-process.ts";
import {
  anActiveVm,
  aPlacedOrder,
  aProvisionedVm,
  aWorld,
  hostSees,
  valueOf,
} from "#test/harness/world.ts";

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

/** What the log says of these, in the order in which it was done: by whom, what, and to which kind of thing. */
async function storyOf(...ids: string[]): Promise<readonly string[]> {
  const rows = await cp.rows(
    `select actor_kind || ' ' || case actor_kind when 'provider' then 'event' else actor_id end
            || ': ' || action || ' ' || subject_kind as line
       from audit_log where subject_id = any($1) order by id`,
    ids,
  );
  return rows.map((row) => String(row["line"]));
}

// Issue 10, E, invariant 20: who did what to whose money is asked of the log when it is too late to add it.
test("the audit log tells an order's whole story, from its place to its VM's end", async () => {
  const world = await aWorld(cp);
  const { orderId, vmId } = await anActiveVm(cp, world);
  cp.clock.advanceDays(31);
  cp.stripe.standIn.runDue();
  await cp.pump();
  cp.clock.advanceMinutes(61);
  cp.stripe.standIn.runDue();
  await cp.pump();
  valueOf(await requestAction(cp.deps, { who: world.buyer, vmId, type: "delete" }));
  await cp.pump();
  await hostSees(cp, world.hostId, vmId, { observed: null });
  expect(await storyOf(orderId, vmId)).toEqual([
    `account ${world.buyer.accountId}: order.place order`,
    "provider event: order.pay order",
    `agent ${world.hostId}: vm.observe vm`,
    "provider event: entitlement.change vm",
    `account ${world.buyer.accountId}: vm.delete vm`,
    "system cancel-subscription: entitlement.change vm",
    `agent ${world.hostId}: vm.gone vm`,
  ]);
});

test("and of one that nobody paid", async () => {
  const world = await aWorld(cp);
  const { orderId } = await aPlacedOrder(cp, world);
  cp.clock.advanceMinutes(32);
  await expireOrders(cp.deps);
  expect(await storyOf(orderId)).toEqual([
    `account ${world.buyer.accountId}: order.place order`,
    "system expire-orders: order.expire order",
  ]);
});

test("and of one whose money went back, and was sent back", async () => {
  const world = await aWorld(cp);
  const { orderId } = await aProvisionedVm(cp, world, CARD.refundFails);
  cp.clock.advanceMinutes(121);
  await watchProvisioning(cp.deps);
  await cp.pump();
  cp.clock.advanceMinutes(2);
  cp.stripe.standIn.runDue();
  await cp.pump();
  expect(await storyOf(orderId)).toEqual([
    `account ${world.buyer.accountId}: order.place order`,
    "provider event: order.pay order",
    "system watch-provisioning: order.refund order",
    "system refund-order: order.refund order",
    "provider event: order.reverse_refund order",
  ]);
});

test("and of a password that a host was given, and that its customer took or left", async () => {
  const world = await aWorld(cp);
  await cp.rows("update images set os = 'windows' where id = $1", world.imageId);
  const { vmId } = await aProvisionedVm(cp, world);
  const { vmId: left } = await aProvisionedVm(cp, world);
  for (const id of [vmId, left]) {
    valueOf(await handInitialPassword(cp.deps, world.hostId, id));
    await hostSees(cp, world.hostId, id);
  }
  valueOf(await takeInitialPassword(cp.deps, world.buyer, vmId));
  cp.clock.advance(INITIAL_PASSWORD_LIFE_MS);
  expect(await expireInitialPasswords(cp.deps)).toEqual({ expired: 1 });
  const made = `agent ${world.hostId}: vm.make_initial_password vm`;
  expect(await storyOf(vmId)).toEqual([
    made,
    `account ${world.buyer.accountId}: vm.take_initial_password vm`,
  ]);
  expect(await storyOf(left)).toEqual([
    made,
    "system expire-initial-passwords: vm.expire_initial_password vm",
  ]);
});
