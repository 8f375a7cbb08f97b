import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { dropPlanChange } from "#commands/billing/drop-plan-change.ts";
import { followPlanChanges } from "#commands/billing/follow-plan-change.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import { desiredVmsOf } from "#db/vms/vms.ts";
import { aPrincipal } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { fakePriceChanges } from "#test/harness/fake-price-changes.ts";
import {
  aStoredQuote,
  aVmToResize,
  isSeen,
  LARGE,
  LARGE_LIMITS,
  later,
  standsAt,
  take,
  type Vm,
} from "#test/harness/plan-changes.ts";
import { aBuyer, hostSees, SIZE, valueOf } from "#test/harness/world.ts";

/* 6a 2, invariants 21 and 22: a change of plan ends with the new size seen and priced, or with all as it was. */

const { fake, port } = fakePriceChanges();
let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane({ prices: port });
});
afterAll(() => cp.drop());
beforeEach(() => {
  fake.pays = "at_once";
  fake.racesDrop = false;
  fake.refundPending = false;
  fake.price = "price_from";
});

const SMALL = {
  version: 1,
  price: 500,
  vcpus: 1,
  memory: 1024,
  disk: 20,
  bandwidth: 1000,
  iops: null,
  held_vcpus: 1,
  held_memory: 1024,
  held_disk: 20,
  allocated: 1,
};
const GROWN = {
  version: 2,
  price: 900,
  vcpus: 2,
  memory: 2048,
  disk: 40,
  bandwidth: 2000,
  iops: 900,
  held_vcpus: 2,
  held_memory: 2048,
  held_disk: 40,
  allocated: 2,
};
const HELD_FOR_BOTH = { held_vcpus: 2, held_memory: 2048, held_disk: 40, allocated: 2 };

/** A quote of the way up is taken, and followed as far as it goes. */
async function aTakenQuote(over: Parameters<typeof aStoredQuote>[2] = {}) {
  const vm = await aVmToResize(cp);
  const quote = await aStoredQuote(cp, vm, over);
  const { action, change } = valueOf(await take(cp, vm, quote.id));
  await cp.pump();
  return { vm, quote, action, changeId: change.id };
}
const lockedBy = async ({ vmId }: Vm) =>
  (await cp.rows("select type from actions where vm_id = $1 and status = 'running'", vmId)).map(
    (row) => row["type"],
  );

describe("up", () => {
  test("is paid, told to its host, seen, and only then what is had", async () => {
    const { vm, changeId } = await aTakenQuote();
    expect(fake.changes.get(changeId)).toMatchObject({ how: "pay_first" });
    expect(await standsAt(cp, vm)).toMatchObject({
      ...GROWN,
      version: 1,
      price: 500,
      money: "applied",
      machine: "applying",
      status: "running",
    });
    await isSeen(cp, vm);
    await cp.pump();
    const done = { money: "applied", machine: "seen", outcome: "committed", status: "success" };
    expect(await standsAt(cp, vm)).toMatchObject({ ...GROWN, ...done });
    expect(await lockedBy(vm)).toEqual([]);
  });

  test.each([
    ["vCPUs", { size: { ...LARGE, vcpus: 1 } }],
    ["memory", { size: { ...LARGE, memoryMib: 1024 } }],
    ["disk", { size: { ...LARGE, diskGib: 20 } }],
    ["bandwidth", { limits: { ...LARGE_LIMITS, bandwidthMbit: 1000 } }],
    ["operations", { limits: { ...LARGE_LIMITS, diskIops: null } }],
  ])(
    "is not done while its %s are not seen, and goes back by itself within the hour",
    async (_, seen) => {
      const { vm, changeId } = await aTakenQuote();
      await isSeen(cp, vm, seen);
      await later(cp, 59);
      expect(await standsAt(cp, vm)).toMatchObject({ machine: "applying", outcome: null });
      await later(cp, 2);
      const back = { why: "not_seen", money: "undone", machine: "reverting", status: "running" };
      const { held_disk: _d, ...small } = SMALL;
      expect(await standsAt(cp, vm)).toMatchObject({
        ...back,
        ...HELD_FOR_BOTH,
        version: 1,
        price: 500,
        vcpus: 1,
      });
      expect(fake.undone).toContain(changeId);
      expect(fake.price).toBe("price_from");
      await isSeen(cp, vm);
      await cp.pump();
      const { disk, held_disk, ...rest } = { ...SMALL };
      expect(await standsAt(cp, vm)).toMatchObject({
        ...rest,
        outcome: "reverted",
        machine: "reverted",
        status: "error",
        error: "timed_out",
      });
      void small;
      void disk;
      void held_disk;
    },
  );

  test("holds room for both sizes, and is refused where there is none", async () => {
    const vm = await aVmToResize(cp, { places: 1 });
    const quote = await aStoredQuote(cp, vm);
    expect(await take(cp, vm, quote.id)).toMatchObject({ error: { code: "no_capacity" } });
    expect(await standsAt(cp, vm)).toEqual({ ...SMALL });
  });

  test("does not boot what is off, and is done when that is seen", async () => {
    const vm = await aVmToResize(cp);
    valueOf(await requestAction(cp.deps, { who: vm.world.buyer, vmId: vm.vmId, type: "stop" }));
    await isSeen(cp, vm, { power: "off" });
    const quote = await aStoredQuote(cp, vm);
    valueOf(await take(cp, vm, quote.id));
    await cp.pump();
    const [desired] = await desiredVmsOf(cp.deps.db, vm.world.hostId);
    expect(desired).toMatchObject({ power: "off", size: LARGE });
    await isSeen(cp, vm, { power: "off" });
    await cp.pump();
    expect(await standsAt(cp, vm)).toMatchObject({ ...GROWN, outcome: "committed" });
  });

  test("that its host says it cannot make goes back at once", async () => {
    const { vm, changeId } = await aTakenQuote();
    const error = { code: "unsupported", detail: "memory is fixed" } as const;
    await hostSees(cp, vm.world.hostId, vm.vmId, {
      observed: { size: SIZE },
      error,
      settled: false,
    });
    await cp.pump();
    expect(await standsAt(cp, vm)).toMatchObject({ why: "host_refused", money: "undone" });
    expect(fake.undone).toContain(changeId);
  });
});

describe("a payment that waits", () => {
  test("leaves the VM unlocked, tells where to confirm it, and goes on once it is confirmed", async () => {
    fake.pays = "action_required";
    const { vm, action, changeId } = await aTakenQuote();
    expect(await standsAt(cp, vm)).toMatchObject({
      money: "waiting",
      machine: "waiting",
      status: "waiting",
      vcpus: 1,
      ...HELD_FOR_BOTH,
    });
    expect(await lockedBy(vm)).toEqual([]);
    const [row] = await cp.rows("select pay_url from plan_changes where action_id = $1", action.id);
    expect(row).toEqual({ pay_url: `http://pay.test/${changeId}` });
    valueOf(await requestAction(cp.deps, { who: vm.world.buyer, vmId: vm.vmId, type: "reboot" }));
    fake.payNow(changeId);
    await later(cp, 2);
    expect(await standsAt(cp, vm)).toMatchObject({ money: "applied", machine: "waiting" });
    await cp.rows(
      "update actions set status = 'success', finished_at = $2 where vm_id = $1 and type = 'reboot'",
      vm.vmId,
      cp.clock.now(),
    );
    await later(cp, 6);
    await isSeen(cp, vm);
    await cp.pump();
    expect(await standsAt(cp, vm)).toMatchObject({ ...GROWN, outcome: "committed" });
  });

  test("that was declined is paid with another card within the hour", async () => {
    fake.pays = "declined";
    const { vm } = await aTakenQuote();
    await later(cp, 58);
    fake.payNow();
    await later(cp, 1);
    await isSeen(cp, vm);
    await cp.pump();
    expect(await standsAt(cp, vm)).toMatchObject({ ...GROWN, outcome: "committed" });
  });

  test("and is not made within the hour is void, and all is as it was", async () => {
    fake.pays = "declined";
    const { vm, changeId } = await aTakenQuote();
    await later(cp, 60);
    const back = {
      why: "not_paid",
      money: "dropped",
      machine: "untouched",
      outcome: "reverted",
      error: "not_paid",
    };
    expect(await standsAt(cp, vm)).toMatchObject({ ...SMALL, ...back });
    expect(fake.changes.get(changeId)?.state).toEqual({ kind: "not_there" });
  });

  test("is dropped by who asked for it, once and for all, and by nobody else", async () => {
    fake.pays = "action_required";
    const { vm } = await aTakenQuote();
    const drop = (who = vm.world.buyer) =>
      dropPlanChange(cp.deps, { who, vmId: vm.vmId, why: "cancelled" });
    expect(await drop(await aBuyer(cp))).toMatchObject({ error: { code: "vm_not_found" } });
    valueOf(await drop());
    valueOf(await drop());
    const back = { why: "cancelled", money: "dropped", outcome: "reverted", error: "dropped" };
    expect(await standsAt(cp, vm)).toMatchObject({ ...SMALL, ...back });
  });

  test("and is made just as it is dropped goes back", async () => {
    fake.pays = "action_required";
    const { vm, changeId } = await aTakenQuote();
    fake.racesDrop = true;
    valueOf(
      await dropPlanChange(cp.deps, { who: vm.world.buyer, vmId: vm.vmId, why: "cancelled" }),
    );
    expect(await standsAt(cp, vm)).toMatchObject({
      ...SMALL,
      money: "undone",
      outcome: "reverted",
    });
    expect(fake.undone).toContain(changeId);
  });

  test("gives way to another quote that is taken, whose own comes after its invoice is void", async () => {
    fake.pays = "action_required";
    const { vm, changeId } = await aTakenQuote();
    const other = await aStoredQuote(cp, vm);
    valueOf(await take(cp, vm, other.id));
    expect(fake.changes.get(changeId)?.state).toEqual({ kind: "not_there" });
    await cp.pump();
    const rows = await cp.rows(
      "select turned_back, money from plan_changes where vm_id = $1 order by id",
      vm.vmId,
    );
    expect(rows).toEqual([
      { turned_back: "replaced", money: "dropped" },
      { turned_back: null, money: "waiting" },
    ]);
  });

  test("is not dropped once it is paid", async () => {
    const { vm } = await aTakenQuote();
    const asked = { who: vm.world.buyer, vmId: vm.vmId, why: "cancelled" } as const;
    expect(await dropPlanChange(cp.deps, asked)).toMatchObject({
      error: { code: "change_under_way" },
    });
    const other = await aStoredQuote(cp, vm);
    expect(await take(cp, vm, other.id)).toMatchObject({ error: { code: "vm_locked" } });
  });
});

describe("a quote", () => {
  test("is taken once, by who asked for it, for its VM, before it runs out, and while it holds", async () => {
    const vm = await aVmToResize(cp);
    const other = await aVmToResize(cp);
    const quote = await aStoredQuote(cp, vm);
    const code = async (of: Vm, id = quote.id) => {
      const taken = await take(cp, of, id);
      return taken.ok ? "taken" : taken.error.code;
    };
    expect(await code({ ...other, world: vm.world }, quote.id)).toBe("vm_not_found");
    expect(await code(other)).toBe("quote_not_found");
    const theirs = await aStoredQuote(cp, vm, { askedBy: other.world.buyer.accountId });
    expect(await code(vm, theirs.id)).toBe("quote_not_found");
    expect(await code({ ...vm, world: other.world })).toBe("vm_not_found");
    const old = await aStoredQuote(cp, vm, { expiresAt: new Date(+cp.clock.now() + 1) });
    cp.clock.advance(1);
    expect(await code(vm, old.id)).toBe("quote_expired");
    const wrong = await aStoredQuote(cp, vm, { from: { ...quote.from, planVersion: 2 } });
    expect(await code(vm, wrong.id)).toBe("quote_outdated");
    expect(await code(vm)).toBe("taken");
    expect(await code(vm)).toBe("quote_taken");
    await cp.pump();
  });
});

describe("down", () => {
  const down = { order: "machine_first", billing: "none", when: "renewal" } as const;
  /** Grown before, and seen so. */
  async function aLargeVm(): Promise<Vm> {
    const { vm } = await aTakenQuote();
    await isSeen(cp, vm);
    await cp.pump();
    return vm;
  }
  const backTo = async (vm: Vm, over: Parameters<typeof aStoredQuote>[2]) => {
    const small = await aStoredQuote(cp, { ...vm, version: 1 }, over);
    const machine = { ...small.to.machine, diskGib: 40 };
    return aStoredQuote(cp, { ...vm, version: 1 }, { ...over, to: { ...small.to, machine } });
  };

  test("at renewal waits unlocked until three hours before, is made and seen, and then priced from the next period on", async () => {
    const vm = await aLargeVm();
    const appliesAt = new Date(+cp.clock.now() + 10 * 3_600_000);
    const quote = await backTo(vm, { ...down, appliesAt });
    const { change } = valueOf(await take(cp, vm, quote.id));
    await cp.pump();
    await later(cp, 7 * 60 - 1);
    expect(await standsAt(cp, vm)).toMatchObject({
      ...GROWN,
      machine: "waiting",
      status: "waiting",
    });
    await later(cp, 1);
    expect(await standsAt(cp, vm)).toMatchObject({
      machine: "applying",
      vcpus: 1,
      held_vcpus: 2,
      price: 900,
    });
    expect(fake.changes.has(change.id)).toBe(false);
    await isSeen(cp, vm);
    await cp.pump();
    expect(fake.changes.get(change.id)).toMatchObject({ how: "none" });
    expect(await standsAt(cp, vm)).toMatchObject({
      ...SMALL,
      disk: 40,
      held_disk: 40,
      outcome: "committed",
    });
  });

  test("at renewal that is not seen in time leaves all as it was, and nothing is asked of the provider", async () => {
    const vm = await aLargeVm();
    const appliesAt = new Date(+cp.clock.now() + 3 * 3_600_000);
    const quote = await backTo(vm, { ...down, appliesAt });
    const { change } = valueOf(await take(cp, vm, quote.id));
    await cp.pump();
    await later(cp, 61);
    expect(await standsAt(cp, vm)).toMatchObject({
      why: "not_seen",
      machine: "reverting",
      money: "dropped",
      vcpus: 2,
    });
    await isSeen(cp, vm);
    await cp.pump();
    expect(await standsAt(cp, vm)).toMatchObject({ ...GROWN, outcome: "reverted" });
    expect(fake.changes.has(change.id)).toBe(false);
  });

  test("at once is made and seen first, and then prorated", async () => {
    const vm = await aLargeVm();
    const quote = await backTo(vm, { order: "machine_first" });
    const { change } = valueOf(await take(cp, vm, quote.id));
    await cp.pump();
    expect(fake.changes.has(change.id)).toBe(false);
    await isSeen(cp, vm);
    await cp.pump();
    expect(fake.changes.get(change.id)).toMatchObject({ how: "prorate", at: quote.at });
    expect(await standsAt(cp, vm)).toMatchObject({
      ...SMALL,
      disk: 40,
      held_disk: 40,
      outcome: "committed",
    });
  });
});

test("another interval is paid, and then had: no machine is told of it", async () => {
  const vm = await aVmToResize(cp);
  const { from, to } = await aStoredQuote(cp, vm);
  const price = { interval: "year", amount: { minor: 9000n, currency: "usd" } } as const;
  const quote = await aStoredQuote(cp, vm, {
    to: { ...to, machine: from.machine, price },
    method: "none",
  });
  const before = await cp.rows("select generation from vms where id = $1", vm.vmId);
  valueOf(await take(cp, vm, quote.id));
  await cp.pump();
  expect(await standsAt(cp, vm)).toMatchObject({
    version: 2,
    price: 9000,
    vcpus: 1,
    machine: "none",
    outcome: "committed",
  });
  expect(await cp.rows("select generation from vms where id = $1", vm.vmId)).toEqual(before);
});

describe("what comes between", () => {
  const remove = ({ world, vmId }: Vm) =>
    requestAction(cp.deps, { who: world.buyer, vmId, type: "delete" });

  test.each([
    ["waits for its payment", "action_required", "dropped", "untouched"],
    ["is being made", "at_once", "undone", "gone"],
  ] as const)(
    "a delete while it %s gives back what was paid, and its room with the VM",
    async (_, pays, money, machine) => {
      fake.pays = pays;
      const { vm } = await aTakenQuote();
      valueOf(await remove(vm));
      await cp.pump();
      expect(await standsAt(cp, vm)).toMatchObject({
        why: "vm_deleted",
        money,
        machine,
        outcome: "reverted",
        error: "superseded",
      });
      await hostSees(cp, vm.world.hostId, vm.vmId, { observed: null });
      await cp.pump();
      expect(
        await cp.rows(
          "select allocated_vcpus, allocated_vms from hosts where id = $1",
          vm.world.hostId,
        ),
      ).toEqual([{ allocated_vcpus: 0, allocated_vms: 0 }]);
    },
  );

  test("a VM that is lost is to be what it was, should it come back, and what was paid goes back", async () => {
    const { vm, changeId } = await aTakenQuote();
    const error = { code: "vm_missing", detail: "gone" } as const;
    await hostSees(cp, vm.world.hostId, vm.vmId, { observed: null, settled: false, error });
    await cp.pump();
    expect(await standsAt(cp, vm)).toMatchObject({
      ...SMALL,
      why: "vm_lost",
      money: "undone",
      machine: "gone",
      error: "vm_lost",
    });
    expect(fake.undone).toContain(changeId);
  });

  test("a host that was away past the deadline, and made it all the same, ends at the old size", async () => {
    const { vm } = await aTakenQuote();
    const [before] = await cp.rows("select generation from vms where id = $1", vm.vmId);
    await later(cp, 61);
    // It did as it was told then, and shows that: of a generation of before nothing counts.
    const late = { generation: Number(before?.["generation"]), size: LARGE, limits: LARGE_LIMITS };
    await isSeen(cp, vm, late);
    await cp.pump();
    const grown = { machine: "reverting", vcpus: 1, disk: 40, bandwidth: 1000, ...HELD_FOR_BOTH };
    expect(await standsAt(cp, vm)).toMatchObject(grown);
    await isSeen(cp, vm);
    await cp.pump();
    // The disk can't shrink: it stays, and is not charged.
    const end = { ...SMALL, disk: 40, held_disk: 40, outcome: "reverted", money: "undone" };
    expect(await standsAt(cp, vm)).toMatchObject(end);
  });

  test.each([
    ["canceled", "subscription_ended"],
    ["unpaid", "subscription_ended"],
    ["past_due", "invoice_open"],
  ])("a subscription that is %s turns back what waits", async (status, why) => {
    fake.pays = "action_required";
    const { vm } = await aTakenQuote();
    await cp.rows("update services set subscription_status = $2 where vm_id = $1", vm.vmId, status);
    await later(cp, 2);
    expect(await standsAt(cp, vm)).toMatchObject({ ...SMALL, why, outcome: "reverted" });
  });

  test("money that does not go back yet is asked for again, and locks nobody out", async () => {
    const { vm } = await aTakenQuote();
    fake.refundPending = true;
    await later(cp, 61);
    await isSeen(cp, vm);
    await cp.pump();
    expect(await standsAt(cp, vm)).toMatchObject({
      money: "undoing",
      machine: "reverted",
      outcome: null,
      status: "error",
    });
    expect(await lockedBy(vm)).toEqual([]);
    fake.refundPending = false;
    await later(cp, 2);
    expect(await standsAt(cp, vm)).toMatchObject({
      ...SMALL,
      money: "undone",
      outcome: "reverted",
    });
  });
});

test("staff's VMs, whose payer is nobody, are changed without any provider", async () => {
  const vm = await aVmToResize(cp);
  await cp.rows(
    `update services set payer = 'staff', subscription_id = null, subscription_status = null, subscription_version = null,
       interval = null, amount_minor = null, currency = null where vm_id = $1`,
    vm.vmId,
  );
  const asked = {
    order: "machine_first",
    billing: "none",
    dueNow: null,
    credit: null,
    tax: null,
  } as const;
  const quote = await aStoredQuote(cp, vm, asked);
  const asks = fake.changes.size;
  valueOf(await take(cp, vm, quote.id));
  await cp.pump();
  await isSeen(cp, vm);
  await cp.pump();
  expect(await standsAt(cp, vm)).toMatchObject({
    ...GROWN,
    price: null,
    money: "exempt",
    outcome: "committed",
  });
  expect(fake.changes.size).toBe(asks);
  expect(await followPlanChanges(cp.deps)).toMatchObject({ failed: 0 });
  void aPrincipal;
});
