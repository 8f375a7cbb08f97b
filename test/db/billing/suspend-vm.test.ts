import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { suspendVm, unsuspendVm } from "#commands/billing/suspend-vm.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import { showVm } from "#commands/vms/show-vm.ts";
import { SUSPENSION_WORDS, type Suspension } from "#core/billing/suspension.ts";
import { desiredVmsOf } from "#db/vms/vms.ts";
import { toVmView } from "#functions/views.ts";
import { aPrincipal } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { differencesOf, runEachStep } from "#test/harness/each-step.ts";
import { emits } from "#test/harness/emits.ts";
import { CARD } from "#test/harness/stripe-in-process.ts";
import { anActiveVm, aProvisionedVm, aWorld, hostSees, valueOf } from "#test/harness/world.ts";

/* 6a item 6: staff's suspension survives a payment, and debt's does not. */

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

const OFF = { observed: { power: "off", bootEpoch: null } } as const;

async function aVm(card?: string) {
  const world = await aWorld(cp);
  const staff = aPrincipal({ role: "staff" });
  const { vmId } = await anActiveVm(cp, world, card);
  const ask = (reason: Suspension, over = {}) => ({
    who: staff,
    vmId,
    reason,
    note: "as told on the phone",
    dryRun: false,
    ...over,
  });
  /** As staff do it: a dry run, and then by its hash. */
  const by = async (act: typeof suspendVm, reason: Suspension) => {
    const { hash } = valueOf(await act(cp.deps, ask(reason, { dryRun: true })));
    return valueOf(await act(cp.deps, ask(reason, { hash })));
  };
  return {
    world,
    staff,
    vmId,
    ask,
    suspend: (reason: Suspension) => by(suspendVm, reason),
    lift: (reason: Suspension) => by(unsuspendVm, reason),
    asked: (type: "start" | "stop" | "reboot" | "delete") =>
      requestAction(cp.deps, { who: world.buyer, vmId, type }),
    sees: (seen: Parameters<typeof hostSees>[3]) => hostSees(cp, world.hostId, vmId, seen),
    desired: async () => {
      const vm = (await desiredVmsOf(cp.deps.db, world.hostId)).find((each) => each.vmId === vmId);
      return { power: vm?.power, pending: vm?.pendingActions.length };
    },
    shown: async () =>
      toVmView(valueOf(await showVm(cp.deps, world.buyer, vmId)), cp.clock.now(), world.buyer),
  };
}

/** A period passes, and the next is charged. */
async function aMonth(): Promise<void> {
  cp.clock.advanceDays(31);
  cp.stripe.standIn.runDue();
  await cp.pump();
  cp.clock.advanceMinutes(61);
  cp.stripe.standIn.runDue();
  await cp.pump();
}

describe("a VM that staff suspend", () => {
  test("is off on its host, and its customer reads why and not what staff wrote", async () => {
    const vm = await aVm();
    await vm.suspend("staff");
    expect(await vm.desired()).toEqual({ power: "off", pending: 0 });
    expect(await vm.shown()).toMatchObject({
      status: "stopping",
      suspended: ["staff"],
      suspendedBecause: [SUSPENSION_WORDS.staff],
      power: { desired: "running" },
    });
    await vm.sees(OFF);
    const shown = await vm.shown();
    expect(shown.status).toBe("suspended");
    expect(JSON.stringify(shown)).not.toContain("phone");
    const audit = "select actor_id, detail from audit_log where subject_id = $1 and action = $2";
    expect(await cp.rows(audit, vm.vmId, "vm.suspend")).toEqual([
      { actor_id: vm.staff.accountId, detail: { reason: "staff", note: "as told on the phone" } },
    ]);
  });

  test("is not started by its customer, and has its power back when it is lifted", async () => {
    const vm = await aVm();
    await vm.suspend("bandwidth");
    for (const type of ["start", "reboot"] as const)
      expect(await vm.asked(type)).toMatchObject({ error: { code: "vm_suspended" } });
    await vm.lift("bandwidth");
    expect(await vm.desired()).toEqual({ power: "running", pending: 0 });
    expect(await vm.shown()).toMatchObject({ suspended: [], suspendedBecause: [] });
    valueOf(await vm.asked("reboot"));
  });

  test("and that was off does not boot by being lifted", async () => {
    const vm = await aVm();
    valueOf(await vm.asked("stop"));
    await vm.sees(OFF);
    await vm.suspend("staff");
    expect(await vm.shown()).toMatchObject({ status: "off", suspended: ["staff"] });
    await vm.lift("staff");
    expect(await vm.desired()).toEqual({ power: "off", pending: 0 });
  });

  test("for two reasons stays off until both are lifted", async () => {
    const vm = await aVm();
    await vm.suspend("staff");
    await vm.suspend("abuse");
    expect(await vm.shown()).toMatchObject({ suspended: ["abuse", "staff"] });
    const { effects } = await vm.lift("staff");
    expect(effects).toEqual(["it stays off, suspended for abuse"]);
    expect(await vm.desired()).toMatchObject({ power: "off" });
    await vm.lift("abuse");
    expect(await vm.desired()).toMatchObject({ power: "running" });
  });

  test("is not started by a payment", async () => {
    const vm = await aVm();
    await cp.pump();
    await vm.suspend("staff");
    const { entitledUntil: before } = await vm.shown();
    await aMonth();
    const after = await vm.shown();
    expect(Date.parse(after.entitledUntil ?? "")).toBeGreaterThan(Date.parse(before ?? ""));
    expect(after).toMatchObject({ suspended: ["staff"] });
    expect(await vm.desired()).toMatchObject({ power: "off" });
  });

  test("and owes as well is suspended for both, and for staff's alone once its lease has moved on", async () => {
    const vm = await aVm(CARD.failsAtRenewal);
    await cp.pump();
    await vm.suspend("staff");
    await aMonth();
    cp.clock.advanceDays(5);
    expect((await vm.shown()).suspended).toEqual(["overdue", "staff"]);
    const tomorrow = new Date(+cp.clock.now() + 86_400_000);
    await cp.rows("update services set entitled_until = $2 where vm_id = $1", vm.vmId, tomorrow);
    expect((await vm.shown()).suspended).toEqual(["staff"]);
  });

  test("ends what runs on it, and tells its customer so", async () => {
    const vm = await aVm();
    const { id } = valueOf(await vm.asked("reboot"));
    expect(await vm.desired()).toMatchObject({ pending: 1 });
    await vm.suspend("staff");
    expect(await vm.desired()).toEqual({ power: "off", pending: 0 });
    expect(await cp.rows("select status, error_code from actions where id = $1", id)).toEqual([
      { status: "error", error_code: "suspended" },
    ]);
  });

  test("is not suspended while it is being made: nobody takes that for a VM that cannot be made", async () => {
    const world = await aWorld(cp);
    const { vmId } = await aProvisionedVm(cp, world);
    const who = aPrincipal({ role: "staff" });
    const asked = { who, vmId, reason: "abuse", note: "early", dryRun: true } as const;
    expect(await suspendVm(cp.deps, asked)).toMatchObject({ error: { code: "vm_locked" } });
  });

  test("for abuse is not deleted by its customer, and for another reason is", async () => {
    const vm = await aVm();
    await vm.suspend("abuse");
    expect(await vm.asked("delete")).toMatchObject({ error: { code: "vm_suspended" } });
    await vm.suspend("staff");
    await vm.lift("abuse");
    valueOf(await vm.asked("delete"));
  });
});

describe("a dry run", () => {
  test("changes nothing, and names what it showed: the call without its hash, or with another's, is refused", async () => {
    const vm = await aVm();
    const dry = vm.ask("staff", { dryRun: true });
    const { hash, effects } = valueOf(await emits(cp, [], () => suspendVm(cp.deps, dry)));
    expect(effects.join()).toContain("its host shuts it down");
    const other = valueOf(await unsuspendVm(cp.deps, dry)).hash;
    for (const wrong of [undefined, other])
      expect(
        await emits(cp, [], () => suspendVm(cp.deps, vm.ask("staff", { hash: wrong }))),
      ).toMatchObject({ error: { code: "plan_changed" } });
    valueOf(await suspendVm(cp.deps, vm.ask("staff", { hash })));
    // Sent again, it is not what was shown any more; and shown anew, it is nothing.
    expect(await suspendVm(cp.deps, vm.ask("staff", { hash }))).toMatchObject({
      error: { code: "plan_changed" },
    });
    const again = await emits(cp, [], () => vm.suspend("staff"));
    expect(again.effects).toEqual(["nothing: it is suspended for staff"]);
  });
});

test("a suspension is done whole or not at all, wherever it is cut off", async () => {
  await cp.pump(); // what the tests above left
  const each = await runEachStep(cp, {
    arrange: async () => {
      const vm = await aVm();
      const { hash } = valueOf(await suspendVm(cp.deps, vm.ask("abuse", { dryRun: true })));
      return vm.ask("abuse", { hash });
    },
    // Of a repeat after a crash that came too late it is known that it was done.
    act: async (asked) => {
      const done = await suspendVm(cp.deps, asked);
      return done.ok || done.error.code === "plan_changed" ? null : done.error.code;
    },
    emits: ["vm.suspended.v1", "vm.change_requested.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toContainEqual(
    expect.stringMatching(/^services .*"suspensions":.*abuse/),
  );
});
