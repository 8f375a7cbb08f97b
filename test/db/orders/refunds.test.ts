import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { applyBillingEvent } from "#commands/orders/apply-billing-event.ts";
import { refundOrder, retryRefunds } from "#commands/orders/refund-order.ts";
import { watchProvisioning } from "#commands/orders/watch-provisioning.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { CARD } from "#test/harness/stripe-in-process.ts";
import { aProvisionedVm, aWorld } from "#test/harness/world.ts";

let cp: ControlPlane;
beforeEach(async () => {
  cp = await startControlPlane();
});
afterEach(() => cp.drop());

const orderState = async (id: string) =>
  (await cp.rows("select state from orders where id = $1", id))[0]?.["state"];
const refunds = () => cp.stripe.standIn.store.all("refund");
const balances = (orderId: string) =>
  cp.rows(
    `select e.account, sum(e.amount_minor)::int as minor from ledger_entries e
     join ledger_transactions t on t.id = e.transaction_id where t.order_id = $1
     group by e.account order by e.account::text`,
    orderId,
  );

/** Paid, never made by its host, and given its money back at the deadline. */
async function aRefundDue(card: string): Promise<string> {
  const { orderId } = await aProvisionedVm(cp, await aWorld(cp), card);
  cp.clock.advanceMinutes(121);
  await watchProvisioning(cp.deps);
  return orderId;
}

/** The bank has sent the refund back, and its deliveries are stored, not applied. */
async function sentBack(): Promise<readonly string[]> {
  cp.clock.advanceMinutes(2);
  cp.stripe.standIn.runDue();
  await cp.stripe.standIn.webhooks.deliverDue();
  const rows = await cp.rows(
    "select message_id from inbox where object_kind = 'refund' and applied_at is null",
  );
  return rows.map((r) => String(r["message_id"]));
}

describe("a refund that the bank sends back", () => {
  test("is booked back, and the order owes its money again", async () => {
    const orderId = await aRefundDue(CARD.refundFails);
    await cp.pump();
    expect(await orderState(orderId)).toBe("refunded");
    expect(await balances(orderId)).toContainEqual({ account: "customer_refunds", minor: 500 });
    expect(await sentBack()).toHaveLength(2);
    await cp.pump();
    expect(await orderState(orderId)).toBe("refunding");
    expect(await balances(orderId)).toEqual([
      { account: "customer_refunds", minor: 0 },
      { account: "customer_revenue", minor: -500 },
      { account: "stripe_balance", minor: 500 },
    ]);
    expect(
      await cp.rows("select 1 from outbox where name = 'order.refund_failed.v1'"),
    ).toHaveLength(1);
  });

  test("is made anew a day later, and after three a person must act", async () => {
    const orderId = await aRefundDue(CARD.refundFails);
    for (const made of [1, 2, 3]) {
      await cp.pump();
      expect(refunds()).toHaveLength(made);
      expect(await orderState(orderId)).toBe("refunded");
      await sentBack();
      await cp.pump();
      expect(await orderState(orderId)).toBe("refunding");
      expect(await retryRefunds(cp.deps)).toEqual({ refunded: 0, failed: 0 });
      expect(refunds()).toHaveLength(made);
      cp.clock.advanceDays(1);
      const again = made < 3 ? 1 : 0;
      expect(await retryRefunds(cp.deps)).toEqual({ refunded: again, failed: 0 });
    }
    expect(refunds()).toHaveLength(3);
    expect(await orderState(orderId)).toBe("refunding");
  });

  test("before it was booked is never booked", async () => {
    const orderId = await aRefundDue(CARD.refundFails);
    const { refundInvoice } = cp.deps.payments;
    const payments = {
      ...cp.deps.payments,
      // The answer comes late: the bank is faster, and its deliveries are applied meanwhile.
      refundInvoice: async (input: Parameters<typeof refundInvoice>[0]) => {
        const answer = await refundInvoice(input);
        for (const id of await sentBack()) await applyBillingEvent(cp.deps, id);
        return answer;
      },
    };
    expect(await refundOrder({ ...cp.deps, payments }, orderId)).toBe("pending");
    expect(await orderState(orderId)).toBe("refunding");
    expect(await balances(orderId)).toEqual([
      { account: "customer_revenue", minor: -500 },
      { account: "stripe_balance", minor: 500 },
    ]);
  });
});

describe("a refund that Stripe answers with 500", () => {
  test.each([false, true])("is made once, and booked once (done: %s)", async (done) => {
    const orderId = await aRefundDue(CARD.works);
    await cp.stripe.local("/fail-calls", { call: "POST /v1/refunds", done });
    await cp.pump();
    expect(await orderState(orderId)).toBe("refunded");
    expect(refunds()).toHaveLength(1);
    expect(await balances(orderId)).toContainEqual({ account: "customer_refunds", minor: 500 });
  });

  test("time and again is made by a later sweep, once", async () => {
    const orderId = await aRefundDue(CARD.works);
    await cp.stripe.local("/fail-calls", { call: "POST /v1/refunds", count: 3 });
    await expect(refundOrder(cp.deps, orderId)).rejects.toThrow("Stripe");
    cp.clock.advanceMinutes(1);
    expect(await retryRefunds(cp.deps)).toEqual({ refunded: 0, failed: 1 });
    cp.clock.advanceMinutes(1);
    expect(await retryRefunds(cp.deps)).toEqual({ refunded: 1, failed: 0 });
    expect(refunds()).toHaveLength(1);
  });
});
