import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { expireOrders } from "#commands/orders/expire-orders.ts";
import { watchProvisioning } from "#commands/orders/watch-provisioning.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import { PROVISIONING_DEADLINE_MS } from "#core/orders/decide-order.ts";
import { ACTION_TIME_LIMIT_MS } from "#core/vms/action.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import {
  anActiveVm,
  aPlacedOrder,
  aProvisionedVm,
  aWorld,
  hostSees,
  valueOf,
  type World,
} from "#test/harness/world.ts";

let cp: ControlPlane;
beforeEach(async () => {
  cp = await startControlPlane();
});
afterEach(() => cp.drop());

// Issue 10, E: a failing order that is never marked as tried starves the rest.
test.each([
  {
    sweep: "orders past their hold",
    make: (world: World) => aPlacedOrder(cp, world),
    due: 32 * 60_000,
    run: () => expireOrders(cp.deps),
    failAt: /^before payments.expireCheckout/,
    counts: { expired: 0, paid: 0, failed: 0 },
    counted: "expired",
    becomes: "expired",
    told: "expire_orders.failed",
  },
  {
    sweep: "paid orders without a VM",
    make: (world: World) => aProvisionedVm(cp, world),
    due: PROVISIONING_DEADLINE_MS,
    run: () => watchProvisioning(cp.deps),
    failAt: /^before update "orders"/,
    counts: { activated: 0, refunding: 0, timedOut: 0, failed: 0 },
    counted: "refunding",
    becomes: "refunding",
    told: "watch_provisioning.failed",
  },
])(
  "the sweep of $sweep goes on after one that fails, tells of it, and takes it last from then on",
  async ({ make, due, run, failAt, counts, counted, becomes, told }) => {
    const world = await aWorld(cp);
    const failing = await make(world);
    cp.clock.advance(1_000);
    const other = await make(world);
    cp.clock.advance(due);
    const orders = () => cp.rows("select id, state, tried_at from orders order by created_at");
    const [before] = await orders();
    let swept: unknown;
    await cp.steps.watch(async () => {
      swept = await run();
    }, failAt);
    expect(swept).toEqual({ ...counts, failed: 1, [counted]: 1 });
    expect(await orders()).toEqual([
      { id: failing.orderId, state: before?.["state"], tried_at: cp.clock.now() },
      { id: other.orderId, state: becomes, tried_at: null },
    ]);
    expect(cp.log.errors).toEqual([
      { event: told, order_id: failing.orderId, error: expect.any(Error) },
    ]);
    expect(await run()).toEqual({ ...counts, [counted]: 1 });
  },
);

test("an order that a silent guest delivers is counted as activated, and as nothing else", async () => {
  const world = await aWorld(cp);
  const { vmId } = await aProvisionedVm(cp, world);
  await hostSees(cp, world.hostId, vmId);
  cp.clock.advanceMinutes(11);
  await hostSees(cp, world.hostId, vmId);
  const nothing = { activated: 0, refunding: 0, timedOut: 0, failed: 0 };
  expect(await watchProvisioning(cp.deps)).toEqual({ ...nothing, activated: 1 });
  expect(await watchProvisioning(cp.deps)).toEqual(nothing);
});

describe("an action that its host does not confirm", () => {
  test("runs until its last instant, and is ended after it, once", async () => {
    const world = await aWorld(cp);
    const { vmId } = await anActiveVm(cp, world);
    valueOf(await requestAction(cp.deps, { who: world.buyer, vmId, type: "reboot" }));
    const status = async () =>
      (await cp.rows("select status from actions where type = 'reboot'"))[0]?.["status"];
    cp.clock.advance(ACTION_TIME_LIMIT_MS);
    expect(await watchProvisioning(cp.deps)).toMatchObject({ timedOut: 0 });
    expect(await status()).toBe("running");
    cp.clock.advance(1);
    expect(await watchProvisioning(cp.deps)).toMatchObject({ timedOut: 1 });
    expect(await status()).toBe("error");
    expect(await watchProvisioning(cp.deps)).toMatchObject({ timedOut: 0 });
  });
});
