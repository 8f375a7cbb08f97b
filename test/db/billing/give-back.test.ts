import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { freezeBilling } from "#commands/billing/freeze-billing.ts";
import { makeGiveBack, retryGiveBacks } from "#commands/billing/make-give-back.ts";
import { settleLosses } from "#commands/billing/settle-losses.ts";
import { repairVm, showRepair } from "#commands/vms/repair-vm.ts";
import { ProviderUnavailable } from "#core/billing/payments.ts";
import { aPrincipal } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { differencesOf, runEachStep } from "#test/harness/each-step.ts";
import { emits } from "#test/harness/emits.ts";
import { snapshotOf } from "#test/harness/restored-database.ts";
import { anActiveVm, aWorld, hostSees, MONTH, valueOf, type World } from "#test/harness/world.ts";

/* 5.1: paid time in which a VM was not there becomes credit; of one that is given up it goes back. Never both. */

let cp: ControlPlane;
let world: World;
let vmId: string;
beforeEach(async () => {
  cp = await startControlPlane({ oneMayDestroy: true });
  ({ world, vmId } = await aVm());
});
afterEach(() => cp.drop());

async function aVm() {
  const of = await aWorld(cp);
  return { world: of, vmId: (await anActiveVm(cp, of)).vmId };
}
const lose = (of = { world, vmId }) =>
  hostSees(cp, of.world.hostId, of.vmId, {
    observed: null,
    settled: false,
    error: { code: "vm_missing", detail: "gone" },
  });
const isBack = () => hostSees(cp, world.hostId, vmId);
const giveUp = async (of = vmId) => {
  const asked = { who: aPrincipal({ role: "staff" }), vmId: of, how: "give_up" } as const;
  const { hash } = valueOf(await showRepair(cp.deps, asked));
  return valueOf(await repairVm(cp.deps, { ...asked, hash }));
};
/** Time passes, and what falls due at the provider is followed. */
async function days(count: number): Promise<void> {
  cp.clock.advanceDays(count);
  cp.stripe.standIn.runDue();
  await cp.pump();
  cp.clock.advanceMinutes(61);
  cp.stripe.standIn.runDue();
  await cp.pump();
}
const settle = async () => {
  const settled = await settleLosses(cp.deps);
  await cp.pump();
  return settled;
};
/** What each account of the ledger holds, and what the provider says of the same. */
async function books() {
  const rows = await cp.rows(
    "select account, sum(amount_minor)::int as minor from ledger_entries group by account",
  );
  const booked = new Map(rows.map((row) => [row["account"], row["minor"]]));
  const { store } = cp.stripe.standIn;
  const sum = (amounts: readonly number[]) => amounts.reduce((all, n) => all + n, 0);
  const balance = sum(store.all("customer").map((customer) => customer.balance));
  const refunded = sum(store.all("refund").map((refund) => refund.amount));
  expect(booked.get("customer_credit") ?? 0).toBe(balance);
  expect(booked.get("customer_refunds") ?? 0).toBe(refunded);
  return { credit: 0 - balance, refunded };
}
/** How much of the month's price is of so many milliseconds. */
const share = async (ms: number) => {
  const [invoice] = cp.stripe.standIn.store.all("invoice");
  const period = invoice?.lines.data[0]?.period ?? { start: 0, end: 1 };
  return Math.floor((Number(MONTH) * ms) / ((period.end - period.start) * 1000));
};
const NOTHING = { settled: 0, failed: 0 };

describe("a VM that was lost", () => {
  test("and is back has the time between as credit, once, which pays its next invoice", async () => {
    const seen = cp.clock.now();
    await days(2);
    await lose();
    await days(1);
    expect(await settle()).toEqual(NOTHING);
    await isBack();
    const lost = +cp.clock.now() - +seen;
    const due = await emits(cp, ["give_back.fell_due.v1"], () => settleLosses(cp.deps));
    expect(due).toEqual({ ...NOTHING, settled: 1 });
    await emits(cp, ["give_back.made.v1"], () => retryGiveBacks(cp.deps));
    const credit = await share(lost);
    expect(credit).toBeGreaterThan(30);
    for (let n = 0; n < 2; n++) {
      expect(await books()).toEqual({ credit, refunded: 0 });
      expect(await settle()).toEqual(NOTHING);
      expect(await retryGiveBacks(cp.deps)).toEqual({ made: 0, failed: 0 });
    }
    await days(31);
    expect(await cp.rows("select paid_minor::int from invoices order by created_at")).toEqual([
      { paid_minor: Number(MONTH) },
      { paid_minor: Number(MONTH) - credit },
    ]);
    expect(await books()).toEqual({ credit: 0, refunded: 0 });
  });

  // 5, item 8: the database was restored to before the credit, which Stripe shows (docs/adr/0040).
  test("and is back, twice as a restored database has it, has its credit once", async () => {
    await days(2);
    await lose();
    await days(1);
    const kept = await snapshotOf(cp);
    try {
      await isBack();
      await settle();
      const { credit } = await books();
      expect(credit).toBeGreaterThan(0);
      const begun = +cp.clock.now();
      cp.clock.advanceMinutes(180);
      await kept.restore();
      await isBack();
      expect(await settle()).toEqual({ ...NOTHING, settled: 1 });
      // Only for the hours until it was seen again: the restored database knows it as lost until then.
      expect(await books()).toEqual({
        credit: credit + (await share(+cp.clock.now() - begun)),
        refunded: 0,
      });
      expect(await settle()).toEqual(NOTHING);
      expect(await retryGiveBacks(cp.deps)).toEqual({ made: 0, failed: 0 });
    } finally {
      await kept.drop();
    }
  });

  // 5, item 8.
  test("and is given up, twice as a restored database has it, gives back once", async () => {
    await days(10);
    await lose();
    const kept = await snapshotOf(cp);
    try {
      await giveUp();
      await settle();
      const { refunded } = await books();
      expect(refunded).toBeGreaterThan(0);
      cp.clock.advanceMinutes(180);
      await kept.restore();
      await giveUp();
      expect(await settle()).toEqual({ ...NOTHING, settled: 1 });
      expect(await books()).toEqual({ credit: 0, refunded });
    } finally {
      await kept.drop();
    }
  });

  test("for the rest of its paid time has that as credit when it is over, and no more when it is back", async () => {
    const seen = cp.clock.now();
    await lose();
    await days(2);
    await freezeBilling(cp.deps);
    await days(40);
    const [entitled] = await cp.rows(
      "select entitled_until as until from services where vm_id = $1",
      vmId,
    );
    const until = Number(entitled?.["until"]);
    expect(await settle()).toEqual({ ...NOTHING, settled: 1 });
    const credit = await share(until - +seen);
    expect(await books()).toEqual({ credit, refunded: 0 });
    expect(await settle()).toEqual(NOTHING);
    await isBack();
    await freezeBilling(cp.deps);
    await cp.pump();
    expect(await settle()).toEqual({ ...NOTHING, settled: 1 });
    // The period that began with it is paid with the credit, but for a cent: too little to be charged, and so owed.
    expect(await books()).toEqual({ credit: -1, refunded: 0 });
    expect(await settle()).toEqual(NOTHING);
  });

  test("and is given up gives back what was paid since it was last seen, to where it came from", async () => {
    const seen = cp.clock.now();
    await days(10);
    await lose();
    await days(3);
    const [entitled] = await cp.rows(
      "select entitled_until as until from services where vm_id = $1",
      vmId,
    );
    await giveUp();
    await cp.pump();
    expect(await settle()).toEqual({ ...NOTHING, settled: 1 });
    const refunded = await share(Number(entitled?.["until"]) - +seen);
    expect(await books()).toEqual({ credit: 0, refunded });
    await hostSees(cp, world.hostId, vmId, { observed: null });
    expect(await settle()).toEqual(NOTHING);
    await cp.pump();
    expect(await books()).toEqual({ credit: 0, refunded });
    expect(await cp.rows("select state from orders")).toEqual([{ state: "completed" }]);
  });

  test("twice, and is given up the second time, never gives back more than was paid", async () => {
    await days(10);
    await lose();
    await isBack();
    await settle();
    const { credit } = await books();
    expect(credit).toBeGreaterThan(0);
    await lose();
    await giveUp();
    await settle();
    const { refunded } = await books();
    expect(credit + refunded).toBeLessThanOrEqual(Number(MONTH));
    expect(credit + refunded).toBeGreaterThanOrEqual(Number(MONTH) - 2);
  });

  test("and was paid back by staff meanwhile has nothing more to get", async () => {
    const [charge] = cp.stripe.standIn.store.all("charge");
    await cp.stripe.dashboard.refunds.create({ charge: charge?.id ?? "" });
    await cp.pump();
    await lose();
    await giveUp();
    expect(await settle()).toEqual({ ...NOTHING, settled: 1 });
    expect(await books()).toEqual({ credit: 0, refunded: Number(MONTH) });
  });

  test("whose provider is away is settled, and given its money back, when it is there again", async () => {
    await lose();
    await days(1);
    await isBack();
    const away = () => Promise.reject(new ProviderUnavailable("away"));
    const none = { ...cp.deps.payments, paidPeriods: away, giveCredit: away };
    const without = { ...cp.deps, payments: none };
    expect(await settleLosses(without)).toEqual({ settled: 0, failed: 1 });
    expect(await settleLosses(cp.deps)).toEqual({ settled: 1, failed: 0 });
    expect(await retryGiveBacks(without)).toEqual({ made: 0, failed: 1 });
    expect(await retryGiveBacks(cp.deps)).toEqual({ made: 1, failed: 0 });
    const { credit } = await books();
    expect(credit).toBeGreaterThan(0);
  });
});

describe("is given back once, at whichever step it was cut short:", () => {
  test.each(["credit", "a refund"] as const)("%s", async (what) => {
    const each = await runEachStep(cp, {
      arrange: async () => {
        // All of them are of one control plane: together they take less than a month, in which none is renewed.
        const of = await aVm();
        cp.clock.advanceMinutes(10);
        await lose(of);
        cp.clock.advanceMinutes(200);
        if (what === "credit") await hostSees(cp, of.world.hostId, of.vmId);
        else await giveUp(of.vmId);
      },
      act: async () => {
        await settleLosses(cp.deps);
        await retryGiveBacks(cp.deps);
      },
    });
    expect(differencesOf(each)).toEqual([]);
    expect(each.undisturbed).toContainEqual(expect.stringMatching(/^give_backs /));
    await books();
  });

  test("by its message", async () => {
    await lose();
    await days(1);
    await isBack();
    await settleLosses(cp.deps);
    const [row] = await cp.rows("select id from give_backs");
    const id = String(row?.["id"]);
    expect(await makeGiveBack(cp.deps, id)).toBe("made");
    expect(await makeGiveBack(cp.deps, id)).toBe("repeat");
  });
});
