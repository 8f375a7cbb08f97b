import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { applyBillingEvent } from "#commands/orders/apply-billing-event.ts";
import type { RefundState } from "#core/billing/payments.ts";
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
    const deliveries = await sentBack();
    const outcomes = [];
    for (const id of deliveries) outcomes.push(await applyBillingEvent(cp.deps, id));
    // One look does for both.
    expect(outcomes).toEqual(["refund_reversed", "repeat"]);
    await cp.pump();
    expect(await orderState(orderId)).toBe("refunding");
    const [refund] = refunds();
    // A person must know: the customer's bank has not taken it.
    expect(cp.log.errors).toEqual([
      { event: "refund_order.sent_back", order_id: orderId, refund_id: refund?.id },
    ]);
    expect(
      await cp.rows(
        "select subject_id, detail from audit_log where action = 'order.reverse_refund'",
      ),
    ).toEqual([{ subject_id: orderId, detail: { refund_id: refund?.id, minor: "500" } }]);
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

  test("is its order's by the name that it bears, whatever payment it is of, and nobody looks that up", async () => {
    const orderId = await aRefundDue(CARD.refundFails);
    await cp.pump();
    const [delivery = "", another = ""] = await sentBack();
    const { fetchRefund } = cp.deps.payments;
    let looked = 0;
    const apply = (messageId: string, over: Partial<RefundState>) => {
      const payments = {
        ...cp.deps.payments,
        fetchRefund: async (id: string) => ({ ...(await fetchRefund(id)), ...over }),
        paidWith: async () => {
          looked++;
          return { orderId, subscriptionId: null, customerId: null };
        },
      };
      return applyBillingEvent({ ...cp.deps, payments }, messageId);
    };
    // One that names neither an order nor a payment is nobody's, even if all of it fails.
    expect(await apply(another, { orderId: null, paymentId: null })).toBe("ignored");
    expect(await orderState(orderId)).toBe("refunded");
    await cp.rows("update inbox set applied_at = null where message_id = $1", delivery);
    expect(await apply(delivery, { paymentId: null })).toBe("refund_reversed");
    expect(looked).toBe(0);
    expect(await orderState(orderId)).toBe("refunding");
  });

  test("of a payment that we know is not looked up by it", async () => {
    await aRefundDue(CARD.refundFails);
    await cp.pump();
    const [delivery = ""] = await sentBack();
    const before = cp.stripe.calls.length;
    expect(await applyBillingEvent(cp.deps, delivery)).toBe("refund_reversed");
    expect(cp.stripe.calls.slice(before)).toEqual([expect.stringMatching(/^GET \/v1\/refunds\//)]);
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

// Issue 10, E: what is claimed by another is not done, nor said to be done.
describe("a refund's delivery that two workers take at once", () => {
  /** Both have looked at the refund before either may go on: the first one has held it for too long. */
  const byTwo = async (messageId: string, over: Partial<RefundState> = {}) => {
    const { fetchRefund } = cp.deps.payments;
    const first = Promise.withResolvers<void>();
    const both = Promise.withResolvers<void>();
    let looks = 0;
    const payments = {
      ...cp.deps.payments,
      fetchRefund: async (id: string) => {
        const refund = await fetchRefund(id);
        if (++looks === 2) both.resolve();
        else first.resolve();
        await both.promise;
        return { ...refund, ...over };
      },
    };
    const apply = () => applyBillingEvent({ ...cp.deps, payments }, messageId);
    const slow = apply();
    await first.promise;
    cp.clock.advance(30_000);
    return (await Promise.all([slow, apply()])).toSorted();
  };
  const posted = () => cp.rows("select 1 from ledger_transactions");

  test.each([
    { what: "of ours, that was sent back", over: {}, does: "refund_reversed", posts: 1 },
    {
      what: "that staff made",
      over: { id: "re_staff", orderId: null, status: "succeeded" },
      does: "refund_booked",
      posts: 1,
    },
    {
      what: "that is nobody's",
      over: { orderId: null, paymentId: null },
      does: "ignored",
      posts: 0,
    },
  ] as const)("($what) is applied by one of them", async ({ over, does, posts }) => {
    await aRefundDue(CARD.refundFails);
    await cp.pump();
    const [delivery = ""] = await sentBack();
    const before = (await posted()).length;
    expect(await byTwo(delivery, over)).toEqual([does, "repeat"].toSorted());
    expect(await posted()).toHaveLength(before + posts);
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
