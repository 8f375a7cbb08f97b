import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { showInvoices } from "#commands/billing/show-invoices.ts";
import { FILLERS } from "#commands/fill-mail.ts";
import { createMeasure } from "#commands/measure.ts";
import { sendDueMails } from "#commands/messages/send-mail.ts";
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

/* 7a: invoices and ledger name an account, and an order only where there is one. */
describe("an invoice of a customer of ours that is for no order", () => {
  /** On a page that staff made in the dashboard. */
  async function billed(amount: number) {
    const { dashboard, standIn } = cp.stripe;
    const { url } = await dashboard.checkout.sessions.create({
      mode: "payment",
      customer: String(standIn.store.all("customer")[0]?.id),
      success_url: "https://example.test/done",
      invoice_creation: { enabled: true },
      line_items: [
        {
          quantity: 1,
          price_data: { currency: "usd", unit_amount: amount, product_data: { name: "A cable" } },
        },
      ],
    });
    expect(await cp.stripe.pay(url ?? "")).toBe(303);
    await cp.pump();
    return standIn.store.all("invoice").at(-1)?.id;
  }
  const books = () =>
    cp.rows(
      `select t.kind, t.order_id, t.account_id, e.account, e.amount_minor::int as minor from ledger_transactions t
        join ledger_entries e on e.transaction_id = t.id where t.order_id is null order by t.id, e.account::text`,
    );

  test("is in the customer's books, is shown to them and mailed, and is nobody's riddle", async () => {
    await anActiveVm(cp, world);
    const { accountId } = world.buyer;
    const id = await billed(1250);
    const of = { kind: "payment", order_id: null, account_id: accountId };
    expect(await books()).toEqual([
      { ...of, account: "customer_revenue", minor: -1250 },
      { ...of, account: "stripe_balance", minor: 1250 },
    ]);
    expect(await unhandled()).toEqual([]);
    const page = { limit: 10, cursor: null };
    const [shown] = (await showInvoices(cp.deps, world.buyer, page)).items;
    expect(shown).toMatchObject({ providerId: id, orderId: null, status: "paid" });
    await sendDueMails(cp.deps, FILLERS);
    expect(cp.mails.map(({ text }) => text)).toContainEqual(
      expect.stringContaining("We have received US$12.50. Thank you."),
    );
  });

  test("and that they give back there is booked as given back, once", async () => {
    await anActiveVm(cp, world);
    await billed(1250);
    const intent = cp.stripe.standIn.store.all("payment_intent").at(-1)?.id ?? "";
    await cp.stripe.dashboard.refunds.create({ payment_intent: intent });
    await cp.pump();
    expect((await books()).map(({ kind, account, minor }) => [kind, account, minor])).toEqual([
      ["payment", "customer_revenue", -1250],
      ["payment", "stripe_balance", 1250],
      ["refund", "customer_refunds", 1250],
      ["refund", "stripe_balance", -1250],
    ]);
    expect(await unhandled()).toEqual([]);
  });
});
