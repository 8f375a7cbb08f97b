import { afterEach, beforeEach, expect } from "vitest";
import { costlyTest as it } from "#test/harness/costly-test.ts";
import { changeMigration } from "#commands/billing/change-plan-migration.ts";
import { beginMigration } from "#commands/billing/plan-migration.ts";
import { followPlanMigration } from "#commands/billing/follow-plan-migration.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { differencesOf, runEachStep } from "#test/harness/each-step.ts";
import { isSeen, LARGE, LARGE_LIMITS, later } from "#test/harness/plan-changes.ts";
import { askedOf, begun, planned, someVms } from "#test/harness/plan-migrations.ts";
import { aNewVersion } from "#test/harness/world.ts";

/* 6b 5: each step of a plan migration run twice and failed at, with the world looked at afterwards. */

let cp: ControlPlane;
beforeEach(async () => {
  cp = await startControlPlane();
});
afterEach(() => cp.drop());

const lines = (...patterns: readonly RegExp[]) =>
  patterns.map((line) => expect.stringMatching(line));

async function grown(size: number) {
  const of = await someVms(cp, size);
  await aNewVersion(cp, of.world.planId, {
    ...LARGE,
    ...LARGE_LIMITS,
    prices: [{ interval: "month", amountMinor: "900", currency: "usd" }],
  });
  return of;
}

/** A worker that died has it, and the change that it began, for two minutes still: here nobody waits for that. */
async function again(id: string): Promise<void> {
  await cp.rows("update plan_migrations set held_until = null where id = $1", id);
  await followPlanMigration(cp.deps, id);
}
const follow = (id: string) => followPlanMigration(cp.deps, id);

it("beginning what a dry run showed ends as one that was begun", async () => {
  const begin = async (of: Awaited<ReturnType<typeof grown>>, hash: string | null) =>
    beginMigration(cp.deps, of.staff, askedOf(of, { announceDays: 9 }), hash ?? undefined);
  const each = await runEachStep(cp, {
    arrange: async () => {
      const of = await grown(1);
      return { of, hash: (await planned(cp, of, { announceDays: 9 })).hash };
    },
    act: ({ of, hash }) => begin(of, hash),
    emits: ["plan_migration.began.v1", "plan_migration.fell_due.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(
      lines(/^plan_migrations .*"running"/, /^plan_migration_vms .*"waiting"/),
    ),
  );
});

it("a VM's turn ends as one change", async () => {
  const each = await runEachStep(cp, {
    arrange: async () => begun(cp, await grown(1)),
    act: follow,
    again,
    emits: ["plan_change.began.v1", "plan_change.fell_due.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(
      lines(/^plan_migration_vms .*"running"/, /^plan_changes .*"applying"/, /^resize_quotes /),
    ),
  );
});

it("a change that has ended is noted once, and the job with it", async () => {
  const each = await runEachStep(cp, {
    arrange: async () => {
      const of = await grown(1);
      const id = await begun(cp, of);
      await cp.pump();
      await isSeen(cp, { world: of.world, vmId: of.vmIds[0] ?? "" });
      // Its bell is not heard.
      await later({ ...cp, pump: async () => undefined }, 1);
      return id;
    },
    act: follow,
    again,
    emits: ["plan_migration.vm_ended.v1", "plan_migration.changed.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(lines(/^plan_migration_vms .*"done"/, /^plan_migrations .*"done"/)),
  );
});

it("a VM that drifted is left as it is, and told of once", async () => {
  const each = await runEachStep(cp, {
    arrange: async () => {
      const of = await grown(1);
      const id = await begun(cp, of);
      await cp.rows("update services set suspensions = '{abuse}' where vm_id = $1", of.vmIds[0]);
      return id;
    },
    act: follow,
    again,
    emits: ["plan_migration.vm_ended.v1", "plan_migration.changed.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(lines(/^plan_migration_vms .*"drifted"/)),
  );
});

it("stopping ends as one that is stopped", async () => {
  const each = await runEachStep(cp, {
    arrange: async () => {
      const of = await grown(1);
      return { of, id: await begun(cp, of, { announceDays: 9 }) };
    },
    act: ({ of, id }) => changeMigration(cp.deps, of.staff, id, "stop"),
    emits: ["plan_migration.changed.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(expect.arrayContaining(lines(/^plan_migrations .*"stopped"/)));
});

it("telling owners tells each of them, and whoever was told is not told again but after a crash", async () => {
  const each = await runEachStep(cp, {
    arrange: async () => begun(cp, await grown(1), { announceDays: 9 }),
    act: follow,
    again,
    emits: [],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(lines(/^plan_migration_vms .*"waiting"/)),
  );
});
