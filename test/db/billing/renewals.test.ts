import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { CARD } from "#test/harness/stripe-in-process.ts";
import { aProvisionedVm, aWorld } from "#test/harness/world.ts";

let cp: ControlPlane;
beforeEach(async () => {
  cp = await startControlPlane();
});
afterEach(() => cp.drop());

describe("renewals", () => {
  const entitled = async (vmId: string) => {
    const [row] = await cp.rows(
      "select entitled_until as until from services where vm_id = $1",
      vmId,
    );
    return row?.["until"];
  };
  const status = async (vmId: string) =>
    (await cp.rows("select subscription_status from services where vm_id = $1", vmId))[0]?.[
      "subscription_status"
    ];
  const bookedPayments = async (orderId: string) =>
    (
      await cp.rows(
        "select 1 from ledger_transactions where order_id = $1 and kind = 'payment'",
        orderId,
      )
    ).length;

  async function aMonthLater() {
    cp.clock.advanceDays(31);
    cp.stripe.standIn.runDue();
    await cp.pump();
    // Stripe charges a renewal about an hour after the period has moved on.
    cp.clock.advanceMinutes(61);
    cp.stripe.standIn.runDue();
    await cp.pump();
  }

  test("that are paid extend the entitlement by a month, and are booked", async () => {
    const { orderId, vmId } = await aProvisionedVm(cp, await aWorld(cp));
    expect(await entitled(vmId)).toEqual(new Date("2026-04-01T12:00:17.000Z"));
    await aMonthLater();
    expect(await entitled(vmId)).toEqual(new Date("2026-05-01T12:00:17.000Z"));
    expect(await bookedPayments(orderId)).toBe(2);
    expect(cp.queues.rings.length).toBeGreaterThan(1);
  });

  test("add nothing while they are not charged, although Stripe has moved the period on", async () => {
    const { vmId } = await aProvisionedVm(cp, await aWorld(cp));
    cp.clock.advanceDays(31);
    cp.stripe.standIn.runDue();
    await cp.pump();
    expect(await entitled(vmId)).toEqual(new Date("2026-04-01T12:00:17.000Z"));
  });

  // 6a 2: its invoice comes to less than nothing, and is `paid` at once; the month that it is of is not.
  test("that fail are not made good by a proration that is paid", async () => {
    const { vmId } = await aProvisionedVm(cp, await aWorld(cp), CARD.failsAtRenewal);
    const until = await entitled(vmId);
    await aMonthLater();
    const { dashboard } = cp.stripe;
    const [subscription] = (await dashboard.subscriptions.list({ status: "all" })).data;
    const [item] = subscription?.items.data ?? [];
    if (!subscription || !item) throw new Error("there is no subscription");
    const price = await dashboard.prices.create({
      currency: "usd",
      unit_amount: 1,
      recurring: { interval: "month" },
      product_data: { name: "cheaper" },
    });
    await dashboard.subscriptions.update(subscription.id, {
      items: [{ id: item.id, price: price.id }],
      proration_behavior: "always_invoice",
    });
    await cp.pump();
    const { data } = await dashboard.invoices.list({ subscription: subscription.id });
    expect(data.map((invoice) => [invoice.status, invoice.total < 0])).toEqual([
      ["paid", true],
      ["open", false],
      ["paid", false],
    ]);
    expect(await entitled(vmId)).toEqual(until);
  });

  test("that fail extend nothing; the end of the subscription takes nothing back that was paid", async () => {
    await cp.drop();
    cp = await startControlPlane({ afterLastRetry: "cancel" });
    const { orderId, vmId } = await aProvisionedVm(cp, await aWorld(cp), CARD.failsAtRenewal);
    await aMonthLater();
    expect(await entitled(vmId)).toEqual(new Date("2026-04-01T12:00:17.000Z"));
    expect(await status(vmId)).toBe("past_due");
    cp.clock.advanceDays(27);
    cp.stripe.standIn.runDue();
    await cp.pump();
    expect(await status(vmId)).toBe("canceled");
    expect(cp.stripe.standIn.store.all("subscription")).toMatchObject([{ status: "canceled" }]);
    expect(await entitled(vmId)).toEqual(new Date("2026-04-01T12:00:17.000Z"));
    expect(await bookedPayments(orderId)).toBe(1);
  });

  test("that fail once and are paid on the retry extend it then", async () => {
    const { vmId } = await aProvisionedVm(cp, await aWorld(cp));
    const [customer] = cp.stripe.standIn.store.all("customer");
    await cp.stripe.local("/fail-payments", { customer: customer?.id });
    await aMonthLater();
    expect(await entitled(vmId)).toEqual(new Date("2026-04-01T12:00:17.000Z"));
    cp.clock.advanceDays(8);
    cp.stripe.standIn.runDue();
    await cp.pump();
    expect(await entitled(vmId)).toEqual(new Date("2026-05-01T12:00:17.000Z"));
  });

  describe("that are given up after the last retry", () => {
    const paidAt = new Date("2026-04-01T12:00:17.000Z");

    /** April is not paid, and May has begun: Stripe keeps the subscription, `unpaid`, and makes drafts. */
    async function aMonthUnpaid() {
      const order = await aProvisionedVm(cp, await aWorld(cp), CARD.failsAtRenewal);
      await aMonthLater();
      cp.clock.advanceDays(15);
      cp.stripe.standIn.runDue();
      await cp.pump();
      expect(await status(order.vmId)).toBe("unpaid");
      cp.clock.advanceDays(16);
      cp.stripe.standIn.runDue();
      await cp.pump();
      return order;
    }
    beforeEach(async () => {
      await cp.drop();
      cp = await startControlPlane({ afterLastRetry: "unpaid" });
    });

    test("extend nothing, although Stripe begins period after period", async () => {
      const { orderId, vmId } = await aMonthUnpaid();
      expect(await entitled(vmId)).toEqual(paidAt);
      await aMonthLater();
      expect(await entitled(vmId)).toEqual(paidAt);
      expect(await bookedPayments(orderId)).toBe(1);
    });

    test("extend it to the end of their own period when that is paid late, and no further", async () => {
      const { orderId, vmId } = await aMonthUnpaid();
      const { dashboard } = cp.stripe;
      const [april] = (await dashboard.invoices.list({ status: "open" })).data;
      const [customer] = (await dashboard.customers.list()).data;
      const card = await dashboard.paymentMethods.attach("pm_card_visa", {
        customer: customer?.id ?? "",
      });
      await dashboard.invoices.pay(april?.id ?? "", { payment_method: card.id });
      await cp.pump();
      expect(await entitled(vmId)).toEqual(new Date("2026-05-01T12:00:17.000Z"));
      expect(await bookedPayments(orderId)).toBe(2);
    });
  });
});
