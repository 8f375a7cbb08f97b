import { afterAll, beforeAll, expect } from "vitest";
import { costlyTest as it } from "#test/harness/costly-test.ts";
import { followPlanMigration } from "#commands/billing/follow-plan-migration.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { differencesOf, runEachStep } from "#test/harness/each-step.ts";
import { hostSays } from "#test/harness/moves.ts";
import { bringsTo, isWhole, moveOf, noRoomAtHome } from "#test/harness/moving-plans.ts";
import { begun } from "#test/harness/plan-migrations.ts";

/* 6b 5: each step of a plan migration whose VM must move, run twice and failed at, with the world looked at afterwards. */

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

const lines = (...patterns: readonly RegExp[]) =>
  patterns.map((line) => expect.stringMatching(line));

/** A worker that died has it, and the change that it began, for two minutes still: here nobody waits for that. */
async function again(id: string): Promise<void> {
  await cp.rows("update plan_migrations set held_until = null where id = $1", id);
  await followPlanMigration(cp.deps, id);
}
const follow = (id: string) => followPlanMigration(cp.deps, id);

/** Its VM's move was begun. */
async function aMovingVm() {
  const of = await noRoomAtHome(cp, { vms: 1, others: [4] });
  const id = await begun(cp, of);
  await cp.pump();
  return { of, id, vmId: of.vmIds[0] ?? "" };
}

it("the turn of a VM that must move ends as one move, with the room for what it becomes, and no change", async () => {
  const each = await runEachStep(cp, {
    arrange: async () => begun(cp, await noRoomAtHome(cp, { vms: 1, others: [4] })),
    act: follow,
    again,
    emits: ["move.began.v1", "vm.change_requested.v1", "vm.change_requested.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(
      lines(
        /^plan_migration_vms .*"moving"/,
        /^moves .*"prepare"/,
        /^reservations .*"by_move":true.*"memory_mib":4096/,
      ),
    ),
  );
  expect(each.undisturbed.filter((line) => line.startsWith("plan_changes"))).toEqual([]);
});

it("a VM that has arrived is noted and changed once", async () => {
  const each = await runEachStep(cp, {
    arrange: async () => {
      const { of, id, vmId } = await aMovingVm();
      await bringsTo(cp, of, vmId, "clean");
      await isWhole(cp, vmId);
      return id;
    },
    act: follow,
    again,
    emits: ["plan_change.began.v1", "plan_change.fell_due.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(
      lines(/^plan_migration_vms .*"running"/, /^plan_changes .*"applying"/, /^moves .*"clean"/),
    ),
  );
});

it("a move that was turned back is a failure, once, and leaves the VM as it was", async () => {
  const each = await runEachStep(cp, {
    arrange: async () => {
      const { of, id, vmId } = await aMovingVm();
      const move = await moveOf(cp, vmId);
      const error = { code: "no_space", detail: "the volume is full", final: true };
      await hostSays(cp, of.others[0] ?? "", { moves: [{ error }] }, { move, vmId });
      await bringsTo(cp, of, vmId, "drop");
      return id;
    },
    act: follow,
    again,
    emits: ["plan_migration.vm_ended.v1", "plan_migration.changed.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(
      lines(/^plan_migration_vms .*"failed"/, /^plan_migrations .*"failures":1/),
    ),
  );
});

it("a VM that drifted after it had arrived gives the room back that was held for it, once", async () => {
  const each = await runEachStep(cp, {
    arrange: async () => {
      const { of, id, vmId } = await aMovingVm();
      await bringsTo(cp, of, vmId, "clean");
      await isWhole(cp, vmId);
      await cp.rows("update services set suspensions = '{abuse}' where vm_id = $1", vmId);
      return id;
    },
    act: follow,
    again,
    emits: ["plan_migration.vm_ended.v1", "plan_migration.changed.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(
      lines(
        /^plan_migration_vms .*"drifted"/,
        /^reservations .*"by_move":false.*"memory_mib":1024/,
      ),
    ),
  );
});
