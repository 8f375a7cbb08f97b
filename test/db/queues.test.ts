import { v7 } from "uuid";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { expireOrders } from "#commands/orders/expire-orders.ts";
import type { BillingQueue } from "#core/ports.ts";
import { subscriptionsToSettle } from "#db/billing/services.ts";
import { takeUnapplied } from "#db/messages/inbox.ts";
import { takeUnsent } from "#db/messages/outbox.ts";
import { leaseAddress } from "#db/network/addresses.ts";
import { locationsWithAddress } from "#db/network/pools.ts";
import { extendHold, orderIdsInState, orderIdsPastHold } from "#db/orders/orders.ts";
import { inTransaction } from "#db/transaction.ts";
import { overdueActions } from "#db/vms/actions.ts";
import { vmsWithPasswordPast } from "#db/vms/initial-passwords.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { anActiveVm, aPlacedOrder, aWorld } from "#test/harness/world.ts";

/*
 * What each sweep is given to do: what is due and nothing beside it, at its instant and not a millisecond before, the
 * longest overdue first, and no more than it asked for.
 */

let cp: ControlPlane;
beforeEach(async () => {
  cp = await startControlPlane();
});
afterEach(() => cp.drop());

const NOW = new Date("2026-06-01T08:00:00.000Z");
const before = (ms: number) => new Date(+NOW - ms);
/** Copies of a row with some of its columns otherwise. */
async function copies(table: string, row: { column: string; value: string }, each: object[]) {
  await cp.rows(
    `insert into ${table} select (jsonb_populate_record(t, e)).*
       from ${table} t, jsonb_array_elements($2::jsonb) e where t.${row.column}::text = $1`,
    row.value,
    JSON.stringify(each),
  );
}

/** A VM as `like` is, of an order of its own. */
async function aVmLike(
  like: { orderId: string; vmId: string },
  over: object = {},
  bought: object = {},
) {
  const made = { orderId: v7(), vmId: v7() };
  await copies("orders", { column: "id", value: like.orderId }, [
    { id: made.orderId, vm_id: made.vmId, checkout_id: null },
  ]);
  await copies("services", { column: "vm_id", value: like.vmId }, [
    { vm_id: made.vmId, subscription_id: null, ...bought },
  ]);
  await copies("vms", { column: "id", value: like.vmId }, [{ id: made.vmId, ...over }]);
  return made;
}

describe("orders past their hold", () => {
  test("are those that nobody has paid, from the hold's last instant on, the longest due first", async () => {
    const { orderId } = await aPlacedOrder(cp, await aWorld(cp));
    await cp.rows("update orders set expires_at = $2 where id = $1", orderId, before(-1));
    const id = { tried: v7(), now: v7(), older: v7(), paid: v7(), expired: v7() };
    const order = (over: object) => ({ vm_id: v7(), checkout_id: null, ...over });
    await copies("orders", { column: "id", value: orderId }, [
      order({ id: id.now, expires_at: NOW }),
      order({ id: id.older, expires_at: before(60_000) }),
      // Due for longest, and looked at since.
      order({ id: id.tried, expires_at: before(90_000), tried_at: before(30_000) }),
      order({ id: id.paid, expires_at: before(70_000), state: "paid", paid_at: before(80_000) }),
      order({ id: id.expired, expires_at: before(80_000), state: "expired" }),
    ]);
    expect(await orderIdsPastHold(cp.deps.db, NOW, 9)).toEqual([id.older, id.tried, id.now]);
    expect(await orderIdsPastHold(cp.deps.db, NOW, 2)).toEqual([id.older, id.tried]);
  });

  test("are given up then, and not while they are held", async () => {
    const { orderId } = await aPlacedOrder(cp, await aWorld(cp));
    const [row] = await cp.rows("select expires_at from orders where id = $1", orderId);
    const left = Date.parse(String(row?.["expires_at"])) - +cp.clock.now();
    cp.clock.advance(left - 1000);
    expect(await expireOrders(cp.deps)).toEqual({ expired: 0, paid: 0, failed: 0 });
    cp.clock.advance(1000);
    expect(await expireOrders(cp.deps)).toEqual({ expired: 1, paid: 0, failed: 0 });
  });
});

test("orders in a state are those alone, the longest paid first, and later what was tried since", async () => {
  const { orderId } = await aPlacedOrder(cp, await aWorld(cp));
  const id = { tried: v7(), second: v7(), first: v7(), active: v7() };
  const order = (over: object) => ({ vm_id: v7(), checkout_id: null, state: "refunding", ...over });
  await copies("orders", { column: "id", value: orderId }, [
    order({ id: id.second, paid_at: before(60_000) }),
    order({ id: id.first, paid_at: before(70_000) }),
    order({ id: id.tried, paid_at: before(90_000), tried_at: before(10_000) }),
    order({ id: id.active, paid_at: before(99_000), state: "active" }),
  ]);
  const refunding = (most: number) => orderIdsInState(cp.deps.db, "refunding", most);
  expect(await refunding(9)).toEqual([id.first, id.second, id.tried]);
  expect(await refunding(1)).toEqual([id.first]);
});

test("a hold is made longer for the one order that needs it, while nobody can pay it yet", async () => {
  const { orderId } = await aPlacedOrder(cp, await aWorld(cp));
  const id = { short: v7(), long: v7(), payable: v7(), expired: v7(), other: v7() };
  const short = before(-1000);
  const order = (over: object) => ({ vm_id: v7(), checkout_id: null, expires_at: short, ...over });
  await copies("orders", { column: "id", value: orderId }, [
    order({ id: id.short }),
    order({ id: id.long, expires_at: before(-60_000) }),
    order({ id: id.payable, checkout_id: "cs_payable" }),
    order({ id: id.expired, state: "expired" }),
    order({ id: id.other }),
  ]);
  const until = before(-90_000);
  for (const each of [id.short, id.long, id.payable, id.expired])
    await extendHold(cp.deps.db, each, { least: before(-60_000), until });
  const held = await cp.rows("select id, expires_at from orders where id <> $1", orderId);
  expect(Object.fromEntries(held.map((row) => [row["id"], row["expires_at"]]))).toEqual({
    [id.short]: until,
    [id.long]: before(-60_000),
    [id.payable]: short,
    [id.expired]: short,
    [id.other]: short,
  });
});

test("subscriptions to settle are those that still bill for a VM which is to be gone, or that ended and may ask for something", async () => {
  const like = await anActiveVm(cp, await aWorld(cp));
  const entitled = async (name: string, presence: string, over: object) => {
    await aVmLike(like, { presence }, { subscription_id: name, tried_at: null, ...over });
  };
  const old = { updated_at: before(99_000) };
  await entitled("second", "absent", {
    subscription_status: "past_due",
    updated_at: before(60_000),
  });
  await entitled("first", "absent", { subscription_status: "unpaid", updated_at: before(70_000) });
  await entitled("tried", "absent", { ...old, tried_at: before(10_000) });
  await entitled("stays", "present", old);
  const settled = { settled_at: before(10_000) };
  await entitled("canceled", "absent", { ...old, ...settled, subscription_status: "canceled" });
  await entitled("incomplete", "present", {
    subscription_status: "incomplete_expired",
    updated_at: before(40_000),
  });
  await entitled("ended", "present", {
    subscription_status: "canceled",
    updated_at: before(50_000),
  });
  await entitled("none", "absent", { ...old, subscription_id: null });
  expect(await subscriptionsToSettle(cp.deps.db, 9)).toEqual([
    "first",
    "second",
    "ended",
    "incomplete",
    "tried",
  ]);
  expect(await subscriptionsToSettle(cp.deps.db, 1)).toEqual(["first"]);
  // 4b C2: what is looked through is not every VM, but what was marked when the VM was to go.
  await cp.rows(
    "update vms set presence = 'absent' where id = (select vm_id from services where subscription_id = 'stays')",
  );
  const stays = (await subscriptionsToSettle(cp.deps.db, 9)).filter((name) => name === "stays");
  expect(stays).toEqual(["stays"]);
});

test("overdue actions are those that run for longer than they may, but for those whose own row says when they end", async () => {
  const like = await anActiveVm(cp, await aWorld(cp));
  const action = async (type: string, startedAt: Date, status = "running") => {
    const id = v7();
    await cp.rows(
      `insert into actions (id, vm_id, type, status, generation, started_at, finished_at)
       values ($1, $2, $3, $4, 1, $5, $6)`,
      id,
      (await aVmLike(like)).vmId, // on a VM one action runs at a time
      type,
      status,
      startedAt,
      status === "running" ? null : NOW,
    );
    return id;
  };
  const second = await action("reboot", before(2));
  const first = await action("shutdown", before(3));
  await action("start", NOW);
  await action("start", before(9), "success");
  await action("create", before(9));
  await action("delete", before(9));
  await action("resize", before(9));
  await action("migrate", before(9));
  const overdue = async (most: number) =>
    (await overdueActions(cp.deps.db, NOW, most)).map(({ id }) => id);
  expect(await overdue(9)).toEqual([first, second]);
  expect(await overdue(1)).toEqual([first]);
});

test("passwords past their time are those that nobody has ended, from their last instant on", async () => {
  const like = await anActiveVm(cp, await aWorld(cp));
  const password = async (expiresAt: Date, ended: boolean) => {
    const { vmId } = await aVmLike(like);
    await cp.rows(
      `insert into initial_passwords (vm_id, state, sealed, created_at, expires_at, ended_at)
       values ($1, $2, $3, now(), $4, $5)`,
      vmId,
      ended ? "taken" : "for_customer",
      ended ? null : "sealed",
      expiresAt,
      ended ? NOW : null,
    );
    return vmId;
  };
  const second = await password(NOW, false);
  const first = await password(before(5), false);
  await password(before(-1), false);
  await password(before(9), true);
  expect(await vmsWithPasswordPast(cp.deps.db, NOW, 9)).toEqual([first, second]);
  expect(await vmsWithPasswordPast(cp.deps.db, NOW, 1)).toEqual([first]);
});

test("deliveries to ring for again are those that wait for longer than that, unapplied, and each is rung once", async () => {
  const delivery = (
    id: string,
    receivedAt: Date,
    more: { rung?: Date; applied?: Date; queue?: BillingQueue } = {},
  ) =>
    cp.rows(
      `insert into inbox (source, message_id, type, object_kind, body, received_at, rung_at, applied_at, queue)
       values ('stripe', $1, 'invoice.paid', 'invoice', '{}', $2, $3, $4, $5)`,
      id,
      receivedAt,
      more.rung ?? null,
      more.applied ?? null,
      more.queue ?? "billing-events",
    );
  await delivery("second", before(60_001));
  await delivery("first", before(80_000));
  await delivery("rung again", before(90_000), { rung: before(70_000) });
  await delivery("border", before(60_000));
  await delivery("just rung", before(99_000), { rung: before(1000) });
  await delivery("applied", before(99_000), { applied: before(98_000) });
  await delivery("a buyer's", before(70_000), { queue: "purchases" });
  const take = (limit: number, queue: BillingQueue = "billing-events") =>
    takeUnapplied(cp.deps.db, { queue, now: NOW, before: before(60_000), limit });
  expect(await take(1)).toEqual(["first"]);
  expect(await take(1)).toEqual(["rung again"]);
  expect(await take(9)).toEqual(["second"]);
  expect(await take(9)).toEqual([]);
  expect(await take(9, "purchases")).toEqual(["a buyer's"]);
});

test("what is unsent goes out in its order; what another has taken, when its time is over and not before", async () => {
  const row = (leasedUntil: Date | null, sentAt: Date | null = null) =>
    cp
      .rows(
        `insert into outbox (id, name, data, created_at, leased_until, sent_at)
         values ($1, 'order.refund_fell_due.v1', $2, now(), $3, $4) returning seq`,
        v7(),
        JSON.stringify({ orderId: v7() }),
        leasedUntil,
        sentAt,
      )
      .then(([made]) => BigInt(String(made?.["seq"])));
  const first = await row(null);
  await row(null, before(1));
  const second = await row(before(1));
  await row(NOW);
  const third = await row(null);
  const take = async (limit: number) =>
    (await takeUnsent(cp.deps.db, { limit, now: NOW, leaseUntil: before(-60_000) })).map(
      ({ seq }) => seq,
    );
  expect(await take(2)).toEqual([first, second]);
  expect(await take(9)).toEqual([third]);
  expect(await take(9)).toEqual([]);
});

test("an address is free from the end of its quarantine on, the one that rested longest first, in its own location", async () => {
  const world = await aWorld(cp, { addresses: 4 });
  const elsewhere = await aWorld(cp, { addresses: 1 });
  const [first = "", second = "", third = "", fourth = ""] = (
    await cp.rows(
      `select host(a.address) as address from ip_addresses a
       join network_pools p on p.id = a.pool_id where p.location_id = $1 order by a.address desc`,
      world.locationId,
    )
  ).map((row) => String(row["address"]));
  const rest = (address: string, until: Date) =>
    cp.rows("update ip_addresses set busy_until = $2 where address = $1::inet", address, until);
  await rest(first, before(9));
  await rest(second, before(8));
  await rest(third, NOW);
  await rest(fourth, before(-1));
  const lease = () =>
    inTransaction(cp.deps.db, (tx) =>
      leaseAddress(tx, { id: v7(), locationId: world.locationId, vmId: v7(), now: NOW }),
    );
  const both = [world.locationId, elsewhere.locationId];
  const withAddress = async () => {
    const found = await locationsWithAddress(cp.deps.db, NOW);
    return both.filter((id) => found.has(id));
  };
  expect(await withAddress()).toEqual(both);
  expect([await lease(), await lease(), await lease(), await lease()]).toEqual([
    first,
    second,
    third,
    undefined,
  ]);
  expect(await withAddress()).toEqual([elsewhere.locationId]);
});
