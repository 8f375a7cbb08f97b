import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BILLING_QUEUES } from "#core/ports.ts";
import type { Event } from "#core/contracts/events.ts";
import { relayOutbox } from "#commands/messages/relay-outbox.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { createBillingEventsConsumer } from "#functions/consume-billing-events.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { toSqsEvent } from "#test/harness/recorded-queues.ts";
import {
  aBuyer,
  anActiveVm,
  aPaidOrder,
  aWorld,
  hostSees,
  sendOrder,
  SYSTEM,
  type World,
} from "#test/harness/world.ts";

/*
 * What a world of one thread cannot show: real Postgres, many connections, and everybody at once. (Orders for the last
 * places and addresses: `capacity-race.test.ts`.)
 */

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane({ connections: 40 });
});
afterAll(() => cp.drop());

const times = <T>(count: number, work: (n: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, n) => work(n)));

/** One change with one event of each route that is sent. */
async function aChange(hostId: string): Promise<void> {
  const at = { now: cp.clock.now(), newId: () => v7() };
  const orderId = v7();
  const events: Event[] = [
    { name: "order.refund_fell_due.v1", data: { orderId } },
    { name: "vm.change_requested.v1", data: { vmId: v7(), hostId } },
  ];
  await inTransaction(cp.deps.db, (tx) =>
    recordChange(
      tx,
      { actor: SYSTEM, action: "test.change", subject: { kind: "order", id: orderId }, events },
      at,
    ),
  );
}
const unsent = async () =>
  (await cp.rows("select count(*)::int as n from outbox where sent_at is null"))[0]?.["n"];
const sentWork = () => cp.queues.waiting["outbox-events"].map((m) => JSON.stringify(m));

describe("eight relays at once", () => {
  test("send every row once, while others go on writing", async () => {
    const { hostId } = await aWorld(cp);
    cp.queues.waiting["outbox-events"].length = 0;
    const writers = times(40, async () => {
      for (let each = 0; each < 10; each++) await aChange(hostId);
    });
    const writing = new AbortController();
    const relays = times(8, async () => {
      let sent = 0;
      while (!writing.signal.aborted) sent += (await relayOutbox(cp.deps)).sent;
      return sent;
    });
    await writers;
    writing.abort();
    const sent = await relays;
    sent.push((await relayOutbox(cp.deps)).sent);
    expect(await unsent()).toBe(0);
    const ids = sentWork().map((text) => /"id":"([^"]+)"/.exec(text)?.[1]);
    expect(ids).toHaveLength(400);
    expect(new Set(ids).size).toBe(400);
    expect(sent.reduce((a, b) => a + b)).toBe(800);
    // Had one of them done it all, nothing would have been shown.
    expect(sent.filter((n) => n > 0).length).toBeGreaterThan(1);
  });

  test("find a row that was written first and committed last", async () => {
    const { hostId } = await aWorld(cp);
    let commit = () => {};
    const held = new Promise<void>((resolve) => (commit = resolve));
    let written = () => {};
    const isWritten = new Promise<void>((resolve) => (written = resolve));
    const at = { now: cp.clock.now(), newId: () => v7() };
    const slow = inTransaction(cp.deps.db, async (tx) => {
      const id = v7();
      await recordChange(
        tx,
        {
          actor: SYSTEM,
          action: "test.change",
          subject: { kind: "order", id },
          events: [{ name: "order.refund_fell_due.v1", data: { orderId: id } }],
        },
        at,
      );
      written();
      await held;
    });
    await isWritten;
    await aChange(hostId);
    expect((await relayOutbox(cp.deps)).sent).toBe(2);
    commit();
    await slow;
    expect((await relayOutbox(cp.deps)).sent).toBe(1);
    expect(await unsent()).toBe(0);
  });
});

describe("deliveries of one subscription at once", () => {
  test("make one VM, one entitlement and one booking, each applied once", async () => {
    const world = await aWorld(cp);
    const order = await aPaidOrder(cp, world);
    const consume = createBillingEventsConsumer(cp.deps);
    await cp.stripe.standIn.webhooks.deliverDue();
    const messages = BILLING_QUEUES.flatMap((queue) => cp.queues.waiting[queue].splice(0));
    expect(messages.length).toBeGreaterThan(1);
    const all = Array.from({ length: 8 }, () => messages).flat();
    await times(all.length, (n) => consume(toSqsEvent([all[n]])));
    // Whoever was too late to look comes again, as a message that was not done does.
    await times(all.length, (n) => consume(toSqsEvent([all[n]])));
    await cp.pump();
    const count = async (query: string) => (await cp.rows(query, order.orderId))[0]?.["n"];
    expect(
      await count(
        "select count(*)::int as n from vms where id = (select vm_id from orders where id = $1)",
      ),
    ).toBe(1);
    expect(
      await count(
        "select count(*)::int as n from services where vm_id = (select vm_id from orders where id = $1)",
      ),
    ).toBe(1);
    expect(
      await count("select count(*)::int as n from ledger_transactions where order_id = $1"),
    ).toBe(1);
    expect(
      await count(
        "select count(*)::int as n from actions where vm_id = (select vm_id from orders where id = $1)",
      ),
    ).toBe(1);
    expect(await cp.rows("select message_id from inbox where applied_at is null")).toEqual([]);
    const paid = await cp.rows(
      "select count(*)::int as n from outbox where name = 'order.paid.v1' and data ->> 'orderId' = $1",
      order.orderId,
    );
    expect(paid).toEqual([{ n: 1 }]);
  });
});

describe("one idempotency key, many requests at once", () => {
  const ordersOf = async (accountId: string) =>
    cp.rows("select hostname from orders where account_id = $1", accountId);

  test("of thirty with one body: one order and one answer", async () => {
    const world = await aWorld(cp);
    const key = v7();
    const answers = await times(30, () => sendOrder(cp, world, { key }));
    expect(new Set(answers.map((a) => JSON.stringify(a))).size).toBe(1);
    expect(await ordersOf(world.buyer.accountId)).toHaveLength(1);
  });

  test("of thirty with two bodies: one body is taken, and the other is refused every time", async () => {
    const world = await aWorld(cp);
    const key = v7();
    const hostnames = ["one.example.com", "two.example.com"];
    const answers = await times(30, (n) =>
      sendOrder(cp, world, { key, request: { hostname: hostnames[n % 2] } }),
    );
    const [order, ...others] = await ordersOf(world.buyer.accountId);
    expect(others).toEqual([]);
    const winner = hostnames.indexOf(String(order?.["hostname"]));
    for (const [n, answer] of answers.entries())
      expect(answer.ok ? "taken" : answer.error.code).toBe(
        n % 2 === winner ? "taken" : "idempotency_key_reused",
      );
  });

  test("of many customers with the same key: an order each", async () => {
    const world = await aWorld(cp, { places: 12, addresses: 12 });
    const key = v7();
    const buyers = await times(10, () => aBuyer(cp));
    const answers = await Promise.all(buyers.map((buyer) => sendOrder(cp, world, { key, buyer })));
    expect(answers.filter((a) => a.ok)).toHaveLength(10);
  });
});

describe("one VM, everybody at once", () => {
  const aRunningVm = async (): Promise<{ world: World; vmId: string }> => {
    const world = await aWorld(cp);
    const { vmId } = await anActiveVm(cp, world);
    return { world, vmId };
  };

  test("of twenty actions one runs, and the others find it locked", async () => {
    const { world, vmId } = await aRunningVm();
    const answers = await times(20, (n) =>
      requestAction(cp.deps, { who: world.buyer, vmId, type: n % 2 === 0 ? "stop" : "shutdown" }),
    );
    const codes = answers.map((a) => (a.ok ? "begun" : a.error.code)).sort();
    expect(codes).toEqual(["begun", ...Array.from({ length: 19 }, () => "vm_locked")]);
  });

  test("of twenty deletes one is begun, and all answer with it", async () => {
    const { world, vmId } = await aRunningVm();
    const answers = await times(20, () =>
      requestAction(cp.deps, { who: world.buyer, vmId, type: "delete" }),
    );
    expect(new Set(answers.map((a) => (a.ok ? a.value.id : a.error.code))).size).toBe(1);
  });

  test("its host's reports and its owner's wishes never wait for each other in a ring", async () => {
    const { world, vmId } = await aRunningVm();
    await times(40, async (n) => {
      if (n % 2 === 0) await hostSees(cp, world.hostId, vmId);
      else await requestAction(cp.deps, { who: world.buyer, vmId, type: "reboot" });
    });
    const running = await cp.rows(
      "select count(*)::int as n from actions where vm_id = $1 and status = 'running'",
      vmId,
    );
    expect(running).toEqual([{ n: 1 }]);
  });
});
