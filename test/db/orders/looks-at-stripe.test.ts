import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { applyBillingEvent } from "#commands/orders/apply-billing-event.ts";
import { retryInbox } from "#commands/messages/retry-inbox.ts";
import { createBillingEventsConsumer } from "#functions/consume-billing-events.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { toSqsEvent } from "#test/harness/recorded-queues.ts";
import { CARD } from "#test/harness/stripe-in-process.ts";
import { aPaidOrder, aProvisionedVm, aWorld } from "#test/harness/world.ts";

/*
 * 4b C1: what deliveries cost at Stripe. Each that told of a subscription cost two reads at least, and of 27,614 nearly all
 * changed nothing.
 */

let cp: ControlPlane;
beforeEach(async () => {
  cp = await startControlPlane();
});
afterEach(() => cp.drop());

/** What Stripe is asked for while it runs. */
async function readsOf(work: () => Promise<unknown>): Promise<readonly string[]> {
  const before = cp.stripe.calls.length;
  await work();
  return cp.stripe.calls.slice(before).map((call) => call.replace(/_\w+$/, ""));
}
const A_SUBSCRIPTION = "GET /v1/subscriptions/sub";

/** The subscription changes in something that is nothing to us, so often; its deliveries are stored and rung for. */
async function changedAtStripe(times: number): Promise<void> {
  const { subscriptions } = cp.stripe.dashboard;
  const [subscription] = cp.stripe.standIn.store.all("subscription");
  for (let n = 0; n < times; n++)
    await subscriptions.update(subscription?.id ?? "", { metadata: { n: `${n} of ${times}` } });
  await cp.stripe.standIn.webhooks.deliverDue();
}
const outcomes = async () =>
  (await cp.rows("select distinct outcome from inbox order by 1")).map((row) => row["outcome"]);
const unapplied = async () =>
  (
    await cp.rows(
      "select message_id from inbox where applied_at is null order by received_at, message_id",
    )
  ).map((row) => String(row["message_id"]));
const forgetVersion = () => cp.rows("update services set subscription_version = null");

describe("4b C1: a subscription that is told of", () => {
  test("as we hold it already costs no look", async () => {
    await aProvisionedVm(cp, await aWorld(cp));
    await changedAtStripe(3);
    expect(await unapplied()).toHaveLength(3);
    expect(await readsOf(cp.pump)).toEqual([]);
    expect(await unapplied()).toEqual([]);
    expect(await outcomes()).toContain("known");
  });

  test("many times within a moment costs one look", async () => {
    await aProvisionedVm(cp, await aWorld(cp));
    await forgetVersion();
    await changedAtStripe(5);
    expect(await unapplied()).toHaveLength(5);
    expect(await readsOf(cp.pump)).toEqual([A_SUBSCRIPTION]);
    expect(await unapplied()).toEqual([]);
  });

  test("beside another one costs a look for each: neither tells of the other", async () => {
    const world = await aWorld(cp);
    await aProvisionedVm(cp, world);
    await aProvisionedVm(cp, world);
    await forgetVersion();
    const { subscriptions } = cp.stripe.dashboard;
    for (const { id } of cp.stripe.standIn.store.all("subscription"))
      await subscriptions.update(id, { metadata: { n: "1" } });
    await cp.stripe.standIn.webhooks.deliverDue();
    expect(await readsOf(cp.pump)).toEqual([A_SUBSCRIPTION, A_SUBSCRIPTION]);
    expect(await unapplied()).toEqual([]);
  });

  test("many times within a moment, to as many workers at once, costs one look", async () => {
    await aProvisionedVm(cp, await aWorld(cp));
    await forgetVersion();
    await changedAtStripe(5);
    const consume = createBillingEventsConsumer(cp.deps);
    const messages = cp.queues.waiting["billing-events"].splice(0);
    expect(messages).toHaveLength(5);
    const reads = await readsOf(() =>
      Promise.all(messages.map((message) => consume(toSqsEvent([message])))),
    );
    expect(reads).toEqual([A_SUBSCRIPTION]);
    expect(await unapplied()).toEqual([]);
  });

  test("while another look is under way is looked at again: that one may have been too early", async () => {
    await aProvisionedVm(cp, await aWorld(cp));
    await forgetVersion();
    await changedAtStripe(1);
    const [first] = await unapplied();
    let later: string | undefined;
    const payments: ControlPlane["deps"]["payments"] = {
      ...cp.deps.payments,
      fetchSubscription: async (id) => {
        const seen = await cp.deps.payments.fetchSubscription(id);
        await cp.stripe.payments.cancelSubscription(id);
        await cp.stripe.standIn.webhooks.deliverDue();
        later = (await unapplied()).find((messageId) => messageId !== first);
        return seen;
      },
    };
    await applyBillingEvent({ ...cp.deps, payments }, first ?? "");
    expect(later).toBeDefined();
    expect(await unapplied()).toEqual([later]);
    await cp.pump();
    expect(await cp.rows("select subscription_status from services")).toEqual([
      { subscription_status: "canceled" },
    ]);
  });

  test("is looked at again at once when a look failed", async () => {
    await aProvisionedVm(cp, await aWorld(cp));
    await forgetVersion();
    await changedAtStripe(2);
    const [first = "", second = ""] = await unapplied();
    cp.stripe.trouble.outage = true;
    await expect(applyBillingEvent(cp.deps, first)).rejects.toThrow("Stripe");
    cp.stripe.trouble.outage = false;
    expect(await readsOf(() => applyBillingEvent(cp.deps, second))).toEqual([A_SUBSCRIPTION]);
    expect(await unapplied()).toEqual([]);
  });

  test("whose worker died is looked at when the sweep rings", async () => {
    await aProvisionedVm(cp, await aWorld(cp));
    await forgetVersion();
    await changedAtStripe(1);
    const [id = ""] = await unapplied();
    const now = cp.clock.now();
    await cp.rows(
      "update inbox set looked_at_until = $1 where message_id = $2",
      new Date(+now + 30_000),
      id,
    );
    expect(await applyBillingEvent(cp.deps, id)).toBe("taken");
    cp.queues.waiting["billing-events"].length = 0;
    cp.clock.advance(61_000);
    expect(await retryInbox(cp.deps)).toBe(1);
    await cp.pump();
    expect(await unapplied()).toEqual([]);
  });

  test("as it was before its last change is looked at, and nothing old is believed", async () => {
    const { vmId } = await aProvisionedVm(cp, await aWorld(cp));
    await changedAtStripe(1);
    await cp.pump();
    const active = cp.stripe.standIn.store
      .all("event")
      .findLast((event) => event.type === "customer.subscription.updated");
    const [subscription] = cp.stripe.standIn.store.all("subscription");
    await cp.stripe.payments.cancelSubscription(subscription?.id ?? "");
    await cp.pump();
    const entitled = () =>
      cp.rows(
        "select entitled_until as until, subscription_status from services where vm_id = $1",
        vmId,
      );
    const after = await entitled();
    expect(after).toMatchObject([{ subscription_status: "canceled" }]);
    // It says active, as it was; it comes to us again, as if it were new.
    await cp.rows("delete from inbox where message_id = $1", active?.id);
    const { id } = cp.stripe.standIn.webhooks.resend(active?.id ?? "");
    await cp.stripe.standIn.webhooks.deliver(id);
    expect(await readsOf(cp.pump)).toEqual([A_SUBSCRIPTION]);
    expect(await entitled()).toEqual(after);
  });

  test("with an invoice that is not paid yet is looked at each time: the invoice may have been paid since", async () => {
    await aProvisionedVm(cp, await aWorld(cp), CARD.failsAtRenewal);
    cp.clock.advanceDays(31);
    cp.stripe.standIn.runDue();
    cp.clock.advanceMinutes(61);
    cp.stripe.standIn.runDue();
    await cp.pump();
    expect(await cp.rows("select subscription_status, subscription_version from services")).toEqual(
      [{ subscription_status: "past_due", subscription_version: null }],
    );
    await changedAtStripe(1);
    expect(await readsOf(cp.pump)).not.toEqual([]);
  });
});

describe("4b C1: an invoice that is told of", () => {
  test("is read once, beside its order's session, and a renewal's subscription costs no look after it", async () => {
    const { vmId } = await aProvisionedVm(cp, await aWorld(cp));
    const until = async () =>
      +new Date(
        String(
          (
            await cp.rows("select entitled_until as until from services where vm_id = $1", vmId)
          )[0]?.["until"],
        ),
      );
    const before = await until();
    cp.clock.advanceDays(31);
    cp.stripe.standIn.runDue();
    await cp.pump();
    cp.clock.advanceMinutes(61);
    cp.stripe.standIn.runDue();
    await cp.stripe.standIn.webhooks.deliverDue();
    const [paid] = await cp.rows(
      "select message_id from inbox where applied_at is null and type = 'invoice.paid'",
    );
    const reads = await readsOf(() => applyBillingEvent(cp.deps, String(paid?.["message_id"])));
    expect(reads).toEqual(["GET /v1/invoices/in", A_SUBSCRIPTION]);
    expect(await until()).toBeGreaterThan(before);
    expect(await readsOf(cp.pump)).toEqual([]);
    await changedAtStripe(2);
    expect(await readsOf(cp.pump)).toEqual([]);
  });

  test("as the first of its order, after the session was, costs no look", async () => {
    await aPaidOrder(cp, await aWorld(cp));
    await cp.stripe.standIn.webhooks.deliverDue();
    // The session's ring is not held back, the others' are.
    const bought = cp.queues.waiting.purchases[0];
    await createBillingEventsConsumer(cp.deps)(toSqsEvent([bought]));
    expect(await readsOf(cp.pump)).toEqual([]);
    expect(await cp.rows("select state from orders")).toEqual([{ state: "paid" }]);
  });
});

describe("4b C1: what a buyer waits for", () => {
  test("is not in one queue with renewals", async () => {
    await aPaidOrder(cp, await aWorld(cp));
    await cp.stripe.standIn.webhooks.deliverDue();
    const kinds = await cp.rows("select distinct object_kind, queue from inbox order by 1, 2");
    expect(kinds).toContainEqual({ object_kind: "checkout.session", queue: "purchases" });
    expect(kinds).toContainEqual({ object_kind: "invoice", queue: "purchases" });
    cp.queues.waiting["billing-events"].length = 0;
    const consume = createBillingEventsConsumer(cp.deps);
    for (const message of cp.queues.waiting.purchases.splice(0))
      await consume(toSqsEvent([message]));
    expect(await cp.rows("select state from orders")).toEqual([{ state: "paid" }]);
  });
});
