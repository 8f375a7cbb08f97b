import { Stripe } from "stripe";
import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CheckoutState, Payments } from "#core/billing/payments.ts";
import type { PaymentProvider } from "#core/billing/price-changes.ts";
import { expireOrders } from "#commands/orders/expire-orders.ts";
import { followProvider } from "#commands/orders/follow-provider.ts";
import { refundOrder } from "#commands/orders/refund-order.ts";
import { recordReport } from "#commands/moves/record-report.ts";
import { insertPlan } from "#db/catalogue/catalogue.ts";
import { inTransaction } from "#db/transaction.ts";
import { anAgentReport } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { WEBHOOK_SECRET } from "#test/harness/stripe-in-process.ts";
import {
  aPlacedOrder,
  aWorld,
  type AnOrder,
  SIZE,
  SYSTEM,
  type World,
} from "#test/harness/world.ts";

// 4b A5: what Stripe may answer beside a card that was charged or declined.

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

const customersOf = (world: World) =>
  cp.rows(
    "select currency, customer_id, attempt from billing_customers where account_id = $1 order by currency",
    world.buyer.accountId,
  );
const stateOf = async (orderId: string) =>
  (await cp.rows("select state from orders where id = $1", orderId))[0]?.["state"];
const customerAt = async ({ orderId }: AnOrder) => {
  const [row] = await cp.rows("select checkout_id from orders where id = $1", orderId);
  const session = await cp.stripe.dashboard.checkout.sessions.retrieve(
    String(row?.["checkout_id"]),
  );
  if (typeof session.customer !== "string") throw new Error("the session has no customer");
  return session.customer;
};

describe("4b A5: a customer that was deleted in the dashboard", () => {
  test("is another one at the next order, and no order fails for it", async () => {
    const world = await aWorld(cp);
    const first = await customerAt(await aPlacedOrder(cp, world));
    await cp.stripe.dashboard.customers.del(first);
    const second = await customerAt(await aPlacedOrder(cp, world));
    expect(second).not.toBe(first);
    expect(await customerAt(await aPlacedOrder(cp, world))).toBe(second);
    expect(await customersOf(world)).toEqual([
      { currency: "usd", customer_id: second, attempt: 2 },
    ]);
  });

  test("while two orders are placed at once is one other, for both", async () => {
    const world = await aWorld(cp);
    const first = await customerAt(await aPlacedOrder(cp, world));
    await cp.stripe.dashboard.customers.del(first);
    const both = await Promise.all([aPlacedOrder(cp, world), aPlacedOrder(cp, world)]);
    const [one, other] = await Promise.all(both.map(customerAt));
    expect(one).toBe(other);
    expect(await customersOf(world)).toEqual([{ currency: "usd", customer_id: one, attempt: 2 }]);
  });
});

test("4b A5: who has orders open in two currencies and pays both is a customer in each, which Stripe asks for", async () => {
  const world = await aWorld(cp);
  const planId = v7();
  await inTransaction(cp.deps.db, (tx) =>
    insertPlan(
      tx,
      {
        id: planId,
        name: planId,
        size: SIZE,
        trafficGib: 512,
        bandwidthMbit: 500,
        diskIops: null,
        downgrade: "renewal",
        available: true,
        prices: [
          {
            id: v7(),
            interval: "month",
            amount: { minor: 450n, currency: "eur" },
            taxBehavior: null,
            stripePriceId: null,
          },
        ],
      },
      cp.clock.now(),
    ),
  );
  const inDollars = await aPlacedOrder(cp, world);
  const inEuro = await aPlacedOrder(cp, { ...world, planId });
  for (const { orderId, checkoutUrl } of [inDollars, inEuro]) {
    expect(await cp.stripe.pay(checkoutUrl)).toBe(303);
    await cp.pump();
    expect(await stateOf(orderId)).toBe("paid");
  }
  const customers = await customersOf(world);
  expect(customers.map((c) => c["currency"])).toEqual(["eur", "usd"]);
  expect(new Set(customers.map((c) => c["customer_id"])).size).toBe(2);
});

/** An order whose session answers as `over` says, until it is taken back. */
async function answered(order: AnOrder, over: (real: CheckoutState) => Partial<CheckoutState>) {
  const real = cp.deps.payments;
  const told = async (look: Promise<CheckoutState>) => {
    const state = await look;
    return { ...state, ...over(state) };
  };
  const payments: PaymentProvider = {
    ...real,
    fetchCheckout: (id) => told(real.fetchCheckout(id)),
    expireCheckout: (id) => told(real.fetchCheckout(id)),
  };
  const deps = { ...cp.deps, payments };
  return {
    deps,
    follow: () => followProvider(deps, order.orderId, { actor: SYSTEM }),
  };
}
const allocated = async (world: World) =>
  (await cp.rows("select allocated_memory_mib from hosts where id = $1", world.hostId))[0];

describe("4b A5: a bank debit, complete and not paid yet,", () => {
  test("holds its place no longer than any other order, and is served when the money comes", async () => {
    const world = await aWorld(cp);
    const order = await aPlacedOrder(cp, world);
    expect(await cp.stripe.pay(order.checkoutUrl)).toBe(303);
    const unpaid = await answered(order, () => ({ status: "complete", paid: false }));
    expect(await unpaid.follow()).toBe("unchanged");
    expect(await allocated(world)).toEqual({ allocated_memory_mib: SIZE.memoryMib });
    cp.clock.advanceMinutes(32);
    expect(await expireOrders(unpaid.deps)).toMatchObject({ failed: 0 });
    expect(await stateOf(order.orderId)).toBe("expired");
    expect(await allocated(world)).toEqual({ allocated_memory_mib: 0 });
    expect(await unpaid.follow()).toBe("unchanged");
    await recordReport(cp.deps, world.hostId, anAgentReport());
    const settled = await answered(order, () => ({ status: "complete", paid: true }));
    expect(await settled.follow()).toBe("fulfilled");
    expect(await stateOf(order.orderId)).toBe("paid");
    expect(await allocated(world)).toEqual({ allocated_memory_mib: SIZE.memoryMib });
  });

  test.each(["past_due", "unpaid"])(
    "that failed leaves no subscription which asks for more (%s)",
    async (status) => {
      const order = await aPlacedOrder(cp, await aWorld(cp));
      expect(await cp.stripe.pay(order.checkoutUrl)).toBe(303);
      const failed = await answered(order, (real) => ({
        paid: false,
        subscription: real.subscription && { ...real.subscription, status },
      }));
      expect(await failed.follow()).toBe("unchanged");
      const ended = async () =>
        (
          await cp.rows(
            "select 1 from outbox where name = 'subscription.cancellation_fell_due.v1' and data->>'orderId' = $1",
            order.orderId,
          )
        ).length;
      expect(await ended()).toBe(1);
      const fine = await answered(order, (real) => ({
        paid: false,
        subscription: real.subscription && { ...real.subscription, status: "active" },
      }));
      expect(await fine.follow()).toBe("unchanged");
      expect(await ended()).toBe(1);
      expect(await stateOf(order.orderId)).toBe("awaiting_payment");
    },
  );
});

describe("4b A5: money that is not what was asked for", () => {
  test("in a currency that nobody asked for goes back, and is in no book of ours", async () => {
    const world = await aWorld(cp);
    const order = await aPlacedOrder(cp, world);
    expect(await cp.stripe.pay(order.checkoutUrl)).toBe(303);
    const foreign = await answered(order, () => ({ settled: null, invoice: null }));
    expect(await foreign.follow()).toBe("refunding");
    expect(await allocated(world)).toEqual({ allocated_memory_mib: 0 });
    const refundInvoice: Payments["refundInvoice"] = async (input) => ({
      ...(await cp.deps.payments.refundInvoice(input)),
      amount: null,
    });
    const payments = { ...foreign.deps.payments, refundInvoice };
    expect(await refundOrder({ ...foreign.deps, payments }, order.orderId)).toBe("refunded");
    expect(
      await cp.rows("select 1 from ledger_transactions where order_id = $1", order.orderId),
    ).toEqual([]);
    expect((await cp.stripe.dashboard.refunds.list({ limit: 1 })).data[0]).toMatchObject({
      metadata: { order_id: order.orderId },
      amount: 500,
    });
  });
});

describe("4b A5: a delivery", () => {
  /** Signed as Stripe signs. */
  async function delivered(event: object): Promise<Response> {
    const payload = JSON.stringify(event);
    const stripe = new Stripe("sk_test_unused");
    const header = stripe.webhooks.generateTestHeaderString({
      payload,
      secret: WEBHOOK_SECRET,
      timestamp: Math.floor(+cp.clock.now() / 1000),
    });
    return cp.webhook(
      new Request("http://berth.test/webhooks/stripe", {
        method: "POST",
        headers: { "stripe-signature": header },
        body: payload,
      }),
    );
  }
  const outcomeOf = async (id: string) =>
    (await cp.rows("select outcome, object_id from inbox where message_id = $1", id))[0];
  const anEvent = (id: string, object: object, more: object = {}) => ({
    id,
    object: "event",
    type: "invoice.paid",
    data: { object },
    ...more,
  });

  test.each([
    ["invoice", "in_unheard_of"],
    ["checkout.session", "cs_unheard_of"],
    ["subscription", "sub_unheard_of"],
    ["refund", "re_unheard_of"],
  ])("about an object that Stripe does not show us (%s) is put aside at once", async (kind, id) => {
    const eventId = `evt_${id}`;
    expect((await delivered(anEvent(eventId, { object: kind, id }))).status).toBe(200);
    await cp.pump();
    expect(await outcomeOf(eventId)).toEqual({ outcome: "ignored", object_id: id });
  });

  test("of another account, and one whose object has an id with NUL, name nothing and are put aside", async () => {
    const invoice = { object: "invoice", id: "in_of_another" };
    await delivered(anEvent("evt_connect", invoice, { account: "acct_other" }));
    await delivered(anEvent("evt_nul", { object: "invoice", id: "in_\0" }));
    await cp.pump();
    for (const id of ["evt_connect", "evt_nul"])
      expect(await outcomeOf(id)).toEqual({ outcome: "ignored", object_id: null });
  });

  test("whose own id has NUL is refused with a code", async () => {
    const answer = await delivered(anEvent("evt_\0", { object: "invoice", id: "in_1" }));
    expect([answer.status, await answer.json()]).toEqual([
      400,
      expect.objectContaining({ code: "event_malformed" }),
    ]);
  });

  test("of an invoice in a currency that we do not sell in, which another system made, is put aside", async () => {
    const { customers, products, prices, subscriptions } = cp.stripe.dashboard;
    const customer = await customers.create({ email: "pounds@example.com" });
    const product = await products.create({ name: "another system's" });
    const price = await prices.create({
      product: product.id,
      currency: "gbp",
      unit_amount: 700,
      recurring: { interval: "month" },
    });
    const { latest_invoice: id } = await subscriptions.create({
      customer: customer.id,
      items: [{ price: price.id }],
      payment_behavior: "default_incomplete",
    });
    await delivered(anEvent("evt_pounds", { object: "invoice", id }));
    await cp.pump();
    expect(await outcomeOf("evt_pounds")).toEqual({ outcome: "ignored", object_id: id });
  });
});
