import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { applyBillingEvent } from "#commands/orders/apply-billing-event.ts";
import { placeOrder } from "#commands/orders/place-order.ts";
import { watchProvisioning } from "#commands/orders/watch-provisioning.ts";
import type { Payments } from "#core/billing/payments.ts";
import { idIn } from "#core/ids.ts";
import { loadOrder } from "#db/orders/orders.ts";
import { toOrderView } from "#functions/views.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { differencesOf, runEachStep } from "#test/harness/each-step.ts";
import { CARD } from "#test/harness/stripe-in-process.ts";
import { aWorld, hostSees, MONTH, requestIn, valueOf, type World } from "#test/harness/world.ts";

/* 7a: an order keeps list price, discount, tax and due apart; due may be nothing, and what was due and paid confirms it. */

let cp: ControlPlane;
let world: World;
beforeEach(async () => {
  cp = await startControlPlane();
  world = await aWorld(cp);
});
afterEach(() => cp.drop());

type Off = { percent_off: number } | { amount_off: number; currency: "usd" };
/** An order whose session at Stripe has a coupon. */
async function orderWith(off: Off, of = world) {
  const { dashboard } = cp.stripe;
  const coupon = (await dashboard.coupons.create({ ...off, duration: "once" })).id;
  const createCheckout: Payments["createCheckout"] = async (input) => {
    const metadata = { order_id: input.orderId };
    const { id, url } = await dashboard.checkout.sessions.create({
      mode: "subscription",
      customer: input.customerId,
      line_items: [{ price: input.priceId, quantity: 1 }],
      discounts: [{ coupon }],
      success_url: input.successUrl,
      expires_at: Math.floor(+input.expiresAt / 1000),
      metadata,
      subscription_data: { metadata },
    });
    return { id, url: url ?? "" };
  };
  const deps = { ...cp.deps, payments: { ...cp.deps.payments, createCheckout } };
  const asked = { buyer: of.buyer, key: crypto.randomUUID(), request: requestIn(of) };
  const placed = valueOf(
    await placeOrder(deps, asked, ({ order, checkoutUrl }) => ({
      order: toOrderView(order),
      checkoutUrl,
    })),
  );
  const orderId = idIn("order").parse(placed.order.id);
  const [row] = await cp.rows("select vm_id from orders where id = $1", orderId);
  return { orderId, vmId: String(row?.["vm_id"]), checkoutUrl: placed.checkoutUrl };
}
const pay = async (off: Off) => {
  const order = await orderWith(off);
  expect(await cp.stripe.pay(order.checkoutUrl, CARD.works)).toBe(303);
  await cp.pump();
  return order;
};
const orderOf = async (orderId: string) =>
  (
    await cp.rows(
      `select state, total_minor::int as list, discount_minor::int as discount, tax_minor::int as tax
       from orders where id = $1`,
      orderId,
    )
  )[0];
const booked = async () =>
  (
    await cp.rows(
      "select sum(amount_minor)::int as minor from ledger_entries where account = 'stripe_balance'",
    )
  )[0]?.["minor"];
const month = Number(MONTH);

describe("an order with all of its price off", () => {
  test("is paid by that: its VM is made, and nothing is booked and nothing goes back", async () => {
    const { orderId, vmId } = await pay({ percent_off: 100 });
    const price = { list: month, discount: month, tax: 0 };
    expect(await orderOf(orderId)).toEqual({ state: "paid", ...price });
    expect(await cp.rows("select id from vms")).toEqual([{ id: vmId }]);
    expect(await booked()).toBeNull();
    expect(cp.stripe.standIn.store.all("refund")).toEqual([]);
    await hostSees(cp, world.hostId, vmId);
    const [service] = await cp.rows(
      "select amount_minor::int as price, entitled_until > $1 as runs from services",
      cp.clock.now(),
    );
    expect(service).toEqual({ price: month, runs: true });
  });

  test("costs its list price from the next month on", async () => {
    await pay({ percent_off: 100 });
    cp.clock.advanceDays(31);
    cp.stripe.standIn.runDue();
    cp.clock.advanceMinutes(61);
    cp.stripe.standIn.runDue();
    await cp.pump();
    expect(await booked()).toBe(month);
  });

  test("whose VM is not made in time is over, with nothing to give back", async () => {
    const { orderId } = await pay({ percent_off: 100 });
    cp.clock.advanceMinutes(121);
    await watchProvisioning(cp.deps);
    await cp.pump();
    expect(await orderOf(orderId)).toMatchObject({ state: "refunded" });
    expect(cp.stripe.standIn.store.all("subscription")).toMatchObject([{ status: "canceled" }]);
    expect(await booked()).toBeNull();
  });

  test("ends the same at whichever step it fails", async () => {
    const each = await runEachStep(cp, {
      arrange: async () => {
        const { orderId, checkoutUrl } = await orderWith({ percent_off: 100 }, await aWorld(cp));
        await cp.stripe.pay(checkoutUrl, CARD.works);
        await cp.stripe.standIn.webhooks.deliverDue();
        const [row] = await cp.rows(
          `select message_id as id from inbox join orders on checkout_id = object_id where orders.id = $1`,
          orderId,
        );
        return String(row?.["id"]);
      },
      act: (messageId) => applyBillingEvent(cp.deps, messageId),
    });
    expect(differencesOf(each)).toEqual([]);
  });
});

describe("an order with a part of its price off", () => {
  test("is paid by what is left, which alone is booked, and goes back whole when its VM is not made", async () => {
    const { orderId } = await pay({ amount_off: 200, currency: "usd" });
    expect(await orderOf(orderId)).toEqual({ state: "paid", list: month, discount: 200, tax: 0 });
    expect(await booked()).toBe(month - 200);
    cp.clock.advanceMinutes(121);
    await watchProvisioning(cp.deps);
    await cp.pump();
    expect(await orderOf(orderId)).toMatchObject({ state: "refunded" });
    expect(cp.stripe.standIn.store.all("refund")).toMatchObject([{ amount: month - 200 }]);
    expect(await booked()).toBe(0);
  });

  test("is shown with all of it apart", async () => {
    await pay({ percent_off: 40 });
    const [row] = await cp.rows("select id from orders");
    const order = await loadOrder(cp.deps.db, String(row?.["id"]));
    expect(order && toOrderView(order)).toMatchObject({
      total: { minor: "500" },
      discount: { minor: "200" },
      tax: { minor: "0" },
      due: { minor: "300" },
    });
  });
});

test.each([
  ["discount_minor = -1", "a discount adds"],
  ["discount_minor = 501", "less than nothing is due"],
  ["tax_minor = -1", "tax takes off"],
  ["total_minor = 0", "nothing has a price"],
])("no order is kept with %s: %s", async (set) => {
  const { orderId } = await orderWith({ percent_off: 50 });
  await expect(cp.rows(`update orders set ${set} where id = $1`, orderId)).rejects.toThrow("check");
});
