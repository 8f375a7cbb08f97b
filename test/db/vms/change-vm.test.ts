import { afterAll, beforeAll, expect, test } from "vitest";
import { changeVm } from "#commands/vms/change-vm.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import { aPrincipal } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { differencesOf, runEachStep } from "#test/harness/each-step.ts";
import { emits } from "#test/harness/emits.ts";
import { aBuyer, anActiveVm, aWorld, hostSees, valueOf } from "#test/harness/world.ts";

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

test("a VM is called what its owner calls it, once, and its host hears nothing of it", async () => {
  const each = await runEachStep(cp, {
    arrange: async () => {
      const world = await aWorld(cp);
      const { vmId } = await anActiveVm(cp, world);
      return { who: world.buyer, vmId, label: "web, the old one" };
    },
    act: (wish) => changeVm(cp.deps, wish),
    emits: ["vm.relabelled.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toContainEqual(expect.stringMatching(/^vms .*"generation":1,/));
  expect(each.undisturbed).toContainEqual(
    expect.stringMatching(/^vms .*"label":"web, the old one"/),
  );
});

test("another customer's VM is not found, and keeps its name", async () => {
  const world = await aWorld(cp);
  const { vmId } = await anActiveVm(cp, world);
  const who = await aBuyer(cp);
  expect(await changeVm(cp.deps, { who, vmId, label: "mine" })).toMatchObject({
    error: { code: "vm_not_found" },
  });
  expect(await cp.rows("select label from vms where id = $1", vmId)).toEqual([{ label: null }]);
});

test("a VM that is gone is not found by its owner either, nor is one that never was, and the gone keeps its name", async () => {
  const world = await aWorld(cp);
  const { vmId } = await anActiveVm(cp, world);
  const who = world.buyer;
  valueOf(await changeVm(cp.deps, { who, vmId, label: "the old one" }));
  valueOf(await requestAction(cp.deps, { who, vmId, type: "delete" }));
  await hostSees(cp, world.hostId, vmId, { observed: null });
  for (const id of [vmId, world.hostId])
    expect(await changeVm(cp.deps, { who, vmId: id, label: "again" })).toMatchObject({
      error: { code: "vm_not_found" },
    });
  expect(await cp.rows("select label from vms where id = $1", vmId)).toEqual([
    { label: "the old one" },
  ]);
});

// 6a item 6
test("staff call it something else too, and the audit log says who did", async () => {
  const world = await aWorld(cp);
  const { vmId } = await anActiveVm(cp, world);
  const who = aPrincipal({ role: "staff" });
  valueOf(await changeVm(cp.deps, { who, vmId, label: "support's" }));
  const audit = "select actor_kind, actor_id from audit_log where subject_id = $1 and action = $2";
  expect(await cp.rows(audit, vmId, "vm.relabel")).toEqual([
    { actor_kind: "staff", actor_id: who.accountId },
  ]);
});

test("its protection is put on and taken off, each once, and leaves its name", async () => {
  const world = await aWorld(cp);
  const { vmId } = await anActiveVm(cp, world);
  const who = world.buyer;
  valueOf(await changeVm(cp.deps, { who, vmId, label: "mine" }));
  const set = (deleteProtected: boolean) => changeVm(cp.deps, { who, vmId, deleteProtected });
  for (const is of [true, false]) {
    const { vm } = valueOf(await emits(cp, ["vm.protection_changed.v1"], () => set(is)));
    expect(vm).toMatchObject({ deleteProtected: is, label: "mine" });
    valueOf(await emits(cp, [], () => set(is)));
  }
  valueOf(await emits(cp, [], () => changeVm(cp.deps, { who, vmId })));
});
