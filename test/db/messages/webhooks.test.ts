import fc from "fast-check";
import { v7 } from "uuid";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { PROVIDER_EVENTS } from "#core/billing/payments.ts";
import { BILLING_QUEUES } from "#core/ports.ts";
import { fetchMissedEvents } from "#commands/messages/fetch-missed-events.ts";
import { retryInbox } from "#commands/messages/retry-inbox.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { changesBetween, snapshot } from "#test/harness/dump.ts";
import { anActiveVm, aPaidOrder, aWorld, hostSees, valueOf } from "#test/harness/world.ts";

let cp: ControlPlane;
beforeEach(async () => {
  cp = await startControlPlane();
});
afterEach(() => cp.drop());

const eventIds = (of: ControlPlane, ...types: readonly string[]) =>
  of.stripe.standIn.store
    .all("event")
    .filter((e) => types.includes(e.type))
    .map((e) => e.id);
/** Delivers one event again, all the way to what it changes. */
async function deliver(to: ControlPlane, eventId: string) {
  const { id } = to.stripe.standIn.webhooks.resend(eventId);
  await to.stripe.standIn.webhooks.deliver(id);
  await to.pump();
}

/** Forgets every delivery that waits: the test sends them in an order of its own. */
function holdBack(of: ControlPlane) {
  const { webhooks } = of.stripe.standIn;
  for (const { id } of webhooks.pending()) webhooks.drop(id);
}

describe("the deliveries of an order that was paid and renewed", () => {
  /** The state that they lead to, delivered as `order` says, and how often each change was written. */
  async function endingOf(order: (events: readonly string[]) => readonly string[]) {
    // A month of 28 days: Stripe forgets events after 30.
    const own = await startControlPlane({ start: "2027-02-01T12:00:00.000Z" });
    try {
      const startedAt = own.clock.now();
      const before = await snapshot(own);
      await aPaidOrder(own, await aWorld(own));
      holdBack(own);
      own.clock.advanceDays(28);
      own.clock.advanceMinutes(61);
      own.stripe.standIn.runDue();
      holdBack(own);
      for (const event of order(eventIds(own, ...PROVIDER_EVENTS))) await deliver(own, event);
      const changes = await own.rows(
        "select action, count(*)::int from audit_log where actor_kind = 'provider' group by 1 order by 1",
      );
      // Which event was the first to say something differs with the order; it is counted instead.
      const state = changesBetween(
        before,
        await snapshot(own),
        startedAt,
        /^audit_log .*"provider"/,
      );
      return { changes, state };
    } finally {
      await own.drop();
    }
  }

  test("end in one state, five times each and in any order", async () => {
    let count = 0;
    const canonical = await endingOf((events) => {
      count = events.length;
      return events;
    });
    expect(count).toBeGreaterThanOrEqual(4);
    expect(canonical.changes).toEqual([{ action: "order.pay", count: 1 }]);
    expect(canonical.state.filter((line) => line.startsWith("ledger_transactions"))).toHaveLength(
      2,
    );
    const places = fc.array(fc.nat(), { minLength: count * 5, maxLength: count * 5 });
    await fc.assert(
      fc.asyncProperty(places, async (weights) => {
        const ending = await endingOf((events) =>
          weights
            .map((weight, n) => ({ weight, event: events[n % events.length] ?? "" }))
            .sort((a, b) => a.weight - b.weight)
            .map(({ event }) => event),
        );
        expect(ending).toEqual(canonical);
      }),
      { numRuns: 6 },
    );
  });
});

describe("a service that was cancelled", () => {
  test("is resurrected by no delivery, old or new", async () => {
    const world = await aWorld(cp);
    const { orderId, vmId } = await anActiveVm(cp, world);
    valueOf(await requestAction(cp.deps, { who: world.buyer, vmId, type: "delete" }));
    await cp.pump();
    await hostSees(cp, world.hostId, vmId, { observed: null });
    const before = await snapshot(cp);
    for (const id of eventIds(cp, ...PROVIDER_EVENTS)) await deliver(cp, id);
    expect(changesBetween(before, await snapshot(cp), cp.clock.now())).toEqual([]);
    expect(await cp.rows("select state from orders where id = $1", orderId)).toEqual([
      { state: "completed" },
    ]);
    expect(await cp.rows("select presence from vms where id = $1", vmId)).toEqual([
      { presence: "absent" },
    ]);
  });

  test("is not entitled again by a renewal that was charged all the same", async () => {
    const world = await aWorld(cp);
    const { vmId } = await anActiveVm(cp, world);
    // Stripe is away, so the cancellation is still due when the next month begins.
    valueOf(await requestAction(cp.deps, { who: world.buyer, vmId, type: "delete" }));
    const until = async () =>
      cp.rows("select entitled_until as until from services where vm_id = $1", vmId);
    const before = await until();
    cp.clock.advanceDays(32);
    cp.stripe.standIn.runDue();
    const [renewal] = eventIds(cp, "invoice.paid");
    await deliver(cp, renewal ?? "none");
    expect(await cp.rows("select 1 from invoices where status = 'paid'")).toHaveLength(2);
    expect(await until()).toEqual(before);
  });
});

describe("deliveries that never came", () => {
  test("are fetched from the provider after five minutes, once", async () => {
    const { orderId } = await aPaidOrder(cp, await aWorld(cp));
    holdBack(cp);
    expect(await fetchMissedEvents(cp.deps)).toEqual({ found: 0 });
    cp.clock.advance(5 * 60_000 + 1000);
    const { found } = await fetchMissedEvents(cp.deps);
    expect(found).toBeGreaterThan(0);
    expect(await fetchMissedEvents(cp.deps)).toEqual({ found: 0 });
    await cp.pump();
    expect(await cp.rows("select state from orders where id = $1", orderId)).toEqual([
      { state: "paid" },
    ]);
  });

  test("of two renewals leave the VM entitled, and each invoice is booked", async () => {
    const { vmId } = await anActiveVm(cp, await aWorld(cp));
    const start = cp.clock.now();
    for (const days of [32, 31]) {
      cp.clock.advanceDays(days);
      cp.stripe.standIn.runDue();
      cp.clock.advanceMinutes(61);
      cp.stripe.standIn.runDue();
      holdBack(cp);
      cp.clock.advanceMinutes(6);
      await fetchMissedEvents(cp.deps);
      await cp.pump();
    }
    const [entitlement] = await cp.rows(
      "select entitled_until as until from services where vm_id = $1",
      vmId,
    );
    expect(+new Date(String(entitlement?.["until"])) - +start).toBeGreaterThan(85 * 86_400_000);
    expect(await cp.rows("select 1 from ledger_transactions where kind = 'payment'")).toHaveLength(
      3,
    );
  });

  test("are all fetched within three hours, also when they are more than a look takes in", async () => {
    await aPaidOrder(cp, await aWorld(cp));
    cp.clock.advanceMinutes(60);
    const { subscriptions } = cp.stripe.dashboard;
    const [subscription] = (await subscriptions.list()).data;
    for (let n = 0; n < 1100; n++)
      await subscriptions.update(subscription?.id ?? "", { metadata: { n } });
    holdBack(cp);
    cp.clock.advanceMinutes(6);
    // The newest first, of which there are more: those of the payment are beyond them.
    expect(await fetchMissedEvents(cp.deps)).toEqual({ found: 1000 });
    const sent = new Set(eventIds(cp, ...PROVIDER_EVENTS));
    expect(sent.size).toBeGreaterThan(1100);
    const stored = async () =>
      new Set((await cp.rows("select message_id from inbox")).map((r) => r["message_id"]));
    for (let minute = 0; minute < 180 && (await stored()).size < sent.size; minute++) {
      cp.clock.advanceMinutes(1);
      await fetchMissedEvents(cp.deps);
    }
    expect(await stored()).toEqual(sent);
  });

  test("and are days old are fetched too, behind younger ones that are known", async () => {
    const { orderId } = await aPaidOrder(cp, await aWorld(cp));
    holdBack(cp);
    const [first] = eventIds(cp, "checkout.session.completed");
    cp.clock.advanceDays(29);
    const { subscriptions } = cp.stripe.dashboard;
    const [subscription] = (await subscriptions.list()).data;
    for (let n = 0; n < 150; n++)
      await subscriptions.update(subscription?.id ?? "", { metadata: { n } });
    holdBack(cp);
    for (let minute = 0; minute < 190; minute++) {
      cp.clock.advanceMinutes(1);
      await fetchMissedEvents(cp.deps);
    }
    expect(await cp.rows("select 1 from inbox where message_id = $1", first)).toHaveLength(1);
    await cp.pump();
    expect(await cp.rows("select state from orders where id = $1", orderId)).toEqual([
      { state: "paid" },
    ]);
  });

  test("that come late all the same change nothing", async () => {
    const { orderId } = await aPaidOrder(cp, await aWorld(cp));
    holdBack(cp);
    cp.clock.advanceMinutes(6);
    await fetchMissedEvents(cp.deps);
    await cp.pump();
    const before = await snapshot(cp);
    for (const id of eventIds(cp, ...PROVIDER_EVENTS)) await deliver(cp, id);
    expect(changesBetween(before, await snapshot(cp), cp.clock.now())).toEqual([]);
    expect(await cp.rows("select state from orders where id = $1", orderId)).toEqual([
      { state: "paid" },
    ]);
  });
});

describe("a delivery", () => {
  test("whose ring was lost is rung again after a minute", async () => {
    const { orderId } = await aPaidOrder(cp, await aWorld(cp));
    await cp.stripe.standIn.webhooks.deliverDue();
    for (const queue of BILLING_QUEUES) cp.queues.waiting[queue].length = 0;
    expect(await retryInbox(cp.deps)).toBe(0);
    cp.clock.advance(61_000);
    expect(await retryInbox(cp.deps)).toBeGreaterThan(0);
    await cp.pump();
    expect(await cp.rows("select state from orders where id = $1", orderId)).toEqual([
      { state: "paid" },
    ]);
    expect(await retryInbox(cp.deps)).toBe(0);
  });

  test("with a signature that does not fit is refused and not stored", async () => {
    const answer = await cp.webhook(
      new Request("http://berth.test/webhooks/stripe", {
        method: "POST",
        headers: { "stripe-signature": "t=1,v1=00" },
        body: JSON.stringify({ id: "evt_1", object: "event" }),
      }),
    );
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ code: "signature_invalid" });
    expect(await cp.rows("select 1 from inbox")).toEqual([]);
  });

  test.each(["0199f0a2-b3c4-7d5e-8f90-a1b2c3d4e5f6", "order-1"])(
    "about an order that is not ours (%s) is put aside for good",
    async (orderId) => {
      const { payments } = cp.stripe;
      const world = await aWorld(cp);
      const customerId = await payments.ensureCustomer({
        ...world.buyer,
        currency: "usd",
        attempt: 1,
      });
      const priceId = await payments.ensurePrice({
        planPriceId: v7(),
        planId: world.planId,
        planName: "another system's",
        amount: { minor: 900n, currency: "usd" },
        interval: "month",
        taxBehavior: null,
      });
      const { url } = await payments.createCheckout({
        orderId,
        customerId,
        priceId,
        successUrl: "http://other.test/done",
        cancelUrl: "http://other.test/no",
        expiresAt: new Date(+cp.clock.now() + 40 * 60_000),
      });
      expect(await cp.stripe.pay(url)).toBe(303);
      await cp.pump();
      cp.clock.advanceMinutes(2);
      expect(await retryInbox(cp.deps)).toBe(0);
      const outcomes = await cp.rows("select distinct outcome from inbox");
      expect(outcomes).toEqual([{ outcome: "ignored" }]);
    },
  );

  test("that cannot be applied now is tried again, and then applied", async () => {
    const { orderId } = await aPaidOrder(cp, await aWorld(cp));
    await cp.stripe.standIn.webhooks.deliverDue();
    cp.stripe.trouble.outage = true;
    await cp.pump();
    expect(cp.queues.waiting.purchases.length).toBeGreaterThan(0);
    expect(await cp.rows("select 1 from inbox where applied_at is not null")).toEqual([]);
    cp.stripe.trouble.outage = false;
    await cp.pump();
    expect(await cp.rows("select state from orders where id = $1", orderId)).toEqual([
      { state: "paid" },
    ]);
  });
});
