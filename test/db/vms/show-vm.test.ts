import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { listVms, showAction, showVm } from "#commands/vms/show-vm.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import { ENTITLEMENT_GRACE_MS } from "#core/billing/entitlement.ts";
import { toVmView } from "#functions/views.ts";
import { aPrincipal } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { anActiveVm, aWorld, hostSees, valueOf, type World } from "#test/harness/world.ts";

let cp: ControlPlane;
let world: World;
beforeAll(async () => {
  cp = await startControlPlane();
  world = await aWorld(cp, { places: 6 });
});
afterAll(() => cp.drop());

const NOT_FOUND = { ok: false, error: { code: "vm_not_found", detail: "no such VM" } };
const staff = aPrincipal({ role: "staff" });
const stranger = aPrincipal();
const listed = async (who = world.buyer, limit = 50, cursor: string | null = null) => {
  const { items, nextCursor } = await listVms(cp.deps, who, { limit, cursor });
  return { ids: items.map(({ vm }) => vm.id), nextCursor };
};

describe("a VM", () => {
  test("is shown to its owner and to staff, and to nobody else", async () => {
    const { vmId } = await anActiveVm(cp, world);
    expect(valueOf(await showVm(cp.deps, world.buyer, vmId)).vm.id).toBe(vmId);
    expect(valueOf(await showVm(cp.deps, staff, vmId)).vm.id).toBe(vmId);
    expect(await showVm(cp.deps, stranger, vmId)).toEqual(NOT_FOUND);
    expect(await showVm(cp.deps, aPrincipal({ role: "integration" }), vmId)).toEqual(NOT_FOUND);
    expect(await showVm(cp.deps, staff, world.hostId)).toEqual(NOT_FOUND);
  });

  test("is there until it is gone, and its actions stay", async () => {
    const { vmId } = await anActiveVm(cp, world);
    const who = world.buyer;
    const { id } = valueOf(await requestAction(cp.deps, { who, vmId, type: "delete" }));
    expect(valueOf(await showVm(cp.deps, who, vmId)).vm.presence).toBe("absent");
    expect((await listed()).ids).toContain(vmId);
    await hostSees(cp, world.hostId, vmId, { observed: null });
    for (const anyone of [who, staff, stranger])
      expect(await showVm(cp.deps, anyone, vmId)).toEqual(NOT_FOUND);
    expect((await listed()).ids).not.toContain(vmId);
    const action = valueOf(await showAction(cp.deps, who, id));
    expect(action).toMatchObject({ action: { id, status: "success" } });
  });
});

test("an action is shown to its VM's owner and to staff, and to nobody else", async () => {
  const { vmId } = await anActiveVm(cp, world);
  const who = world.buyer;
  const { id } = valueOf(await requestAction(cp.deps, { who, vmId, type: "reboot" }));
  for (const allowed of [who, staff])
    expect(valueOf(await showAction(cp.deps, allowed, id))).toMatchObject({
      action: { id, vmId, type: "reboot", status: "running" },
      seen: { observedPower: "running" },
    });
  const refused = { ok: false, error: { code: "action_not_found", detail: "no such action" } };
  expect(await showAction(cp.deps, stranger, id)).toEqual(refused);
  expect(await showAction(cp.deps, staff, vmId)).toEqual(refused);
});

test("an account's VMs come a page at a time, the newest first, and each once", async () => {
  const own = await aWorld(cp);
  const made = [await anActiveVm(cp, own), await anActiveVm(cp, own), await anActiveVm(cp, own)];
  const newestFirst = made.map(({ vmId }) => vmId).toReversed();
  expect(await listed(own.buyer)).toEqual({ ids: newestFirst, nextCursor: null });
  expect(await listed(own.buyer, 3)).toEqual({ ids: newestFirst, nextCursor: null });
  const first = await listed(own.buyer, 2);
  expect(first.ids).toEqual(newestFirst.slice(0, 2));
  expect(await listed(own.buyer, 2, first.nextCursor)).toEqual({
    ids: newestFirst.slice(2),
    nextCursor: null,
  });
  expect(await listed(stranger)).toEqual({ ids: [], nextCursor: null });
});

// 4b A8: a VM that was not paid for said that it was starting.
test("a VM that is held off by its entitlement is suspended, and says why", async () => {
  const own = await aWorld(cp);
  const { vmId } = await anActiveVm(cp, own);
  const until = cp.clock.now();
  await cp.rows("update services set entitled_until = $2 where vm_id = $1", vmId, until);
  const shown = async () => {
    const found = valueOf(await showVm(cp.deps, own.buyer, vmId));
    const view = toVmView(found, cp.clock.now(), own.buyer);
    return { status: view.status, suspended: view.suspended };
  };
  const off = { observed: { power: "off", bootEpoch: null } } as const;
  cp.clock.advance(ENTITLEMENT_GRACE_MS);
  await hostSees(cp, own.hostId, vmId, off);
  expect(await shown()).toEqual({ status: "starting", suspended: [] });
  cp.clock.advance(1);
  expect(await shown()).toEqual({ status: "suspended", suspended: ["overdue"] });
});
