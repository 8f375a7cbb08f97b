import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { retryCancellations } from "#commands/billing/cancel-subscription.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import { watchProvisioning } from "#commands/orders/watch-provisioning.ts";
import { loadServed } from "#db/hosts/hosts.ts";
import { desiredVmsOf } from "#db/vms/vms.ts";
import { aPrincipal } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import {
  anActiveVm,
  anEnrolledHost,
  GUEST,
  aProvisionedVm,
  aWorld,
  hostSees,
  sendOrder,
  valueOf,
  type World,
} from "#test/harness/world.ts";

let cp: ControlPlane;
beforeEach(async () => {
  cp = await startControlPlane();
});
afterEach(() => cp.drop());

const remove = (world: World, vmId: string) =>
  requestAction(cp.deps, { who: world.buyer, vmId, type: "delete" });
const cancellations = () =>
  cp.stripe.calls.filter((call) => call.startsWith("DELETE /v1/subscriptions/")).length;

test("deleting a VM ends its order, frees its room and cancels its subscription once", async () => {
  const world = await aWorld(cp, { places: 1 });
  const { orderId, vmId } = await anActiveVm(cp, world);
  const first = valueOf(await remove(world, vmId));
  expect(valueOf(await remove(world, vmId)).id).toBe(first.id);
  await cp.pump();
  expect(await sendOrder(cp, world)).toMatchObject({ error: { code: "no_capacity" } });
  await hostSees(cp, world.hostId, vmId, { observed: null });
  await hostSees(cp, world.hostId, vmId, { observed: null });
  expect(await retryCancellations(cp.deps)).toEqual({ canceled: 0, failed: 0 });
  await cp.pump();

  expect(await cp.rows("select state from orders where id = $1", orderId)).toEqual([
    { state: "completed" },
  ]);
  expect(await cp.rows("select status from actions where type = 'delete'")).toEqual([
    { status: "success" },
  ]);
  expect(cancellations()).toBe(1);
  expect(cp.stripe.standIn.store.all("subscription")).toMatchObject([{ status: "canceled" }]);
  expect(await sendOrder(cp, world)).toMatchObject({ ok: true });
  expect(await remove(world, vmId)).toMatchObject({ error: { code: "vm_not_found" } });
});

test("a VM that its host did not see before it heard that it is to go is not gone by that", async () => {
  const world = await aWorld(cp);
  const { vmId } = await aProvisionedVm(cp, world);
  const [vm] = await cp.rows("select generation from vms where id = $1", vmId);
  const before = Number(vm?.["generation"]);
  valueOf(await remove(world, vmId));
  const ended = () => cp.rows("select deleted_at is not null as gone from vms where id = $1", vmId);
  // Its host may be making it at this moment.
  await hostSees(cp, world.hostId, vmId, { observed: null, generation: before });
  expect(await ended()).toEqual([{ gone: false }]);
  await hostSees(cp, world.hostId, vmId, { observed: null });
  expect(await ended()).toEqual([{ gone: true }]);
});

test("a VM that is to go takes no other action, for whoever asks, and is deleted all the same", async () => {
  const world = await aWorld(cp);
  const { vmId } = await anActiveVm(cp, world);
  const { id } = valueOf(await remove(world, vmId));
  for (const who of [world.buyer, aPrincipal({ role: "staff" })])
    for (const type of ["start", "shutdown", "stop", "reboot", "reset"] as const)
      expect(await requestAction(cp.deps, { who, vmId, type })).toMatchObject({
        ok: false,
        error: { code: "vm_not_found" },
      });
  expect(await cp.rows("select id, status from actions where type <> 'create'")).toEqual([
    { id, status: "running" },
  ]);
  await hostSees(cp, world.hostId, vmId, { observed: null });
  expect(await cp.rows("select status from actions where id = $1", id)).toEqual([
    { status: "success" },
  ]);
});

test("the address of a deleted VM rests for a day before another VM gets it", async () => {
  const world = await aWorld(cp, { places: 2, addresses: 1 });
  const { vmId } = await anActiveVm(cp, world);
  valueOf(await remove(world, vmId));
  await hostSees(cp, world.hostId, vmId, { observed: null });
  expect(await sendOrder(cp, world)).toMatchObject({ error: { code: "no_address" } });
  cp.clock.advanceDays(1);
  cp.clock.advance(-1000);
  await anEnrolledHost(cp, { locationId: world.locationId, places: 1 });
  expect(await sendOrder(cp, world)).toMatchObject({ error: { code: "no_address" } });
  cp.clock.advance(1000);
  expect(await sendOrder(cp, world)).toMatchObject({ ok: true });
  expect(await cp.rows("select distinct host(address) from ip_leases")).toHaveLength(1);
});

test("a cancellation that Stripe's outage kept back is made by the sweep", async () => {
  const world = await aWorld(cp);
  const { vmId } = await anActiveVm(cp, world);
  cp.stripe.trouble.outage = true;
  valueOf(await remove(world, vmId));
  await cp.pump();
  expect(await retryCancellations(cp.deps)).toEqual({ canceled: 0, failed: 1 });
  cp.stripe.trouble.outage = false;
  expect(await retryCancellations(cp.deps)).toEqual({ canceled: 1, failed: 0 });
  await cp.pump();
  expect(cancellations()).toBe(1);
});

test("another customer's VM is not found; one of staff may delete it where that is allowed, and the audit log says who did", async () => {
  const world = await aWorld(cp);
  const { vmId } = await anActiveVm(cp, world);
  const other = { ...world, buyer: aPrincipal() };
  expect(await remove(other, vmId)).toMatchObject({ error: { code: "vm_not_found" } });
  const staff = aPrincipal({ role: "staff" });
  const asked = { who: staff, vmId, type: "delete" } as const;
  expect(await requestAction(cp.deps, asked)).toMatchObject({
    error: { code: "second_person_required" },
  });
  const settings = { ...cp.deps.settings, oneMayDestroy: true };
  valueOf(await requestAction({ ...cp.deps, settings }, asked));
  expect(
    await cp.rows("select actor_kind, actor_id from audit_log where action = 'vm.delete'"),
  ).toEqual([{ actor_kind: "staff", actor_id: staff.accountId }]);
});

// 4b A7: a VM could not be deleted while a shutdown, or its making, waited for a guest that said nothing.
describe("a delete takes over from", () => {
  const actionsOf = (vmId: string) =>
    cp.rows(
      "select type, status, error_code from actions where vm_id = $1 order by started_at, id",
      vmId,
    );
  const desiredOf = async (vmId: string) =>
    (await desiredVmsOf(cp.deps.db, String((await vmOf(vmId))?.["host_id"]))).find(
      (vm) => vm.vmId === vmId,
    );
  const vmOf = async (vmId: string) =>
    (await cp.rows("select host_id, generation from vms where id = $1", vmId))[0];
  const orderOf = async (orderId: string) =>
    (await cp.rows("select state from orders where id = $1", orderId))[0]?.["state"];
  const superseded = (type: string) => ({ type, status: "error", error_code: "superseded" });
  const running = { type: "delete", status: "running", error_code: null };

  test.each(["shutdown", "stop", "reboot", "reset"] as const)(
    "a %s that waits for its guest: it ends as superseded, and its host hears of it at once",
    async (type) => {
      const world = await aWorld(cp);
      const { orderId, vmId } = await anActiveVm(cp, world);
      await cp.pump();
      const asked = valueOf(await requestAction(cp.deps, { who: world.buyer, vmId, type }));
      const before = await loadServed(cp.deps.db, world.hostId);
      cp.clock.advance(7_000);
      const { id } = valueOf(await remove(world, vmId));
      expect(valueOf(await remove(world, vmId)).id).toBe(id);
      expect(await actionsOf(vmId)).toEqual([
        expect.objectContaining({ type: "create", status: "success" }),
        superseded(type),
        running,
      ]);
      const after = await loadServed(cp.deps.db, world.hostId);
      expect(after?.generation).toBeGreaterThan(before?.generation ?? 0);
      expect(await desiredOf(vmId)).toMatchObject({ presence: "absent", pendingActions: [] });
      // Whatever the host says of it now, a superseded action has ended.
      await hostSees(
        cp,
        world.hostId,
        vmId,
        { observed: { power: "off" } },
        { actions: [{ actionId: asked.id, vmId, outcome: "success", error: null }] },
      );
      await hostSees(cp, world.hostId, vmId, { observed: null });
      expect((await actionsOf(vmId)).slice(1)).toEqual([
        superseded(type),
        { ...running, status: "success" },
      ]);
      expect(await orderOf(orderId)).toBe("completed");
    },
  );

  test("a making that has shown nothing yet: the order is paid back in full, and its subscription ended", async () => {
    const world = await aWorld(cp, { places: 1 });
    const { orderId, vmId } = await aProvisionedVm(cp, world);
    cp.clock.advance(11_000);
    valueOf(await remove(world, vmId));
    expect(await actionsOf(vmId)).toEqual([superseded("create"), running]);
    expect(await orderOf(orderId)).toBe("refunding");
    expect(await desiredOf(vmId)).toMatchObject({
      presence: "absent",
      entitledUntil: cp.clock.now().toISOString(),
    });
    await cp.pump();
    expect(await orderOf(orderId)).toBe("refunded");
    expect(cp.stripe.standIn.store.all("subscription")).toMatchObject([{ status: "canceled" }]);
    // What its host had begun meanwhile changes nothing: it goes.
    await hostSees(cp, world.hostId, vmId, { observed: { guest: GUEST } });
    await hostSees(cp, world.hostId, vmId, { observed: null });
    expect(await orderOf(orderId)).toBe("refunded");
    expect(await actionsOf(vmId)).toEqual([
      superseded("create"),
      { ...running, status: "success" },
    ]);
    cp.clock.advanceMinutes(200);
    await watchProvisioning(cp.deps);
    await cp.pump();
    expect(cp.stripe.standIn.store.all("refund")).toHaveLength(1);
    const balance =
      "select sum(amount_minor)::int as left from ledger_entries where account = 'stripe_balance'";
    expect(await cp.rows(balance)).toEqual([{ left: 0 }]);
    expect(await sendOrder(cp, world)).toMatchObject({ error: { code: "no_capacity" } });
  });

  test("a making whose guest says nothing: what was made is kept and not paid back (invariant 26)", async () => {
    const world = await aWorld(cp);
    const { orderId, vmId } = await aProvisionedVm(cp, world);
    await hostSees(cp, world.hostId, vmId);
    await hostSees(cp, world.hostId, vmId, { observed: { power: "off", bootEpoch: null } });
    valueOf(await remove(world, vmId));
    expect(await actionsOf(vmId)).toEqual([superseded("create"), running]);
    expect(await orderOf(orderId)).toBe("paid");
    cp.clock.advanceMinutes(200);
    expect(await watchProvisioning(cp.deps)).toMatchObject({ refunding: 0 });
    await hostSees(cp, world.hostId, vmId, { observed: null });
    await cp.pump();
    expect(await orderOf(orderId)).toBe("completed");
    expect(cp.stripe.standIn.store.all("refund")).toEqual([]);
  });
});
