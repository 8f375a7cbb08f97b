import type { Stripe } from "stripe";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { requestAction } from "#commands/vms/request-action.ts";
import { cancelSubscription, retryCancellations } from "#commands/billing/cancel-subscription.ts";
import { retryGiveBacks } from "#commands/billing/make-give-back.ts";
import { retryCrossed, returnCrossed } from "#commands/billing/return-crossed.ts";
import { showInvoices } from "#commands/billing/show-invoices.ts";
import { applyBillingEvent } from "#commands/orders/apply-billing-event.ts";
import { watchProvisioning } from "#commands/orders/watch-provisioning.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { differencesOf, runEachStep } from "#test/harness/each-step.ts";
import { emits } from "#test/harness/emits.ts";
import { snapshotOf } from "#test/harness/restored-database.ts";
import { CARD } from "#test/harness/stripe-in-process.ts";
import {
  anActiveVm,
  aProvisionedVm,
  aWorld,
  MONTH,
  valueOf,
  type World,
} from "#test/harness/world.ts";

/* 7a: cancelling or deleting settles open invoices at once, and a payment that crosses is given back. */

let cp: ControlPlane;
let world: World;
beforeEach(async () => {
  cp = await startControlPlane();
  world = await aWorld(cp);
});
afterEach(() => cp.drop());

const remove = async (vmId: string, of = world) =>
  valueOf(await requestAction(cp.deps, { who: of.buyer, vmId, type: "delete" }));
/** The next month begins, and is charged an hour later. */
function aMonthLater(): void {
  cp.clock.advanceDays(31);
  cp.stripe.standIn.runDue();
  cp.clock.advanceMinutes(61);
  cp.stripe.standIn.runDue();
}
const declineNext = async (count = 1) => {
  const [customer] = cp.stripe.standIn.store.all("customer");
  await cp.stripe.local("/fail-payments", { customer: customer?.id, count });
};
/** Of each invoice at Stripe, the oldest first. */
const atStripe = () => cp.stripe.standIn.store.all("invoice").map(({ status }) => status);
const held = async () =>
  (await cp.rows("select status from invoices order by created_at, provider_id")).map(
    (row) => row["status"],
  );
/** Deliveries are applied, and nothing that follows from them is done. */
async function deliverAll(): Promise<void> {
  await cp.stripe.standIn.webhooks.deliverDue();
  for (const row of await cp.rows("select message_id from inbox where applied_at is null"))
    await applyBillingEvent(cp.deps, String(row["message_id"]));
}
async function balances(): Promise<ReadonlyMap<unknown, unknown>> {
  const rows = await cp.rows(
    "select account, sum(amount_minor)::int as minor from ledger_entries group by account",
  );
  return new Map(rows.map((row) => [row["account"], row["minor"]]));
}
/** A period begins now, and is charged. */
const billNow = (subscription = "") =>
  cp.stripe.dashboard.subscriptions.update(subscription, {
    billing_cycle_anchor: { type: "now" },
    proration_behavior: "none",
  });
/** The customer pays on the invoice's page, with another card. */
async function payWithAnother(invoice: Stripe.Invoice | undefined): Promise<void> {
  const { dashboard } = cp.stripe;
  const customer = typeof invoice?.customer === "string" ? invoice.customer : "";
  const { id } = await dashboard.paymentMethods.attach("pm_card_visa", { customer });
  await dashboard.invoices.pay(invoice?.id ?? "", { payment_method: id });
}
const refunds = () => cp.stripe.standIn.store.all("refund");
const month = Number(MONTH);

describe("an invoice that is open when its VM is deleted", () => {
  test("is void at once, at Stripe and here, and nobody can pay it any more", async () => {
    const { vmId } = await anActiveVm(cp, world, CARD.failsAtRenewal);
    aMonthLater();
    await cp.pump();
    expect(atStripe()).toEqual(["paid", "open"]);
    await remove(vmId);
    await cp.pump();
    expect(atStripe()).toEqual(["paid", "void"]);
    expect(await held()).toEqual(["paid", "void"]);
    const [, invoice] = cp.stripe.standIn.store.all("invoice");
    await expect(payWithAnother(invoice)).rejects.toThrow("void");
    expect(await retryCancellations(cp.deps)).toEqual({ canceled: 0, failed: 0 });
  });

  test("is void when its subscription was ended by Stripe, as nobody had paid", async () => {
    await cp.drop();
    cp = await startControlPlane({ afterLastRetry: "cancel" });
    world = await aWorld(cp);
    await anActiveVm(cp, world, CARD.failsAtRenewal);
    aMonthLater();
    cp.clock.advanceDays(27);
    cp.stripe.standIn.runDue();
    await cp.pump();
    expect(cp.stripe.standIn.store.all("subscription")).toMatchObject([{ status: "canceled" }]);
    expect(atStripe()).toEqual(["paid", "void"]);
  });

  test("is void by the sweep when the message was lost, or somebody ended the subscription at Stripe", async () => {
    const { vmId } = await anActiveVm(cp, world, CARD.failsAtRenewal);
    aMonthLater();
    await cp.pump();
    const [subscription] = cp.stripe.standIn.store.all("subscription");
    await cp.stripe.dashboard.subscriptions.cancel(subscription?.id ?? "");
    await remove(vmId);
    expect(await retryCancellations(cp.deps)).toEqual({ canceled: 1, failed: 0 });
    expect(atStripe()).toEqual(["paid", "void"]);
    expect(await retryCancellations(cp.deps)).toEqual({ canceled: 0, failed: 0 });
  });

  test("as a draft is never opened", async () => {
    const { vmId } = await anActiveVm(cp, world);
    cp.clock.advanceDays(31);
    cp.stripe.standIn.runDue();
    expect(atStripe()).toEqual(["paid", "draft"]);
    await remove(vmId);
    await cp.pump();
    cp.clock.advanceDays(3);
    cp.stripe.standIn.runDue();
    await cp.pump();
    expect(atStripe()).toEqual(["paid", "draft"]);
    expect(await balances()).toEqual(
      new Map([
        ["customer_revenue", 0 - month],
        ["stripe_balance", month],
      ]),
    );
  });

  // facts/stripe §8: cancelling one stops the collection of all of the customer's.
  test("is no reason for another VM's invoice to stay unpaid", async () => {
    const { vmId } = await anActiveVm(cp, world);
    const other = await anActiveVm(cp, world);
    await declineNext(2);
    aMonthLater();
    await cp.pump();
    expect(atStripe()).toEqual(["paid", "paid", "open", "open"]);
    await remove(vmId);
    await cp.pump();
    expect(new Set(atStripe().slice(2))).toEqual(new Set(["open", "void"]));
    cp.clock.advanceDays(2);
    cp.stripe.standIn.runDue();
    await cp.pump();
    expect(new Set(atStripe().slice(2))).toEqual(new Set(["paid", "void"]));
    const [row] = await cp.rows(
      "select entitled_until > $2 as paid from services where vm_id = $1",
      other.vmId,
      cp.clock.now(),
    );
    expect(row).toEqual({ paid: true });
  });

  test("ends the same at whichever step it fails", async () => {
    const each = await runEachStep(cp, {
      arrange: async () => {
        const of = await aWorld(cp);
        const { vmId } = await anActiveVm(cp, of);
        const kept = await anActiveVm(cp, of);
        const { store } = cp.stripe.standIn;
        const customer = store.all("customer").at(-1)?.id;
        await cp.stripe.local("/fail-payments", { customer, count: 2 });
        for (const { id } of store.all("subscription").slice(-2)) await billNow(id);
        await cp.pump();
        await remove(vmId, of);
        const [row] = await cp.rows(
          "select subscription_id as id from services where vm_id = $1",
          vmId,
        );
        return { subscriptionId: String(row?.["id"]), customer, kept: kept.vmId };
      },
      act: ({ subscriptionId }) => cancelSubscription(cp.deps, subscriptionId),
      settle: async ({ customer }) => {
        await retryCancellations(cp.deps);
        await cp.pump();
        const open = cp.stripe.standIn.store
          .all("invoice")
          .filter((invoice) => invoice.customer === customer && invoice.status === "open");
        expect(open.map((invoice) => invoice.auto_advance)).toEqual([true]);
      },
    });
    expect(differencesOf(each)).toEqual([]);
  });
});

describe("a payment that came when its VM was to be gone", () => {
  /** A month that Stripe charged, as it could not be told in time. */
  async function charged() {
    const { orderId, vmId } = await anActiveVm(cp, world);
    await remove(vmId);
    aMonthLater();
    return { orderId, vmId };
  }

  test("goes back to the card once, is booked, and its owner sees it", async () => {
    await charged();
    await emits(cp, ["payment.crossed.v1", "entitlement.changed.v1"], async () => {
      await deliverAll();
      await retryCancellations(cp.deps);
    });
    await emits(cp, ["give_back.fell_due.v1"], () => retryCrossed(cp.deps));
    await emits(cp, ["give_back.made.v1"], () => retryGiveBacks(cp.deps));
    for (let n = 0; n < 2; n++) {
      expect(refunds()).toMatchObject([{ amount: month, status: "succeeded" }]);
      expect(await balances()).toEqual(
        new Map([
          ["customer_revenue", -2 * month],
          ["customer_refunds", month],
          ["stripe_balance", month],
        ]),
      );
      for (const { id } of cp.stripe.standIn.store.all("event"))
        cp.stripe.standIn.webhooks.resend(id);
      await cp.pump();
      expect(await retryCrossed(cp.deps)).toEqual({ settled: 0, failed: 0 });
    }
    const { items } = await showInvoices(cp.deps, world.buyer, { limit: 10, cursor: null });
    expect(items.map((i) => [i.crossed, i.givenBack.minor])).toEqual([
      [true, MONTH],
      [false, 0n],
    ]);
  });

  test("of an invoice from before the delete goes back too: it would have been void", async () => {
    const { vmId } = await anActiveVm(cp, world, CARD.failsAtRenewal);
    aMonthLater();
    await cp.pump();
    await remove(vmId);
    cp.clock.advanceMinutes(1);
    const [, invoice] = cp.stripe.standIn.store.all("invoice");
    await payWithAnother(invoice);
    await cp.pump();
    await retryCrossed(cp.deps);
    await cp.pump();
    expect(atStripe()).toEqual(["paid", "paid"]);
    expect(refunds()).toMatchObject([{ amount: month, status: "succeeded" }]);
  });

  test("of an order that was undone goes back beside the order's own money", async () => {
    await aProvisionedVm(cp, world);
    cp.clock.advanceMinutes(121);
    await watchProvisioning(cp.deps);
    aMonthLater();
    await cp.pump();
    await retryCrossed(cp.deps);
    await cp.pump();
    expect(refunds().map(({ amount }) => amount)).toEqual([month, month]);
    expect((await balances()).get("stripe_balance")).toBe(0);
  });

  test("stays when it came while the VM was there, whenever it is heard of", async () => {
    const { vmId } = await anActiveVm(cp, world);
    aMonthLater();
    cp.clock.advanceMinutes(1);
    await remove(vmId);
    await cp.pump();
    expect(await retryCrossed(cp.deps)).toEqual({ settled: 0, failed: 0 });
    expect(refunds()).toEqual([]);
    expect((await balances()).get("stripe_balance")).toBe(2 * month);
  });

  test("that staff gave back already does not go back again", async () => {
    await charged();
    const [, intent] = cp.stripe.standIn.store.all("payment_intent");
    await cp.stripe.dashboard.refunds.create({ payment_intent: intent?.id ?? "", amount: 200 });
    await cp.pump();
    await retryCrossed(cp.deps);
    await cp.pump();
    expect(refunds().reduce((sum, { amount }) => sum + amount, 0)).toBe(month);
    expect((await balances()).get("customer_refunds")).toBe(month);
  });

  test("goes back once also when a restored database has forgotten that it did", async () => {
    await charged();
    const kept = await snapshotOf(cp);
    try {
      for (let times = 0; times < 2; times++) {
        await cp.pump();
        await deliverAll();
        await retryCrossed(cp.deps);
        await cp.pump();
        expect(refunds().map(({ amount }) => amount)).toEqual([month]);
        if (times === 0) await kept.restore();
        for (const { id } of cp.stripe.standIn.store.all("event"))
          cp.stripe.standIn.webhooks.resend(id);
      }
      expect((await balances()).get("customer_refunds")).toBe(month);
    } finally {
      await kept.drop();
    }
  });

  test("ends the same at whichever step it fails", async () => {
    const each = await runEachStep(cp, {
      arrange: async () => {
        // All of them are of one control plane: together they take less than a month.
        const of = await aWorld(cp);
        const { vmId } = await anActiveVm(cp, of);
        await remove(vmId, of);
        cp.clock.advanceMinutes(1);
        await billNow(cp.stripe.standIn.store.all("subscription").at(-1)?.id);
        await cp.stripe.standIn.webhooks.deliverDue();
        for (const row of await cp.rows("select message_id from inbox where applied_at is null"))
          await applyBillingEvent(cp.deps, String(row["message_id"]));
      },
      act: async () => {
        for (const row of await cp.rows(
          "select id from invoices where crossed_end_at is not null and settled_at is null",
        ))
          await returnCrossed(cp.deps, String(row["id"]));
        await retryGiveBacks(cp.deps);
      },
    });
    expect(differencesOf(each)).toEqual([]);
    expect(each.undisturbed).toContainEqual(expect.stringMatching(/^give_backs /));
    const { store } = cp.stripe.standIn;
    for (const charge of store.all("charge"))
      expect(charge.amount_refunded).toBeLessThanOrEqual(charge.amount_captured);
  });
});
