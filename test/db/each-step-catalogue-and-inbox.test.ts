import { createHmac } from "node:crypto";
import { v7 } from "uuid";
import { afterEach, beforeEach, expect, test } from "vitest";
import { costlyTest as it } from "#test/harness/costly-test.ts";
import { addImage, addLocation, addPlan } from "#commands/catalogue/add-catalogue.ts";
import { addPlanVersion } from "#commands/catalogue/add-plan-version.ts";
import { setImageSource } from "#commands/catalogue/set-image-source.ts";
import { addPool } from "#commands/network/add-pool.ts";
import { addHost, issueJoinToken } from "#commands/hosts/add-host.ts";
import { applyBillingEvent } from "#commands/orders/apply-billing-event.ts";
import { expireOrders } from "#commands/orders/expire-orders.ts";
import { expireInitialPasswords } from "#commands/vms/expire-initial-passwords.ts";
import { fetchMissedEvents } from "#commands/messages/fetch-missed-events.ts";
import { handInitialPassword } from "#commands/vms/hand-initial-password.ts";
import { createStripeReceiver } from "#commands/messages/receive-stripe-event.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import { retryInbox } from "#commands/messages/retry-inbox.ts";
import { watchProvisioning } from "#commands/orders/watch-provisioning.ts";
import { AddImage, AddPlan, AddPlanVersion } from "#core/contracts/api/catalogue.ts";
import { BILLING_QUEUES } from "#core/ports.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { differencesOf, runEachStep, type Scenario } from "#test/harness/each-step.ts";
import { CARD, WEBHOOK_SECRET } from "#test/harness/stripe-in-process.ts";
import {
  anActiveVm,
  aPaidOrder,
  aPlacedOrder,
  aProvisionedVm,
  aWorld,
  hostSees,
  SIZE,
  SYSTEM,
  valueOf,
} from "#test/harness/world.ts";

let cp: ControlPlane;
beforeEach(async () => {
  cp = await startControlPlane();
});
afterEach(() => cp.drop());

/**
 * What is wrong: endings of runs that were cut short and tried again that differ from the undisturbed one, and lines
 * that this one should show and does not.
 */
async function faultsOf<S>(scenario: Scenario<S>, ...shows: readonly RegExp[]) {
  const each = await runEachStep(cp, scenario);
  const missing = shows.filter((line) => !each.undisturbed.some((found) => line.test(found)));
  return [...differencesOf(each), ...missing];
}

const oldestDelivery = async (type: string) => {
  const [row] = await cp.rows(
    "select message_id from inbox where applied_at is null and type = $1 order by received_at",
    type,
  );
  return String(row?.["message_id"]);
};
const ringsAreLost = () => {
  for (const queue of BILLING_QUEUES) cp.queues.waiting[queue].length = 0;
};

/* The catalogue. Whoever asks again after a lost answer hears that the name is taken: it is there, once. */

it("a plan is put on sale once", async () => {
  const faults = await faultsOf(
    {
      arrange: async () =>
        AddPlan.parse({
          name: `plan ${v7()}`,
          vcpus: 1,
          memoryMib: 1024,
          diskGib: 20,
          trafficGib: 1000,
          prices: [{ interval: "month", amountMinor: "500", currency: "usd" }],
        }),
      act: (plan) => addPlan(cp.deps, SYSTEM, plan),
      emits: [],
    },
    /^plans /,
    /^plan_versions /,
    /^plan_prices .*"month"/,
    /^audit_log .*"plan.add"/,
  );
  expect(faults).toEqual([]);
});

// 6a 1
it("a plan is changed once", async () => {
  const faults = await faultsOf(
    {
      arrange: async () => (await aWorld(cp)).planId,
      act: (planId) =>
        addPlanVersion(
          cp.deps,
          SYSTEM,
          planId,
          AddPlanVersion.parse({
            ...SIZE,
            trafficGib: 4321,
            prices: [{ interval: "year", amountMinor: "5400", currency: "usd" }],
          }),
        ),
      emits: [],
    },
    /^plan_versions .*4321/,
    /^plan_prices .*5400/,
    /^audit_log .*"plan.change"/,
  );
  expect(faults).toEqual([]);
});

it("an image is offered once", async () => {
  const faults = await faultsOf(
    {
      arrange: async () =>
        AddImage.parse({
          name: `image ${v7()}`,
          os: "linux",
          file: "debian-13",
          hypervisors: ["kvm"],
          minMemoryMib: 256,
          minDiskGib: 3,
          sha256: {},
          speaks: true,
        }),
      act: (image) => addImage(cp.deps, SYSTEM, image),
      emits: [],
    },
    /^images /,
  );
  expect(faults).toEqual([]);
});

// 12.7
it("an image's source is set once, and its checksum with it", async () => {
  const faults = await faultsOf(
    {
      arrange: async () => (await aWorld(cp)).imageId,
      act: (imageId) =>
        setImageSource(cp.deps, SYSTEM, {
          imageId,
          hypervisor: "kvm",
          url: "https://images.example.com/debian.qcow2",
          sha256: "a".repeat(64),
          bytes: null,
          locationIds: null,
        }),
      emits: [],
    },
    /^image_sources /,
    /^images /,
  );
  expect(faults).toEqual([]);
});

it("a location is opened once", async () => {
  const faults = await faultsOf(
    {
      arrange: async () => ({ name: `l${v7()}`, city: "Bonn", country: "DE", nameservers: [] }),
      act: (location) => addLocation(cp.deps, SYSTEM, location),
      emits: [],
    },
    /^locations /,
  );
  expect(faults).toEqual([]);
});

it("a block of addresses is given to a location once", async () => {
  let block = 0;
  const faults = await faultsOf(
    {
      arrange: async () => {
        const { locationId } = await aWorld(cp);
        block += 1;
        return { locationId, cidr: `10.99.${block}.0/29`, gateway: `10.99.${block}.1`, vlan: null };
      },
      act: (pool) => addPool(cp.deps, SYSTEM, pool),
      emits: [],
    },
    /^network_pools .*\/29"/,
    /^audit_log .*"location.add_pool"/,
  );
  expect(faults).toEqual([]);
});

it("a join token that nobody heard of is replaced by another, and works no less", async () => {
  const faults = await faultsOf(
    {
      arrange: async () => {
        const { locationId } = await aWorld(cp);
        const host = { name: v7(), locationId, testOnly: false, cpuOvercommit: 4 };
        return valueOf(await addHost(cp.deps, SYSTEM, host)).host.id;
      },
      act: (hostId) => issueJoinToken(cp.deps, SYSTEM, hostId),
      emits: [],
      // A token whose answer was lost is worth nothing to anybody, and ends by itself.
      ignore: /^join_tokens |"host.issue_join_token"/,
    },
    /^hosts .*"enrolling"/,
  );
  expect(faults).toEqual([]);
});

/* What comes from the provider. */

it("a signed delivery is stored once, and applied once", async () => {
  const faults = await faultsOf(
    {
      arrange: async () => {
        const { checkoutUrl } = await aPlacedOrder(cp, await aWorld(cp));
        await cp.stripe.pay(checkoutUrl);
        const event = cp.stripe.standIn.store
          .all("event")
          .findLast((e) => e.type === "checkout.session.completed");
        const body = JSON.stringify(event);
        const at = Math.floor(+cp.clock.now() / 1000);
        const mac = createHmac("sha256", WEBHOOK_SECRET).update(`${at}.${body}`).digest("hex");
        return { body, signature: `t=${at},v1=${mac}` };
      },
      act: (delivery) => createStripeReceiver(cp.deps)(delivery),
      emits: [],
    },
    /^inbox .*"checkout.session.completed"/,
    /^orders .*"paid"/,
  );
  expect(faults).toEqual([]);
});

it("deliveries that never came are fetched, and applied once", async () => {
  const faults = await faultsOf(
    {
      arrange: async () => {
        // Each delivery goes into the void until Stripe gives up.
        await cp.stripe.local("/faults", { kind: "drop", count: 100 });
        await aPaidOrder(cp, await aWorld(cp));
        cp.clock.advanceMinutes(6);
      },
      act: () => fetchMissedEvents(cp.deps),
      // What was stored and not rung for is known to the next look: another sweep rings for it.
      settle: async () => {
        cp.clock.advance(61_000);
        await retryInbox(cp.deps);
        await cp.pump();
      },
      emits: [],
      // A try of Stripe's own may have been between them: when which of the two came first is not told.
      ignore: /^inbox /,
    },
    /^orders .*"paid"/,
  );
  expect(faults).toEqual([]);
});

it("a delivery whose ring was lost is rung for, and applied once", async () => {
  const faults = await faultsOf(
    {
      arrange: async () => {
        await aPaidOrder(cp, await aWorld(cp));
        await cp.stripe.standIn.webhooks.deliverDue();
        ringsAreLost();
        // One alone: of two, either may be applied first.
        await cp.rows("delete from inbox where type <> 'checkout.session.completed'");
        cp.clock.advanceMinutes(2);
      },
      act: () => retryInbox(cp.deps),
      emits: [],
      settle: async () => {
        // A ring that was lost again is rung a minute later.
        cp.clock.advanceMinutes(2);
        await retryInbox(cp.deps);
        await cp.pump();
      },
    },
    /^orders .*"paid"/,
  );
  expect(faults).toEqual([]);
});

it("a payment that comes after its order was given up, without room for it, is given back once", async () => {
  cp.stripe.trouble.behindMs = 120_000;
  const faults = await faultsOf(
    {
      arrange: async () => {
        const { orderId, checkoutUrl } = await aPlacedOrder(cp, await aWorld(cp, { places: 1 }));
        // The order is given up, and its session stays open: a payer is faster than whoever closes it.
        const [row] = await cp.rows("select checkout_id from orders where id = $1", orderId);
        await cp.rows("update orders set checkout_id = null where id = $1", orderId);
        cp.clock.advanceMinutes(32);
        await expireOrders(cp.deps);
        await cp.rows(
          "update orders set checkout_id = $2 where id = $1",
          orderId,
          row?.["checkout_id"],
        );
        await cp.rows("update hosts set state = 'retired'");
        expect(await cp.stripe.pay(checkoutUrl)).toBe(303);
        await cp.stripe.standIn.webhooks.deliverDue();
        ringsAreLost();
        return oldestDelivery("checkout.session.completed");
      },
      act: (messageId) => applyBillingEvent(cp.deps, messageId),
      emits: ["order.refund_fell_due.v1"],
    },
    /^orders .*"refunded"/,
    /^stripe refund .* succeeded 500/,
    /^ledger_transactions .*"refund"/,
  );
  expect(faults).toEqual([]);
});

it("a refund that the bank sent back is booked back once", async () => {
  const faults = await faultsOf(
    {
      arrange: async () => {
        await aProvisionedVm(cp, await aWorld(cp), CARD.refundFails);
        cp.clock.advanceMinutes(121);
        await watchProvisioning(cp.deps);
        await cp.pump();
        cp.clock.advanceMinutes(2);
        cp.stripe.standIn.runDue();
        await cp.stripe.standIn.webhooks.deliverDue();
        ringsAreLost();
        return oldestDelivery("refund.failed");
      },
      act: (messageId) => applyBillingEvent(cp.deps, messageId),
      emits: ["order.refund_failed.v1"],
    },
    /^ledger_transactions .*"refund_reversal"/,
    /^orders .*"refunding"/,
  );
  expect(faults).toEqual([]);
});

it("a refund that staff made in Stripe's dashboard is booked once", async () => {
  const faults = await faultsOf(
    {
      arrange: async () => {
        await aProvisionedVm(cp, await aWorld(cp));
        const { paymentIntents, refunds } = cp.stripe.dashboard;
        const [paid] = (await paymentIntents.list()).data;
        await refunds.create({ payment_intent: paid?.id ?? "", amount: 200 });
        await cp.stripe.standIn.webhooks.deliverDue();
        ringsAreLost();
        return oldestDelivery("refund.created");
      },
      act: (messageId) => applyBillingEvent(cp.deps, messageId),
      emits: [],
    },
    /^ledger_transactions .*"refund"/,
    /^audit_log .*"order.book_refund"/,
  );
  expect(faults).toEqual([]);
});

/* VMs. */

test.each([
  { type: "start", from: "stop" },
  { type: "shutdown", from: null },
  { type: "reset", from: null },
] as const)("asking for a $type begins one action", async ({ type, from }) => {
  const faults = await faultsOf(
    {
      arrange: async () => {
        const world = await aWorld(cp);
        const { vmId } = await anActiveVm(cp, world);
        if (from !== null) {
          valueOf(await requestAction(cp.deps, { who: world.buyer, vmId, type: from }));
          await hostSees(cp, world.hostId, vmId, {
            observed: { power: "off", bootEpoch: null },
          });
        }
        return { who: world.buyer, vmId, type };
      },
      act: (wish) => requestAction(cp.deps, wish),
      emits: ["vm.change_requested.v1"],
    },
    new RegExp(`^actions .*"type":"${type}"`),
  );
  expect(faults).toEqual([]);
});

// 4b A7
it("a delete that takes over from a making ends it, and pays it back, once", async () => {
  const faults = await faultsOf(
    {
      arrange: async () => {
        const world = await aWorld(cp);
        const { vmId } = await aProvisionedVm(cp, world);
        return { who: world.buyer, vmId, type: "delete" as const };
      },
      act: (wish) => requestAction(cp.deps, wish),
      emits: [
        "vm.change_requested.v1",
        "action.finished.v1",
        "order.refund_fell_due.v1",
        "subscription.cancellation_fell_due.v1",
      ],
    },
    /^actions .*"superseded"/,
    /^actions .*"type":"delete"/,
    /^orders .*"refunded"/,
  );
  expect(faults).toEqual([]);
});

it("an action that no host confirms ends once", async () => {
  const faults = await faultsOf(
    {
      arrange: async () => {
        const world = await aWorld(cp);
        const { vmId } = await anActiveVm(cp, world);
        valueOf(await requestAction(cp.deps, { who: world.buyer, vmId, type: "reboot" }));
        cp.clock.advanceMinutes(61);
      },
      act: () => watchProvisioning(cp.deps),
      emits: ["action.finished.v1", "vm.change_requested.v1"],
    },
    /^actions .*"timed_out"/,
    /^audit_log .*"action.time_out"/,
  );
  expect(faults).toEqual([]);
});

it("a first password that nobody took in time is erased once", async () => {
  const faults = await faultsOf(
    {
      arrange: async () => {
        const world = await aWorld(cp);
        await cp.rows("update images set os = 'windows' where id = $1", world.imageId);
        const { vmId } = await aProvisionedVm(cp, world);
        valueOf(await handInitialPassword(cp.deps, world.hostId, vmId));
        await hostSees(cp, world.hostId, vmId, { observed: { power: "off", bootEpoch: null } });
        const now = cp.clock.now();
        await cp.rows("update initial_passwords set expires_at = $2 where vm_id = $1", vmId, now);
      },
      act: () => expireInitialPasswords(cp.deps),
      emits: ["vm.initial_password_expired.v1"],
    },
    /^initial_passwords .*"sealed":null/,
    /^outbox .*"vm.initial_password_expired.v1"/,
  );
  expect(faults).toEqual([]);
});
