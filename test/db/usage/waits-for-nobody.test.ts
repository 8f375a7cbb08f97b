import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { recordUsage } from "#commands/usage/record-usage.ts";
import { aSample, minutesAfter } from "#test/builders.ts";
import type { Tx } from "#db/client.ts";
import { lockHost } from "#db/hosts/hosts.ts";
import { lockOrder } from "#db/orders/orders.ts";
import { inTransaction } from "#db/transaction.ts";
import { lockVm, lockVmsOf } from "#db/vms/vms.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { meet } from "#test/harness/meet.ts";
import { anActiveVm, aWorld, type AnOrder, type World } from "#test/harness/world.ts";

/*
 * 4b C1: under load, a host's reports waited 19 s for its own usage. What each holds of a VM in its transaction is held
 * here, and the other one comes meanwhile.
 */

let cp: ControlPlane;
let world: World;
let vm: AnOrder;
beforeAll(async () => {
  cp = await startControlPlane();
  world = await aWorld(cp);
  vm = await anActiveVm(cp, world);
});
afterAll(() => cp.drop());
beforeEach(() => cp.clock.advanceMinutes(1));

let seq = 0;
const send = (db = cp.deps.db) =>
  recordUsage({ ...cp.deps, db }, world.hostId, {
    samples: [
      aSample({
        vmId: vm.vmId,
        seq: seq++,
        from: minutesAfter(-1, cp.clock.now()).toISOString(),
        to: cp.clock.now().toISOString(),
      }),
    ],
  });

const HELD: [string, (tx: Tx) => Promise<unknown>][] = [
  ["an action, a payment", (tx) => lockVm(tx, vm.vmId)],
  ["a report", (tx) => lockVmsOf(tx, world.hostId, [vm.vmId])],
  ["an order", (tx) => lockOrder(tx, vm.orderId)],
  ["a host's document", (tx) => lockHost(tx, world.hostId)],
];

describe("the usage of a VM waits for nothing that holds the VM, and nothing that holds it waits for usage", () => {
  test.each(HELD)("%s", async (_, hold) => {
    const usageLater = await meet(cp, hold, () => send());
    expect(usageLater).toMatchObject({ waited: false, value: { stored: 1 } });
    cp.clock.advanceMinutes(1);
    const usageFirst = await meet(
      cp,
      async (tx) => expect(await send(tx)).toMatchObject({ stored: 1 }),
      () => inTransaction(cp.deps.db, hold),
    );
    expect(usageFirst.waited).toBe(false);
  });

  test("but of two batches of one VM the second waits, and sees what the first has stored", async () => {
    const both = await meet(
      cp,
      async (tx) => expect(await send(tx)).toMatchObject({ stored: 1 }),
      () => {
        seq--;
        return send();
      },
    );
    expect(both).toMatchObject({ waited: true, value: { duplicates: 1 } });
  });
});
