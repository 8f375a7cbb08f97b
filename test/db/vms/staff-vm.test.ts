import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { callOffAction } from "#commands/vms/call-off-action.ts";
import { createDesiredReader } from "#commands/vms/read-desired.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import { showStaffVm } from "#commands/vms/show-staff-vm.ts";
import { PROTOCOL, UNDERSTOOD } from "#core/contracts/agent/protocol.ts";
import { toWireId } from "#core/ids.ts";
import { ok } from "#core/result.ts";
import { toStaffVmView } from "#functions/staff-vm-view.ts";
import { aPrincipal } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { emits } from "#test/harness/emits.ts";
import { anActiveVm, aWorld, hostSees, valueOf } from "#test/harness/world.ts";

/* 5.6: staff see a VM's last error and what its actions wait for, and call off what is stuck. */

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

const staff = aPrincipal({ role: "staff" });
const shown = async (vmId: string) =>
  toStaffVmView(valueOf(await showStaffVm(cp.deps, vmId)), cp.clock.now(), staff);
/** Its host fetches what is desired. */
const fetches = async (hostId: string) => {
  const announced = { protocol: PROTOCOL, understands: UNDERSTOOD } as const;
  const read = createDesiredReader(cp.deps);
  const answer = await read(hostId, { etag: undefined, atLeast: 0, announced });
  if (answer.kind !== "document") throw new Error("nothing was served");
  return answer.document;
};
async function aVmWith(type: "reboot" | "shutdown") {
  const world = await aWorld(cp);
  const { vmId } = await anActiveVm(cp, world);
  await fetches(world.hostId);
  const who = world.buyer;
  const { id: actionId } = valueOf(await requestAction(cp.deps, { who, vmId, type }));
  return { ...world, vmId, actionId, generation: (await shown(vmId)).generation.wanted };
}
/** As staff do it: a dry run, and then by its hash. */
async function callOff({ vmId, actionId }: { vmId: string; actionId: string }, abandon = false) {
  const asked = { who: staff, vmId, actionId, abandon };
  const dry = await callOffAction(cp.deps, { ...asked, dryRun: true });
  if (!dry.ok) return dry;
  const { hash } = dry.value;
  const called = valueOf(await callOffAction(cp.deps, { ...asked, dryRun: false, hash }));
  return ok(called.done);
}

describe("a VM that staff look at", () => {
  test("has its host, its generations, and the host's error with its age and its times", async () => {
    const world = await aWorld(cp);
    const { vmId } = await anActiveVm(cp, world);
    const fails = (code: "out_of_disk" | "timed_out", detail: string) =>
      hostSees(cp, world.hostId, vmId, { settled: false, error: { code, detail } });
    await fails("timed_out", "late");
    cp.clock.advanceMinutes(2);
    const since = cp.clock.now().toISOString();
    for (const detail of ["3 MiB left", "2 MiB left"]) {
      await fails("out_of_disk", detail);
      cp.clock.advanceMinutes(1);
    }
    const lastError = { code: "out_of_disk", detail: "2 MiB left", since, times: 2 };
    expect(await shown(vmId)).toMatchObject({
      status: "running",
      lastError,
      host: { id: toWireId("host", world.hostId), silentSince: null },
      generation: { wanted: 1, seen: 1 },
      ownerEpoch: 1,
      deletedAt: null,
      actions: [{ type: "create", status: "success", waitsFor: null }],
    });
    await hostSees(cp, world.hostId, vmId);
    expect((await shown(vmId)).lastError).toBeNull();
  });

  test("says what its action waits for: a fetch, its host's word, and its host at all", async () => {
    const { hostId, vmId } = await aVmWith("shutdown");
    const waits = async () => (await shown(vmId)).actions[0]?.waitsFor?.code;
    expect(await waits()).toBe("host_to_fetch");
    await fetches(hostId);
    expect(await waits()).toBe("host_to_report");
    await hostSees(cp, hostId, vmId, { settled: false });
    expect(await waits()).toBe("guest_to_shut_down");
    const heard = cp.clock.now().toISOString();
    cp.clock.advanceMinutes(6);
    expect(await waits()).toBe("host_silent");
    expect((await shown(vmId)).host.silentSince).toBe(heard);
  });

  test("is shown when it is gone, and not when there never was one", async () => {
    const { hostId, vmId, buyer } = await aVmWith("reboot");
    valueOf(await requestAction(cp.deps, { who: buyer, vmId, type: "delete" }));
    await hostSees(cp, hostId, vmId, { observed: null });
    expect(await shown(vmId)).toMatchObject({ deletedAt: cp.clock.now().toISOString() });
    expect(await showStaffVm(cp.deps, hostId)).toMatchObject({ error: { code: "vm_not_found" } });
  });
});

describe("an action that staff call off", () => {
  test("before its host was told of it is cancelled: the VM is as it was, and nothing of it is asked for", async () => {
    const of = await aVmWith("shutdown");
    const names = ["action.finished.v1", "vm.change_requested.v1"] as const;
    await emits(cp, [...names], async () => void valueOf(await callOff(of)));
    expect(await shown(of.vmId)).toMatchObject({
      power: { desired: "running" },
      lockedBy: null,
      generation: { wanted: of.generation + 1 },
      actions: [{ status: "error", error: { code: "cancelled" }, waitsFor: null }, {}],
    });
    const [vm] = (await fetches(of.hostId)).vms;
    expect(vm).toMatchObject({ power: "running", generation: of.generation + 1 });
    await emits(cp, [], async () => void valueOf(await callOff(of)));
    expect(
      await cp.rows(
        "select actor_kind, action, detail ->> 'code' as code from audit_log where subject_id = $1",
        of.actionId,
      ),
    ).toEqual([{ actor_kind: "staff", action: "action.cancel", code: "cancelled" }]);
  });

  test("once its host was told of it is not cancelled in silence: it is refused, or abandoned by that word", async () => {
    const of = await aVmWith("reboot");
    expect((await fetches(of.hostId)).vms[0]?.pendingActions).toHaveLength(1);
    expect(await callOff(of)).toMatchObject({ error: { code: "action_may_be_under_way" } });
    expect((await shown(of.vmId)).lockedBy).toBe(toWireId("action", of.actionId));
    expect(valueOf(await callOff(of, true))).toMatchObject({ error: { code: "abandoned" } });
    expect((await fetches(of.hostId)).vms[0]).toMatchObject({
      pendingActions: [],
      generation: of.generation,
    });
  });

  test("is shown first, and is not done by what was shown once its host was told of it", async () => {
    const of = await aVmWith("shutdown");
    const asked = { who: staff, vmId: of.vmId, actionId: of.actionId, abandon: true };
    const look = { ...asked, dryRun: true };
    const dry = valueOf(await emits(cp, [], () => callOffAction(cp.deps, look)));
    expect(dry).toMatchObject({
      done: null,
      effects: [
        "the shutdown is asked for no longer: its host was not told of it",
        "it is to be running again, as it was before the shutdown",
      ],
    });
    const changed = { error: { code: "plan_changed" } };
    expect(await callOffAction(cp.deps, { ...asked, dryRun: false })).toMatchObject(changed);
    await fetches(of.hostId);
    const late = { ...asked, dryRun: false, hash: dry.hash };
    expect(await callOffAction(cp.deps, late)).toMatchObject(changed);
    expect((await shown(of.vmId)).lockedBy).toBe(toWireId("action", of.actionId));
    const now = valueOf(await callOffAction(cp.deps, look));
    expect(now.effects[0]).toBe(
      "the shutdown is waited for no longer; its host may have carried it out, or still do",
    );
    expect(valueOf(await callOff(of, true))).toMatchObject({ error: { code: "abandoned" } });
  });

  test("is one of this VM, and none that has ended", async () => {
    const [of, other] = [await aVmWith("reboot"), await aVmWith("reboot")];
    expect(await callOff({ ...of, actionId: other.actionId })).toMatchObject({
      error: { code: "action_not_found" },
    });
    expect(await callOff({ ...of, vmId: of.actionId })).toMatchObject({
      error: { code: "vm_not_found" },
    });
    valueOf(await requestAction(cp.deps, { who: of.buyer, vmId: of.vmId, type: "delete" }));
    expect(await callOff(of)).toMatchObject({ error: { code: "action_ended" } });
  });
});
