import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { dropPlanChange } from "#commands/billing/drop-plan-change.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import {
  aStoredQuote,
  aVmToResize,
  isSeen,
  later,
  moneyOf,
  onItsPage,
  paysOtherwise,
  standsAt,
  take,
  type Vm,
} from "#test/harness/plan-changes.ts";
import { CARD } from "#test/harness/stripe-in-process.ts";
import { valueOf } from "#test/harness/world.ts";

/* 6a 2, invariants 21 and 22: where no card is charged, what is due is paid on a page before the price is changed. */

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());
afterEach(() => {
  cp.stripe.trouble.outage = false;
});

const UNCHANGED = { billed: 500, kept: 500, balance: 0, open: 0 };
const PAID_MORE = { billed: 900, kept: 900, balance: 0, open: 0 };

type Over = Parameters<typeof aStoredQuote>[2];
/** A quote of the way up is taken by who pays otherwise than by card, and followed until it waits on its page. */
async function aPage(how: "bank" | "sent" = "bank", over: Over = {}): Promise<Vm> {
  const vm = await aVmToResize(cp);
  await paysOtherwise(cp, vm, how);
  const quote = await aStoredQuote(cp, vm, { paysBy: "other", ...over });
  valueOf(await take(cp, vm, quote.id));
  await cp.pump();
  return vm;
}
const pays = (vm: Vm) => onItsPage(cp, vm, { card: CARD.works });
const world = async (vm: Vm) => ({ ...(await standsAt(cp, vm)), paid: await moneyOf(cp, vm) });
/** What our books say of its order, in minor units. */
async function books({ orderId }: Vm): Promise<object> {
  const rows = await cp.rows(
    `select account, sum(amount_minor)::int as minor from ledger_entries e join ledger_transactions t on t.id = e.transaction_id
     where t.order_id = $1 group by account`,
    orderId,
  );
  return Object.fromEntries(rows.map(({ account, minor }) => [String(account), minor]));
}

test.each(["bank", "sent"] as const)(
  "what is due waits on a page of its own (%s), and is made once that is paid",
  async (how) => {
    const vm = await aPage(how);
    const waits = { money: "waiting", machine: "waiting", status: "waiting" };
    expect(await world(vm)).toMatchObject({ ...waits, paid: UNCHANGED });
    expect(await pays(vm)).toBe(303);
    // Its webhook rings the change.
    await cp.pump();
    const applying = { money: "applied", machine: "applying", paid: PAID_MORE };
    expect(await world(vm)).toMatchObject(applying);
    await isSeen(cp, vm);
    await cp.pump();
    expect(await world(vm)).toMatchObject({ version: 2, outcome: "committed", paid: PAID_MORE });
    const credit = { customer_credit: 0, customer_revenue: -900, stripe_balance: 900 };
    expect(await books(vm)).toEqual(credit);
  },
);

test("what is paid and not seen goes back in full, and the books are even", async () => {
  const vm = await aPage();
  expect(await pays(vm)).toBe(303);
  await cp.pump();
  await later(cp, 61);
  await isSeen(cp, vm);
  await cp.pump();
  const back = { why: "not_seen", money: "undone", outcome: "reverted", version: 1 };
  expect(await world(vm)).toMatchObject({ ...back, paid: UNCHANGED });
  const even = { customer_credit: 0, customer_revenue: -500, stripe_balance: 500 };
  expect(await books(vm)).toEqual(even);
});

test("what is not paid within the hour is over: nobody pays on its page any more", async () => {
  const vm = await aPage();
  const [row] = await cp.rows("select pay_url as url from plan_changes where vm_id = $1", vm.vmId);
  await later(cp, 60);
  const back = { why: "not_paid", money: "dropped", outcome: "reverted" };
  expect(await world(vm)).toMatchObject({ ...back, paid: UNCHANGED });
  expect(await cp.stripe.pay(String(row?.["url"]))).not.toBe(303);
});

test("what is paid just as it is dropped, or as its hour ends, goes back in full", async () => {
  const [dropped, late] = [await aPage(), await aPage()];
  expect(await pays(dropped)).toBe(303);
  // Its delivery has not come yet.
  const who = dropped.world.buyer;
  valueOf(await dropPlanChange(cp.deps, { who, vmId: dropped.vmId, why: "cancelled" }));
  await cp.pump();
  const back = { money: "undone", outcome: "reverted", version: 1, paid: UNCHANGED };
  expect(await world(dropped)).toMatchObject({ ...back, why: "cancelled" });
  cp.clock.advanceMinutes(59);
  expect(await pays(late)).toBe(303);
  await later(cp, 2);
  expect(await world(late)).toMatchObject({ ...back, why: "not_paid" });
  const even = { customer_credit: 0, customer_revenue: -500, stripe_balance: 500 };
  expect([await books(dropped), await books(late)]).toEqual([even, even]);
});

test("another interval is paid on its page, and is not taken back once it holds", async () => {
  const vm = await aVmToResize(cp);
  await paysOtherwise(cp, vm);
  const { from, to } = await aStoredQuote(cp, vm);
  const price = { interval: "year", amount: { minor: 9000n, currency: "usd" } } as const;
  const yearly = { ...to, machine: from.machine, price };
  const dueNow = { minor: 8500n, currency: "usd" } as const;
  const asked = { to: yearly, method: "none", paysBy: "other", dueNow } as const;
  const quote = await aStoredQuote(cp, vm, asked);
  valueOf(await take(cp, vm, quote.id));
  await cp.pump();
  expect(await moneyOf(cp, vm)).toEqual(UNCHANGED);
  expect(await pays(vm)).toBe(303);
  await cp.pump();
  const year = { version: 2, price: 9000, machine: "none", outcome: "committed" };
  const paid = { billed: 9000, kept: 9000, balance: 0, open: 0 };
  expect(await world(vm)).toMatchObject({ ...year, paid });
});

test("a provider that is away while it is paid is asked again, and all is done once", async () => {
  const vm = await aPage();
  expect(await pays(vm)).toBe(303);
  cp.stripe.trouble.outage = true;
  await cp.pump();
  expect(await standsAt(cp, vm)).toMatchObject({ money: "waiting" });
  cp.stripe.trouble.outage = false;
  await later(cp, 6);
  await isSeen(cp, vm);
  await cp.pump();
  expect(await world(vm)).toMatchObject({ outcome: "committed", paid: PAID_MORE });
});

test("less than the least charge is made at once, and carried to the next invoice", async () => {
  const vm = await aVmToResize(cp);
  await paysOtherwise(cp, vm);
  cp.clock.advanceDays(29);
  // Two of 31 days, and some minutes less.
  const dueNow = { minor: 26n, currency: "usd" } as const;
  const quote = await aStoredQuote(cp, vm, { paysBy: "other", dueNow });
  valueOf(await take(cp, vm, quote.id));
  await cp.pump();
  await isSeen(cp, vm);
  await cp.pump();
  const paid = { billed: 900, kept: 500, balance: 26, open: 0 };
  expect(await world(vm)).toMatchObject({ outcome: "committed", paid });
  const [change] = await cp.rows("select checkout_id from plan_changes where vm_id = $1", vm.vmId);
  expect(change).toEqual({ checkout_id: null });
});
