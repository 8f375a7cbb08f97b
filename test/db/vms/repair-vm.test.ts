import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { handInitialPassword } from "#commands/vms/hand-initial-password.ts";
import { takeInitialPassword } from "#commands/vms/take-initial-password.ts";
import { repairVm, showRepair } from "#commands/vms/repair-vm.ts";
import type { AgentReport } from "#core/contracts/agent/report.ts";
import type { RepairWay } from "#core/vms/plan-repair.ts";
import { desiredVmsOf } from "#db/vms/vms.ts";
import { ALL_CAPABILITIES, aPrincipal } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { emits } from "#test/harness/emits.ts";
import { anActiveVm, aWorld, hostSees, valueOf } from "#test/harness/world.ts";

/* 5.1: what staff do about a VM that its host has lost. */

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane({ oneMayDestroy: true });
});
afterAll(() => cp.drop());

const staff = aPrincipal({ role: "staff" });
const MISSING = { code: "vm_missing", detail: "this VM was here and is gone" } as const;

async function aLostVm(facts: Parameters<typeof aWorld>[1] = {}) {
  const world = await aWorld(cp, facts);
  const { vmId, orderId } = await anActiveVm(cp, world);
  const sees = (
    seen: Parameters<typeof hostSees>[3],
    more: Partial<AgentReport> = {},
  ): Promise<unknown> => hostSees(cp, world.hostId, vmId, seen, more);
  await sees({ observed: null, settled: false, error: MISSING });
  return {
    world,
    vmId,
    orderId,
    sees,
    /** By the hash of a dry run, or by this one. */
    repairs: async (how: RepairWay, hash?: string) => {
      const shown = await showRepair(cp.deps, { vmId, how });
      return shown.ok
        ? repairVm(cp.deps, { who: staff, vmId, how, hash: hash ?? shown.value.hash })
        : shown;
    },
    /** What its host is asked for. */
    desired: async () => {
      const desired = await desiredVmsOf(cp.deps.db, world.hostId);
      const vm = desired.find((each) => each.vmId === vmId);
      return { mayCreate: vm?.mayCreate, repair: vm?.repair, needs: vm?.needs };
    },
    action: async (id: string) => {
      const rows = await cp.rows("select status, error_code from actions where id = $1", id);
      return rows[0];
    },
  };
}

describe("a lost VM", () => {
  test.each([
    { how: "adopt_disk", needs: ["repair"] },
    { how: "restore_trash", needs: ["repair", "restore-trash"] },
    { how: "recreate", needs: ["repair"] },
  ] as const)(
    "is asked of its host by its words ($how), until it is seen whole",
    async ({ how, needs }) => {
      const vm = await aLostVm();
      expect(await vm.desired()).toEqual({ mayCreate: false, repair: undefined, needs: undefined });
      const { id } = valueOf(await vm.repairs(how));
      expect(await vm.desired()).toEqual({ mayCreate: false, repair: how, needs });
      await vm.sees({ observed: { complete: false }, settled: false });
      expect(await vm.action(id)).toEqual({ status: "running", error_code: null });
      await vm.sees({ observed: { power: "off", bootEpoch: null }, settled: false });
      expect(await vm.action(id)).toEqual({ status: "success", error_code: null });
      expect(await vm.desired()).toEqual({ mayCreate: false, repair: undefined, needs: undefined });
    },
  );

  test("whose disk its host does not find is lost still, and the action says why", async () => {
    const vm = await aLostVm();
    const { id } = valueOf(await vm.repairs("adopt_disk"));
    await vm.sees({ observed: null, settled: false, error: MISSING });
    expect(await vm.action(id)).toEqual({ status: "error", error_code: "host_refused" });
    expect(await vm.desired()).toEqual({ mayCreate: false, repair: undefined, needs: undefined });
    valueOf(await vm.repairs("recreate"));
  });

  test("is given up: deleted, its order complete, its subscription cancelled", async () => {
    const vm = await aLostVm();
    const begun = ["vm.change_requested.v1", "subscription.cancellation_fell_due.v1"] as const;
    const { id } = valueOf(await emits(cp, begun, () => vm.repairs("give_up")));
    await vm.sees({ observed: null });
    expect(await vm.action(id)).toEqual({ status: "success", error_code: null });
    expect(await cp.rows("select state from orders where id = $1", vm.orderId)).toEqual([
      { state: "completed" },
    ]);
    expect(await cp.rows("select ended_at from findings where vm_id = $1", vm.vmId)).toEqual([
      { ended_at: cp.clock.now() },
    ]);
  });

  test("is repaired as the dry run said, which changes nothing, or not at all", async () => {
    const vm = await aLostVm();
    const asked = { vmId: vm.vmId, how: "recreate" } as const;
    const plan = valueOf(await emits(cp, [], () => showRepair(cp.deps, asked)));
    expect(plan.effects.join()).toContain("what was on its disk is not on the new one");
    const other = valueOf(await showRepair(cp.deps, { ...asked, how: "adopt_disk" }));
    expect(await vm.repairs("recreate", other.hash)).toMatchObject({
      error: { code: "plan_changed" },
    });
    valueOf(await vm.repairs("recreate", plan.hash));
    expect(await vm.repairs("adopt_disk")).toMatchObject({ error: { code: "vm_locked" } });
  });
});

describe("is refused before anything is asked of a host", () => {
  const { restoreTrash: _, ...without } = ALL_CAPABILITIES;
  const { adoptDisk: __, ...older } = without;
  test.each([
    {
      name: "whose agent does not know the word",
      can: older,
      refused: ["adopt_disk", "restore_trash", "recreate"],
    },
    { name: "whose agent does not know the trash's", can: without, refused: ["restore_trash"] },
    {
      name: "that cannot bring a disk back from its trash",
      can: { ...ALL_CAPABILITIES, restoreTrash: false },
      refused: ["restore_trash"],
    },
    {
      name: "that cannot adopt a disk",
      can: { ...ALL_CAPABILITIES, adoptDisk: false },
      refused: ["adopt_disk"],
    },
  ] as const)("$name", async ({ can, refused }) => {
    const vm = await aLostVm({ facts: { capabilities: can } });
    for (const how of refused)
      expect(await vm.repairs(how)).toMatchObject({ error: { code: "repair_unavailable" } });
    valueOf(await vm.repairs("give_up"));
  });

  test("of a VM that is there", async () => {
    const vm = await aLostVm();
    await vm.sees({});
    for (const how of ["adopt_disk", "restore_trash", "recreate", "give_up"] as const)
      expect(await vm.repairs(how)).toMatchObject({ error: { code: "vm_not_lost" } });
  });

  test("of one that asked for a first password, on a host that cannot give it one", async () => {
    const { rootPassword: _, ...can } = ALL_CAPABILITIES;
    const vm = await aLostVm({ facts: { capabilities: can } });
    await cp.rows("update vms set root_password = true where id = $1", vm.vmId);
    expect(await vm.repairs("recreate")).toMatchObject({ error: { code: "repair_unavailable" } });
    valueOf(await vm.repairs("adopt_disk"));
  });
});

describe("a lost VM that has a first password", () => {
  async function aVmWithPassword() {
    const vm = await aLostVm();
    await cp.rows("update vms set root_password = true where id = $1", vm.vmId);
    const hand = () => handInitialPassword(cp.deps, vm.world.hostId, vm.vmId);
    const take = () => takeInitialPassword(cp.deps, vm.world.buyer, vm.vmId);
    return { ...vm, hand, take };
  }

  test("is made anew with another one, the same each time, which its customer can take once", async () => {
    const vm = await aVmWithPassword();
    expect(await vm.hand()).toMatchObject({ error: { code: "no_initial_password" } });
    const passwords: string[] = [];
    for (let n = 0; n < 2; n++) {
      valueOf(await vm.repairs("recreate"));
      expect(await vm.desired()).toMatchObject({ needs: ["root-password", "repair"] });
      const { password } = valueOf(await vm.hand());
      expect(await vm.hand()).toEqual({ ok: true, value: { password } });
      expect(await vm.take()).toMatchObject({ error: { code: "password_not_ready" } });
      await vm.sees({ observed: { power: "off", bootEpoch: null }, settled: false });
      expect(await vm.desired()).toMatchObject({ needs: undefined });
      expect(await vm.hand()).toMatchObject({ error: { code: "no_initial_password" } });
      expect(valueOf(await vm.take())).toEqual({ username: "root", password });
      expect(await vm.take()).toMatchObject({ error: { code: "password_already_taken" } });
      passwords.push(password);
      await vm.sees({ observed: null, settled: false, error: MISSING });
    }
    expect(new Set(passwords).size).toBe(2);
  });

  test("that nobody has taken yet keeps that one", async () => {
    const vm = await aVmWithPassword();
    valueOf(await vm.repairs("recreate"));
    const first = valueOf(await vm.hand());
    await vm.sees({ observed: { power: "off", bootEpoch: null }, settled: false });
    await vm.sees({ observed: null, settled: false, error: MISSING });
    valueOf(await vm.repairs("recreate"));
    expect(valueOf(await vm.hand())).toEqual(first);
    expect(valueOf(await vm.take())).toMatchObject(first);
  });

  test("and that its host refuses to make anew shows none", async () => {
    const vm = await aVmWithPassword();
    valueOf(await vm.repairs("recreate"));
    valueOf(await vm.hand());
    const refused = { code: "beyond_limits", detail: "too large by now" } as const;
    await vm.sees({ observed: null, settled: false, error: refused });
    expect(await vm.take()).toMatchObject({ error: { code: "no_initial_password" } });
    valueOf(await vm.repairs("recreate"));
    valueOf(await vm.hand());
  });
});
