import { sql, type SQL } from "drizzle-orm";
import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { issueJoinToken } from "#commands/hosts/add-host.ts";
import { enrollHost } from "#commands/hosts/enroll-host.ts";
import { followProvider } from "#commands/orders/follow-provider.ts";
import { createDesiredReader } from "#commands/vms/read-desired.ts";
import { recordChange } from "#db/record-change.ts";
import { lockServiceOfSubscription } from "#db/billing/services.ts";
import type { Tx } from "#db/client.ts";
import { lockHost } from "#db/hosts/hosts.ts";
import { takeUnsent } from "#db/messages/outbox.ts";
import { leaseAddress } from "#db/network/addresses.ts";
import {
  loadOrder,
  lockBuyer,
  lockOrder,
  saveOrder,
  StaleVersion,
  unpaidOrdersOf,
} from "#db/orders/orders.ts";
import { inTransaction } from "#db/transaction.ts";
import { lockInitialPassword } from "#db/vms/initial-passwords.ts";
import { lockVm, lockVmsOf } from "#db/vms/vms.ts";
import { hostFacts } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { meet } from "#test/harness/meet.ts";
import {
  anActiveVm,
  aPublicKey,
  aWorld,
  SYSTEM,
  valueOf,
  type AnOrder,
  type World,
} from "#test/harness/world.ts";

/*
 * What holds when two work on the same rows, each guard by itself: whoever decides holds what it decides on, what was
 * looked at before is not written over what came after, and those who take from a queue do not wait for each other.
 */

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

const inTx = <T>(work: (tx: Tx) => Promise<T>): Promise<T> => inTransaction(cp.deps.db, work);

async function aSubscribedVm() {
  const world = await aWorld(cp);
  const vm = await anActiveVm(cp, world);
  const [row] = await cp.rows("select subscription_id from services where vm_id = $1", vm.vmId);
  return { world, vm, subscriptionId: String(row?.["subscription_id"]) };
}

describe("whoever decides holds what it decides on: the next one waits, and then sees what it did", () => {
  let world: World;
  let vm: AnOrder;
  let subscriptionId: string;
  beforeAll(async () => {
    ({ world, vm, subscriptionId } = await aSubscribedVm());
    await cp.rows(
      `insert into initial_passwords (vm_id, state, sealed, created_at, expires_at)
       values ($1, 'for_customer', 'sealed', now(), now() + interval '1 hour')`,
      vm.vmId,
    );
  });

  test.each<[string, (tx: Tx) => Promise<unknown>, () => SQL, object | number]>([
    [
      "a VM",
      (tx) => lockVm(tx, vm.vmId),
      () => sql`update vms set hostname = 'changed-1' where id = ${vm.vmId}`,
      { hostname: "changed-1" },
    ],
    [
      "the VMs of a report",
      async (tx) => (await lockVmsOf(tx, world.hostId, [vm.vmId])).get(vm.vmId),
      () => sql`update vms set hostname = 'changed-2' where id = ${vm.vmId}`,
      { hostname: "changed-2" },
    ],
    [
      "an initial password",
      (tx) => lockInitialPassword(tx, vm.vmId),
      () => sql`update initial_passwords set sealed = 'anew' where vm_id = ${vm.vmId}`,
      { sealed: "anew" },
    ],
    [
      "an order",
      (tx) => lockOrder(tx, vm.orderId),
      () => sql`update orders set version = 77 where id = ${vm.orderId}`,
      { version: 77 },
    ],
    [
      "what an account has not paid",
      async (tx) => {
        await lockBuyer(tx, world.buyer.accountId);
        return (await unpaidOrdersOf(tx, world.buyer.accountId)).length;
      },
      () => sql`update orders set state = 'awaiting_payment' where id = ${vm.orderId}`,
      1,
    ],
    [
      "an entitlement",
      (tx) => lockServiceOfSubscription(tx, subscriptionId),
      () => sql`update services set subscription_status = 'past_due' where vm_id = ${vm.vmId}`,
      { subscriptionStatus: "past_due" },
    ],
    [
      "a host",
      (tx) => lockHost(tx, world.hostId),
      () => sql`update hosts set cpu_overcommit = 7 where id = ${world.hostId}`,
      { cpuOvercommit: 7 },
    ],
  ])("%s", async (_, hold, change, seen) => {
    const first = async (tx: Tx) => {
      await hold(tx);
      await tx.execute(change());
    };
    const { waited, value } = await meet(cp, first, () => inTx(hold));
    expect(waited).toBe(true);
    expect({ value }).toMatchObject({ value: seen });
  });
});

describe("those who take from a queue do not wait for each other, and take no one thing twice", () => {
  test("(a location's free addresses)", async () => {
    const { locationId } = await aWorld(cp);
    const lease = (tx: Tx) =>
      leaseAddress(tx, { id: v7(), locationId, vmId: v7(), now: cp.clock.now() });
    let firsts: string | undefined;
    const first = async (tx: Tx) => {
      firsts = await lease(tx);
    };
    const { waited, value } = await meet(cp, first, () => inTx(lease));
    expect(waited).toBe(false);
    expect(firsts).toMatch(/^10\./);
    expect(value).toMatch(/^10\./);
    expect(value).not.toBe(firsts);
  });

  test("(the outbox)", async () => {
    await cp.pump();
    for (let n = 0; n < 2; n++)
      await inTx((tx) =>
        recordChange(
          tx,
          {
            actor: SYSTEM,
            action: "test.change",
            subject: { kind: "order", id: v7() },
            events: [{ name: "order.refund_fell_due.v1", data: { orderId: v7() } }],
          },
          { now: cp.clock.now(), newId: () => v7() },
        ),
      );
    const now = cp.clock.now();
    const take = (tx: Tx) => takeUnsent(tx, { limit: 1, now, leaseUntil: new Date(+now + 60_000) });
    let firsts: Awaited<ReturnType<typeof take>> = [];
    const first = async (tx: Tx) => {
      firsts = await take(tx);
    };
    const { waited, value } = await meet(cp, first, () => inTx(take));
    expect(waited).toBe(false);
    expect(firsts).toHaveLength(1);
    expect(value).toHaveLength(1);
    expect(value[0]?.seq).toBeGreaterThan(firsts[0]?.seq ?? 0n);
  });
});

describe("what was looked at before is not written over what came after", () => {
  test("an order that somebody else has written is not written", async () => {
    const { vm } = await aSubscribedVm();
    const before = await loadOrder(cp.deps.db, vm.orderId);
    if (before === undefined) throw new Error("the order vanished");
    await inTx((tx) => saveOrder(tx, { ...before, state: "completed" }));
    const write = inTx((tx) => saveOrder(tx, { ...before, state: "refunding" }));
    await expect(write).rejects.toBeInstanceOf(StaleVersion);
    expect(await loadOrder(cp.deps.db, vm.orderId)).toMatchObject({
      state: "completed",
      version: before.version + 1,
    });
  });

  test("a look at Stripe from before a cancellation that another has followed is made again", async () => {
    const { vm, subscriptionId } = await aSubscribedVm();
    const follow = (deps: ControlPlane["deps"]) =>
      followProvider(deps, vm.orderId, { actor: SYSTEM });
    let looks = 0;
    const between: string[] = [];
    const payments: ControlPlane["deps"]["payments"] = {
      ...cp.deps.payments,
      fetchSubscription: async (id) => {
        const seen = await cp.deps.payments.fetchSubscription(id);
        if (looks++ === 0) {
          await cp.deps.payments.cancelSubscription(subscriptionId);
          between.push(await follow(cp.deps));
        }
        return seen;
      },
    };
    expect(await follow({ ...cp.deps, payments })).toBe("unchanged");
    expect({ looks, between }).toEqual({ looks: 2, between: ["entitlement_changed"] });
    expect(
      await cp.rows("select subscription_status from services where vm_id = $1", vm.vmId),
    ).toEqual([{ subscription_status: "canceled" }]);
  });

  test("a host that is retired while its agent enrols stays without a new identity", async () => {
    const { hostId } = await aWorld(cp);
    const { joinToken } = valueOf(await issueJoinToken(cp.deps, SYSTEM, hostId));
    const identity = () =>
      cp.rows("select identity_epoch, public_key from hosts where id = $1", hostId);
    const before = await identity();
    const { waited, value } = await meet(
      cp,
      (tx) => tx.execute(sql`update hosts set state = 'retired' where id = ${hostId}`),
      () =>
        enrollHost(cp.deps, {
          joinToken,
          publicKey: { kty: "OKP", crv: "Ed25519", x: aPublicKey() },
          facts: hostFacts(),
        }),
    );
    expect(waited).toBe(true);
    expect(value).toMatchObject({ ok: false, error: { code: "host_wrong_state" } });
    expect(await identity()).toEqual(before);
  });

  test("what changes between the statements of a desired document's reader is of a generation of its own", async () => {
    const { world, vm } = await aSubscribedVm();
    const read = () =>
      createDesiredReader(cp.deps)(world.hostId, {
        etag: undefined,
        atLeast: 0,
        announced: { protocol: 2, understands: [] },
      });
    const served = await read();
    // The host's row, with its generation, is read; then the VMs are waited for.
    const change = async (tx: Tx) => {
      await tx.execute(sql`lock table vms in access exclusive mode`);
      await tx.execute(sql`update vms set hostname = 'renamed' where id = ${vm.vmId}`);
    };
    const { waited, value } = await meet(cp, change, read);
    expect(waited).toBe(true);
    if (served.kind !== "document" || value.kind !== "document") throw new Error("no document");
    expect(value.document.vms).toMatchObject([{ vmId: vm.vmId, hostname: "renamed" }]);
    expect(value.document.generation).toBe(served.document.generation + 1);
    expect(await read()).toEqual(value);
  });
});
