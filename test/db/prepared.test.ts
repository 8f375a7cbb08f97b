import { and, eq, gte, sql } from "drizzle-orm";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Db } from "#db/client.ts";
import { prepared, type Slots } from "#db/prepared.ts";
import { services } from "#db/schema/billing.ts";
import { orders } from "#db/schema/orders.ts";
import { vms } from "#db/schema/vms.ts";
import { inTransaction } from "#db/transaction.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { aPaidOrder, aPlacedOrder, aWorld } from "#test/harness/world.ts";

/* 4b C4: statements whose text is written once. */

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

test("it answers what drizzle's own would, whatever its values are, inside a transaction and outside", async () => {
  const world = await aWorld(cp);
  const [paid, unpaid] = [await aPaidOrder(cp, world), await aPlacedOrder(cp, world)];
  const draft = (db: Db, at: { id: string; since: Date } | Slots<{ id: string; since: Date }>) =>
    db
      .select({ order: orders, vm: vms, until: services.entitledUntil, one: sql<number>`1` })
      .from(orders)
      .leftJoin(vms, eq(vms.id, orders.vmId))
      .leftJoin(services, eq(services.vmId, vms.id))
      .where(and(eq(orders.id, at.id), gte(orders.createdAt, at.since)));
  const statement = prepared("test_order_and_vm", (db, at: Slots<{ id: string; since: Date }>) =>
    draft(db, at),
  );
  const [before, after] = [new Date("2001-02-03T04:05:06.007Z"), cp.clock.now()];
  for (const [id, since, rows] of [
    [paid.orderId, before, 1],
    [unpaid.orderId, before, 1], // without a VM: all of it is null, and not each of its columns
    [paid.orderId, new Date(+after + 1), 0],
  ] as const) {
    const theirs = await draft(cp.deps.db, { id, since });
    expect(theirs).toHaveLength(rows);
    expect(await statement(cp.deps.db, { id, since })).toEqual(theirs);
    expect(await inTransaction(cp.deps.db, (tx) => statement(tx, { id, since }))).toEqual(theirs);
  }
});

test("what it writes goes through its column, and null stays null", async () => {
  const { orderId } = await aPlacedOrder(cp, await aWorld(cp));
  const write = prepared(
    "test_write_order",
    (db, at: Slots<{ id: string; paidAt: Date | null; sshKeys: string[] }>) =>
      db
        .update(orders)
        .set({ paidAt: at.paidAt, sshKeys: at.sshKeys })
        .where(eq(orders.id, at.id))
        .returning({ paidAt: orders.paidAt, sshKeys: orders.sshKeys }),
  );
  for (const written of [
    { paidAt: new Date("2026-05-04T03:02:01.007Z"), sshKeys: ['one "quoted"', "two, {three}"] },
    { paidAt: null, sshKeys: [] },
  ])
    expect(await write(cp.deps.db, { id: orderId, ...written })).toEqual([written]);
});

test("it is written once, at its first call", async () => {
  let drafts = 0;
  const count = prepared("test_count", (db, at: Slots<{ n: number }>) => {
    drafts++;
    return db.select({ n: sql<number>`${at.n}::int` }).from(sql`(select) as one`);
  });
  expect(drafts).toBe(0);
  for (const n of [11, 22]) expect(await count(cp.deps.db, { n })).toEqual([{ n }]);
  expect(drafts).toBe(1);
});
