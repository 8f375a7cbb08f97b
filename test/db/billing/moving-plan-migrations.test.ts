import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  changeMigration,
  showMigration,
  showMigrationVms,
} from "#commands/billing/change-plan-migration.ts";
import { followPlanMigration } from "#commands/billing/follow-plan-migration.ts";
import { beginMigration } from "#commands/billing/plan-migration.ts";
import { showStaffResize } from "#commands/billing/resize-for-staff.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { hostSays } from "#test/harness/moves.ts";
import {
  bringsTo,
  goesOn,
  hostBecomes,
  HUGE,
  isWhole,
  liesAt,
  moveOf,
  noRoomAtHome,
  onHyperV,
} from "#test/harness/moving-plans.ts";
import { aStoredQuote, later, moneyOf, take } from "#test/harness/plan-changes.ts";
import { askedOf, begun, planned, stateOf, statesOf } from "#test/harness/plan-migrations.ts";
import { SIZE, valueOf } from "#test/harness/world.ts";

/* 6b 5: VMs whose own host cannot make them what they become move first, and are resized where they arrive. */

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

const rowsOf = (id: string) =>
  cp.rows(
    `select vm_id, state, method, down_seconds, to_host_id, refusals, detail from plan_migration_vms
     where migration_id = $1 order by vm_id`,
    id,
  );
const movesOf = async (vmId: string) =>
  (await cp.rows("select outcome from moves where vm_id = $1 order by id", vmId)).map(
    (row) => row["outcome"],
  );

describe("a dry run", () => {
  test("plans each VM that its host has no room for to another host, one after the other until those are full", async () => {
    const of = await noRoomAtHome(cp, { vms: 3, others: [4, 4] });
    const { id } = await planned(cp, of);
    const rows = await rowsOf(id);
    const moves = { state: "waiting", method: "move", refusals: [], detail: null };
    expect(rows).toMatchObject([
      moves,
      moves,
      { state: "refused", refusals: ["no_room"], to_host_id: null },
    ]);
    expect(rows.slice(0, 2).map((row) => row["to_host_id"])).toEqual(
      expect.arrayContaining([...of.others]),
    );
    expect(rows[2]?.["detail"]).toBe(
      "no_room: of the other hosts of its location none can take it: 2 × too little of its memory is left",
    );
    // A disk of 20 GiB is copied, and it restarts for the move, and perhaps once more for its size.
    expect(Number(rows[0]?.["down_seconds"])).toBeGreaterThan(400);
    const { totals } = valueOf(await showMigration(cp.deps, id));
    expect(totals).toMatchObject({
      methods: [{ method: "move", vms: 2 }],
      refusals: [{ code: "no_room", vms: 1 }],
    });
    const page = valueOf(
      await showMigrationVms(cp.deps, id, "waiting", { limit: 1, cursor: null }),
    );
    expect(page.items[0]?.toHost).toMatchObject({ id: rows[0]?.["to_host_id"] });
    expect(await cp.rows("select 1 from moves where vm_id = any($1)", of.vmIds)).toEqual([]);
  });

  test("counts what grows where it is against who comes there, whoever is judged first", async () => {
    const of = await noRoomAtHome(cp, { vms: 2, others: [8] });
    // One of the two lives on the other host, where it has room for three more; the one that moves there needs four.
    const [here = "", there = ""] = of.vmIds;
    const [other] = of.others;
    await cp.rows("update vms set host_id = $2 where id = $1", there, other);
    await cp.rows("update reservations set host_id = $2 where vm_id = $1", there, other);
    const { id } = await planned(cp, of);
    expect(await rowsOf(id)).toMatchObject([
      { vm_id: here, method: "move", state: "waiting" },
      { vm_id: there, method: "live", state: "waiting" },
    ]);
    await cp.rows(
      "update hosts set allocated_memory_mib = allocated_memory_mib + 1024 * 2 where id = $1",
      other,
    );
    const fuller = await planned(cp, of);
    // It takes what the second would have grown by, and there is nowhere else for that.
    expect(await statesOf(cp, fuller.id)).toEqual(["waiting", "refused"]);
  });

  test("names by its hash who moves: what its host had no room for after it asks for a new one", async () => {
    const of = await noRoomAtHome(cp, { vms: 1, others: [4] });
    const { hash } = await planned(cp, of);
    await cp.rows("update hosts set state = 'cordoned' where id = $1", of.others[0]);
    expect(await beginMigration(cp.deps, of.staff, askedOf(of), hash ?? undefined)).toMatchObject({
      error: { code: "plan_changed" },
    });
  });

  test("goes across hypervisors where the image does, and says so of one that does not", async () => {
    const of = await onHyperV(cp);
    const [other = ""] = of.others;
    const { id } = await planned(cp, of);
    expect(await rowsOf(id)).toMatchObject([{ method: "move", to_host_id: other, refusals: [] }]);
    await hostBecomes(cp, other, { images: [] });
    const without = await planned(cp, of);
    expect(await rowsOf(without.id)).toMatchObject([
      {
        state: "refused",
        refusals: ["limit_unsupported"],
        detail: expect.stringContaining("none can take it: 1 × it does not hold the image"),
      },
    ]);
  });
});

describe("a VM's turn", () => {
  test("moves it with the room for what it becomes, resizes it where it arrived, and asks for its price once", async () => {
    const of = await noRoomAtHome(cp, { vms: 1, others: [4] });
    const [vmId = ""] = of.vmIds;
    const [other = ""] = of.others;
    const before = await liesAt(cp, vmId);
    const id = await begun(cp, of);
    await cp.pump();
    expect(await statesOf(cp, id)).toEqual(["moving"]);
    expect(await liesAt(cp, vmId)).toEqual({
      ...before,
      held: [
        { host: of.world.hostId, memory: SIZE.memoryMib },
        { host: other, memory: HUGE.memoryMib },
      ],
    });
    expect(await cp.rows("select 1 from plan_changes where vm_id = $1", vmId)).toEqual([]);
    expect((await moneyOf(cp, { vmId })).billed).toBe(500);
    await bringsTo(cp, of, vmId, "clean");
    await isWhole(cp, vmId);
    await cp.pump();
    expect(await statesOf(cp, id)).toEqual(["running"]);
    await isWhole(cp, vmId);
    await bringsTo(cp, of, vmId, "ended");
    await goesOn(cp);
    expect(await statesOf(cp, id)).toEqual(["done"]);
    expect(await liesAt(cp, vmId)).toEqual({
      host: other,
      vcpus: 2,
      memory: HUGE.memoryMib,
      version: 2,
      price: 900,
      held: [{ host: other, memory: HUGE.memoryMib }],
    });
    expect(await moneyOf(cp, { vmId })).toMatchObject({ billed: 900, open: 0 });
    expect(await movesOf(vmId)).toEqual(["moved"]);
    expect(await stateOf(cp, id)).toBe("done");
  });

  test("whose move is turned back leaves it as it was, says why, and it moves when that is tried again", async () => {
    const of = await noRoomAtHome(cp, { vms: 1, others: [4] });
    const [vmId = ""] = of.vmIds;
    const [other = ""] = of.others;
    const before = await liesAt(cp, vmId);
    const id = await begun(cp, of);
    await cp.pump();
    const move = await moveOf(cp, vmId);
    const error = { code: "no_space", detail: "the volume is full", final: true };
    await hostSays(cp, other, { moves: [{ error }] }, { move, vmId });
    await bringsTo(cp, of, vmId, "ended");
    await goesOn(cp);
    expect(await rowsOf(id)).toMatchObject([
      { state: "failed", detail: "destination_refused: no_space: the volume is full" },
    ]);
    expect(await liesAt(cp, vmId)).toEqual(before);
    expect(await moneyOf(cp, { vmId })).toMatchObject({ billed: 500 });
    expect(await cp.rows("select 1 from plan_changes where vm_id = $1", vmId)).toEqual([]);
    valueOf(await changeMigration(cp.deps, of.staff, id, "retry"));
    await goesOn(cp);
    await bringsTo(cp, of, vmId, "clean");
    await isWhole(cp, vmId);
    await goesOn(cp);
    await isWhole(cp, vmId);
    await goesOn(cp);
    expect(await statesOf(cp, id)).toEqual(["done"]);
    expect(await movesOf(vmId)).toEqual(["turned_back", null]);
  });

  test("that was begun is gone through with when the migration is stopped, and the next one is not begun", async () => {
    const of = await noRoomAtHome(cp, { vms: 2, others: [8] });
    const [first = "", second = ""] = of.vmIds;
    const id = await begun(cp, of, { maxParallel: 1 });
    await cp.pump();
    expect(await statesOf(cp, id)).toEqual(["moving", "waiting"]);
    valueOf(await changeMigration(cp.deps, of.staff, id, "stop"));
    await bringsTo(cp, of, first, "clean");
    await isWhole(cp, first);
    await goesOn(cp);
    expect(await statesOf(cp, id)).toEqual(["running", "waiting"]);
    await isWhole(cp, first);
    await goesOn(cp);
    expect(await statesOf(cp, id)).toEqual(["done", "waiting"]);
    expect(await movesOf(second)).toEqual([]);
  });

  test("that finds it worse than shown once it has arrived leaves it there, as it was, and gives the room back", async () => {
    const of = await noRoomAtHome(cp, { vms: 1, others: [4] });
    const [vmId = ""] = of.vmIds;
    const [other = ""] = of.others;
    const id = await begun(cp, of);
    await cp.pump();
    await cp.rows("update services set suspensions = '{abuse}' where vm_id = $1", vmId);
    await bringsTo(cp, of, vmId, "take_over");
    await cp.rows(
      "update vms set observed_power = 'off', observed_generation = generation where id = $1",
      vmId,
    );
    const { step } = await moveOf(cp, vmId);
    expect(step).toBe("take_over");
    await later(cp, 1);
    await isOff(vmId, other);
    await goesOn(cp);
    expect(await rowsOf(id)).toMatchObject([
      { state: "drifted", detail: expect.stringMatching(/^vm_suspended: /) },
    ]);
    expect(await liesAt(cp, vmId)).toMatchObject({
      host: other,
      version: 1,
      price: 500,
      held: [{ host: other, memory: SIZE.memoryMib }, { memory: SIZE.memoryMib }],
    });
  });

  test("moves it once: what could not be resized where it arrived is tried again there, and nowhere else", async () => {
    const of = await noRoomAtHome(cp, { vms: 1, others: [4, 4] });
    const [vmId = ""] = of.vmIds;
    const id = await begun(cp, of);
    await cp.pump();
    const { destinationHostId: host } = await moveOf(cp, vmId);
    await bringsTo(cp, of, vmId, "clean");
    await isWhole(cp, vmId);
    await goesOn(cp);
    expect(await statesOf(cp, id)).toEqual(["running"]);
    // Its new host does not do it within its hour.
    await later(cp, 61);
    await later(cp, 1);
    await isWhole(cp, vmId);
    await goesOn(cp);
    expect(await rowsOf(id)).toMatchObject([{ state: "failed", detail: "not_seen" }]);
    expect(await liesAt(cp, vmId)).toMatchObject({
      host,
      version: 1,
      price: 500,
      memory: SIZE.memoryMib,
    });
    // Meanwhile somebody has the room that was held for it there.
    const room = HUGE.memoryMib - SIZE.memoryMib;
    await cp.rows(
      "update hosts set allocated_memory_mib = allocated_memory_mib + $2 where id = $1",
      host,
      room,
    );
    valueOf(await changeMigration(cp.deps, of.staff, id, "retry"));
    await goesOn(cp);
    expect(await rowsOf(id)).toMatchObject([
      { state: "drifted", detail: "no_room: it has moved for this already, and once is all" },
    ]);
    expect(await movesOf(vmId)).toHaveLength(1);
  });

  test("finds another host where the planned one was filled, and drifts where there is none", async () => {
    const of = await noRoomAtHome(cp, { vms: 2, others: [4, 4, 4] });
    const [first = "", second = ""] = of.vmIds;
    const id = await begun(cp, of, { maxParallel: 1 });
    const [{ to_host_id: plannedHost } = {}] = await rowsOf(id);
    const fill = (hostId: unknown) =>
      cp.rows("update hosts set allocated_memory_mib = capacity_memory_mib where id = $1", hostId);
    await fill(plannedHost);
    await cp.pump();
    const { destinationHostId } = await moveOf(cp, first);
    expect(of.others.filter((host) => host !== plannedHost)).toContain(destinationHostId);
    await bringsTo(cp, of, first, "clean");
    await isWhole(cp, first);
    await goesOn(cp);
    for (const host of of.others) await fill(host);
    await isWhole(cp, first);
    await goesOn(cp);
    expect(await rowsOf(id)).toMatchObject([
      { state: "done" },
      { state: "drifted", detail: expect.stringMatching(/^no_room: no other host can take it/) },
    ]);
    expect(await movesOf(second)).toEqual([]);
  });

  test("at its renewal comes hours before it, and what arrives too late gives the room back and waits for the next one", async () => {
    const of = await noRoomAtHome(cp, { vms: 1, others: [4] });
    const [vmId = ""] = of.vmIds;
    const [other = ""] = of.others;
    const id = await begun(cp, of, { when: "renewal" });
    await cp.pump();
    expect(await statesOf(cp, id)).toEqual(["waiting"]);
    const renewal = cp.clock.now();
    renewal.setHours(renewal.getHours() + 5);
    await cp.rows("update services set entitled_until = $2 where vm_id = $1", vmId, renewal);
    await cp.rows(
      "update plan_migration_vms set due_at = $2 where vm_id = $1",
      vmId,
      cp.clock.now(),
    );
    const billed = async (subscription: string) => {
      const now = await cp.deps.payments.fetchBilled(subscription);
      return { ...now, period: { ...now.period, until: renewal } };
    };
    const deps = { ...cp.deps, payments: { ...cp.deps.payments, fetchBilled: billed } };
    await followPlanMigration(deps, id);
    expect(await statesOf(cp, id)).toEqual(["moving"]);
    // Its new host is silent for hours, and nobody can do anything about that.
    await bringsTo(cp, of, vmId, "take_over");
    cp.clock.advance(2.5 * 60 * 60_000);
    await bringsTo(cp, of, vmId, "clean");
    await isWhole(cp, vmId);
    await followPlanMigration(deps, id);
    expect(await rowsOf(id)).toMatchObject([
      { state: "waiting", detail: "waits for its next renewal" },
    ]);
    expect((await liesAt(cp, vmId)).held[0]).toEqual({ host: other, memory: SIZE.memoryMib });
    expect(await stateOf(cp, id)).toBe("running");
  });

  test("that its owner has changed on its way waits for that, and holds no room meanwhile", async () => {
    const of = await noRoomAtHome(cp, { vms: 1, others: [4] });
    const [vmId = ""] = of.vmIds;
    const [other = ""] = of.others;
    const id = await begun(cp, of);
    await cp.pump();
    const own = { world: of.world, vmId, orderId: "", version: 2 };
    const renewal = new Date(+cp.clock.now() + 20 * 24 * 60 * 60_000);
    const stored = await aStoredQuote(cp, own, { when: "renewal", appliesAt: renewal });
    valueOf(await take(cp, own, stored.id));
    await bringsTo(cp, of, vmId, "clean");
    await isWhole(cp, vmId);
    await goesOn(cp);
    expect(await rowsOf(id)).toMatchObject([
      { state: "waiting", detail: expect.stringMatching(/^vm_locked: /) },
    ]);
    expect((await liesAt(cp, vmId)).held[0]).toEqual({ host: other, memory: SIZE.memoryMib });
  });

  const isOff = async (vmId: string, hostId: string) => {
    const [vm] = await cp.rows("select owner_epoch, generation from vms where id = $1", vmId);
    const move = await moveOf(cp, vmId);
    await hostSays(
      cp,
      hostId,
      {
        vm: {
          generation: Number(vm?.["generation"]),
          ownerEpoch: Number(vm?.["owner_epoch"]),
          observed: { power: "off", bootEpoch: null, ownerEpoch: Number(vm?.["owner_epoch"]) },
        },
      },
      { move, vmId },
    );
  };
});

test("an owner is told of the time that it may be down, and of no host", async () => {
  const of = await noRoomAtHome(cp, { vms: 1, others: [4] });
  await begun(cp, of, { announceDays: 3 });
  await goesOn(cp);
  const told = cp.mails.filter(({ to }) => to === of.world.buyer.email);
  expect(told).toHaveLength(1);
  expect(told[0]?.text).toMatch(/it restarts, and is down for up to \d+ minutes/);
  expect(told[0]?.text).not.toMatch(/host|move/i);
});

test("a resize of one VM by staff that its host has no room for names the way out", async () => {
  const of = await noRoomAtHome(cp, { vms: 1, others: [4] });
  const [vmId = ""] = of.vmIds;
  const asked = {
    planId: of.world.planId,
    keepDisk: false,
    when: "now",
    billing: "prorate",
  } as const;
  const shown = valueOf(await showStaffResize(cp.deps, { who: of.staff, vmId, ...asked }));
  expect(shown.refusals).toMatchObject([
    { code: "no_room", detail: expect.stringContaining("berth vm migrate") },
  ]);
});
