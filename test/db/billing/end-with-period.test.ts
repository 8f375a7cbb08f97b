import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  endServices,
  forceEnd,
  retryEnds,
  sayEnd,
  tellEnd,
} from "#commands/billing/end-with-period.ts";
import { suspendVm, unsuspendVm } from "#commands/billing/suspend-vm.ts";
import { followProvider } from "#commands/orders/follow-provider.ts";
import { changeVm } from "#commands/vms/change-vm.ts";
import { ProviderUnavailable } from "#core/billing/payments.ts";
import { orderIdOfSubscription } from "#db/orders/orders.ts";
import { loadVmView } from "#db/vms/vms.ts";
import { toVmView } from "#functions/views.ts";
import { aPrincipal } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { differencesOf, runEachStep } from "#test/harness/each-step.ts";
import { emits } from "#test/harness/emits.ts";
import { anActiveVm, aWorld, valueOf } from "#test/harness/world.ts";

/* 6a item 6: a VM that ends with the period that is paid, and its undo. */

let cp: ControlPlane;
beforeEach(async () => {
  cp = await startControlPlane();
});
afterEach(() => cp.drop());

async function aVm() {
  const world = await aWorld(cp);
  const { vmId } = await anActiveVm(cp, world);
  await cp.pump();
  const says = (ends: boolean, who = world.buyer) => sayEnd(cp.deps, { who, vmId, ends });
  const row = async () => {
    const [found] = await cp.rows(
      `select s.end_wanted, s.end_untold, s.cancel_at, s.entitled_until, v.presence
        from services s join vms v on v.id = s.vm_id where s.vm_id = $1`,
      vmId,
    );
    return found ?? {};
  };
  const atStripe = async () => {
    const [found] = await cp.rows(
      "select subscription_id as id from services where vm_id = $1",
      vmId,
    );
    const id = String(found?.["id"]);
    const { cancel_at_period_end: ends, status } =
      await cp.stripe.dashboard.subscriptions.retrieve(id);
    return { id, ends, status };
  };
  return { world, vmId, says, row, atStripe };
}
/** The period that is paid passes, and what Stripe tells of it is followed. */
async function aMonth(): Promise<void> {
  cp.clock.advanceDays(31);
  cp.stripe.standIn.runDue();
  await cp.pump();
  cp.clock.advanceMinutes(61);
  cp.stripe.standIn.runDue();
  await cp.pump();
}

/* 6a: what a customer does in Stripe's own portal. */
describe("a VM that is cancelled at Stripe itself", () => {
  const atPortal = async ({ atStripe }: Awaited<ReturnType<typeof aVm>>, ends: boolean) => {
    const { id } = await atStripe();
    await cp.stripe.dashboard.subscriptions.update(id, { cancel_at_period_end: ends });
    cp.clock.advanceMinutes(1);
    await cp.pump();
  };

  test("is shown so, and is deleted when its period is over", async () => {
    const vm = await aVm();
    await atPortal(vm, true);
    const seen = await vm.row();
    expect(seen).toMatchObject({ end_wanted: true, end_untold: false, presence: "present" });
    expect(seen["cancel_at"]).toEqual(seen["entitled_until"]);
    const view = await loadVmView(cp.deps.db, vm.vmId);
    const shown = view && toVmView(view, cp.clock.now(), vm.world.buyer);
    expect(shown).toMatchObject({ cancelled: true, cancelAt: expect.any(String) });
    expect(
      await cp.rows("select actor_kind, detail from audit_log where action = 'service.end_seen'"),
    ).toMatchObject([{ actor_kind: "provider", detail: { ends: true } }]);
    expect(await endServices(cp.deps)).toEqual({ ended: 0, refused: 0 });
    await aMonth();
    expect(await endServices(cp.deps)).toEqual({ ended: 1, refused: 0 });
    expect(await vm.row()).toMatchObject({ presence: "absent" });
  });

  test("goes on when that is taken back, there or here", async () => {
    const vm = await aVm();
    const goesOn = { end_wanted: false, end_untold: false, cancel_at: null };
    await atPortal(vm, true);
    await atPortal(vm, false);
    expect(await vm.row()).toMatchObject(goesOn);
    await atPortal(vm, true);
    valueOf(await vm.says(false));
    await cp.pump();
    expect(await vm.row()).toMatchObject(goesOn);
    expect(await vm.atStripe()).toMatchObject({ ends: false });
    valueOf(await vm.says(true));
    await cp.pump();
    await atPortal(vm, false);
    expect(await vm.row()).toMatchObject(goesOn);
  });

  test("is not deleted while its owner protects it", async () => {
    const vm = await aVm();
    const who = vm.world.buyer;
    valueOf(await changeVm(cp.deps, { who, vmId: vm.vmId, deleteProtected: true }));
    await atPortal(vm, true);
    await aMonth();
    expect(await endServices(cp.deps)).toEqual({ ended: 0, refused: 0 });
    expect(await vm.row()).toMatchObject({ end_wanted: false, presence: "present" });
  });

  test("a look from before our own word was told takes nothing back", async () => {
    const vm = await aVm();
    const { id } = await vm.atStripe();
    const { payments } = cp.deps;
    let first = true;
    const fetchSubscription = async (subscriptionId: string) => {
      const seen = await payments.fetchSubscription(subscriptionId);
      if (first) {
        first = false;
        valueOf(await vm.says(true));
        await tellEnd(cp.deps, vm.vmId);
      }
      return seen;
    };
    const slow = { ...cp.deps, payments: { ...payments, fetchSubscription } };
    const orderId = await orderIdOfSubscription(cp.deps.db, id);
    await followProvider(slow, orderId ?? "", { actor: { kind: "system", id: "test" } });
    expect(await vm.row()).toMatchObject({ end_wanted: true, end_untold: false });
  });
});

describe("a VM that its customer cancels", () => {
  test("runs on until its period is over, is charged for no other, and is deleted then", async () => {
    const vm = await aVm();
    const said = valueOf(await emits(cp, ["service.end_said.v1"], () => vm.says(true)));
    const { buyer } = vm.world;
    expect(toVmView(said, cp.clock.now(), buyer)).toMatchObject({
      cancelled: true,
      cancelAt: null,
    });
    await cp.pump();
    const told = await vm.row();
    expect(told).toMatchObject({ end_wanted: true, end_untold: false, presence: "present" });
    expect(told["cancel_at"]).toEqual(told["entitled_until"]);
    expect(await vm.atStripe()).toMatchObject({ ends: true, status: "active" });
    expect(await endServices(cp.deps)).toEqual({ ended: 0, refused: 0 });
    await aMonth();
    expect(await vm.atStripe()).toMatchObject({ status: "canceled" });
    expect(await cp.rows("select count(*)::int as n from invoices")).toEqual([{ n: 1 }]);
    const names = ["vm.change_requested.v1", "subscription.cancellation_fell_due.v1"] as const;
    expect(await emits(cp, names, () => endServices(cp.deps))).toEqual({ ended: 1, refused: 0 });
    expect(await vm.row()).toMatchObject({ presence: "absent" });
    expect(await endServices(cp.deps)).toEqual({ ended: 0, refused: 0 });
    expect(
      await cp.rows("select actor_kind, actor_id from audit_log where action = 'vm.delete'"),
    ).toEqual([{ actor_kind: "system", actor_id: "end-with-period" }]);
  });

  test("goes on when they take it back in time, and is charged again", async () => {
    const vm = await aVm();
    valueOf(await vm.says(true));
    await cp.pump();
    valueOf(await vm.says(false));
    await cp.pump();
    expect(await vm.row()).toMatchObject({ end_wanted: false, end_untold: false, cancel_at: null });
    expect(await vm.atStripe()).toMatchObject({ ends: false });
    await aMonth();
    expect(await endServices(cp.deps)).toEqual({ ended: 0, refused: 0 });
    expect(await cp.rows("select count(*)::int as n from invoices")).toEqual([{ n: 2 }]);
  });

  test("cannot be taken back once its period is over", async () => {
    const vm = await aVm();
    valueOf(await vm.says(true));
    await cp.pump();
    await aMonth();
    expect(await vm.says(false)).toMatchObject({ error: { code: "vm_cancelled" } });
  });

  test("and takes back when Stripe has ended it unheard ends all the same", async () => {
    const vm = await aVm();
    valueOf(await vm.says(true));
    await cp.pump();
    const { id } = await vm.atStripe();
    valueOf(await vm.says(false));
    await cp.stripe.dashboard.subscriptions.cancel(id);
    expect(await tellEnd(cp.deps, vm.vmId)).toBe("told");
    expect(await vm.row()).toMatchObject({ end_wanted: true, cancel_at: cp.clock.now() });
    await cp.pump();
    expect(await endServices(cp.deps)).toEqual({ ended: 1, refused: 0 });
  });

  test("whose end was taken back at Stripe itself is not deleted: it is billed", async () => {
    const vm = await aVm();
    valueOf(await vm.says(true));
    await cp.pump();
    const { id } = await vm.atStripe();
    await cp.stripe.dashboard.subscriptions.update(id, { cancel_at_period_end: false });
    await aMonth();
    expect(await endServices(cp.deps)).toEqual({ ended: 0, refused: 0 });
    expect(await vm.row()).toMatchObject({ presence: "present" });
  });

  test("is told to Stripe however long it is away", async () => {
    const vm = await aVm();
    valueOf(await vm.says(true));
    const endWithPeriod = () => Promise.reject(new ProviderUnavailable("away"));
    const away = { ...cp.deps, payments: { ...cp.deps.payments, endWithPeriod } };
    await expect(tellEnd(away, vm.vmId)).rejects.toThrow("away");
    expect(await retryEnds(away)).toEqual({ told: 0, failed: 1 });
    expect(await vm.row()).toMatchObject({ end_untold: true, cancel_at: null });
    expect(await retryEnds(cp.deps)).toEqual({ told: 1, failed: 0 });
    expect(await retryEnds(cp.deps)).toEqual({ told: 0, failed: 0 });
    expect(await vm.atStripe()).toMatchObject({ ends: true });
  });

  test("in a dispute is not deleted before that is over", async () => {
    const vm = await aVm();
    valueOf(await vm.says(true));
    await cp.pump();
    const who = aPrincipal({ role: "staff" });
    const of = { who, vmId: vm.vmId, reason: "dispute", note: "at the bank" } as const;
    for (const [act, ended] of [
      [suspendVm, 0],
      [unsuspendVm, 1],
    ] as const) {
      const { hash } = valueOf(await act(cp.deps, { ...of, dryRun: true }));
      valueOf(await act(cp.deps, { ...of, dryRun: false, hash }));
      await aMonth();
      expect(await endServices(cp.deps)).toEqual({ ended, refused: 0 });
    }
  });

  test("and protects are one or the other", async () => {
    const vm = await aVm();
    const who = vm.world.buyer;
    const protects = (deleteProtected: boolean) =>
      changeVm(cp.deps, { who, vmId: vm.vmId, deleteProtected });
    valueOf(await protects(true));
    expect(await vm.says(true)).toMatchObject({ error: { code: "vm_protected" } });
    valueOf(await protects(false));
    valueOf(await vm.says(true));
    expect(await protects(true)).toMatchObject({ error: { code: "vm_cancelled" } });
  });

  test("is theirs: another's is not found", async () => {
    const vm = await aVm();
    expect(await vm.says(true, aPrincipal())).toMatchObject({ error: { code: "vm_not_found" } });
  });
});

test("staff cancel it with a reason, by a dry run's hash", async () => {
  const vm = await aVm();
  const of = { who: aPrincipal({ role: "staff" }), vmId: vm.vmId, reason: "asked by mail" };
  const dry = { ...of, ends: true, dryRun: true };
  const { hash } = valueOf(await emits(cp, [], () => forceEnd(cp.deps, dry)));
  const act = { ...dry, dryRun: false };
  expect(await forceEnd(cp.deps, act)).toMatchObject({ error: { code: "plan_changed" } });
  valueOf(await emits(cp, ["service.end_said.v1"], () => forceEnd(cp.deps, { ...act, hash })));
  expect(await vm.row()).toMatchObject({ end_wanted: true });
  expect(
    await cp.rows("select actor_kind, detail from audit_log where action = 'service.cancel'"),
  ).toEqual([{ actor_kind: "staff", detail: { reason: "asked by mail" } }]);
});

test("what is said is told once, wherever that is cut off", async () => {
  const each = await runEachStep(cp, {
    arrange: async () => {
      const vm = await aVm();
      valueOf(await vm.says(true));
      return vm.vmId;
    },
    act: (vmId) => tellEnd(cp.deps, vmId),
    emits: ["service.end_told.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
});
