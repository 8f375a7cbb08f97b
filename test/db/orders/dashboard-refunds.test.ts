import { loadOrder } from "#db/orders/orders.ts";
import { toOrder } from "#core/billing/ledger.ts";
import { v7 } from "uuid";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { bookStaffRefund } from "#commands/orders/book-staff-refund.ts";
import { watchProvisioning } from "#commands/orders/watch-provisioning.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { CARD } from "#test/harness/stripe-in-process.ts";
import { anActiveVm, aProvisionedVm, aWorld } from "#test/harness/world.ts";

let cp: ControlPlane;
beforeEach(async () => {
  cp = await startControlPlane();
});
afterEach(() => cp.drop());

/** Staff give back so much of an invoice's payment, in Stripe's dashboard; the newest invoice's. */
async function giveBack(amount?: number): Promise<string> {
  const { invoicePayments, refunds } = cp.stripe.dashboard;
  const [payment] = (await invoicePayments.list({ status: "paid" })).data;
  const intent = payment?.payment.payment_intent;
  if (typeof intent !== "string") throw new Error("nothing was paid");
  const refund = await refunds.create({
    payment_intent: intent,
    ...(amount === undefined ? {} : { amount }),
  });
  return refund.id;
}
const balances = async (orderId: string) =>
  Object.fromEntries(
    (
      await cp.rows(
        `select e.account, sum(e.amount_minor)::int as minor from ledger_entries e
         join ledger_transactions t on t.id = e.transaction_id where t.order_id = $1 group by 1`,
        orderId,
      )
    ).map((row) => [String(row["account"]), row["minor"]]),
  );
const audited = (action: string) =>
  cp.rows("select subject_id, detail from audit_log where action = $1", action);

describe("a refund that staff make in Stripe's dashboard", () => {
  test("is booked once, with its own amount, and changes nothing else", async () => {
    const { orderId } = await anActiveVm(cp, await aWorld(cp));
    const refund = await giveBack(200);
    await cp.pump();
    const booked = { customer_refunds: 200, customer_revenue: -500, stripe_balance: 300 };
    expect(await balances(orderId)).toEqual(booked);
    for (const event of cp.stripe.standIn.store.all("event"))
      if (event.type === "refund.created") cp.stripe.standIn.webhooks.resend(event.id);
    await cp.pump();
    expect(await balances(orderId)).toEqual(booked);
    expect(await audited("order.book_refund")).toEqual([
      { subject_id: orderId, detail: { refund_id: refund, minor: "200" } },
    ]);
    expect(await cp.rows("select state from orders where id = $1", orderId)).toEqual([
      { state: "active" },
    ]);
  });

  test("is booked for each of them, of the first month and of a renewal", async () => {
    const { orderId } = await anActiveVm(cp, await aWorld(cp));
    await giveBack(100);
    await giveBack();
    cp.clock.advanceDays(31);
    cp.stripe.standIn.runDue();
    cp.clock.advanceMinutes(61);
    cp.stripe.standIn.runDue();
    await giveBack();
    await cp.pump();
    expect(await balances(orderId)).toEqual({
      customer_refunds: 1000,
      customer_revenue: -1000,
      stripe_balance: 0,
    });
  });

  test("and the bank sends back is booked back, and the log says so", async () => {
    const { orderId } = await anActiveVm(cp, await aWorld(cp), CARD.refundFails);
    const refund = await giveBack(200);
    await cp.pump();
    cp.clock.advanceMinutes(2);
    cp.stripe.standIn.runDue();
    await cp.pump();
    expect(await balances(orderId)).toEqual({
      customer_refunds: 0,
      customer_revenue: -500,
      stripe_balance: 500,
    });
    expect(cp.log.errors).toEqual([
      {
        event: "staff_refund.sent_back",
        account_id: expect.any(String),
        order_id: orderId,
        refund_id: refund,
      },
    ]);
    expect(await audited("order.reverse_refund")).toHaveLength(1);
    expect(await cp.rows("select state from orders where id = $1", orderId)).toEqual([
      { state: "active" },
    ]);
  });

  test("and failed before it was booked costs nothing, whichever look is the last to book", async () => {
    const { orderId } = await anActiveVm(cp, await aWorld(cp), CARD.refundFails);
    const { amount, ...rest } = await cp.deps.payments.fetchRefund(await giveBack(200));
    if (amount === null) throw new Error("the refund is in no currency of ours");
    const refund = { ...rest, amount };
    cp.clock.advanceMinutes(2);
    cp.stripe.standIn.runDue();
    await cp.pump();
    const order = await loadOrder(cp.deps.db, orderId);
    if (!order) throw new Error("the order vanished");
    const by = { actor: { kind: "provider", id: "evt_late" }, claim: async () => true } as const;
    expect(await bookStaffRefund(cp.deps, toOrder(order), refund, by)).toBe("unchanged");
    expect(await balances(orderId)).toMatchObject({ customer_refunds: 0, stripe_balance: 500 });
  });

  test("of a payment that is no order's of ours is put aside", async () => {
    const world = await aWorld(cp);
    const { payments } = cp.stripe;
    const { url } = await payments.createCheckout({
      orderId: v7(),
      customerId: await payments.ensureCustomer({ ...world.buyer, currency: "usd", attempt: 1 }),
      priceId: await payments.ensurePrice({
        planPriceId: v7(),
        planId: world.planId,
        planName: "another system's",
        amount: { minor: 900n, currency: "usd" },
        interval: "month",
        taxBehavior: null,
      }),
      successUrl: "http://other.test/done",
      cancelUrl: "http://other.test/no",
      expiresAt: new Date(+cp.clock.now() + 40 * 60_000),
    });
    expect(await cp.stripe.pay(url)).toBe(303);
    await giveBack();
    await cp.pump();
    expect(await cp.rows("select outcome from inbox where object_kind = 'refund'")).toEqual([
      { outcome: "ignored" },
    ]);
    expect(await cp.rows("select 1 from ledger_transactions")).toEqual([]);
  });
});

test("a refund that Berth made is not booked as staff's, although Stripe tells it alike", async () => {
  const { orderId } = await aProvisionedVm(cp, await aWorld(cp));
  cp.clock.advanceMinutes(121);
  await watchProvisioning(cp.deps);
  await cp.pump();
  expect(await balances(orderId)).toEqual({
    customer_refunds: 500,
    customer_revenue: -500,
    stripe_balance: 0,
  });
  expect(await audited("order.book_refund")).toEqual([]);
  expect(await cp.rows("select 1 from ledger_transactions where kind = 'refund'")).toHaveLength(1);
});

test("of a payment that staff gave back in part Berth gives back the rest, and books no more than that", async () => {
  const { orderId } = await aProvisionedVm(cp, await aWorld(cp));
  await giveBack(180);
  await cp.pump();
  cp.clock.advanceMinutes(121);
  await watchProvisioning(cp.deps);
  await cp.pump();
  expect(await balances(orderId)).toEqual({
    customer_refunds: 500,
    customer_revenue: -500,
    stripe_balance: 0,
  });
  const refunds = await cp.rows(
    `select e.amount_minor::int as minor from ledger_entries e
       join ledger_transactions t on t.id = e.transaction_id
      where t.kind = 'refund' and e.account = 'customer_refunds' order by 1`,
  );
  expect(refunds).toEqual([{ minor: 180 }, { minor: 320 }]);
  expect(await audited("order.refund")).toContainEqual(
    expect.objectContaining({ detail: expect.objectContaining({ minor: "320" }) }),
  );
});
