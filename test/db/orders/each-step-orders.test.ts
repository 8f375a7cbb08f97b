import { v7 } from "uuid";
import { afterEach, beforeEach, expect } from "vitest";
import { costlyTest as it } from "#test/harness/costly-test.ts";
import { applyBillingEvent } from "#commands/orders/apply-billing-event.ts";
import { cancelSubscription } from "#commands/billing/cancel-subscription.ts";
import { expireOrders } from "#commands/orders/expire-orders.ts";
import { refundOrder } from "#commands/orders/refund-order.ts";
import { watchProvisioning } from "#commands/orders/watch-provisioning.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { differencesOf, runEachStep } from "#test/harness/each-step.ts";
import {
  anActiveVm,
  aPaidOrder,
  aPlacedOrder,
  aProvisionedVm,
  aWorld,
  hostSees,
  sendOrder,
} from "#test/harness/world.ts";

let cp: ControlPlane;
beforeEach(async () => {
  cp = await startControlPlane();
});
afterEach(() => cp.drop());

const lines = (...patterns: readonly RegExp[]) =>
  patterns.map((line) => expect.stringMatching(line));

it("placing an order ends as one order at whichever step it was cut short", async () => {
  const each = await runEachStep(cp, {
    arrange: async () => ({ world: await aWorld(cp), key: v7() }),
    act: ({ world, key }) => sendOrder(cp, world, { key }),
    emits: ["order.placed.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(
      lines(/^orders .*"awaiting_payment"/, /^reservations /, /^stripe checkout .* open/),
    ),
  );
});

it("applying a payment ends as one VM and one booking", async () => {
  const each = await runEachStep(cp, {
    arrange: async () => {
      await aPaidOrder(cp, await aWorld(cp));
      await cp.stripe.standIn.webhooks.deliverDue();
      const [row] = await cp.rows(
        "select message_id from inbox where applied_at is null and type = 'checkout.session.completed'",
      );
      return String(row?.["message_id"]);
    },
    act: (messageId) => applyBillingEvent(cp.deps, messageId),
    emits: ["order.paid.v1", "vm.change_requested.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(lines(/^vms /, /^ledger_transactions .*"payment"/, /^services /)),
  );
});

it("giving up an unpaid order frees its place once", async () => {
  // Stripe's clock is behind ours, so that it is the sweep that closes the session.
  cp.stripe.trouble.behindMs = 120_000;
  const each = await runEachStep(cp, {
    arrange: async () => {
      await aPlacedOrder(cp, await aWorld(cp));
      cp.clock.advanceMinutes(32);
    },
    act: () => expireOrders(cp.deps),
    emits: ["order.expired.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(
      lines(/^orders .*"expired"/, /^hosts .*"allocated_vcpus":0/, /^stripe checkout .* expired/),
    ),
  );
});

it("a paid order without a VM in time is undone once, and its money given back once", async () => {
  const each = await runEachStep(cp, {
    arrange: async () => {
      await aProvisionedVm(cp, await aWorld(cp));
      cp.clock.advanceMinutes(121);
    },
    act: () => watchProvisioning(cp.deps),
    emits: ["order.refund_fell_due.v1", "vm.change_requested.v1", "action.finished.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(
      lines(/^orders .*"refunded"/, /^vms .*"absent"/, /^stripe refund .* succeeded 500/),
    ),
  );
});

it("a VM that runs in silence makes its order active once", async () => {
  const each = await runEachStep(cp, {
    arrange: async () => {
      const world = await aWorld(cp);
      const { vmId } = await aProvisionedVm(cp, world);
      await hostSees(cp, world.hostId, vmId);
      cp.clock.advanceMinutes(10);
      await hostSees(cp, world.hostId, vmId);
    },
    act: () => watchProvisioning(cp.deps),
    emits: ["order.activated.v1", "action.finished.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(lines(/^orders .*"active"/, /^outbox .*"order.activated.v1"/)),
  );
});

it("a refund is made once and booked once", async () => {
  const each = await runEachStep(cp, {
    arrange: async () => {
      const { orderId } = await aProvisionedVm(cp, await aWorld(cp));
      cp.clock.advanceMinutes(121);
      await watchProvisioning(cp.deps);
      return orderId;
    },
    act: (orderId) => refundOrder(cp.deps, orderId),
    emits: ["order.refunded.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(
      lines(
        /^stripe refund .* succeeded 500/,
        /^ledger_transactions .*"refund"/,
        /^stripe subscription .* canceled/,
      ),
    ),
  );
});

it("a subscription is cancelled once", async () => {
  const each = await runEachStep(cp, {
    arrange: async () => {
      const { vmId } = await anActiveVm(cp, await aWorld(cp));
      const [row] = await cp.rows("select subscription_id from services where vm_id = $1", vmId);
      return String(row?.["subscription_id"]);
    },
    act: (subscriptionId) => cancelSubscription(cp.deps, subscriptionId),
    emits: ["entitlement.changed.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(lines(/^stripe subscription .* canceled/, /^services .*"canceled"/)),
  );
});
