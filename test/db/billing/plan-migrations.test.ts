import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { changeMigration, showMigration } from "#commands/billing/change-plan-migration.ts";
import { checkBought } from "#commands/billing/check-bought.ts";
import { followPlanMigrations } from "#commands/billing/follow-plan-migration.ts";
import { forgetUnbegunMigrations } from "#commands/billing/forget-unbegun-migrations.ts";
import { beginMigration, planMigration } from "#commands/billing/plan-migration.ts";
import { tellHangingMigrations } from "#commands/billing/tell-hanging-migrations.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { emits } from "#test/harness/emits.ts";
import {
  aStoredQuote,
  isSeen,
  LARGE,
  LARGE_LIMITS,
  later,
  paysOtherwise,
  standsAt,
  take,
} from "#test/harness/plan-changes.ts";
import {
  askedOf,
  begun,
  follow,
  planned,
  someVms,
  stateOf,
  statesOf,
  throughout,
  type Migrating,
} from "#test/harness/plan-migrations.ts";
import { aNewVersion, anActiveVm, anEnrolledHost, valueOf } from "#test/harness/world.ts";

/* 6b 5: VMs of one plan come to another, so many at once. */

let cp: ControlPlane;
beforeEach(async () => {
  cp = await startControlPlane();
});
afterEach(() => cp.drop());

const code = (of: string) => ({ ok: false, error: { code: of } });

/** Running VMs, whose plan is sold twice as large for 900 a month by now. */
async function grown(size: number): Promise<Migrating> {
  const of = await someVms(cp, size);
  await sellLarge(of);
  return of;
}
const sellLarge = ({ world }: Migrating, amountMinor = "900") =>
  aNewVersion(cp, world.planId, {
    ...LARGE,
    ...LARGE_LIMITS,
    prices: [{ interval: "month", amountMinor, currency: "usd" }],
  });
const rowsOf = (id: string) =>
  cp.rows(
    `select vm_id, state, method, down_seconds, difference_minor::int as difference, refusals, detail
     from plan_migration_vms where migration_id = $1 order by vm_id`,
    id,
  );

describe("a dry run", () => {
  test("shows each VM by our own figures, its totals and a hash, and changes nothing", async () => {
    const of = await grown(2);
    const { id, state, hash } = await planned(cp, of);
    expect({ state, hash }).toEqual({
      state: "planned",
      hash: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    const row = { state: "waiting", method: "live", down_seconds: 0, difference: 400 };
    expect(await rowsOf(id)).toMatchObject(of.vmIds.map((vm_id) => ({ vm_id, ...row })));
    expect(valueOf(await showMigration(cp.deps, id))).toMatchObject({
      vms: { waiting: 2 },
      totals: {
        methods: [{ method: "live", vms: 2 }],
        differences: [{ currency: "usd", minor: 800n }],
        refusals: [],
      },
    });
    expect(await cp.rows("select 1 from plan_changes")).toEqual([]);
    expect(await follow(cp, id)).toBe("unknown");
  });

  test("refuses by the codes of a quote: a disk that would shrink, a VM that its host has no room for", async () => {
    // Room for three of the old size: the first of them takes what the others would need.
    const of = await someVms(cp, 3, { places: 4 });
    await sellLarge(of);
    const { id } = await planned(cp, of);
    expect(await statesOf(cp, id)).toEqual(["waiting", "refused", "refused"]);
    expect((await rowsOf(id)).map((row) => row["refusals"])).toEqual([
      [],
      ["no_room"],
      ["no_room"],
    ]);
    const { totals } = valueOf(await showMigration(cp.deps, id));
    expect(totals.refusals).toEqual([{ code: "no_room", vms: 2 }]);
    await aNewVersion(cp, of.world.planId, { ...LARGE, diskGib: 10 });
    const small = await planned(cp, of);
    expect((await rowsOf(small.id))[0]).toMatchObject({
      state: "refused",
      refusals: expect.arrayContaining(["disk_shrinks"]),
    });
  });

  test("is of those that a filter leaves, and refused where there is none", async () => {
    const of = await grown(1);
    const elsewhere = await anEnrolledHost(cp, { locationId: of.world.locationId, places: 1 });
    const ask = (over: object) => planMigration(cp.deps, of.staff, askedOf(of, over));
    expect(await ask({ hostId: elsewhere })).toMatchObject(code("plan_migration_without_vms"));
    expect(await ask({ interval: "year" })).toMatchObject(code("plan_migration_without_vms"));
    expect(await ask({ fromVersion: 2 })).toMatchObject(code("plan_migration_without_vms"));
    expect(await ask({ toPlanId: elsewhere })).toMatchObject(code("plan_not_found"));
    const { accountId } = of.world.buyer;
    expect(await ask({ hostId: of.world.hostId, accountId, fromVersion: 1 })).toMatchObject({
      ok: true,
    });
  });

  test("that nobody begins is forgotten, and what was begun is not", async () => {
    const of = await grown(1);
    const kept = await begun(cp, of);
    const { id } = await planned(cp, of, { maxParallel: 7 });
    cp.clock.advanceMinutes(8 * 24 * 60);
    await forgetUnbegunMigrations(cp.deps);
    const left = await cp.rows("select id from plan_migrations");
    expect(left).toEqual([{ id: kept }]);
    expect(await statesOf(cp, id)).toEqual([]);
  });
});

describe("is begun", () => {
  test("by the hash of its dry run and no other, once", async () => {
    const of = await grown(1);
    const { id, hash } = await planned(cp, of);
    const begin = (with_: string | undefined, over: object = {}) =>
      beginMigration(cp.deps, of.staff, askedOf(of, over), with_);
    expect(await begin(undefined)).toMatchObject(code("plan_changed"));
    expect(await begin("0".repeat(64))).toMatchObject(code("plan_changed"));
    expect(await begin(hash ?? "", { maxParallel: 9 })).toMatchObject(code("plan_changed"));
    const first = await emits(cp, ["plan_migration.began.v1", "plan_migration.fell_due.v1"], () =>
      begin(hash ?? ""),
    );
    expect(first).toMatchObject({ ok: true, value: { id, state: "running" } });
    expect(await emits(cp, [], () => begin(hash ?? ""))).toMatchObject({ value: { id } });
  });

  test.each([
    ["a new version of the plan", (of: Migrating) => sellLarge(of, "950")],
    [
      "a host that cannot limit bandwidth any more",
      (of: Migrating) =>
        cp.rows(
          `update hosts set facts = jsonb_set(facts, '{capabilities,bandwidthLimit}', 'false') where id = $1`,
          of.world.hostId,
        ),
    ],
  ] as const)("never by other rules: %s asks for a new dry run", async (_, change) => {
    const of = await grown(1);
    const { hash } = await planned(cp, of);
    await change(of);
    expect(await beginMigration(cp.deps, of.staff, askedOf(of), hash ?? undefined)).toMatchObject(
      code("plan_changed"),
    );
    const again = await planned(cp, of);
    expect(again.hash).not.toBe(hash);
    expect(
      await beginMigration(cp.deps, of.staff, askedOf(of), again.hash ?? undefined),
    ).toMatchObject({ ok: true });
  });

  test("whatever happened to single VMs meanwhile: that is judged at their turn", async () => {
    const of = await grown(2);
    const { hash } = await planned(cp, of);
    await cp.rows("update vms set observed_power = 'off' where id = $1", of.vmIds[0]);
    await anActiveVm(cp, of.world);
    expect(await beginMigration(cp.deps, of.staff, askedOf(of), hash ?? undefined)).toMatchObject({
      ok: true,
    });
  });

  test("not after a day", async () => {
    const of = await grown(1);
    const { hash } = await planned(cp, of);
    cp.clock.advanceMinutes(24 * 60 + 1);
    expect(await beginMigration(cp.deps, of.staff, askedOf(of), hash ?? undefined)).toMatchObject(
      code("plan_changed"),
    );
  });
});

describe("a job", () => {
  test("brings each VM there once, never more at once than may be, and ends", async () => {
    const of = await grown(3);
    const id = await begun(cp, of);
    await follow(cp, id);
    expect(await statesOf(cp, id)).toEqual(["running", "running", "waiting"]);
    await follow(cp, id);
    expect(await statesOf(cp, id)).toEqual(["running", "running", "waiting"]);
    await throughout(cp, of);
    expect(await statesOf(cp, id)).toEqual(["done", "done", "done"]);
    expect(await stateOf(cp, id)).toBe("done");
    for (const vmId of of.vmIds)
      expect(await standsAt(cp, { vmId })).toMatchObject({ version: 2, price: 900, vcpus: 2 });
    expect(await cp.rows("select vm_id from plan_changes order by vm_id")).toEqual(
      of.vmIds.map((vm_id) => ({ vm_id })),
    );
  });

  test("goes on by what rings when a change ends", async () => {
    const of = await grown(2);
    const id = await begun(cp, of, { maxParallel: 1 });
    await cp.pump();
    expect(await statesOf(cp, id)).toEqual(["running", "waiting"]);
    await isSeen(cp, { world: of.world, vmId: of.vmIds[0] ?? "" });
    await cp.pump();
    expect(await statesOf(cp, id)).toEqual(["done", "running"]);
  });

  test("keeps each VM's price where staff say so, asks nobody for money, and that is no finding", async () => {
    const of = await grown(1);
    const [vmId = ""] = of.vmIds;
    const id = await begun(cp, of, { price: "keep" });
    expect(await rowsOf(id)).toMatchObject([{ difference: 0 }]);
    await throughout(cp, of);
    expect(await standsAt(cp, { vmId })).toMatchObject({
      version: 2,
      price: 500,
      vcpus: 2,
      money: "exempt",
      outcome: "committed",
    });
    await checkBought(cp.deps);
    expect(await cp.rows("select kind from findings where ended_at is null")).toEqual([]);
    const invoices = await cp.stripe.dashboard.invoices.list({ limit: 100 });
    expect(invoices.data.map(({ total }) => total)).toEqual([500]);
  });

  test("leaves what is worse than shown as it is, and says so", async () => {
    const of = await grown(2);
    const [first = "", second = ""] = of.vmIds;
    const id = await begun(cp, of);
    await cp.rows("update services set suspensions = '{abuse}' where vm_id = $1", first);
    await sellLarge(of, "950");
    await emits(
      cp,
      ["plan_migration.vm_ended.v1", "plan_migration.vm_ended.v1", "plan_migration.changed.v1"],
      () => follow(cp, id),
    );
    expect(await rowsOf(id)).toMatchObject([
      { vm_id: first, state: "drifted", detail: expect.stringMatching(/^vm_suspended: /) },
      { vm_id: second, state: "drifted", detail: expect.stringMatching(/^plan_version: /) },
    ]);
    expect(await cp.rows("select 1 from plan_changes")).toEqual([]);
    expect(await stateOf(cp, id)).toBe("done");
    const audited = await cp.rows(
      "select subject_id from audit_log where action = 'plan_migration.vm_end' order by subject_id",
    );
    expect(audited.map((row) => row["subject_id"])).toEqual(of.vmIds);
  });

  test("leaves out what is gone, or was changed by its owner", async () => {
    const of = await grown(2);
    const [gone = "", own = ""] = of.vmIds;
    const id = await begun(cp, of);
    await cp.rows("update vms set presence = 'absent' where id = $1", gone);
    await cp.rows("update services set plan_version = 2 where vm_id = $1", own);
    await follow(cp, id);
    expect(await statesOf(cp, id)).toEqual(["left_out", "left_out"]);
  });

  test("has a VM wait that is in another change, and drops nothing of that", async () => {
    const of = await grown(1);
    const [vmId = ""] = of.vmIds;
    const own = { world: of.world, vmId, orderId: "", version: 2 };
    const stored = await aStoredQuote(cp, own);
    const id = await begun(cp, of);
    valueOf(await take(cp, own, stored.id));
    await follow(cp, id);
    expect(await statesOf(cp, id)).toEqual(["waiting"]);
    expect(await cp.rows("select outcome from plan_changes")).toEqual([{ outcome: null }]);
  });

  test("has a VM wait that has its turn in another migration", async () => {
    const of = await grown(1);
    const first = await begun(cp, of);
    const second = await begun(cp, of, { price: "keep" });
    await follow(cp, first);
    await follow(cp, second);
    expect([await statesOf(cp, first), await statesOf(cp, second)]).toEqual([
      ["running"],
      ["waiting"],
    ]);
    await throughout(cp, of);
    expect([await statesOf(cp, first), await statesOf(cp, second)]).toEqual([
      ["done"],
      ["left_out"],
    ]);
  });

  test("pauses by itself after so many failures, and goes on with what failed when it is told to", async () => {
    const of = await grown(2);
    const id = await begun(cp, of, { maxParallel: 1, stopAfterFailures: 1 });
    await cp.pump();
    await later(cp, 61);
    await later(cp, 1);
    const [vmId = ""] = of.vmIds;
    await isSeen(cp, { world: of.world, vmId });
    await cp.pump();
    expect(await statesOf(cp, id)).toEqual(["failed", "waiting"]);
    expect(await stateOf(cp, id)).toBe("paused");
    expect(await rowsOf(id)).toMatchObject([{ detail: "not_seen" }, {}]);
    expect(cp.log.errors).toContainEqual({ event: "plan_migration.stopped_by_failures", id });
    await followPlanMigrations(cp.deps);
    expect(await statesOf(cp, id)).toEqual(["failed", "waiting"]);
    expect(valueOf(await changeMigration(cp.deps, of.staff, id, "retry"))).toMatchObject({
      state: "running",
      failures: 0,
      vms: { waiting: 2 },
    });
    await throughout(cp, of);
    expect(await statesOf(cp, id)).toEqual(["done", "done"]);
  });

  test("paused or stopped, begins no more, and what was begun goes on to its end", async () => {
    const of = await grown(3);
    const id = await begun(cp, of, { maxParallel: 1 });
    await cp.pump();
    const change = async (command: Parameters<typeof changeMigration>[3]) =>
      changeMigration(cp.deps, of.staff, id, command);
    expect(await change("pause")).toMatchObject({ ok: true, value: { state: "paused" } });
    expect(await emits(cp, [], () => change("pause"))).toMatchObject({
      value: { state: "paused" },
    });
    await throughout(cp, of);
    expect(await statesOf(cp, id)).toEqual(["done", "waiting", "waiting"]);
    valueOf(await change("resume"));
    await cp.pump();
    expect(await statesOf(cp, id)).toEqual(["done", "running", "waiting"]);
    valueOf(await change("stop"));
    await throughout(cp, of);
    expect(await statesOf(cp, id)).toEqual(["done", "done", "waiting"]);
    expect(await change("resume")).toMatchObject(code("plan_migration_wrong_state"));
    expect(await change("retry")).toMatchObject(code("plan_migration_wrong_state"));
  });

  test("tells owners so many days before, and touches nothing of theirs until then", async () => {
    const of = await grown(2);
    const id = await begun(cp, of, { announceDays: 3 });
    await cp.pump();
    await followPlanMigrations(cp.deps);
    expect(cp.mails).toHaveLength(1);
    expect(cp.mails[0]).toMatchObject({ to: of.world.buyer.email });
    expect(cp.mails[0]?.text).toContain("its price rises by US$4.00 for each period");
    expect(await statesOf(cp, id)).toEqual(["waiting", "waiting"]);
    cp.clock.advanceMinutes(3 * 24 * 60 - 10);
    await followPlanMigrations(cp.deps);
    expect(await statesOf(cp, id)).toEqual(["waiting", "waiting"]);
    cp.clock.advanceMinutes(10);
    await followPlanMigrations(cp.deps);
    expect(await statesOf(cp, id)).toEqual(["running", "running"]);
    expect(cp.mails).toHaveLength(1);
  });

  test("at the renewal has each VM's turn come hours before that, and leaves the period that is paid alone", async () => {
    const of = await grown(1);
    const [vmId = ""] = of.vmIds;
    const id = await begun(cp, of, { when: "renewal" });
    await cp.pump();
    expect(await statesOf(cp, id)).toEqual(["waiting"]);
    const [{ until } = {}] = await cp.rows(
      "select entitled_until as until from services where vm_id = $1",
      vmId,
    );
    const left = +new Date(String(until)) - +cp.clock.now();
    cp.clock.advance(left - 3.5 * 60 * 60_000);
    await followPlanMigrations(cp.deps);
    expect(await statesOf(cp, id)).toEqual(["running"]);
    expect(await standsAt(cp, { vmId })).toMatchObject({ version: 1, vcpus: 1, status: "waiting" });
  });

  test("asks who pays by debit for what is due on a page, by the rules of a resize", async () => {
    const of = await grown(1);
    const [vmId = ""] = of.vmIds;
    await paysOtherwise(cp, { vmId });
    const id = await begun(cp, of);
    await cp.pump();
    expect(await statesOf(cp, id)).toEqual(["running"]);
    const [change] = await cp.rows("select money, pay_url from plan_changes");
    expect(change).toMatchObject({ money: "waiting", pay_url: expect.stringContaining("http") });
  });

  test("whose provider is away asks again later, and loses nobody's turn", async () => {
    const of = await grown(1);
    const id = await begun(cp, of);
    const away = { ...cp.deps.payments, fetchBilled: () => Promise.reject(new Error("away")) };
    await followPlanMigrations({ ...cp.deps, payments: away });
    expect(await statesOf(cp, id)).toEqual(["judging"]);
    expect(cp.log.errors).toContainEqual(
      expect.objectContaining({ event: "follow_plan_migration.failed", plan_migration_id: id }),
    );
    await followPlanMigrations(cp.deps);
    expect(await statesOf(cp, id)).toEqual(["running"]);
  });

  test("that does not move for hours is a finding, until it moves", async () => {
    const of = await grown(1);
    const id = await begun(cp, of);
    await follow(cp, id);
    cp.clock.advanceMinutes(4 * 60 - 1);
    expect(await tellHangingMigrations(cp.deps)).toEqual({ opened: 0, ended: 0 });
    cp.clock.advanceMinutes(1);
    expect(await tellHangingMigrations(cp.deps)).toEqual({ opened: 1, ended: 0 });
    expect(await tellHangingMigrations(cp.deps)).toEqual({ opened: 0, ended: 0 });
    expect(
      await cp.rows("select kind, subject, vm_id from findings where ended_at is null"),
    ).toMatchObject([{ kind: "plan_migration_hangs", subject: id, vm_id: of.vmIds[0] }]);
    valueOf(await changeMigration(cp.deps, of.staff, id, "pause"));
    expect(await tellHangingMigrations(cp.deps)).toEqual({ opened: 0, ended: 1 });
  });
});

test("one worker follows a migration at a time", async () => {
  const of = await grown(1);
  const id = await begun(cp, of);
  const both = await Promise.all([follow(cp, id), follow(cp, id)]);
  expect(both.toSorted()).toEqual(["followed", "held"]);
  expect(await cp.rows("select 1 from plan_changes")).toHaveLength(1);
});
