import fc from "fast-check";
import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addPlanVersion } from "#commands/catalogue/add-plan-version.ts";
import { showPlans } from "#commands/catalogue/show-catalogue.ts";
import { stamp } from "#commands/deps.ts";
import { expireOrder } from "#commands/orders/expire-order.ts";
import { showVm } from "#commands/vms/show-vm.ts";
import { DOWNGRADES } from "#core/catalogue/sold.ts";
import { AddPlanVersion } from "#core/contracts/api/catalogue.ts";
import { loadNewestPlan, loadPlan, loadPlanVersions } from "#db/catalogue/catalogue.ts";
import { lockOrder } from "#db/orders/orders.ts";
import { inTransaction } from "#db/transaction.ts";
import { loadMeters } from "#db/usage/meters.ts";
import { desiredVmsOf } from "#db/vms/vms.ts";
import { toVmView } from "#functions/views.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import {
  anActiveVm,
  aNewVersion,
  aPaidOrder,
  aPlacedOrder,
  aWorld,
  MONTH,
  sendOrder,
  SIZE,
  SYSTEM,
  valueOf,
  type World,
} from "#test/harness/world.ts";

/* 6a 1: versions of plans never change, and what is on sale is the newest. */

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

/** Another in all that a customer could notice. */
const OTHER = AddPlanVersion.parse({
  vcpus: 2,
  memoryMib: 1536,
  diskGib: 33,
  trafficGib: 77,
  bandwidthMbit: 88,
  diskIops: 99,
  downgrade: "now",
  prices: [{ interval: "month", amountMinor: "812", currency: "usd" }],
});

const onSale = async (planId: string) =>
  (await showPlans(cp.deps)).find(({ plan }) => plan.id === planId)?.plan;
const changesOf = (planId: string) =>
  cp.rows(
    "select action, detail from audit_log where subject_id = $1 and action = 'plan.change'",
    planId,
  );

describe("a plan that staff change", () => {
  test("is sold as its newest version, and the ones before stay as they were", async () => {
    const { planId } = await aWorld(cp);
    const first = await onSale(planId);
    expect(await addPlanVersion(cp.deps, SYSTEM, planId, OTHER)).toEqual({
      ok: true,
      value: { version: 2 },
    });
    expect(await onSale(planId)).toMatchObject({
      version: 2,
      size: { vcpus: 2, memoryMib: 1536, diskGib: 33 },
      trafficGib: 77,
      bandwidthMbit: 88,
      diskIops: 99,
      downgrade: "now",
      prices: [{ interval: "month", amount: { minor: 812n, currency: "usd" } }],
    });
    expect(await loadPlan(cp.deps.db, { planId, planVersion: 1 })).toEqual(first);
    expect(await changesOf(planId)).toEqual([{ action: "plan.change", detail: { version: 2 } }]);
  });

  test("into what it is already gets no version, and so it is back by another one only", async () => {
    const { planId } = await aWorld(cp);
    const again = () => addPlanVersion(cp.deps, SYSTEM, planId, OTHER);
    expect([valueOf(await again()), valueOf(await again())]).toEqual([
      { version: 2 },
      { version: 2 },
    ]);
    expect(await aNewVersion(cp, planId, { trafficGib: 78 })).toBe(3);
    expect(valueOf(await again())).toEqual({ version: 4 });
    expect(await changesOf(planId)).toHaveLength(3);
  });

  test("by several at once gets a version of each, without a gap", async () => {
    const { planId } = await aWorld(cp);
    const made = await Promise.all(
      [1, 2, 3, 4].map((n) =>
        addPlanVersion(cp.deps, SYSTEM, planId, { ...OTHER, trafficGib: 100 + n }),
      ),
    );
    const versions = made.map((each) => valueOf(each).version);
    expect(versions.toSorted((a, b) => a - b)).toEqual([2, 3, 4, 5]);
    const newest = await loadNewestPlan(cp.deps.db, planId);
    expect(newest).toMatchObject({ version: 5, trafficGib: 101 + versions.indexOf(5) });
  });

  test("is refused where it cannot be, and nothing is left of that", async () => {
    const { planId } = await aWorld(cp);
    const giant = { ...OTHER, memoryMib: 2 ** 40 };
    expect(await addPlanVersion(cp.deps, SYSTEM, planId, giant)).toMatchObject({
      error: { code: "plan_beyond_limits" },
    });
    expect(await addPlanVersion(cp.deps, SYSTEM, v7(), OTHER)).toMatchObject({
      error: { code: "plan_not_found" },
    });
    expect(await loadPlanVersions(cp.deps.db, planId)).toHaveLength(1);
    expect(await changesOf(planId)).toEqual([]);
  });
});

test.each([
  "update plan_versions set memory_mib = memory_mib + 1 where plan_id = $1",
  "update plan_versions set bandwidth_mbit = null where plan_id = $1",
  "delete from plan_versions where plan_id = $1",
  "update plan_prices set amount_minor = 1 where plan_id = $1",
  "update plan_prices set stripe_price_id = 'price_other' where plan_id = $1",
  "update plan_prices set stripe_price_id = null where plan_id = $1",
  "delete from plan_prices where plan_id = $1",
])("not even the database's owner may: %s", async (statement) => {
  const { planId } = await aWorld(cp);
  await cp.rows(
    "update plan_prices set stripe_price_id = 'price_first' where plan_id = $1",
    planId,
  );
  const change = cp.database.asOwner(statement.replace("$1", `'${planId}'`));
  await expect(change).rejects.toThrow("append-only");
});

/** All that a customer has of a VM: what they are shown, what its host is told, what it is measured by, and what is sold. */
async function whatIsHad(world: World, vmId: string) {
  const { db } = cp.deps;
  const view = valueOf(await showVm(cp.deps, world.buyer, vmId));
  const meters = await loadMeters(db, world.hostId, [{ vmId, bootEpoch: "any" }]);
  const { trafficGib } = await loadPlan(db, view.bought);
  return {
    view: toVmView(view, world.startedAt, world.buyer),
    desired: await desiredVmsOf(db, world.hostId),
    meter: meters.get(vmId)?.vm,
    trafficGib,
  };
}

test("a plan changed under a customer changes neither size, traffic, limits nor price of theirs", async () => {
  const world = await aWorld(cp);
  const { vmId } = await anActiveVm(cp, world);
  const had = await whatIsHad(world, vmId);
  expect(had).toMatchObject({
    view: {
      planVersion: 1,
      size: SIZE,
      price: { interval: "month", amount: { minor: MONTH.toString(), currency: "usd" } },
    },
    desired: [{ size: SIZE, diskIops: null, nics: [{ bandwidthMbit: 1000 }] }],
    meter: { bandwidthMbit: 1000 },
    trafficGib: 1024,
  });
  const count = (max: number) => fc.integer({ min: 1, max });
  const version = fc.record({
    vcpus: count(8),
    memoryMib: count(64_000),
    diskGib: count(900),
    trafficGib: count(9000),
    bandwidthMbit: fc.option(count(40_000)),
    diskIops: fc.option(count(40_000)),
    downgrade: fc.constantFrom(...DOWNGRADES),
    prices: fc.uniqueArray(
      fc.record({
        interval: fc.constantFrom("hour" as const, "month" as const, "year" as const),
        amountMinor: count(99_999).map(String),
        currency: fc.constantFrom("usd" as const, "eur" as const),
      }),
      { selector: ({ interval }) => interval, minLength: 1 },
    ),
  });
  await fc.assert(
    fc.asyncProperty(version, async (wanted) => {
      valueOf(await addPlanVersion(cp.deps, SYSTEM, world.planId, wanted));
      expect(await whatIsHad(world, vmId)).toEqual(had);
    }),
    { numRuns: 8 },
  );
});

test("a renewal after the plan has changed costs what was bought", async () => {
  const world = await aWorld(cp);
  const { orderId } = await anActiveVm(cp, world);
  await aNewVersion(cp, world.planId, OTHER);
  cp.clock.advanceDays(31);
  cp.stripe.standIn.runDue();
  await cp.pump();
  cp.clock.advanceMinutes(61);
  cp.stripe.standIn.runDue();
  await cp.pump();
  expect(
    await cp.rows("select paid_minor::int as paid from invoices where order_id = $1", orderId),
  ).toEqual([{ paid: Number(MONTH) }, { paid: Number(MONTH) }]);
});

/* The rule: what was ordered is sold as it was when it was ordered, whenever it is paid (docs/adr/0045). */
describe("an order that waits while its plan changes", () => {
  const sold = async (vmId: string) =>
    (
      await cp.rows(
        `select s.plan_version, s.amount_minor::int as price, v.memory_mib, v.bandwidth_mbit, v.disk_iops
           from services s join vms v on v.id = s.vm_id where s.vm_id = $1`,
        vmId,
      )
    )[0];
  const AS_BEFORE = {
    plan_version: 1,
    price: Number(MONTH),
    memory_mib: SIZE.memoryMib,
    bandwidth_mbit: 1000,
    disk_iops: null,
  };
  const AS_SINCE = {
    plan_version: 2,
    price: 812,
    memory_mib: 1536,
    bandwidth_mbit: 88,
    disk_iops: 99,
  };

  test("is paid and made as it was placed, and the next one as the plan is now", async () => {
    const world = await aWorld(cp, { places: 4 });
    const waits = await aPlacedOrder(cp, world);
    await aNewVersion(cp, world.planId, OTHER);
    expect(await cp.stripe.pay(waits.checkoutUrl)).toBe(303);
    await cp.pump();
    expect(await sold(waits.vmId)).toEqual(AS_BEFORE);
    const next = await aPaidOrder(cp, world);
    await cp.pump();
    expect(await sold(next.vmId)).toEqual(AS_SINCE);
  });

  test("is made as it was placed though its place was given up, and another one taken for it", async () => {
    const world = await aWorld(cp);
    const late = await aPaidOrder(cp, world);
    await aNewVersion(cp, world.planId, OTHER);
    // It ran out before anybody heard that it was paid.
    const given = await inTransaction(cp.deps.db, async (tx) => {
      const order = await lockOrder(tx, late.orderId);
      return order && expireOrder(tx, order, stamp(cp.deps), SYSTEM);
    });
    expect(given).toBe("expired");
    await cp.pump();
    expect(await sold(late.vmId)).toEqual(AS_BEFORE);
  });

  test("is that very order to a second click, at the price that was shown with it", async () => {
    const world = await aWorld(cp);
    const click = () => sendOrder(cp, world, { request: { another: false } });
    const first = valueOf(await click());
    await aNewVersion(cp, world.planId, OTHER);
    expect(valueOf(await click())).toEqual({ ...first, again: true });
    expect(first.order).toMatchObject({ planVersion: 1, total: { minor: MONTH.toString() } });
  });

  test("gets the price that it was placed with when its page is opened only then", async () => {
    const world = await aWorld(cp);
    const key = v7();
    cp.stripe.trouble.outage = true;
    const first = await sendOrder(cp, world, { key }).catch((error: unknown) => error);
    cp.stripe.trouble.outage = false;
    await aNewVersion(cp, world.planId, OTHER);
    const again = valueOf(await sendOrder(cp, world, { key }));
    expect(first).toBeInstanceOf(Error);
    expect(again.order).toMatchObject({ planVersion: 1, total: { minor: MONTH.toString() } });
  });
});
