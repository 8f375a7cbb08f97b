import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freezeBilling } from "#commands/billing/freeze-billing.ts";
import { settleLosses } from "#commands/billing/settle-losses.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import { showVm } from "#commands/vms/show-vm.ts";
import { insertService, type NewService } from "#db/billing/services.ts";
import { reserve } from "#db/hosts/capacity.ts";
import { leaseAddress } from "#db/network/addresses.ts";
import { inTransaction } from "#db/transaction.ts";
import { desiredVmsOf, insertVm } from "#db/vms/vms.ts";
import { toVmView } from "#functions/views.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import {
  anActiveVm,
  aWorld,
  GUEST,
  hostSees,
  SIZE,
  valueOf,
  type World,
} from "#test/harness/world.ts";

/* 6a 1: what was bought stands apart from how it was ordered, so that a VM may come to be without an order. */

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

const DAY_MS = 24 * 60 * 60_000;

const granted = (world: World, over: Partial<NewService> = {}): NewService => ({
  vmId: v7(),
  accountId: world.buyer.accountId,
  planId: world.planId,
  planVersion: 1,
  payer: "staff",
  price: null,
  subscriptionId: null,
  subscriptionStatus: null,
  subscriptionVersion: null,
  entitledUntil: new Date(+cp.clock.now() + 30 * DAY_MS),
  ...over,
});

/** A VM by staff's word alone. */
async function aGrantedVm(world: World): Promise<string> {
  const now = cp.clock.now();
  const { vmId, ...service } = granted(world);
  await inTransaction(cp.deps.db, async (tx) => {
    const place = { id: v7(), vmId, hostId: world.hostId, size: SIZE, now };
    if (!(await reserve(tx, place))) throw new Error("there is no room");
    await leaseAddress(tx, { id: v7(), locationId: world.locationId, vmId, now });
    await insertService(tx, { vmId, ...service }, now);
    await insertVm(tx, {
      id: vmId,
      accountId: world.buyer.accountId,
      hostId: world.hostId,
      imageId: world.imageId,
      locationId: world.locationId,
      hostname: "granted",
      sshKeys: [],
      userData: null,
      rootPassword: false,
      createdAt: now,
      size: SIZE,
      bandwidthMbit: 1000,
      diskIops: null,
    });
  });
  return vmId;
}

test("a VM that no order led to is made, seen, lost, found and deleted, and no money moves", async () => {
  const world = await aWorld(cp, { places: 1 });
  const vmId = await aGrantedVm(world);
  expect(await desiredVmsOf(cp.deps.db, world.hostId)).toMatchObject([{ vmId, size: SIZE }]);
  await hostSees(cp, world.hostId, vmId, { observed: { guest: GUEST } });
  const shown = async () =>
    toVmView(valueOf(await showVm(cp.deps, world.buyer, vmId)), cp.clock.now(), world.buyer);
  expect(await shown()).toMatchObject({
    orderId: null,
    price: null,
    planVersion: 1,
    status: "running",
  });
  cp.clock.advanceMinutes(3);
  const error = { code: "vm_missing", detail: "gone" } as const;
  await hostSees(cp, world.hostId, vmId, { observed: null, settled: false, error });
  expect(await shown()).toMatchObject({ status: "lost" });
  cp.clock.advanceDays(2);
  expect(await freezeBilling(cp.deps)).toEqual({ frozen: 0, resumed: 0, failed: 0 });
  expect(await settleLosses(cp.deps)).toEqual({ settled: 0, failed: 0 });
  await hostSees(cp, world.hostId, vmId);
  valueOf(await requestAction(cp.deps, { who: world.buyer, vmId, type: "delete" }));
  await hostSees(cp, world.hostId, vmId, { observed: null });
  await cp.pump();
  expect(await cp.rows("select allocated_vms from hosts where id = $1", world.hostId)).toEqual([
    { allocated_vms: 0 },
  ]);
  for (const table of ["orders", "invoices", "losses", "ledger_transactions"])
    expect([table, await cp.rows(`select * from ${table}`)]).toEqual([table, []]);
  expect(cp.log.errors.map(({ event }) => event)).toEqual(["finding.opened"]);
});

describe("what was bought", () => {
  const price = { interval: "month", amount: { minor: 700n, currency: "usd" } } as const;
  test.each<[string, Partial<NewService>, string]>([
    ["by Stripe has a price", { payer: "stripe" }, "services_stripe_has_a_price"],
    [
      "by nobody has no subscription",
      { subscriptionId: "sub_of_nobody" },
      "services_stripe_has_a_price",
    ],
    [
      "costs something, where it has a price",
      { price: { ...price, amount: { ...price.amount, minor: 0n } } },
      "services_price_is_whole",
    ],
    ["is a version that was on sale", { planVersion: 2 }, "services_plan_version_fk"],
  ])("%s", async (_, over, constraint) => {
    const world = await aWorld(cp);
    const write = inTransaction(cp.deps.db, (tx) =>
      insertService(tx, granted(world, over), cp.clock.now()),
    );
    await expect(write).rejects.toMatchObject({ cause: { constraint } });
  });

  test("has its price with its interval and its currency, or none of the three", async () => {
    const world = await aWorld(cp);
    const { vmId } = await anActiveVm(cp, world);
    const drop = cp.rows("update services set currency = null where vm_id = $1", vmId);
    await expect(drop).rejects.toMatchObject({ constraint: "services_price_is_whole" });
  });

  test("stays while its VM does, and no VM is without it", async () => {
    const { vmId } = await anActiveVm(cp, await aWorld(cp));
    const drop = cp.database.asOwner(`delete from services where vm_id = '${vmId}'`);
    await expect(drop).rejects.toMatchObject({ constraint: "vms_were_bought" });
  });
});
