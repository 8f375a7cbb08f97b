import { v7 } from "uuid";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { cancelSubscription } from "#commands/billing/cancel-subscription.ts";
import { dropPlanChange } from "#commands/billing/drop-plan-change.ts";
import { tellHangingChanges } from "#commands/billing/tell-hanging-changes.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import { desiredVmsOf } from "#db/vms/vms.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import {
  aStoredQuote,
  aVmToResize,
  isSeen,
  LARGE,
  LARGE_LIMITS,
  later,
  moneyOf,
  onItsPage,
  paysWith,
  standsAt,
  take,
  type Vm,
} from "#test/harness/plan-changes.ts";
import { CARD } from "#test/harness/stripe-in-process.ts";
import { aBuyer, hostSees, SIZE, valueOf } from "#test/harness/world.ts";

/* 6a 2, invariants 21 and 22: a change of plan ends with the new size seen and priced, or with all as it was. */

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());
afterEach(() => {
  cp.stripe.trouble.outage = false;
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

/** What its payer has paid, and is billed, before and after; the difference for the rest of the month but a minute. */
const UNCHANGED = { billed: 500, kept: 500, balance: 0, open: 0 };
const PAID_MORE = { billed: 900, kept: 900, balance: 0, open: 0 };

type Over = Parameters<typeof aStoredQuote>[2];
type Pays = Parameters<typeof paysWith>[2];
/** A quote of the way up is taken, and followed as far as it goes. `pays`: with a card that does not simply pay. */
async function aTakenQuote({ pays, ...over }: Over & { pays?: Pays } = {}) {
  const vm = await aVmToResize(cp);
  if (pays) await paysWith(cp, vm, pays);
  const quote = await aStoredQuote(cp, vm, over);
  const { action, change } = valueOf(await take(cp, vm, quote.id));
  await cp.pump();
  return { vm, quote, action, changeId: change.id };
}
const lockedBy = async ({ vmId }: Vm) =>
  (await cp.rows("select type from actions where vm_id = $1 and status = 'running'", vmId)).map(
    (row) => row["type"],
  );
/** All of it: what is had, held and wanted, and where the money is. */
const world = async (vm: Vm) => ({ ...(await standsAt(cp, vm)), paid: await moneyOf(cp, vm) });

describe("up", () => {
  test("is paid, told to its host, seen, and only then what is had", async () => {
    const { vm } = await aTakenQuote();
    const applying = { money: "applied", machine: "applying", status: "running", paid: PAID_MORE };
    expect(await world(vm)).toMatchObject({ ...GROWN, version: 1, price: 500, ...applying });
    await isSeen(cp, vm);
    await cp.pump();
    const done = { money: "applied", machine: "seen", outcome: "committed", status: "success" };
    expect(await world(vm)).toMatchObject({ ...GROWN, ...done, paid: PAID_MORE });
    expect(await lockedBy(vm)).toEqual([]);
  });

  test.each([
    ["vCPUs", { size: { ...LARGE, vcpus: 1 } }, 40],
    ["memory", { size: { ...LARGE, memoryMib: 1024 } }, 40],
    ["disk", { size: { ...LARGE, diskGib: 20 } }, 20],
    ["bandwidth", { limits: { ...LARGE_LIMITS, bandwidthMbit: 1000 } }, 40],
    ["operations", { limits: { ...LARGE_LIMITS, diskIops: null } }, 40],
  ])(
    "is not done while not all is seen (%s), and goes back by itself within the hour",
    async (_, seen, disk) => {
      const { vm } = await aTakenQuote();
      await isSeen(cp, vm, seen);
      await later(cp, 59);
      expect(await standsAt(cp, vm)).toMatchObject({ machine: "applying", outcome: null });
      await later(cp, 2);
      const back = { why: "not_seen", money: "undone", machine: "reverting", status: "running" };
      const small = { version: 1, price: 500, vcpus: 1, memory: 1024, bandwidth: 1000, iops: null };
      const held = { ...small, ...HELD_FOR_BOTH, paid: UNCHANGED };
      expect(await world(vm)).toMatchObject({ ...back, ...held });
      await isSeen(cp, vm);
      await cp.pump();
      const end = { outcome: "reverted", machine: "reverted", status: "error", error: "timed_out" };
      const now = { ...SMALL, disk, held_disk: disk, paid: UNCHANGED };
      expect(await world(vm)).toMatchObject({ ...now, ...end });
    },
  );

  test("holds room for both sizes, and is refused where there is none", async () => {
    const vm = await aVmToResize(cp, { places: 1 });
    const quote = await aStoredQuote(cp, vm);
    expect(await take(cp, vm, quote.id)).toMatchObject({ error: { code: "no_capacity" } });
    expect(await standsAt(cp, vm)).toEqual(SMALL);
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
    const { vm } = await aTakenQuote();
    const error = { code: "unsupported", detail: "memory is fixed" } as const;
    const seen = { observed: { size: SIZE }, error, settled: false };
    await hostSees(cp, vm.world.hostId, vm.vmId, seen);
    await cp.pump();
    const back = { why: "host_refused", money: "undone", paid: UNCHANGED };
    expect(await world(vm)).toMatchObject(back);
  });
});

describe("a payment that waits", () => {
  const asks = { pays: "authenticationRequired" } as const;
  const drop = ({ world: { buyer }, vmId }: Vm, who = buyer) =>
    dropPlanChange(cp.deps, { who, vmId, why: "cancelled" });

  test("that staff drop who act as its owner is dropped by them, says the audit log", async () => {
    const { vm } = await aTakenQuote(asks);
    const { buyer } = vm.world;
    const impersonator = v7();
    valueOf(await drop(vm, { ...buyer, impersonator }));
    const [row] = await cp.rows(
      `select actor_kind, actor_id, detail ->> 'on_behalf_of' as for_whom from audit_log
        where subject_id = $1 and detail ->> 'why' = 'cancelled'`,
      vm.vmId,
    );
    expect(row).toEqual({ actor_kind: "staff", actor_id: impersonator, for_whom: buyer.accountId });
  });

  test("locks nobody out, tells where to confirm it, and goes on once it is confirmed", async () => {
    const { vm } = await aTakenQuote(asks);
    const waits = { money: "waiting", machine: "waiting", status: "waiting", vcpus: 1 };
    const paid = { ...UNCHANGED, open: 1 };
    expect(await world(vm)).toMatchObject({ ...waits, ...HELD_FOR_BOTH, paid });
    expect(await lockedBy(vm)).toEqual([]);
    const stop = { who: vm.world.buyer, vmId: vm.vmId, type: "stop" } as const;
    valueOf(await requestAction(cp.deps, stop));
    expect(await onItsPage(cp, vm, { authenticate: "succeed" })).toBe(303);
    await cp.pump();
    // The other action is waited for.
    expect(await standsAt(cp, vm)).toMatchObject({ money: "applied", machine: "waiting" });
    await isSeen(cp, vm, { power: "off" });
    await later(cp, 5);
    await isSeen(cp, vm, { power: "off" });
    await cp.pump();
    expect(await world(vm)).toMatchObject({ ...GROWN, outcome: "committed", paid: PAID_MORE });
  });

  test("that was declined is paid with another card within the hour", async () => {
    const { vm } = await aTakenQuote({ pays: "chargeCustomerFail" });
    await later(cp, 58);
    expect(await onItsPage(cp, vm, { card: CARD.works })).toBe(303);
    await cp.pump();
    await isSeen(cp, vm);
    await cp.pump();
    expect(await world(vm)).toMatchObject({ ...GROWN, outcome: "committed", paid: PAID_MORE });
  });

  test("and is not made within the hour is void, and all is as it was", async () => {
    const { vm } = await aTakenQuote({ pays: "chargeCustomerFail" });
    await later(cp, 60);
    const back = { why: "not_paid", money: "dropped", machine: "untouched", outcome: "reverted" };
    const end = { ...back, error: "not_paid", paid: UNCHANGED };
    expect(await world(vm)).toMatchObject({ ...SMALL, ...end });
  });

  test("is dropped by who asked for it, once and for all, and by nobody else", async () => {
    const { vm } = await aTakenQuote(asks);
    const nobody = { error: { code: "vm_not_found" } };
    expect(await drop(vm, await aBuyer(cp))).toMatchObject(nobody);
    valueOf(await drop(vm));
    expect(valueOf(await drop(vm)).action).toMatchObject({ error: { code: "dropped" } });
    const back = { why: "cancelled", money: "dropped", outcome: "reverted", paid: UNCHANGED };
    expect(await world(vm)).toMatchObject({ ...SMALL, ...back });
  });

  test("and is made just as it is dropped goes back", async () => {
    const { vm } = await aTakenQuote(asks);
    // Its delivery has not come when it is dropped.
    expect(await onItsPage(cp, vm, { authenticate: "succeed" })).toBe(303);
    valueOf(await drop(vm));
    const back = { money: "undone", outcome: "reverted", paid: UNCHANGED };
    expect(await world(vm)).toMatchObject({ ...SMALL, ...back });
  });

  test("is dropped though the provider is away: the sweep goes on with it", async () => {
    const { vm } = await aTakenQuote(asks);
    cp.stripe.trouble.outage = true;
    valueOf(await drop(vm));
    expect(await standsAt(cp, vm)).toMatchObject({ money: "dropping", status: "waiting" });
    cp.stripe.trouble.outage = false;
    await later(cp, 2);
    expect(await world(vm)).toMatchObject({ ...SMALL, outcome: "reverted", paid: UNCHANGED });
  });

  test("gives way to another quote that is taken, whose own comes after its invoice is void", async () => {
    const vm = await aVmToResize(cp);
    await paysWith(cp, vm, "authenticationRequired");
    const [quote, other] = [await aStoredQuote(cp, vm), await aStoredQuote(cp, vm)];
    valueOf(await take(cp, vm, quote.id));
    await cp.pump();
    valueOf(await take(cp, vm, other.id));
    expect(await moneyOf(cp, vm)).toEqual(UNCHANGED);
    await cp.pump();
    const query = "select turned_back, money from plan_changes where vm_id = $1 order by id";
    expect(await cp.rows(query, vm.vmId)).toEqual([
      { turned_back: "replaced", money: "dropped" },
      { turned_back: null, money: "waiting" },
    ]);
    expect(await moneyOf(cp, vm)).toEqual({ ...UNCHANGED, open: 1 });
  });

  test("is not dropped once it is paid", async () => {
    const { vm } = await aTakenQuote();
    expect(await drop(vm)).toMatchObject({ error: { code: "change_under_way" } });
    const other = await aStoredQuote(cp, vm);
    expect(await take(cp, vm, other.id)).toMatchObject({ error: { code: "vm_locked" } });
    await isSeen(cp, vm);
    await cp.pump();
    expect(await drop(vm)).toMatchObject({ error: { code: "change_not_found" } });
  });
});

test("a quote is taken once, by who asked for it, for its VM, before it runs out, and while it holds", async () => {
  const vm = await aVmToResize(cp);
  const other = await aVmToResize(cp);
  const quote = await aStoredQuote(cp, vm);
  const code = async (of: Vm, id = quote.id) => {
    const taken = await take(cp, of, id);
    return taken.ok ? "taken" : taken.error.code;
  };
  expect(await code({ ...other, world: vm.world })).toBe("vm_not_found");
  expect(await code({ ...vm, world: other.world })).toBe("vm_not_found");
  expect(await code(other)).toBe("quote_not_found");
  const theirs = await aStoredQuote(cp, vm, { askedBy: other.world.buyer.accountId });
  expect(await code(vm, theirs.id)).toBe("quote_not_found");
  const old = await aStoredQuote(cp, vm, { expiresAt: new Date(+cp.clock.now() + 1) });
  cp.clock.advance(1);
  expect(await code(vm, old.id)).toBe("quote_expired");
  const larger = { ...quote.from, machine: { ...quote.from.machine, vcpus: 3 } };
  const wrong = await aStoredQuote(cp, vm, { from: larger });
  expect(await code(vm, wrong.id)).toBe("quote_outdated");
  const unfounded = await aStoredQuote(cp, vm, { basis: "of another period" });
  expect(await code(vm, unfounded.id)).toBe("quote_outdated");
  expect(await code(vm)).toBe("taken");
  expect(await code(vm)).toBe("quote_taken");
});

describe("down", () => {
  const HOUR_MS = 3_600_000;
  const KEPT_DISK = { ...SMALL, disk: 40, held_disk: 40 };
  /** Grown before, and seen so. */
  async function aLargeVm(): Promise<Vm> {
    const { vm } = await aTakenQuote();
    await isSeen(cp, vm);
    await cp.pump();
    return vm;
  }
  /** Back to the first version, with the disk that cannot shrink. */
  async function aTakenWayBack(vm: Vm, over: Over): Promise<void> {
    const { to } = await aStoredQuote(cp, { ...vm, version: 1 });
    const kept = { ...to, machine: { ...to.machine, diskGib: 40 } };
    const asked = { order: "machine_first", to: kept, ...over } as const;
    const quote = await aStoredQuote(cp, { ...vm, version: 1 }, asked);
    valueOf(await take(cp, vm, quote.id));
    await cp.pump();
  }
  const atRenewal = (inHours: number) =>
    ({
      when: "renewal",
      billing: "none",
      appliesAt: new Date(+cp.clock.now() + inHours * HOUR_MS),
    }) as const;

  test("at renewal waits unlocked until three hours before, is made and seen, and then priced from the next period on", async () => {
    const vm = await aLargeVm();
    await aTakenWayBack(vm, atRenewal(10));
    await later(cp, 7 * 60 - 1);
    const waits = { machine: "waiting", status: "waiting" };
    expect(await world(vm)).toMatchObject({ ...GROWN, ...waits, paid: PAID_MORE });
    await later(cp, 1);
    const applying = { machine: "applying", vcpus: 1, held_vcpus: 2, price: 900, paid: PAID_MORE };
    expect(await world(vm)).toMatchObject(applying);
    await isSeen(cp, vm);
    await cp.pump();
    const paid = { ...PAID_MORE, billed: 500 };
    expect(await world(vm)).toMatchObject({ ...KEPT_DISK, outcome: "committed", paid });
  });

  test("at renewal that is not seen in time leaves all as it was, and nothing is asked of the provider", async () => {
    const vm = await aLargeVm();
    await aTakenWayBack(vm, atRenewal(3));
    await later(cp, 61);
    const back = { why: "not_seen", machine: "reverting", money: "dropped", vcpus: 2 };
    expect(await world(vm)).toMatchObject({ ...back, paid: PAID_MORE });
    await isSeen(cp, vm);
    await cp.pump();
    expect(await world(vm)).toMatchObject({ ...GROWN, outcome: "reverted", paid: PAID_MORE });
  });

  test("at once is made and seen first, and then prorated", async () => {
    const vm = await aLargeVm();
    await aTakenWayBack(vm, {});
    expect(await moneyOf(cp, vm)).toEqual(PAID_MORE);
    await isSeen(cp, vm);
    await cp.pump();
    const paid = { billed: 500, kept: 900, balance: -400, open: 0 };
    expect(await world(vm)).toMatchObject({ ...KEPT_DISK, outcome: "committed", paid });
  });
});

test("another interval is paid, and then had: no machine is told of it", async () => {
  const vm = await aVmToResize(cp);
  const { from, to } = await aStoredQuote(cp, vm);
  const price = { interval: "year", amount: { minor: 9000n, currency: "usd" } } as const;
  const yearly = { ...to, machine: from.machine, price };
  const quote = await aStoredQuote(cp, vm, { to: yearly, method: "none" });
  const before = await cp.rows("select generation from vms where id = $1", vm.vmId);
  valueOf(await take(cp, vm, quote.id));
  await cp.pump();
  const year = { version: 2, price: 9000, machine: "none", outcome: "committed" };
  const paid = { billed: 9000, kept: 9000, balance: 0, open: 0 };
  expect(await world(vm)).toMatchObject({ ...SMALL, ...year, paid });
  expect(await cp.rows("select generation from vms where id = $1", vm.vmId)).toEqual(before);

  // Back to months with the renewal: the new period is billed as it begins, hours before the old one ends.
  const appliesAt = new Date(+cp.clock.now() + 4 * 3_600_000);
  const monthly = { ...yearly, price: to.price };
  const shorter = { when: "renewal", order: "machine_first", appliesAt, to: monthly } as const;
  const back = await aStoredQuote(cp, vm, { ...shorter, method: "none" });
  valueOf(await take(cp, vm, back.id));
  await cp.pump();
  expect(await moneyOf(cp, vm)).toEqual(paid);
  await later(cp, 60);
  const month = { version: 2, price: 900, machine: "none", outcome: "committed" };
  expect(await world(vm)).toMatchObject({ ...SMALL, ...month, paid: { billed: 900, open: 0 } });
});

describe("what comes between", () => {
  test.each([
    ["waits for its payment", { pays: "authenticationRequired" }, "dropped", "untouched"],
    ["is being made", {}, "undone", "gone"],
  ] as const)(
    "a delete while it %s gives back what was paid, and its room with the VM",
    async (_, how, money, machine) => {
      const { vm } = await aTakenQuote(how);
      const { buyer, hostId } = vm.world;
      valueOf(await requestAction(cp.deps, { who: buyer, vmId: vm.vmId, type: "delete" }));
      await cp.pump();
      const end = { why: "vm_deleted", money, machine, outcome: "reverted", error: "superseded" };
      const { kept, open } = await moneyOf(cp, vm);
      expect({ ...(await standsAt(cp, vm)), kept, open }).toMatchObject({
        ...end,
        kept: 500,
        open: 0,
      });
      await hostSees(cp, hostId, vm.vmId, { observed: null });
      await cp.pump();
      const query = "select allocated_vcpus, allocated_vms from hosts where id = $1";
      expect(await cp.rows(query, hostId)).toEqual([{ allocated_vcpus: 0, allocated_vms: 0 }]);
    },
  );

  test("a VM that is lost is to be what it was, should it come back, and what was paid goes back", async () => {
    const { vm } = await aTakenQuote();
    const error = { code: "vm_missing", detail: "gone" } as const;
    await hostSees(cp, vm.world.hostId, vm.vmId, { observed: null, settled: false, error });
    await cp.pump();
    const back = { why: "vm_lost", money: "undone", machine: "gone", error: "vm_lost" };
    // Its disk may have grown before.
    const disk = { disk: 40, held_disk: 40 };
    expect(await world(vm)).toMatchObject({ ...SMALL, ...disk, ...back, paid: UNCHANGED });
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
    expect(await world(vm)).toMatchObject({ ...grown, paid: UNCHANGED });
    await isSeen(cp, vm);
    await cp.pump();
    // The disk can't shrink: it stays, and is not charged.
    const end = { ...SMALL, disk: 40, held_disk: 40, outcome: "reverted", money: "undone" };
    expect(await world(vm)).toMatchObject({ ...end, paid: UNCHANGED });
  });

  test.each([
    ["canceled", "subscription_ended"],
    ["unpaid", "subscription_ended"],
    ["past_due", "invoice_open"],
  ])("a subscription that is %s turns back what waits", async (status, why) => {
    const { vm } = await aTakenQuote({ pays: "authenticationRequired" });
    await cp.rows("update services set subscription_status = $2 where vm_id = $1", vm.vmId, status);
    await later(cp, 2);
    const end = { ...SMALL, why, outcome: "reverted", paid: UNCHANGED };
    expect(await world(vm)).toMatchObject(end);
  });

  test("money that does not go back yet is asked for again, and locks nobody out; staff hear of what hangs", async () => {
    const { vm } = await aTakenQuote();
    cp.stripe.trouble.outage = true;
    await later(cp, 61);
    await isSeen(cp, vm);
    await later(cp, 2);
    const hangs = { money: "undoing", machine: "reverted", outcome: null, status: "error" };
    expect(await standsAt(cp, vm)).toMatchObject(hangs);
    expect(await lockedBy(vm)).toEqual([]);
    const told = async () => {
      await tellHangingChanges(cp.deps);
      const query = "select detail, ended_at is null as open from findings where vm_id = $1";
      return cp.rows(query, vm.vmId);
    };
    expect(await told()).toEqual([]);
    await later(cp, 60);
    const detail = "its money is undoing, its machine is reverted";
    expect(await told()).toEqual([{ detail, open: true }]);
    expect(await told()).toEqual([{ detail, open: true }]);
    cp.stripe.trouble.outage = false;
    await later(cp, 2);
    const end = { ...SMALL, money: "undone", outcome: "reverted", paid: UNCHANGED };
    expect(await world(vm)).toMatchObject(end);
    expect(await told()).toEqual([{ detail, open: false }]);
  });

  test("what was paid goes back of a subscription too that the delete has ended before", async () => {
    const { vm } = await aTakenQuote();
    const [service] = await cp.rows(
      "select subscription_id as id from services where vm_id = $1",
      vm.vmId,
    );
    const { buyer } = vm.world;
    valueOf(await requestAction(cp.deps, { who: buyer, vmId: vm.vmId, type: "delete" }));
    await cancelSubscription(cp.deps, String(service?.["id"]));
    await cp.pump();
    expect(await standsAt(cp, vm)).toMatchObject({ money: "undone", outcome: "reverted" });
    expect(await moneyOf(cp, vm)).toMatchObject({ kept: 500, balance: 0, open: 0 });
  });
});

test("a VM whose payer is staff is changed without any provider", async () => {
  const vm = await aVmToResize(cp);
  await cp.rows(
    `update services set payer = 'staff', subscription_id = null, subscription_status = null, subscription_version = null,
       interval = null, amount_minor = null, currency = null where vm_id = $1`,
    vm.vmId,
  );
  const nothing = { dueNow: null, credit: null, tax: null, differsBy: null } as const;
  const asked = { order: "machine_first", billing: "none", ...nothing } as const;
  const quote = await aStoredQuote(cp, vm, asked);
  const { length } = cp.stripe.calls;
  valueOf(await take(cp, vm, quote.id));
  await cp.pump();
  await isSeen(cp, vm);
  await cp.pump();
  const end = { ...GROWN, price: null, money: "exempt", outcome: "committed" };
  expect(await standsAt(cp, vm)).toMatchObject(end);
  expect(cp.stripe.calls).toHaveLength(length);
});
