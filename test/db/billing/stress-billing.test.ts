import { createHmac } from "node:crypto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createBillingEventsConsumer } from "#functions/consume-billing-events.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { toSqsEvent } from "#test/harness/recorded-queues.ts";
import { WEBHOOK_SECRET } from "#test/harness/stripe-in-process.ts";
import { aPlacedOrder, aProvisionedVm, aWorld } from "#test/harness/world.ts";

/* Many connections at once, on what Stripe sends: renewals, declines and cancellations, and one delivery many times. */

let cp: ControlPlane;
beforeEach(async () => {
  cp = await startControlPlane({ connections: 30 });
});
afterEach(() => cp.drop());

/** Time goes on at Stripe, and what it sends is stored and rung for, and not yet worked. */
async function laterAtStripe(days: number): Promise<void> {
  cp.clock.advanceDays(days);
  cp.stripe.standIn.runDue();
  await cp.stripe.standIn.webhooks.deliverDue();
  cp.clock.advanceMinutes(61);
  cp.stripe.standIn.runDue();
  await cp.stripe.standIn.webhooks.deliverDue();
}

test("a renewal, a declined one and a cancellation, every delivery at once and four times, end as Stripe has them", async () => {
  const { orderId, vmId } = await aProvisionedVm(cp, await aWorld(cp));
  await laterAtStripe(31);
  const [customer] = cp.stripe.standIn.store.all("customer");
  await cp.stripe.local("/fail-payments", { customer: customer?.id, count: 3 });
  await laterAtStripe(31);
  const [subscription] = cp.stripe.standIn.store.all("subscription");
  await cp.stripe.payments.cancelSubscription(subscription?.id ?? "");
  await cp.stripe.standIn.webhooks.deliverDue();
  const messages = cp.queues.waiting["billing-events"].splice(0);
  const types = await cp.rows("select distinct type from inbox where applied_at is null");
  expect(types.map((row) => row["type"])).toEqual(
    expect.arrayContaining([
      "invoice.paid",
      "invoice.payment_failed",
      "customer.subscription.deleted",
    ]),
  );
  const consume = createBillingEventsConsumer(cp.deps);
  const all = Array.from({ length: 4 }, () => messages).flat();
  await Promise.all(all.map((message) => consume(toSqsEvent([message]))));
  // Whoever was too late to look comes again, as a message that was not done does.
  await Promise.all(all.map((message) => consume(toSqsEvent([message]))));
  await cp.pump();
  expect(await cp.rows("select message_id from inbox where applied_at is null")).toEqual([]);
  expect(
    await cp.rows(
      "select subscription_status, entitled_until <= $2 as over from services where vm_id = $1",
      vmId,
      cp.clock.now(),
    ),
  ).toEqual([{ subscription_status: "canceled", over: true }]);
  const paid = cp.stripe.standIn.store
    .all("invoice")
    .filter((invoice) => invoice.status === "paid");
  expect(paid).toHaveLength(2);
  const booked = await cp.rows(
    "select reference from ledger_transactions where order_id = $1 and kind = 'payment'",
    orderId,
  );
  expect(booked).toHaveLength(2);
  expect(new Set(booked.map((row) => row["reference"]))).toEqual(new Set(paid.map(({ id }) => id)));
});

test("of one delivery that is posted thirty times at once all are answered, and one is stored", async () => {
  const { checkoutUrl, orderId } = await aPlacedOrder(cp, await aWorld(cp));
  await cp.stripe.pay(checkoutUrl);
  const event = cp.stripe.standIn.store
    .all("event")
    .findLast((each) => each.type === "checkout.session.completed");
  const body = JSON.stringify(event);
  const at = Math.floor(+cp.clock.now() / 1000);
  const mac = createHmac("sha256", WEBHOOK_SECRET).update(`${at}.${body}`).digest("hex");
  const answers = await Promise.all(
    Array.from({ length: 30 }, async () =>
      cp.webhook(
        new Request("http://berth.test/webhooks/stripe", {
          method: "POST",
          headers: { "content-type": "application/json", "stripe-signature": `t=${at},v1=${mac}` },
          body,
        }),
      ),
    ),
  );
  expect(answers.map((answer) => answer.status)).toEqual(Array.from({ length: 30 }, () => 200));
  expect(
    await cp.rows("select count(*)::int as n from inbox where message_id = $1", event?.id),
  ).toEqual([{ n: 1 }]);
  await cp.pump();
  expect(await cp.rows("select state from orders where id = $1", orderId)).toEqual([
    { state: "paid" },
  ]);
  expect(
    await cp.rows(
      "select id from vms where id = (select vm_id from orders where id = $1)",
      orderId,
    ),
  ).toHaveLength(1);
});
