import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createMeasure } from "#commands/measure.ts";
import { PROVIDER_EVENTS } from "#core/billing/payments.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { anActiveVm, aPaidOrder, aWorld, MONTH, type World } from "#test/harness/world.ts";

/* 7a: money is followed by subscription and invoice, and not by the Checkout Session and what is written on it alone. */

let cp: ControlPlane;
let world: World;
beforeEach(async () => {
  cp = await startControlPlane();
  world = await aWorld(cp);
});
afterEach(() => cp.drop());

const subscriptionOf = () => cp.stripe.standIn.store.all("subscription")[0]?.id ?? "";
async function aMonthLater(): Promise<void> {
  cp.clock.advanceDays(31);
  cp.stripe.standIn.runDue();
  cp.clock.advanceMinutes(61);
  cp.stripe.standIn.runDue();
  await cp.pump();
}
/** Somebody took our order's id off the subscription, in the dashboard: its invoices name none from then on. */
const unname = () =>
  cp.stripe.dashboard.subscriptions.update(subscriptionOf(), { metadata: { order_id: "" } });
const payments = () =>
  cp.rows("select order_id from ledger_transactions where kind = 'payment' order by created_at");
const unhandled = () =>
  cp.rows("select type, object_id from inbox where outcome = 'unhandled' order by type");
const told = () =>
  cp.log.errors.filter(({ event }) => event === "apply_billing_event.unhandled").length;

describe("an invoice that names no order", () => {
  test("is found by its subscription, is booked and extends what it pays for", async () => {
    const { orderId } = await anActiveVm(cp, world);
    await unname();
    await aMonthLater();
    expect(await payments()).toEqual([{ order_id: orderId }, { order_id: orderId }]);
    const [service] = await cp.rows(
      "select entitled_until > $1 as paid from services",
      cp.clock.now(),
    );
    expect(service).toEqual({ paid: true });
    expect(await unhandled()).toEqual([]);
  });

  test("whose payment staff give back is booked as given back", async () => {
    const { orderId } = await anActiveVm(cp, world);
    await unname();
    await aMonthLater();
    const intent = cp.stripe.standIn.store.all("payment_intent").at(-1)?.id ?? "";
    await cp.stripe.dashboard.refunds.create({ payment_intent: intent });
    await cp.pump();
    expect(await cp.rows("select order_id from ledger_transactions where kind = 'refund'")).toEqual(
      [{ order_id: orderId }],
    );
  });
});

describe("an order whose session is not written down", () => {
  test("is found by its subscription, and paid", async () => {
    const { orderId } = await aPaidOrder(cp, world);
    const [row] = await cp.rows("select checkout_id from orders");
    await cp.rows("update orders set checkout_id = null, checkout_url = null");
    // What names the session itself is lost on its way.
    const { webhooks, store } = cp.stripe.standIn;
    const lost = store.all("event").filter(({ type }) => type.startsWith("checkout.session"));
    for (const delivery of webhooks.pending())
      if (lost.some(({ type }) => type === delivery.type)) webhooks.drop(delivery.id);
    await cp.pump();
    expect(await cp.rows("select id, state, checkout_id from orders")).toEqual([
      { id: orderId, state: "paid", checkout_id: row?.["checkout_id"] },
    ]);
    expect(await payments()).toEqual([{ order_id: orderId }]);
  });
});

test("what is bought is followed by its subscription, also when nobody knows its session any more", async () => {
  await anActiveVm(cp, world);
  await cp.rows("update orders set checkout_id = null, checkout_url = null");
  await aMonthLater();
  expect(await payments()).toHaveLength(2);
  await cp.stripe.dashboard.subscriptions.cancel(subscriptionOf());
  await cp.pump();
  expect(await cp.rows("select subscription_status as is from services")).toEqual([
    { is: "canceled" },
  ]);
});

describe("what leads to no order", () => {
  /** A subscription that somebody makes in the dashboard. */
  async function byHand(customer: string): Promise<void> {
    const { dashboard } = cp.stripe;
    const { id: method } = await dashboard.paymentMethods.attach("pm_card_visa", { customer });
    const price = await dashboard.prices.create({
      currency: "usd",
      unit_amount: Number(MONTH),
      recurring: { interval: "month" },
      product_data: { name: "by hand" },
    });
    await dashboard.subscriptions.create({
      customer,
      default_payment_method: method,
      items: [{ price: price.id }],
    });
    await cp.pump();
  }
  const measured = async () => {
    await createMeasure(cp.deps)();
    return cp.metrics.text().match(/^berth_inbox_unhandled (\d+)$/m)?.[1];
  };

  test("and is of a customer of ours is told to staff, once for each event", async () => {
    await anActiveVm(cp, world);
    expect(await measured()).toBe("0");
    await byHand(String(cp.stripe.standIn.store.all("customer")[0]?.id));
    const types = (await unhandled()).map(({ type }) => type);
    expect(types).toEqual(["customer.subscription.updated", "invoice.paid"]);
    expect(told()).toBe(2);
    const asked: readonly string[] = PROVIDER_EVENTS;
    for (const { id, type } of cp.stripe.standIn.store.all("event"))
      if (asked.includes(type)) cp.stripe.standIn.webhooks.resend(id);
    await cp.pump();
    expect(told()).toBe(2);
    cp.clock.advance(60_000);
    expect(await measured()).toBe("2");
    expect(await payments()).toHaveLength(1);
  });

  test("and is of another system's customer is nothing to us", async () => {
    const { id } = await cp.stripe.dashboard.customers.create({ email: "somebody@else.test" });
    await byHand(id);
    expect(await unhandled()).toEqual([]);
    expect(told()).toBe(0);
  });
});
