import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { recordReport } from "#commands/moves/record-report.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import { watchProvisioning } from "#commands/orders/watch-provisioning.ts";
import { guestState } from "#core/vms/status.ts";
import { loadVmView } from "#db/vms/vms.ts";
import { showImages, showPlans } from "#commands/catalogue/show-catalogue.ts";
import { aHeldImage, anAgentReport } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { emits } from "#test/harness/emits.ts";
import {
  anActiveVm,
  anEnrolledHost,
  aProvisionedVm,
  aWorld,
  GUEST,
  hostSees,
  reportOf,
  sendOrder,
  valueOf,
} from "#test/harness/world.ts";

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

const one = async (query: string, ...values: unknown[]) => (await cp.rows(query, ...values))[0];
const order = (id: string) => one("select * from orders where id = $1", id);
const vm = (id: string) => one("select * from vms where id = $1", id);
const action = (vmId: string, type: string) =>
  one("select * from actions where vm_id = $1 and type = $2", vmId, type);

describe("a paid order becomes active", () => {
  test("when the guest itself was seen under its ordered name", async () => {
    const world = await aWorld(cp);
    const { orderId, vmId } = await aProvisionedVm(cp, world);
    await hostSees(cp, world.hostId, vmId, { observed: { guest: GUEST } });
    expect(await order(orderId)).toMatchObject({ state: "active" });
    expect(await action(vmId, "create")).toMatchObject({ status: "success" });
    expect(await vm(vmId)).toMatchObject({
      observed_power: "running",
      observed_generation: 1,
      guest_ready_at: cp.clock.now(),
    });
  });

  test("not while the VM runs without a word, nor when the guest has another name", async () => {
    const world = await aWorld(cp);
    const { orderId, vmId } = await aProvisionedVm(cp, world);
    await hostSees(cp, world.hostId, vmId);
    await hostSees(cp, world.hostId, vmId, {
      observed: { guest: { source: "console", hostname: "someone-else" } },
    });
    expect(await order(orderId)).toMatchObject({ state: "paid" });
    expect(await action(vmId, "create")).toMatchObject({ status: "running" });
  });

  test("after ten minutes of its guest's silence, and not before, nor in its host's silence", async () => {
    const world = await aWorld(cp);
    const { orderId, vmId } = await aProvisionedVm(cp, world);
    await hostSees(cp, world.hostId, vmId);
    cp.clock.advanceMinutes(9);
    await hostSees(cp, world.hostId, vmId);
    await watchProvisioning(cp.deps);
    expect(await order(orderId)).toMatchObject({ state: "paid" });
    cp.clock.advanceMinutes(60);
    await watchProvisioning(cp.deps);
    expect(await order(orderId)).toMatchObject({ state: "paid" });
    await hostSees(cp, world.hostId, vmId);
    await watchProvisioning(cp.deps);
    expect(await order(orderId)).toMatchObject({ state: "active" });
    expect(await action(vmId, "create")).toMatchObject({ status: "success" });
  });
});

describe("4b A1: a guest earns no refund", () => {
  test("that gives another name and powers off every nine minutes: it is delivered, marked silent, and staff are told", async () => {
    const world = await aWorld(cp);
    const { orderId, vmId } = await aProvisionedVm(cp, world);
    const guest = { source: "console", hostname: "someone-else" } as const;
    for (const bootEpoch of ["boot-1", "boot-2"]) {
      await hostSees(cp, world.hostId, vmId, { observed: { bootEpoch, guest } });
      cp.clock.advanceMinutes(8);
      await hostSees(cp, world.hostId, vmId, { observed: { bootEpoch, guest } });
      cp.clock.advanceMinutes(1);
      await hostSees(cp, world.hostId, vmId, { observed: { power: "off", bootEpoch: null } });
      await watchProvisioning(cp.deps);
      expect(await order(orderId)).toMatchObject({
        state: bootEpoch === "boot-1" ? "paid" : "active",
      });
    }
    expect(await vm(vmId)).toMatchObject({ silent_from: cp.clock.now(), guest_ready_at: null });
    expect((await loadVmView(cp.deps.db, vmId))?.vm).toSatisfy((v) => guestState(v) === "silent");
    expect(cp.log.errors).toContainEqual(
      expect.objectContaining({ event: "watch_provisioning.silent_guest", order_id: orderId }),
    );
    await hostSees(cp, world.hostId, vmId, { observed: { bootEpoch: "boot-3", guest: GUEST } });
    expect((await loadVmView(cp.deps.db, vmId))?.vm).toSatisfy((v) => guestState(v) === "ready");
  });

  test("4b A4: whose image never speaks is delivered by its silence, and nobody is told", async () => {
    const world = await aWorld(cp, { speaks: false });
    const { orderId, vmId } = await aProvisionedVm(cp, world);
    await hostSees(cp, world.hostId, vmId);
    cp.clock.advanceMinutes(10);
    await hostSees(cp, world.hostId, vmId);
    await watchProvisioning(cp.deps);
    expect(await order(orderId)).toMatchObject({ state: "active" });
    expect(cp.log.errors.filter((line) => line["order_id"] === orderId)).toEqual([]);
  });

  test("that powers off before anybody looks twice: its host made it, and it is delivered at the deadline", async () => {
    const world = await aWorld(cp);
    const { orderId, vmId } = await aProvisionedVm(cp, world);
    for (let minute = 0; minute < 130; minute += 10) {
      await hostSees(cp, world.hostId, vmId, { observed: { bootEpoch: `boot-${minute}` } });
      await hostSees(cp, world.hostId, vmId, {
        observed: { power: "off", bootEpoch: null },
        error: { code: "driver_failed", detail: "start had no lasting effect" },
      });
      await watchProvisioning(cp.deps);
      expect(await order(orderId)).toMatchObject({ state: "paid" });
      cp.clock.advanceMinutes(10);
    }
    await hostSees(cp, world.hostId, vmId, { observed: { power: "off", bootEpoch: null } });
    await watchProvisioning(cp.deps);
    expect(await order(orderId)).toMatchObject({ state: "active" });
  });

  test("but its host's loss of it does", async () => {
    const world = await aWorld(cp);
    const { orderId, vmId } = await aProvisionedVm(cp, world);
    await hostSees(cp, world.hostId, vmId);
    cp.clock.advanceMinutes(130);
    await hostSees(cp, world.hostId, vmId, {
      observed: null,
      error: { code: "vm_missing", detail: "this VM was here and is gone" },
    });
    // It is known to have run until its host's last word, which was its first.
    await watchProvisioning(cp.deps);
    expect(await order(orderId)).toMatchObject({ state: "refunding" });
  });
});

describe("4b A3: what nobody can make", () => {
  test.each(["image_missing", "unsupported", "beyond_limits"] as const)(
    "is given back as soon as its host refuses to make it for good (%s)",
    async (code) => {
      const world = await aWorld(cp);
      const { orderId, vmId } = await aProvisionedVm(cp, world);
      const refusal = { observed: null, error: { code, detail: "no" } } as const;
      await hostSees(cp, world.hostId, vmId, refusal);
      await cp.pump();
      expect(await order(orderId)).toMatchObject({ state: "refunded" });
      expect(await action(vmId, "create")).toMatchObject({ error_code: "payment_refunded" });
      expect(await vm(vmId)).toMatchObject({ presence: "absent", generation: 2 });
      await hostSees(cp, world.hostId, vmId, { observed: null });
      expect(await vm(vmId)).toMatchObject({ deleted_at: cp.clock.now() });
    },
  );

  test("by a message that was lost, at the next sweep", async () => {
    const world = await aWorld(cp);
    const { orderId, vmId } = await aProvisionedVm(cp, world);
    const refusal = { observed: null, error: { code: "image_missing", detail: "no" } } as const;
    await hostSees(cp, world.hostId, vmId, refusal);
    await watchProvisioning(cp.deps);
    expect(await order(orderId)).toMatchObject({ state: "refunding" });
  });

  test("is not what waits for room on its host, nor what was made already", async () => {
    const world = await aWorld(cp);
    const waiting = await aProvisionedVm(cp, world);
    const full = { observed: null, error: { code: "out_of_disk", detail: "full" } } as const;
    await hostSees(cp, world.hostId, waiting.vmId, full);
    const made = await aProvisionedVm(cp, world);
    await hostSees(cp, world.hostId, made.vmId);
    const error = { code: "unsupported", detail: "a disk never shrinks" } as const;
    await hostSees(cp, world.hostId, made.vmId, { error });
    await cp.pump();
    await watchProvisioning(cp.deps);
    for (const { orderId } of [waiting, made])
      expect(await order(orderId)).toMatchObject({ state: "paid" });
  });

  test("is not sold: no host holds the image, and nothing is held for it", async () => {
    const world = await aWorld(cp, { facts: { images: [aHeldImage({ file: "debian-12" })] } });
    expect(await sendOrder(cp, world)).toMatchObject({
      ok: false,
      error: { code: "image_unavailable_here" },
    });
    expect(
      await one("select count(*)::int from orders where account_id = $1", world.buyer.accountId),
    ).toEqual({ count: 0 });
    const [offer] = (await showPlans(cp.deps)).filter(({ plan }) => plan.id === world.planId);
    const place = offer?.locations.find(({ locationId }) => locationId === world.locationId);
    expect(place).toMatchObject({ available: false, imageIds: [] });
    const [image] = (await showImages(cp.deps)).filter((one) => one.image.id === world.imageId);
    expect(image?.locationIds).not.toContain(world.locationId);
  });
});

describe("a paid order whose VM is not seen within two hours", () => {
  test("is refunded in full, and its VM is to be absent and entitled no longer", async () => {
    const world = await aWorld(cp);
    const { orderId, vmId } = await aProvisionedVm(cp, world);
    cp.clock.advanceMinutes(119);
    await watchProvisioning(cp.deps);
    expect(await order(orderId)).toMatchObject({ state: "paid" });
    cp.clock.advanceMinutes(1);
    await watchProvisioning(cp.deps);
    await cp.pump();
    expect(await order(orderId)).toMatchObject({ state: "refunded" });
    expect(await vm(vmId)).toMatchObject({ presence: "absent", generation: 2, deleted_at: null });
    expect(await action(vmId, "create")).toMatchObject({ error_code: "payment_refunded" });
    expect(
      await one("select entitled_until as until from services where vm_id = $1", vmId),
    ).toEqual({
      until: cp.clock.now(),
    });
  });

  test("is not entitled longer by its undoing, when what was paid has run out meanwhile", async () => {
    const world = await aWorld(cp);
    const { orderId, vmId } = await aProvisionedVm(cp, world);
    const until = () => one("select entitled_until as until from services where vm_id = $1", vmId);
    const before = await until();
    cp.clock.advanceDays(40);
    await watchProvisioning(cp.deps);
    expect(await order(orderId)).toMatchObject({ state: "refunding" });
    expect(await until()).toEqual(before);
  });

  test("stays refunded when its host has proved that the VM is gone, and its room is free", async () => {
    const world = await aWorld(cp);
    const { orderId, vmId } = await aProvisionedVm(cp, world);
    cp.clock.advanceMinutes(121);
    await watchProvisioning(cp.deps);
    await cp.pump();
    await hostSees(cp, world.hostId, vmId, { observed: null });
    expect(await order(orderId)).toMatchObject({ state: "refunded" });
    expect(await vm(vmId)).toMatchObject({ deleted_at: cp.clock.now() });
    expect(await one("select * from hosts where id = $1", world.hostId)).toMatchObject({
      allocated_memory_mib: 0,
    });
  });

  test("does not come alive by a report that was late", async () => {
    const world = await aWorld(cp);
    const { orderId, vmId } = await aProvisionedVm(cp, world);
    const late = await reportOf(cp, vmId, { observed: { guest: GUEST } });
    cp.clock.advanceMinutes(121);
    await watchProvisioning(cp.deps);
    await recordReport(cp.deps, world.hostId, anAgentReport({ vms: [late] }));
    await cp.pump();
    expect(await order(orderId)).toMatchObject({ state: "refunded" });
    expect(await vm(vmId)).toMatchObject({ presence: "absent" });
  });
});

describe("a report", () => {
  test("that is older than what is known changes nothing", async () => {
    const world = await aWorld(cp);
    const { vmId } = await anActiveVm(cp, world);
    const old = await reportOf(cp, vmId, { observed: { guest: GUEST } });
    valueOf(await requestAction(cp.deps, { who: world.buyer, vmId, type: "stop" }));
    await hostSees(cp, world.hostId, vmId, { observed: { power: "off", bootEpoch: null } });
    const before = await vm(vmId);
    expect(before).toMatchObject({ observed_power: "off" });
    const report = anAgentReport({ vms: [old] });
    expect(valueOf(await recordReport(cp.deps, world.hostId, report))).toEqual({
      accepted: 0,
      ignored: 1,
    });
    expect(await vm(vmId)).toEqual(before);
  });

  test.each([
    { name: "of another owner epoch", over: { ownerEpoch: 2 } },
    { name: "of a generation that is still to come", over: { generation: 9 } },
  ])("$name changes nothing", async ({ over }) => {
    const world = await aWorld(cp);
    const { orderId, vmId } = await aProvisionedVm(cp, world);
    const before = await vm(vmId);
    expect(await hostSees(cp, world.hostId, vmId, { ...over, observed: { guest: GUEST } })).toEqual(
      { accepted: 0, ignored: 1 },
    );
    expect(await vm(vmId)).toEqual(before);
    expect(await order(orderId)).toMatchObject({ state: "paid" });
  });

  test("of another host's VM changes nothing, nor does the end of its action", async () => {
    const world = await aWorld(cp);
    const { vmId } = await anActiveVm(cp, world);
    const reboot = valueOf(
      await requestAction(cp.deps, { who: world.buyer, vmId, type: "reboot" }),
    );
    const stranger = await anEnrolledHost(cp, { locationId: world.locationId, places: 1 });
    const before = await vm(vmId);
    const receipt = await hostSees(
      cp,
      stranger,
      vmId,
      { observed: { power: "off", bootEpoch: null } },
      { actions: [{ actionId: reboot.id, vmId, outcome: "success", error: null }] },
    );
    expect(receipt).toEqual({ accepted: 0, ignored: 1 });
    expect(await vm(vmId)).toEqual(before);
    expect(await action(vmId, "reboot")).toMatchObject({ status: "running" });
  });

  test("that leaves a VM out says nothing of it", async () => {
    const world = await aWorld(cp);
    const { vmId } = await anActiveVm(cp, world);
    const before = await vm(vmId);
    await recordReport(cp.deps, world.hostId, anAgentReport());
    expect(await vm(vmId)).toEqual(before);
  });

  test("that a VM is not there does not delete it while it is wanted", async () => {
    const world = await aWorld(cp);
    const { orderId, vmId } = await anActiveVm(cp, world);
    await hostSees(cp, world.hostId, vmId, { observed: null });
    expect(await vm(vmId)).toMatchObject({ presence: "present", deleted_at: null });
    expect(await order(orderId)).toMatchObject({ state: "active" });
  });

  test("that names a VM twice counts it once, and does not fail", async () => {
    const world = await aWorld(cp);
    const { orderId, vmId } = await anActiveVm(cp, world);
    valueOf(await requestAction(cp.deps, { who: world.buyer, vmId, type: "delete" }));
    const gone = await reportOf(cp, vmId, { observed: null });
    const older = await reportOf(cp, vmId, { generation: 1 });
    const report = anAgentReport({ vms: [gone, gone, older] });
    expect(valueOf(await recordReport(cp.deps, world.hostId, report))).toEqual({
      accepted: 1,
      ignored: 2,
    });
    expect(
      await cp.rows(
        "select id from outbox where name = 'vm.deleted.v1' and data ->> 'vmId' = $1",
        vmId,
      ),
    ).toHaveLength(1);
    expect(await order(orderId)).toMatchObject({ state: "completed" });
  });

  test("of strangers is told to people, and touches nothing", async () => {
    const world = await aWorld(cp);
    const strangers = [{ vmId: "0199f0a2-b3c4-7d5e-8f90-a1b2c3d4e5f6", ownerEpoch: 1 }];
    await recordReport(cp.deps, world.hostId, anAgentReport({ strangers }));
    expect(cp.log.errors).toContainEqual(
      expect.objectContaining({
        event: "finding.opened",
        kind: "stranger",
        host_id: world.hostId,
        vm_id: "0199f0a2-b3c4-7d5e-8f90-a1b2c3d4e5f6",
      }),
    );
  });
});

describe("an action", () => {
  test("locks its VM until it has ended", async () => {
    const world = await aWorld(cp);
    const { vmId } = await anActiveVm(cp, world);
    const ask = (type: "stop" | "reboot") =>
      requestAction(cp.deps, { who: world.buyer, vmId, type });
    expect(await ask("stop")).toMatchObject({ ok: true });
    expect(await ask("reboot")).toMatchObject({ error: { code: "vm_locked" } });
    await hostSees(cp, world.hostId, vmId, { observed: { power: "off", bootEpoch: null } });
    expect(await action(vmId, "stop")).toMatchObject({ status: "success" });
    expect(await ask("reboot")).toMatchObject({ error: { code: "vm_not_running" } });
  });

  test("that twenty people ask for at once begins once", async () => {
    const world = await aWorld(cp);
    const { vmId } = await anActiveVm(cp, world);
    const answers = await Promise.all(
      Array.from({ length: 20 }, () =>
        requestAction(cp.deps, { who: world.buyer, vmId, type: "reboot" }),
      ),
    );
    expect(answers.filter((a) => a.ok)).toHaveLength(1);
    expect(
      await cp.rows("select id from actions where vm_id = $1 and type = 'reboot'", vmId),
    ).toHaveLength(1);
  });

  test("goes on whatever troubles its host meanwhile, until that says that it cannot be done", async () => {
    const world = await aWorld(cp);
    const { vmId } = await anActiveVm(cp, world);
    valueOf(await requestAction(cp.deps, { who: world.buyer, vmId, type: "stop" }));
    const sees = (error: { code: "driver_failed" | "unsupported"; detail: string } | null) =>
      hostSees(cp, world.hostId, vmId, { settled: false, error });
    for (const error of [null, { code: "driver_failed", detail: "virsh said no" } as const]) {
      await sees(error);
      expect(await action(vmId, "stop")).toMatchObject({ status: "running", error_code: null });
    }
    await sees({ code: "unsupported", detail: "it has no power button" });
    expect(await action(vmId, "stop")).toMatchObject({
      status: "error",
      error_code: "host_refused",
      error_message: "it has no power button",
    });
  });

  test.each([
    { outcome: "success", error: null, becomes: "success", audited: "action.finish" },
    {
      outcome: "error",
      error: { code: "driver_failed", detail: "virsh said no" },
      becomes: "error",
      audited: "action.fail",
    },
  ] as const)(
    "that its host says has ended ($outcome) is told once, and audited as its host's word",
    async ({ outcome, error, becomes, audited }) => {
      const world = await aWorld(cp);
      const { vmId } = await anActiveVm(cp, world);
      const asked = { who: world.buyer, vmId, type: "reboot" } as const;
      const { id: actionId } = valueOf(await requestAction(cp.deps, asked));
      const report = anAgentReport({ actions: [{ actionId, vmId, outcome, error }] });
      const told = () => recordReport(cp.deps, world.hostId, report);
      await emits(cp, ["action.finished.v1"], told);
      await emits(cp, [], told);
      expect(await action(vmId, "reboot")).toMatchObject({
        status: becomes,
        error_message: error?.detail ?? null,
      });
      expect(
        await one("select data from outbox where name = 'action.finished.v1' order by seq desc"),
      ).toEqual({ data: { actionId, vmId } });
      expect(
        await cp.rows(
          "select actor_kind, actor_id, action from audit_log where subject_id = $1",
          actionId,
        ),
      ).toEqual([{ actor_kind: "agent", actor_id: world.hostId, action: audited }]);
    },
  );

  test("that does not end becomes an error after a quarter of an hour, and unlocks the VM", async () => {
    const world = await aWorld(cp);
    const { vmId } = await anActiveVm(cp, world);
    valueOf(await requestAction(cp.deps, { who: world.buyer, vmId, type: "reboot" }));
    cp.clock.advanceMinutes(16);
    await watchProvisioning(cp.deps);
    expect(await action(vmId, "reboot")).toMatchObject({
      status: "error",
      error_code: "timed_out",
    });
    const again = await requestAction(cp.deps, { who: world.buyer, vmId, type: "stop" });
    expect(again).toMatchObject({ ok: true });
  });
});
