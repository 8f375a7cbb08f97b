import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  askToDestroy,
  confirmDestroy,
  showDestroyRequests,
  withdrawDestroy,
} from "#commands/vms/destroy-by-two.ts";
import { changeVm } from "#commands/vms/change-vm.ts";
import { repairVm, showRepair } from "#commands/vms/repair-vm.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import { DESTROY_REQUEST_LASTS_MS, type DestroyKind } from "#core/vms/destroy-request.ts";
import type { AccountPrincipal } from "#core/accounts/accounts.ts";
import { aPrincipal } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { emits } from "#test/harness/emits.ts";
import { aBuyer, anActiveVm, aWorld, hostSees, valueOf } from "#test/harness/world.ts";

/* 6a item 6: what is a customer's is destroyed by two of staff. */

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

/** One of staff, who has a row: a request names who asked. */
async function aMember(): Promise<AccountPrincipal> {
  const { accountId } = await aBuyer(cp);
  await cp.rows(
    "update accounts set role = 'staff', staff_role = 'owner' where id = $1",
    accountId,
  );
  return aPrincipal({ accountId, role: "staff" });
}

async function aVm(isLost = false) {
  const world = await aWorld(cp);
  const { vmId } = await anActiveVm(cp, world);
  const error = { code: "vm_missing", detail: "gone" } as const;
  if (isLost) await hostSees(cp, world.hostId, vmId, { observed: null, settled: false, error });
  const [ada, grace] = [await aMember(), await aMember()];
  const ask = async (how: DestroyKind = "delete") => {
    const asked = { who: ada, vmId, how, reason: "fraud, by the bank's word" };
    const { hash } = valueOf(await askToDestroy(cp.deps, { ...asked, dryRun: true }));
    const { done } = valueOf(await askToDestroy(cp.deps, { ...asked, dryRun: false, hash }));
    if (done === null) throw new Error("it was not asked for");
    return done;
  };
  const confirm = async (requestId: string, who = grace) => {
    const dry = await confirmDestroy(cp.deps, { who, requestId, dryRun: true });
    return dry.ok
      ? confirmDestroy(cp.deps, { who, requestId, dryRun: false, hash: dry.value.hash })
      : dry;
  };
  const presence = async () =>
    (await cp.rows("select presence from vms where id = $1", vmId))[0]?.["presence"];
  return { world, vmId, ada, grace, ask, confirm, presence };
}
const pending = async (vmId: string) =>
  (await showDestroyRequests(cp.deps, { limit: 100, cursor: null })).items.filter(
    (request) => request.vmId === vmId,
  );

describe("a customer's VM", () => {
  test("is not deleted by one of staff, nor by staff who act as its customer; its owner deletes it alone", async () => {
    const vm = await aVm();
    const { buyer } = vm.world;
    for (const who of [vm.ada, { ...buyer, impersonator: vm.ada.accountId }])
      expect(await requestAction(cp.deps, { who, vmId: vm.vmId, type: "delete" })).toMatchObject({
        error: { code: "second_person_required" },
      });
    expect(await vm.presence()).toBe("present");
    valueOf(await requestAction(cp.deps, { who: buyer, vmId: vm.vmId, type: "delete" }));
  });

  test("is deleted when another one confirms it, and the audit log names both", async () => {
    const vm = await aVm();
    const { id } = await vm.ask();
    expect(await vm.presence()).toBe("present");
    expect(await pending(vm.vmId)).toMatchObject([
      { id, how: "delete", askedBy: vm.ada.accountId },
    ]);
    expect(valueOf(await vm.confirm(id)).done).toMatchObject({ type: "delete" });
    expect(await vm.presence()).toBe("absent");
    expect(await pending(vm.vmId)).toEqual([]);
    const audit = await cp.rows(
      "select action, actor_id from audit_log where subject_id = $1 and actor_kind = 'staff' order by at, id",
      vm.vmId,
    );
    expect(audit).toEqual([
      { action: "vm.ask_to_destroy", actor_id: vm.ada.accountId },
      { action: "vm.delete", actor_id: vm.grace.accountId },
      { action: "vm.confirm_destroy", actor_id: vm.grace.accountId },
    ]);
    expect(await vm.confirm(id)).toMatchObject({ error: { code: "destroy_request_ended" } });
  });

  test("is not destroyed by who asked, who may take it back", async () => {
    const vm = await aVm();
    const { id } = await vm.ask();
    expect(await vm.confirm(id, vm.ada)).toMatchObject({ error: { code: "same_person" } });
    for (let n = 0; n < 2; n++)
      valueOf(await withdrawDestroy(cp.deps, { who: vm.ada, requestId: id }));
    expect(await vm.confirm(id)).toMatchObject({ error: { code: "destroy_request_ended" } });
    expect(await vm.presence()).toBe("present");
    await vm.ask();
  });

  test("is asked for by one request at a time, which runs out after a day", async () => {
    const vm = await aVm();
    const { id } = await vm.ask();
    const again = { who: vm.grace, vmId: vm.vmId, how: "delete", reason: "too" } as const;
    expect(await askToDestroy(cp.deps, { ...again, dryRun: true })).toMatchObject({
      error: { code: "destroy_request_open" },
    });
    cp.clock.advance(DESTROY_REQUEST_LASTS_MS);
    expect(await pending(vm.vmId)).toEqual([]);
    expect(await vm.confirm(id)).toMatchObject({ error: { code: "destroy_request_ended" } });
    const next = await vm.ask();
    valueOf(await vm.confirm(next.id));
  });

  test("that is protected is destroyed by nobody, and protected after it was asked for neither", async () => {
    const vm = await aVm();
    const who = vm.world.buyer;
    const { id } = await vm.ask();
    valueOf(await changeVm(cp.deps, { who, vmId: vm.vmId, deleteProtected: true }));
    expect(await vm.confirm(id)).toMatchObject({ error: { code: "vm_protected" } });
    expect(await requestAction(cp.deps, { who, vmId: vm.vmId, type: "delete" })).toMatchObject({
      error: { code: "vm_protected" },
    });
    valueOf(await changeVm(cp.deps, { who, vmId: vm.vmId, deleteProtected: false }));
    valueOf(await vm.confirm(id));
  });

  test.each(["recreate", "give_up"] as const)(
    "that is lost is not repaired by one of staff without what was on it: %s",
    async (how) => {
      const vm = await aVm(true);
      const asked = { who: vm.ada, vmId: vm.vmId, how };
      const { hash } = valueOf(await showRepair(cp.deps, asked));
      expect(await repairVm(cp.deps, { ...asked, hash })).toMatchObject({
        error: { code: "second_person_required" },
      });
      const { id } = await vm.ask(how);
      const { done } = valueOf(await vm.confirm(id));
      expect(done?.type).toBe(how === "give_up" ? "delete" : how);
    },
  );
});

test("nothing of it is done by a dry run, nor without its hash, nor once it would be something else", async () => {
  const vm = await aVm();
  const asked = { who: vm.ada, vmId: vm.vmId, how: "delete", reason: "why" } as const;
  valueOf(await emits(cp, [], () => askToDestroy(cp.deps, { ...asked, dryRun: true })));
  expect(await askToDestroy(cp.deps, { ...asked, dryRun: false })).toMatchObject({
    error: { code: "plan_changed" },
  });
  const { id: requestId } = await vm.ask();
  const confirm = { who: vm.grace, requestId };
  const dry = { ...confirm, dryRun: true };
  const { hash } = valueOf(await emits(cp, [], () => confirmDestroy(cp.deps, dry)));
  const { buyer } = vm.world;
  valueOf(await requestAction(cp.deps, { who: buyer, vmId: vm.vmId, type: "stop" }));
  expect(await confirmDestroy(cp.deps, { ...confirm, dryRun: false, hash })).toMatchObject({
    error: { code: "plan_changed" },
  });
});
