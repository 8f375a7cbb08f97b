import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { extendEntitlement, keepFromSuspension } from "#commands/billing/grant-time.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import { MAX_GRANT_DAYS, MAX_NEVER_SUSPEND_DAYS } from "#core/billing/entitlement.ts";
import { desiredVmsOf } from "#db/vms/vms.ts";
import { aPrincipal } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { emits } from "#test/harness/emits.ts";
import { CARD } from "#test/harness/stripe-in-process.ts";
import { anActiveVm, aWorld, hostSees, valueOf } from "#test/harness/world.ts";

/* 6a item 6: time that staff grant, and a VM that is not stopped for debt until an instant. */

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

const DAY_MS = 86_400_000;
const inDays = (days: number) => new Date(+cp.clock.now() + days * DAY_MS);

async function aVm(card?: string) {
  const world = await aWorld(cp);
  const { vmId } = await anActiveVm(cp, world, card);
  await cp.pump();
  const who = aPrincipal({ role: "staff" });
  const of = { who, vmId, reason: "we were down for a day", dryRun: false };
  const dry = { ...of, dryRun: true };
  return {
    world,
    vmId,
    of,
    /** What its host is told. */
    until: async () => {
      const vm = (await desiredVmsOf(cp.deps.db, world.hostId)).find((each) => each.vmId === vmId);
      return Date.parse(vm?.entitledUntil ?? "");
    },
    extend: async (days: number) => {
      const { hash } = valueOf(await extendEntitlement(cp.deps, { ...dry, days }));
      return extendEntitlement(cp.deps, { ...of, days, hash });
    },
    keep: async (until: Date | null) => {
      const { hash } = valueOf(await keepFromSuspension(cp.deps, { ...dry, until }));
      return valueOf(await keepFromSuspension(cp.deps, { ...of, until, hash }));
    },
    starts: () => requestAction(cp.deps, { who: world.buyer, vmId, type: "start" }),
  };
}
/** A period passes, and the next is paid. */
async function aMonth(): Promise<void> {
  cp.clock.advanceDays(31);
  cp.stripe.standIn.runDue();
  await cp.pump();
  cp.clock.advanceMinutes(61);
  cp.stripe.standIn.runDue();
  await cp.pump();
}

describe("days that staff grant", () => {
  test("are added to the lease, and to it alone; a payment neither takes them away nor counts them anew", async () => {
    const vm = await aVm();
    const paid = await vm.until();
    const names = ["entitlement.changed.v1", "vm.change_requested.v1"] as const;
    valueOf(await emits(cp, names, () => vm.extend(5)));
    expect((await vm.until()) - paid).toBe(5 * DAY_MS);
    await aMonth();
    const [row] = await cp.rows("select entitled_until from services where vm_id = $1", vm.vmId);
    const renewed = +new Date(String(row?.["entitled_until"]));
    expect(renewed).toBeGreaterThan(paid + 27 * DAY_MS);
    expect((await vm.until()) - renewed).toBe(5 * DAY_MS);
  });

  test("are granted once, however often that is sent", async () => {
    const vm = await aVm();
    const paid = await vm.until();
    const dry = { ...vm.of, days: 3, dryRun: true };
    const { hash } = valueOf(await emits(cp, [], () => extendEntitlement(cp.deps, dry)));
    valueOf(await extendEntitlement(cp.deps, { ...vm.of, days: 3, hash }));
    for (const sent of [hash, undefined])
      expect(await extendEntitlement(cp.deps, { ...vm.of, days: 3, hash: sent })).toMatchObject({
        error: { code: "plan_changed" },
      });
    expect((await vm.until()) - paid).toBe(3 * DAY_MS);
  });

  test("have a bound, at once and in all", async () => {
    const vm = await aVm();
    const over = { ...vm.of, days: MAX_GRANT_DAYS + 1, dryRun: true };
    expect(await extendEntitlement(cp.deps, over)).toMatchObject({
      error: { code: "grant_too_long" },
    });
    for (let n = 0; n < 3; n++) valueOf(await vm.extend(MAX_GRANT_DAYS));
    const more = { ...vm.of, days: 1, dryRun: true };
    expect(await extendEntitlement(cp.deps, more)).toMatchObject({
      error: { code: "grant_too_long" },
    });
  });

  test("begin now for a VM whose lease has ended, and let it start", async () => {
    const vm = await aVm(CARD.failsAtRenewal);
    cp.clock.advanceDays(50);
    expect(await vm.starts()).toMatchObject({ error: { code: "vm_suspended" } });
    valueOf(await vm.extend(2));
    expect(await vm.until()).toBe(+inDays(2));
    valueOf(await vm.starts());
  });

  test("are written down with who granted them, and why", async () => {
    const vm = await aVm();
    valueOf(await vm.extend(2));
    expect(
      await cp.rows(
        "select actor_kind, actor_id, detail - 'until' as detail from audit_log where subject_id = $1 and action = 'entitlement.extend'",
        vm.vmId,
      ),
    ).toEqual([
      {
        actor_kind: "staff",
        actor_id: vm.of.who.accountId,
        detail: { days: 2, reason: vm.of.reason },
      },
    ]);
  });
});

describe("a VM that is never suspended until an instant", () => {
  test("is let run by its host until then, unpaid as it is, and no longer", async () => {
    const vm = await aVm(CARD.failsAtRenewal);
    const until = inDays(60);
    await vm.keep(until);
    expect(await vm.until()).toBe(+until);
    cp.clock.advanceDays(59);
    valueOf(await vm.starts());
    await hostSees(cp, vm.world.hostId, vm.vmId);
    cp.clock.advanceDays(5);
    expect(await vm.starts()).toMatchObject({ error: { code: "vm_suspended" } });
  });

  test("has a mark that changes nothing where more is paid, and is taken away by none", async () => {
    const vm = await aVm();
    const paid = await vm.until();
    await vm.keep(inDays(3));
    expect(await vm.until()).toBe(paid);
    await vm.keep(inDays(90));
    expect(await vm.until()).toBeGreaterThan(paid);
    await vm.keep(null);
    expect(await vm.until()).toBe(paid);
    const { effects } = await emits(cp, [], () => vm.keep(null));
    expect(effects).toHaveLength(1);
  });

  test.each([-1, 0, MAX_NEVER_SUSPEND_DAYS + 1])(
    "is not marked until %i days from now",
    async (days) => {
      const vm = await aVm();
      expect(
        await keepFromSuspension(cp.deps, { ...vm.of, dryRun: true, until: inDays(days) }),
      ).toMatchObject({ error: { code: "grant_too_long" } });
    },
  );
});
