import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { agreeOnDunning, type DunningDays } from "#commands/billing/agree-on-dunning.ts";
import { dun } from "#commands/billing/dun.ts";
import { retryGiveBacks } from "#commands/billing/make-give-back.ts";
import { retryCrossed } from "#commands/billing/return-crossed.ts";
import { FILLERS } from "#commands/fill-mail.ts";
import { sendDueMails } from "#commands/messages/send-mail.ts";
import { reviveVm } from "#commands/billing/revive-vm.ts";
import { tellHangingInvoices } from "#commands/billing/tell-hanging-invoices.ts";
import { suspendVm } from "#commands/billing/suspend-vm.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import { accounts } from "#db/schema/accounts.ts";
import { changeVm } from "#commands/vms/change-vm.ts";
import { listInvoices } from "#db/billing/invoices.ts";
import { desiredVmsOf } from "#db/vms/vms.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { aPrincipal } from "#test/builders.ts";
import { sampled } from "#test/harness/extent.ts";
import { CARD } from "#test/harness/stripe-in-process.ts";
import { anActiveVm, aWorld, hostSees, valueOf, type World } from "#test/harness/world.ts";

/* Issue 15 item 4: what is owed for a VM, from the reminder to its deletion, and back. */

let cp: ControlPlane;
beforeEach(async () => {
  cp = await startControlPlane();
});
afterEach(() => cp.drop());

/** A VM that runs and whose renewals are declined from now on. */
async function anUnpaidVm(of: ControlPlane = cp) {
  const world = await aWorld(of);
  const { vmId } = await anActiveVm(of, world, CARD.failsAtRenewal);
  await of.pump();
  of.clock.advanceDays(31);
  of.stripe.standIn.runDue();
  of.clock.advanceMinutes(61);
  of.stripe.standIn.runDue();
  await of.pump();
  return { world, vmId };
}

/** What is owed has its turn, and mails leave, until nothing moves any more. */
async function sweep(of: ControlPlane = cp): Promise<void> {
  for (let round = 0; round < 3; round++) {
    await dun(of.deps);
    await sendDueMails(of.deps, FILLERS);
    await of.pump();
    of.clock.advanceMinutes(2);
  }
}
/** Its owner pays what is open with another card, which is kept. */
async function payAtStripe(): Promise<void> {
  const { dashboard, standIn } = cp.stripe;
  const open = standIn.store.all("invoice").find(({ status }) => status === "open");
  const [subscription] = standIn.store.all("subscription");
  const customer = typeof open?.customer === "string" ? open.customer : "";
  const { id } = await dashboard.paymentMethods.attach("pm_card_visa", { customer });
  await dashboard.subscriptions.update(subscription?.id ?? "", { default_payment_method: id });
  await dashboard.invoices.pay(open?.id ?? "", { payment_method: id });
}
async function pay(): Promise<void> {
  await payAtStripe();
  await cp.pump();
}
/** Days in which nobody swept but at their end: what falls due counts from then on. */
async function days(n: number, of: ControlPlane = cp): Promise<void> {
  of.clock.advanceDays(n);
  of.stripe.standIn.runDue();
  await of.pump();
  await sweep(of);
}
const dunnings = async (of: ControlPlane = cp) =>
  (await of.rows("select state, outcome from dunnings order by id")).map(
    (row) => row["outcome"] ?? row["state"],
  );
const subjects = (of: ControlPlane = cp) => of.mails.map(({ subject }) => subject);
const statusAtStripe = () =>
  cp.stripe.standIn.store.all("subscription").map(({ status }) => status);
const vmRow = async (vmId: string) => {
  const [row] = await cp.rows("select presence, desired_power from vms where id = $1", vmId);
  return row;
};
/** When its host is to stop it. */
async function stopsOnHost(vmId: string): Promise<Date> {
  const [row] = await cp.rows("select host_id from vms where id = $1", vmId);
  const vms = await desiredVmsOf(cp.deps.db, String(row?.["host_id"]));
  const wire = vms.find((vm) => vm.vmId === vmId)?.entitledUntil ?? "";
  return new Date(Date.parse(wire) + 3 * 86_400_000);
}

describe("a VM that is not paid for", () => {
  test("is reminded of, stops after three days, ends after fourteen, and is deleted after thirty", async () => {
    const { vmId } = await anUnpaidVm();
    await sweep();
    expect(await dunnings()).toEqual(["reminded"]);
    // The mail of the failed payment has said it: a second one in the same minute is none's gain.
    expect(subjects().filter((s) => /not paid|failed/.test(s))).toHaveLength(1);
    await days(2);
    expect(await dunnings()).toEqual(["reminded"]);
    await days(2);
    expect(await dunnings()).toEqual(["suspended"]);
    expect(subjects().filter((s) => s.includes("is stopped: it is not paid for"))).toHaveLength(1);
    await days(12);
    expect(statusAtStripe()).toEqual(["past_due"]);
    await days(3);
    expect(await dunnings()).toEqual(["terminated"]);
    expect(statusAtStripe()).toEqual(["canceled"]);
    expect(subjects().at(-1)).toContain("has ended");
    expect(await cp.rows("select status from invoices where status = 'open'")).toEqual([]);
    await days(26);
    expect(await vmRow(vmId)).toMatchObject({ presence: "present" });
    await days(5);
    expect(await vmRow(vmId)).toMatchObject({ presence: "absent" });
    expect(await dunnings()).toEqual(["deleted"]);
  });

  test("is warned before it stops, however long nobody swept", async () => {
    const { vmId } = await anUnpaidVm();
    cp.clock.advanceDays(20);
    cp.stripe.standIn.runDue();
    await cp.pump();
    await sweep();
    expect(await dunnings()).toEqual(["reminded"]);
    expect(+(await stopsOnHost(vmId))).toBeGreaterThan(+cp.clock.now() + 2.9 * 86_400_000);
    await days(2);
    expect(await dunnings()).toEqual(["reminded"]);
    await days(2);
    expect(await dunnings()).toEqual(["suspended"]);
    cp.clock.advanceDays(60);
    await sweep();
    // Sixty days in which nobody swept are one step, and the next has all of its own.
    expect(await dunnings()).toEqual(["terminated"]);
    await days(29);
    expect(await vmRow(vmId)).toMatchObject({ presence: "present" });
  });

  test("does not stop before its reminder has left", async () => {
    await anUnpaidVm();
    await dun(cp.deps);
    cp.clock.advanceDays(5);
    await dun(cp.deps);
    expect(await dunnings()).toEqual(["begun"]);
  });

  test.each(["reminded", "suspended"] as const)(
    "and is %s runs again once it is paid",
    async (state) => {
      const { vmId } = await anUnpaidVm();
      await sweep();
      await days(state === "reminded" ? 1 : 5);
      expect(await dunnings()).toEqual([state]);
      await pay();
      expect(+(await stopsOnHost(vmId))).toBeGreaterThan(+cp.clock.now() + 20 * 86_400_000);
      await sweep();
      expect(await dunnings()).toEqual(["lifted"]);
      await days(60);
      // The month after is declined no more.
      expect(await dunnings()).toEqual(["lifted"]);
    },
  );

  test("and has ended, is kept while it is disputed", async () => {
    const { vmId } = await anUnpaidVm();
    await sweep();
    await days(5);
    await days(15);
    const input = {
      who: aPrincipal({ role: "staff" }),
      vmId,
      reason: "dispute",
      note: "its bank asks",
    } as const;
    const shown = valueOf(await suspendVm(cp.deps, { ...input, dryRun: true }));
    valueOf(await suspendVm(cp.deps, { ...input, dryRun: false, hash: shown.hash }));
    await days(40);
    expect(await vmRow(vmId)).toMatchObject({ presence: "present" });
    expect(await dunnings()).toEqual(["terminated"]);
  });

  test("is deleted in the end though its owner protects it: nobody holds room for nothing", async () => {
    const { world, vmId } = await anUnpaidVm();
    valueOf(await changeVm(cp.deps, { who: world.buyer, vmId, deleteProtected: true }));
    await sweep();
    await days(5);
    await days(15);
    await days(35);
    expect(await vmRow(vmId)).toMatchObject({ presence: "absent" });
    expect(await dunnings()).toEqual(["deleted"]);
  });
});

describe("the end of a subscription for debt", () => {
  /** It falls due at the next sweep. */
  async function dueToEnd(of: ControlPlane = cp) {
    // Those of the runs before stay as they are.
    await of.database.asOwner("update dunnings set due_at = '2999-01-01' where outcome is null");
    const vm = await anUnpaidVm(of);
    await sweep(of);
    await of.database.asOwner(
      `update dunnings set state = 'suspended', due_at = '2000-01-01',
        state_at = '${of.clock.now().toISOString()}'::timestamptz - interval '14 days' where vm_id = '${vm.vmId}'`,
    );
    await of.database.asOwner(
      `update services set entitled_until = entitled_until - interval '20 days', warned_until = null where vm_id = '${vm.vmId}'`,
    );
    return vm;
  }
  const owed = async () => {
    const [row] = await cp.rows(
      "select coalesce(sum(amount_minor), 0)::int as minor from ledger_entries where account = 'stripe_balance'",
    );
    return row?.["minor"];
  };

  test("comes to the same at whichever step it fails", async () => {
    const ends = async (at: number | undefined) => {
      const { vmId } = await dueToEnd();
      const points = await cp.steps.watch(() => dun(cp.deps), at);
      await cp.database.asOwner(
        `update dunnings set due_at = '2000-01-01' where vm_id = '${vmId}'`,
      );
      await dun(cp.deps);
      await dun(cp.deps);
      await cp.pump();
      const [row] = await cp.rows(
        `select d.id, d.state, s.subscription_status, s.settled_at is not null as settled, v.presence,
          (select count(*)::int from invoices i where i.order_id = o.id and i.status = 'open') as open,
          (select count(*)::int from mails m where m.about = d.id::text and m.kind = 'vm_kept_after_end') as mails
          from dunnings d join services s using (vm_id) join vms v on v.id = d.vm_id join orders o using (vm_id)
          where d.vm_id = $1`,
        vmId,
      );
      expect({ at: points[at ?? -1], ...row }).toMatchObject({
        state: "terminated",
        subscription_status: "canceled",
        settled: true,
        presence: "present",
        open: 0,
        mails: 1,
      });
      return points;
    };
    const points = await ends(undefined);
    const each = points.map((_, n) => n);
    for (const n of sampled("dunning", each, 4)) await ends(n);
  });

  test("is off when it turns out to be paid, and the payment counts", async () => {
    await dueToEnd();
    cp.stripe.trouble.outage = true;
    await dun(cp.deps);
    expect(await dunnings()).toEqual(["ending"]);
    cp.stripe.trouble.outage = false;
    await payAtStripe();
    await cp.pump();
    cp.clock.advanceMinutes(10);
    await sweep();
    expect(await dunnings()).toEqual(["lifted"]);
    expect(statusAtStripe()).toEqual(["active"]);
    expect(cp.stripe.standIn.store.all("refund")).toEqual([]);
    expect(await cp.rows("select 1 from invoices where crossed_end_at is not null")).toEqual([]);
  });

  test("gives a payment back that slips in while it is told", async () => {
    await dueToEnd();
    const before = await owed();
    const deps = {
      ...cp.deps,
      payments: {
        ...cp.deps.payments,
        cancelSubscription: async (id: string) => {
          await payAtStripe();
          return cp.deps.payments.cancelSubscription(id);
        },
      },
    };
    await dun(deps);
    expect(await dunnings()).toEqual(["terminated"]);
    await cp.pump();
    await retryCrossed(cp.deps);
    await retryGiveBacks(cp.deps);
    await cp.pump();
    expect(cp.stripe.standIn.store.all("refund")).toHaveLength(1);
    expect(await owed()).toEqual(before);
  });

  test("by Stripe or in its dashboard keeps what is on the VM as long, and tells its owner", async () => {
    const world = await aWorld(cp);
    const { vmId } = await anActiveVm(cp, world);
    await cp.pump();
    const [subscription] = cp.stripe.standIn.store.all("subscription");
    await cp.stripe.dashboard.subscriptions.cancel(subscription?.id ?? "");
    await cp.pump();
    await sweep();
    expect(await dunnings()).toEqual(["terminated"]);
    expect(subjects().filter((s) => s.includes("has ended"))).toHaveLength(1);
    await days(29);
    expect(await vmRow(vmId)).toMatchObject({ presence: "present" });
    await days(2);
    expect(await vmRow(vmId)).toMatchObject({ presence: "absent" });
  });
});

describe("a VM whose subscription has ended", () => {
  async function anEndedVm() {
    const vm = await anUnpaidVm();
    await sweep();
    await days(5);
    await days(15);
    expect(await dunnings()).toEqual(["terminated"]);
    return vm;
  }
  const revive = ({ world, vmId }: { world: World; vmId: string }) =>
    reviveVm(cp.deps, { who: world.buyer, vmId });

  test("is bought anew as it was: the same VM, by another subscription", async () => {
    const vm = await anEndedVm();
    const page = valueOf(await revive(vm));
    expect(valueOf(await revive(vm))).toEqual(page);
    expect(await cp.stripe.pay(page.checkoutUrl)).toBe(303);
    await cp.pump();
    await sweep();
    expect(await dunnings()).toEqual(["revived"]);
    expect(statusAtStripe()).toEqual(["canceled", "active"]);
    expect(+(await stopsOnHost(vm.vmId))).toBeGreaterThan(+cp.clock.now() + 30 * 86_400_000);
    const paid = await cp.rows(
      "select paid_minor::int as minor from invoices where status = 'paid'",
    );
    expect(paid).toEqual([{ minor: 500 }, { minor: 500 }]);
    // It renews as any other.
    await days(40);
    expect(await dunnings()).toEqual(["revived"]);
    expect(await cp.rows("select 1 from invoices where status = 'paid'")).toHaveLength(3);
    expect(await vmRow(vm.vmId)).toMatchObject({ presence: "present" });
  });

  test("stays while its page is open, and when it was paid and nobody heard of that", async () => {
    const vm = await anEndedVm();
    await days(24);
    const page = valueOf(await revive(vm));
    expect(await cp.stripe.pay(page.checkoutUrl)).toBe(303);
    // Nothing is delivered.
    cp.clock.advanceDays(7);
    await dun(cp.deps);
    expect(await dunnings()).toEqual(["revived"]);
    expect(await vmRow(vm.vmId)).toMatchObject({ presence: "present" });
  });

  test("is not kept by asking for pages again and again: none opens when its time is over", async () => {
    const vm = await anEndedVm();
    await days(29);
    const page = valueOf(await revive(vm));
    expect(page.checkoutUrl).toMatch(/^http/);
    cp.clock.advanceDays(1);
    expect(await revive(vm)).toMatchObject({ error: { code: "vm_not_ended" } });
    await days(2);
    expect(await vmRow(vm.vmId)).toMatchObject({ presence: "absent" });
  });

  test("gives the money back that came when it was deleted", async () => {
    const vm = await anEndedVm();
    const page = valueOf(await revive(vm));
    valueOf(await requestAction(cp.deps, { who: vm.world.buyer, vmId: vm.vmId, type: "delete" }));
    expect(await cp.stripe.pay(page.checkoutUrl)).toBe(303);
    await cp.pump();
    await retryCrossed(cp.deps);
    await retryGiveBacks(cp.deps);
    await cp.pump();
    expect(statusAtStripe()).toEqual(["canceled", "canceled"]);
    expect(cp.stripe.standIn.store.all("refund").map(({ amount }) => amount)).toEqual([500]);
  });

  test("and one that has not, and another's, are not revived", async () => {
    const vm = await anUnpaidVm();
    expect(await revive(vm)).toMatchObject({ error: { code: "vm_not_ended" } });
    const stranger = await reviveVm(cp.deps, { who: aPrincipal(), vmId: vm.vmId });
    expect(stranger).toMatchObject({ error: { code: "vm_not_found" } });
  });
});

describe("what was agreed on with a customer", () => {
  const agree = async (accountId: string, days: DunningDays | null) => {
    const who = aPrincipal({ role: "staff" });
    const { accountId: id, email, name, role } = who;
    const at = cp.clock.now();
    const written = {
      id,
      email,
      name,
      role,
      staffRole: "owner" as const,
      emailVerified: true,
      createdAt: at,
      updatedAt: at,
    };
    await cp.deps.db.insert(accounts).values(written);
    const input = { who, accountId, days, reason: "they asked" };
    const shown = valueOf(await agreeOnDunning(cp.deps, { ...input, dryRun: true }));
    return valueOf(await agreeOnDunning(cp.deps, { ...input, dryRun: false, hash: shown.hash }));
  };
  const patient = { suspendDays: 10, terminateDays: 60, deleteDays: 90 };

  test("holds for what they owe, on their hosts, and for what they order later; and ends", async () => {
    const vm = await anUnpaidVm();
    await sweep();
    const before = await stopsOnHost(vm.vmId);
    const { accountId } = vm.world.buyer;
    await agree(accountId, patient);
    expect(+(await stopsOnHost(vm.vmId)) - +before).toBeGreaterThan(6.9 * 86_400_000);
    await days(8);
    expect(await dunnings()).toEqual(["reminded"]);
    await hostSees(cp, vm.world.hostId, vm.vmId);
    const later = await anActiveVm(cp, vm.world);
    const [row] = await cp.rows("select suspend_days from services where vm_id = $1", later.vmId);
    expect(row).toEqual({ suspend_days: 10 });
    await agree(accountId, null);
    await sweep();
    expect(await dunnings()).toEqual(["suspended"]);
  });

  test("is written once, and is never another one later", async () => {
    const vm = await anUnpaidVm();
    await agree(vm.world.buyer.accountId, patient);
    const said = await agree(vm.world.buyer.accountId, patient);
    expect(said.effects).toEqual(["nothing: that holds already"]);
    expect(await cp.rows("select version from dunning_policies")).toHaveLength(2);
  });
});

describe("staff are told", () => {
  const findings = async () =>
    (await cp.rows("select kind, ended_at is null as open from findings order by id")).map(
      ({ kind, open }) => `${String(kind)}${open === true ? "" : ", ended"}`,
    );

  test("of a subscription that Stripe ended while it was dunned for", async () => {
    await cp.drop();
    cp = await startControlPlane({ afterLastRetry: "cancel" });
    await anUnpaidVm();
    await sweep();
    await days(16);
    expect(await findings()).toEqual(["ended_by_provider"]);
    expect(await dunnings()).toEqual(["terminated"]);
    await days(31);
    expect(await findings()).toEqual(["ended_by_provider, ended"]);
  });

  test("of a period that is over, and for which nothing was sent, and no more once it was", async () => {
    const world = await aWorld(cp);
    const { vmId } = await anActiveVm(cp, world);
    await cp.pump();
    // Its renewal hangs: Stripe makes no invoice, as far as we are told.
    cp.clock.advanceDays(31);
    await tellHangingInvoices(cp.deps);
    expect(await findings()).toEqual([]);
    cp.clock.advanceMinutes(240);
    await tellHangingInvoices(cp.deps);
    await tellHangingInvoices(cp.deps);
    expect(await findings()).toEqual(["invoice_hangs"]);
    expect(await dunnings()).toEqual([]);
    cp.stripe.standIn.runDue();
    cp.clock.advanceMinutes(61);
    cp.stripe.standIn.runDue();
    await cp.pump();
    expect(await vmRow(vmId)).toMatchObject({ presence: "present" });
    await tellHangingInvoices(cp.deps);
    expect(await findings()).toEqual(["invoice_hangs, ended"]);
  });

  test("at once of an invoice that Stripe could not send, which its customer is not shown, until it is sent", async () => {
    const world = await aWorld(cp);
    await anActiveVm(cp, world);
    const [customer] = cp.stripe.standIn.store.all("customer");
    const fail = (code: string | null) =>
      cp.stripe.local("/fail-finalization", { customer: customer?.id, code });
    await fail("customer_tax_location_invalid");
    cp.clock.advanceDays(31);
    cp.stripe.standIn.runDue();
    cp.clock.advanceMinutes(61);
    cp.stripe.standIn.runDue();
    await cp.pump();
    await tellHangingInvoices(cp.deps);
    await tellHangingInvoices(cp.deps);
    expect(await findings()).toEqual(["invoice_hangs"]);
    const [finding] = await cp.rows("select detail from findings");
    expect(finding?.["detail"]).toContain("customer_tax_location_invalid");
    expect(
      await listInvoices(cp.deps.db, world.buyer.accountId, { limit: 9, before: null }),
    ).toHaveLength(1);
    await fail(null);
    const draft = cp.stripe.standIn.store.all("invoice").find(({ status }) => status === "draft");
    await cp.stripe.dashboard.invoices.finalizeInvoice(draft?.id ?? "");
    await cp.pump();
    await tellHangingInvoices(cp.deps);
    expect(await findings()).toEqual(["invoice_hangs, ended"]);
    expect(await dunnings()).toEqual([]);
  });
});
