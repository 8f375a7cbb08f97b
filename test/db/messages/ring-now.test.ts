import { v7 } from "uuid";
import { afterAll, beforeAll, expect, test } from "vitest";
import { relayOutbox, ringNow } from "#commands/messages/relay-outbox.ts";
import { inTransaction } from "#db/transaction.ts";
import { recordChange } from "#db/record-change.ts";
import { recordedLog, startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { aWorld } from "#test/harness/world.ts";

let plane: ControlPlane;
beforeAll(async () => {
  plane = await startControlPlane();
});
afterAll(() => plane.drop());

test("a request rings one batch after its commit, and leaves the rest to the sweep", async () => {
  const at = { now: plane.clock.now(), newId: () => v7() };
  await inTransaction(plane.deps.db, (tx) =>
    recordChange(
      tx,
      {
        actor: { kind: "account", id: v7() },
        action: "test",
        subject: { kind: "order", id: v7() },
        events: Array.from({ length: 150 }, () => ({
          name: "subscription.cancellation_fell_due.v1" as const,
          data: { orderId: v7(), subscriptionId: "sub_1" },
        })),
      },
      at,
    ),
  );
  const unsent = async () =>
    Number((await plane.rows("select count(*) from outbox where sent_at is null"))[0]?.["count"]);
  await ringNow(plane.deps);
  expect(await unsent()).toBe(50);
  await ringNow(plane.deps);
  expect(await unsent()).toBe(0);
});

test("a host is rung once for all its changes, with its document's present generation", async () => {
  const [one, other] = [await aWorld(plane), await aWorld(plane)];
  await relayOutbox(plane.deps);
  await plane.rows("update hosts set desired_generation = 41 where id = $1", one.hostId);
  await plane.rows("update hosts set desired_generation = 43 where id = $1", other.hostId);
  plane.queues.rings.length = 0;
  const changed = (hostId: string) => ({
    name: "vm.change_requested.v1" as const,
    data: { vmId: v7(), hostId },
  });
  await inTransaction(plane.deps.db, (tx) =>
    recordChange(
      tx,
      {
        actor: { kind: "account", id: v7() },
        action: "test",
        subject: { kind: "order", id: v7() },
        events: [changed(one.hostId), changed(other.hostId), changed(one.hostId)],
      },
      { now: plane.clock.now(), newId: () => v7() },
    ),
  );
  expect(await relayOutbox(plane.deps)).toEqual({ sent: 3, failed: 0 });
  expect(plane.queues.rings).toEqual([
    { hostId: one.hostId, generation: 41, queueUrl: expect.stringContaining(one.hostId) },
    { hostId: other.hostId, generation: 43, queueUrl: expect.stringContaining(other.hostId) },
  ]);
});

test("an outage while ringing is logged, and is none of the request's business", async () => {
  const log = recordedLog();
  const broken = new Proxy(plane.deps.db, {
    get: () => () => {
      throw new Error("the database is gone");
    },
  });
  await ringNow({ ...plane.deps, db: broken, log });
  expect(log.errors).toEqual([
    expect.objectContaining({ event: "relay_outbox.broke_off", error: expect.any(Error) }),
  ]);
});
