import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { recordRestore } from "#commands/hosts/record-restore.ts";
import { issueJoinToken } from "#commands/hosts/add-host.ts";
import { enrollHost } from "#commands/hosts/enroll-host.ts";
import { fetchEventsAgain } from "#commands/messages/fetch-events-again.ts";
import { adoptVm } from "#commands/orders/adopt-vm.ts";
import { watchProvisioning } from "#commands/orders/watch-provisioning.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import { createDesiredReader } from "#commands/vms/read-desired.ts";
import { MOST_RAISED } from "#core/hosts/restored.ts";
import { hostFacts } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { aDesiredHost, type DesiredHost } from "#test/harness/desired-host.ts";
import { snapshotOf, type Snapshot } from "#test/harness/restored-database.ts";
import {
  aNewVersion,
  aPlacedOrder,
  aProvisionedVm,
  aPublicKey,
  aWorld,
  SYSTEM,
  valueOf,
  type AnOrder,
  type World,
} from "#test/harness/world.ts";

/* 5, item 8: the database was restored to an hour ago. */

let cp: ControlPlane;
let world: World;
let host: DesiredHost;
const taken: Snapshot[] = [];
beforeEach(async () => {
  cp = await startControlPlane();
  world = await aWorld(cp, { places: 6 });
  host = aDesiredHost(cp, world.hostId);
});
afterEach(async () => {
  await cp.drop();
  for (const snapshot of taken.splice(0)) await snapshot.drop();
});

async function backUp() {
  const snapshot = await snapshotOf(cp);
  taken.push(snapshot);
  return { ...snapshot, at: cp.clock.now() };
}
const say = (restoredTo: Date, dryRun = false) =>
  recordRestore(cp.deps, SYSTEM, { restoredTo, dryRun });
const ask = (vmId: string, type: "stop" | "start" | "delete") =>
  requestAction(cp.deps, { who: world.buyer, vmId, type });
const one = async (query: string, ...values: unknown[]) => (await cp.rows(query, ...values))[0];
const vmOf = (vmId: string) =>
  one(
    "select generation, observed_generation, observed_power, lost_at from vms where id = $1",
    vmId,
  );
const findings = async (kind: string) =>
  (await cp.rows("select subject from findings where kind = $1 and ended_at is null", kind)).map(
    (row) => row["subject"],
  );
async function catchUp() {
  await fetchEventsAgain(cp.deps);
  await cp.pump();
}
async function anActive(): Promise<AnOrder> {
  const order = await aProvisionedVm(cp, world);
  await host.pass();
  return order;
}

/** 6b item 4: nothing new comes to the host, and what lies there already is not new. */
const cordon = () => cp.rows("update hosts set state = 'cordoned' where id = $1", world.hostId);

describe("a host that holds a later document than the restored database knows", () => {
  test("refuses for ever what it is given, until staff say that it was restored; then its counters are above all that it holds", async () => {
    const { vmId } = await anActive();
    const kept = await backUp();
    for (const type of ["stop", "start", "stop", "start"] as const) {
      valueOf(await ask(vmId, type));
      await host.pass();
    }
    const held = host.generation();
    const vmBefore = Number((await vmOf(vmId))?.["generation"]);
    cp.clock.advanceMinutes(60);
    await kept.restore();
    await host.pass();
    await host.pass();
    expect(host.refused()).toBe(2);

    valueOf(await say(kept.at));
    await host.pass();
    expect(host.refused()).toBe(2);
    expect(host.generation()).toBeGreaterThan(held);
    const vm = await vmOf(vmId);
    expect(vm?.["generation"]).toBeGreaterThan(vmBefore);
    expect(vm).toMatchObject({
      observed_generation: vm?.["generation"],
      observed_power: "running",
    });
    // From here on all goes as before.
    valueOf(await ask(vmId, "stop"));
    await host.pass();
    expect(host.vms.get(vmId)?.power).toBe("off");
    expect(await one("select status from actions where type = 'stop'")).toEqual({
      status: "success",
    });
    expect(host.did).toEqual([`create ${vmId}`]);
  });

  test("does not pass off what it did in the lost hour for what is asked of it now", async () => {
    const { vmId } = await anActive();
    const kept = await backUp();
    // In the lost hour: off, and on again, under the generations that the next actions would have.
    valueOf(await ask(vmId, "stop"));
    await host.pass();
    cp.clock.advanceMinutes(60);
    await kept.restore();
    valueOf(await say(kept.at));
    const stop = valueOf(await ask(vmId, "stop"));
    const status = async () =>
      (await one("select status from actions where id = $1", stop.id))?.["status"];
    // The same generation as its document of the lost hour has, in which it was off too.
    await host.report();
    expect(await status()).toBe("running");
    await host.pass();
    expect(await status()).toBe("success");
  });

  test("that makes its counters up raises nothing, and is told to staff", async () => {
    const kept = await backUp();
    valueOf(await say(kept.at));
    const announced = { protocol: 2, understands: [] } as const;
    const poll = (generation: number) =>
      createDesiredReader(cp.deps)(world.hostId, {
        etag: `"${generation}-${"a".repeat(64)}"`,
        atLeast: 0,
        announced,
      });
    const generation = async () =>
      (await one("select desired_generation as g from hosts where id = $1", world.hostId))?.["g"];
    const before = Number(await generation());
    await poll(before + MOST_RAISED);
    expect(await generation()).toBe(before);
    expect(cp.log.errors).toContainEqual(
      expect.objectContaining({ event: "raise_after_restore.too_far", host_id: world.hostId }),
    );
    await poll(before + MOST_RAISED - 1);
    expect(await generation()).toBeGreaterThan(before + MOST_RAISED - 1);
  });

  test("says it by ten polls at once, and its counters rise once", async () => {
    const { vmId } = await anActive();
    const kept = await backUp();
    valueOf(await say(kept.at));
    const generation = Number((await vmOf(vmId))?.["generation"]);
    const etag = `"40-${"b".repeat(64)}"`;
    const poll = { etag, atLeast: 0, announced: { protocol: 2, understands: [] } } as const;
    await Promise.all(
      Array.from({ length: 10 }, () => createDesiredReader(cp.deps)(world.hostId, poll)),
    );
    const raised = await one("select raised_by from hosts where id = $1", world.hostId);
    expect(raised?.["raised_by"]).toBeGreaterThan(0);
    expect((await vmOf(vmId))?.["generation"]).toBe(generation + Number(raised?.["raised_by"]));
  });
});

describe("after a restore", () => {
  test("nothing is destroyed for a day: what is to go is off, and goes then", async () => {
    const { vmId } = await anActive();
    valueOf(await ask(vmId, "delete"));
    const kept = await backUp();
    cp.clock.advanceMinutes(5);
    await kept.restore();
    valueOf(await say(kept.at));
    await host.pass();
    expect(host.vms.get(vmId)?.power).toBe("off");
    cp.clock.advanceMinutes(24 * 60 - 6);
    await host.pass();
    expect(host.did).toEqual([`create ${vmId}`]);
    cp.clock.advanceMinutes(7);
    await host.pass();
    expect(host.did).toEqual([`create ${vmId}`, `destroy ${vmId}`]);
    expect(await one("select status from actions where type = 'delete'")).toEqual({
      status: "success",
    });
  });

  test("a VM that was deleted in the lost hour is told as lost, and never made again", async () => {
    const { vmId } = await anActive();
    const kept = await backUp();
    valueOf(await ask(vmId, "delete"));
    await host.pass();
    cp.clock.advanceMinutes(60);
    await kept.restore();
    valueOf(await say(kept.at));
    await catchUp();
    await host.pass();
    expect(host.did).toEqual([`create ${vmId}`, `destroy ${vmId}`]);
    expect(await findings("vm_lost")).toEqual([vmId]);
  });

  test("a delete whose VM is gone already ends at once", async () => {
    const { vmId } = await anActive();
    valueOf(await ask(vmId, "delete"));
    const kept = await backUp();
    await host.pass();
    await kept.restore();
    valueOf(await say(kept.at));
    await host.pass();
    expect(await one("select status from actions where type = 'delete'")).toEqual({
      status: "success",
    });
    expect(host.did).toEqual([`create ${vmId}`, `destroy ${vmId}`]);
  });

  test("an order whose VM was proven in the lost hours is not undone, but proven again", async () => {
    const { vmId, orderId } = await aProvisionedVm(cp, world);
    const kept = await backUp();
    await host.pass();
    cp.clock.advanceMinutes(3 * 60);
    await kept.restore();
    valueOf(await say(kept.at));
    expect(await watchProvisioning(cp.deps)).toMatchObject({ refunding: 0 });
    await host.pass();
    expect(await one("select state from orders where id = $1", orderId)).toEqual({
      state: "active",
    });
    expect(host.did).toEqual([`create ${vmId}`]);
  });

  test("an order whose VM is proven by nobody is undone when the day is over", async () => {
    const { orderId } = await aProvisionedVm(cp, world);
    const kept = await backUp();
    valueOf(await say(kept.at));
    cp.clock.advanceMinutes(23 * 60);
    await watchProvisioning(cp.deps);
    const state = async () =>
      (await one("select state from orders where id = $1", orderId))?.["state"];
    expect(await state()).toBe("paid");
    cp.clock.advanceMinutes(61);
    await watchProvisioning(cp.deps);
    expect(await state()).toBe("refunding");
  });

  test("an order that was paid in the lost hour is paid again, from Stripe, and its VM is made no second time", async () => {
    const order = await aPlacedOrder(cp, world);
    const kept = await backUp();
    cp.clock.advance(17_000);
    expect(await cp.stripe.pay(order.checkoutUrl)).toBe(303);
    await cp.pump();
    await host.pass();
    valueOf(await ask(order.vmId, "stop"));
    await host.pass();
    const held = Number((await vmOf(order.vmId))?.["generation"]);
    cp.clock.advanceMinutes(60);
    await kept.restore();
    valueOf(await say(kept.at));
    await host.pass();
    expect(await findings("vm_unknown_after_restore")).toEqual([order.vmId]);
    await cordon();
    await catchUp();
    await host.pass();
    expect((await vmOf(order.vmId))?.["generation"]).toBeGreaterThan(held);
    expect(host.did).toEqual([`create ${order.vmId}`]);
    expect(host.vms.get(order.vmId)?.power).toBe("running");
    expect(await one("select state from orders where id = $1", order.orderId)).toEqual({
      state: "active",
    });
    expect(await findings("vm_unknown_after_restore")).toEqual([]);
    expect(
      await one("select count(*)::int as n, sum(total_minor)::int as sum from invoices"),
    ).toEqual({ n: 1, sum: 500 });
  });

  test("a VM whose order is lost too is listed with its payment, keeps its address, and is adopted", async () => {
    await anActive();
    const kept = await backUp();
    cp.clock.advanceMinutes(10);
    await host.pass();
    const lost = await anActive();
    const address = async () =>
      (await one("select host(address) as a from ip_leases where vm_id = $1", lost.vmId))?.["a"];
    const had = await address();
    cp.clock.advanceMinutes(50);
    await kept.restore();
    expect(await address()).toBeUndefined();
    valueOf(await say(kept.at));
    await host.pass();
    await catchUp();
    await cordon();
    expect(await findings("vm_unknown_after_restore")).toEqual([lost.vmId]);
    expect(await address()).toBe(had);
    const { unknownVms, unknownCheckouts } = valueOf(await say(kept.at));
    expect(unknownVms).toMatchObject([
      { vmId: lost.vmId, hostId: world.hostId, hostname: "web-1.example.com", address: had },
    ]);
    expect(unknownCheckouts).toMatchObject([{ orderId: lost.orderId, amountMinor: "500" }]);

    const asked = {
      vmId: lost.vmId,
      checkoutId: unknownCheckouts[0]?.checkoutId ?? "",
      accountId: world.buyer.accountId,
      planId: world.planId,
    };
    // 6a 1: its plan costs more by now. What was paid tells which version it is of.
    const prices = [{ interval: "month", amountMinor: "999", currency: "usd" }] as const;
    await aNewVersion(cp, world.planId, { prices: [...prices] });
    const { hash } = valueOf(await adoptVm(cp.deps, SYSTEM, { ...asked, dryRun: true }));
    expect(await one("select id from orders where id = $1", lost.orderId)).toBeUndefined();
    const stale = { ...asked, dryRun: false, hash: "0".repeat(64) };
    expect(await adoptVm(cp.deps, SYSTEM, stale)).toMatchObject({
      error: { code: "plan_changed" },
    });
    valueOf(await adoptVm(cp.deps, SYSTEM, { ...asked, dryRun: false, hash }));
    await cp.pump();
    await host.pass();
    expect(host.did.filter((what) => what.endsWith(lost.vmId))).toEqual([`create ${lost.vmId}`]);
    expect(host.vms.size).toBe(2);
    expect(
      await one("select plan_version, amount_minor from services where vm_id = $1", lost.vmId),
    ).toEqual({ plan_version: 1, amount_minor: "500" });
    expect(await one("select state from orders where id = $1", lost.orderId)).toEqual({
      state: "active",
    });
    const { data: paid } = await cp.stripe.dashboard.invoices.list({ status: "paid" });
    const booked = await cp.rows("select provider_id from invoices order by 1");
    expect(booked.map((row) => row["provider_id"])).toEqual(paid.map((i) => i.id).toSorted());
    const after = valueOf(await say(kept.at));
    expect({ ...after, restore: null }).toMatchObject({
      unknownVms: [],
      unknownCheckouts: [],
      unheardHosts: [],
    });
    expect(await adoptVm(cp.deps, SYSTEM, { ...asked, dryRun: false })).toMatchObject({
      error: { code: "vm_not_found" },
    });
  });

  test("a VM that its host tells of only when the day is over is listed all the same, and stays so", async () => {
    await anActive();
    const kept = await backUp();
    const lost = await anActive();
    cp.clock.advanceMinutes(60);
    await kept.restore();
    valueOf(await say(kept.at));
    cp.clock.advanceMinutes(25 * 60);
    await host.pass();
    expect(await findings("vm_unknown_after_restore")).toEqual([lost.vmId]);
    const { unknownVms } = valueOf(await say(kept.at));
    expect(unknownVms).toMatchObject([{ vmId: lost.vmId }]);
    expect(await findings("stranger")).toEqual([]);
  });

  test("one that its agent says nothing more of, as its customer had deleted it, stays what it was found to be after the day", async () => {
    await anActive();
    const kept = await backUp();
    const lost = await anActive();
    valueOf(await ask(lost.vmId, "delete"));
    await host.pass();
    await kept.restore();
    valueOf(await say(kept.at));
    // Its host was not done with it.
    host.vms.set(lost.vmId, { power: "off", ownerEpoch: 1 });
    for (let hour = 0; hour < 26; hour++) {
      await host.pass();
      cp.clock.advanceMinutes(60);
    }
    expect(await findings("vm_unknown_after_restore")).toEqual([lost.vmId]);
    expect(await findings("stranger")).toEqual([]);
  });

  test("said twice, or while agents report, it counts once; said in advance it only tells", async () => {
    await anActive();
    const kept = await backUp();
    await kept.restore();
    expect(valueOf(await say(kept.at, true)).restore).toBeNull();
    const hold = () =>
      one("select destroys_held_until as h from hosts where id = $1", world.hostId);
    expect(await hold()).toEqual({ h: null });
    await Promise.all([say(kept.at), host.pass(), say(kept.at)]);
    const held = await hold();
    await host.pass();
    cp.clock.advanceMinutes(10);
    expect(valueOf(await say(kept.at)).unheardHosts).toEqual([]);
    expect(await hold()).toEqual(held);
    expect(
      await cp.rows("select action from audit_log where action = 'database.restored'"),
    ).toHaveLength(1);
  });

  test("it is refused for an instant to come, and for one of which Stripe tells no more", async () => {
    const refused = { error: { code: "restore_point_invalid" } };
    expect(await say(new Date(+cp.clock.now() + 1))).toMatchObject(refused);
    expect(await say(new Date(+cp.clock.now() - 31 * 86_400_000))).toMatchObject(refused);
  });

  test("what serves once, and may have served in the lost hour, serves no more", async () => {
    const { joinToken } = valueOf(await issueJoinToken(cp.deps, SYSTEM, world.hostId));
    const kept = await backUp();
    const publicKey = { kty: "OKP", crv: "Ed25519", x: aPublicKey() } as const;
    valueOf(await enrollHost(cp.deps, { joinToken, publicKey, facts: hostFacts() }));
    await kept.restore();
    valueOf(await say(kept.at));
    const thief = { kty: "OKP", crv: "Ed25519", x: aPublicKey() } as const;
    expect(
      await enrollHost(cp.deps, { joinToken, publicKey: thief, facts: hostFacts() }),
    ).toMatchObject({ error: { code: "join_token_invalid" } });
  });
});
