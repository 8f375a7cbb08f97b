import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { agreeOnDunning } from "#commands/billing/agree-on-dunning.ts";
import { retryGiveBacks } from "#commands/billing/make-give-back.ts";
import { retryCrossed } from "#commands/billing/return-crossed.ts";
import { followProvider } from "#commands/orders/follow-provider.ts";
import { dun } from "#commands/billing/dun.ts";
import { reviveVm } from "#commands/billing/revive-vm.ts";
import { offerTrials, type TrialTerms } from "#commands/catalogue/offer-trials.ts";
import { showPlans } from "#commands/catalogue/show-catalogue.ts";
import { FILLERS } from "#commands/fill-mail.ts";
import { sendDueMails } from "#commands/messages/send-mail.ts";
import { expireOrders } from "#commands/orders/expire-orders.ts";
import { followTrials } from "#commands/orders/follow-trials.ts";
import { watchProvisioning } from "#commands/orders/watch-provisioning.ts";
import { retryRefunds } from "#commands/orders/refund-order.ts";
import { recordReport } from "#commands/moves/record-report.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import type { AccountPrincipal } from "#core/accounts/accounts.ts";
import { idIn } from "#core/ids.ts";
import { desiredVmsOf } from "#db/vms/vms.ts";
import { PROVIDER_EVENTS } from "#core/billing/payments.ts";
import { anAgentReport, aPrincipal } from "#test/builders.ts";
import { aSavedCard } from "#test/harness/cards.ts";
import { quoted } from "../billing/resize-builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { CARD } from "#test/harness/stripe-in-process.ts";
import {
  aBuyer,
  anActiveVm,
  aNewVersion,
  aWorld,
  GUEST,
  hostSees,
  sendOrder,
  valueOf,
  type World,
} from "#test/harness/world.ts";

/* Issue 15 item 1: a VM that is tried first, from its offer to its payment, or to nothing. */

let cp: ControlPlane;
let world: World;
beforeEach(async () => {
  cp = await startControlPlane();
  world = await aWorld(cp, { places: 4 });
});
afterEach(() => cp.drop());

const TERMS: TrialTerms = {
  days: 7,
  endsIn: "payment",
  suspendDays: 1,
  noticeDays: 3,
  mostAtOnce: 10,
  planIds: null,
};
async function offered(over: Partial<TrialTerms> | null = {}): Promise<void> {
  const who = aPrincipal({ role: "staff" });
  const terms = over === null ? null : { ...TERMS, ...over };
  const asked = { who, terms, reason: "spring" };
  const { hash } = valueOf(await offerTrials(cp.deps, { ...asked, dryRun: true }));
  valueOf(await offerTrials(cp.deps, { ...asked, dryRun: false, hash }));
}

const orderTrial = (buyer?: AccountPrincipal, request: Record<string, unknown> = {}) =>
  sendOrder(cp, world, { ...(buyer && { buyer }), request: { trial: true, ...request } });

type Tried = Readonly<{ orderId: string; vmId: string; url: string; buyer: AccountPrincipal }>;
/** Ordered, and nobody was on its page. */
async function aTrialOrder(buyer: AccountPrincipal = world.buyer): Promise<Tried> {
  const { order, checkoutUrl } = valueOf(await orderTrial(buyer));
  const orderId = idIn("order").parse(order.id);
  const [row] = await cp.rows("select vm_id from orders where id = $1", orderId);
  return { orderId, vmId: String(row?.["vm_id"]), url: checkoutUrl ?? "", buyer };
}
/** Its page is complete, and was followed. */
async function aCompletedTrial(
  form: Record<string, string> = { card: CARD.works },
  buyer?: AccountPrincipal,
): Promise<Tried> {
  const tried = await aTrialOrder(buyer);
  cp.clock.advance(17_000);
  expect(await cp.stripe.submit(tried.url, form)).toBe(303);
  cp.clock.advance(3_000);
  await cp.pump();
  return tried;
}
async function aRunningTrial(form?: Record<string, string>): Promise<Tried> {
  const tried = await aCompletedTrial(form);
  cp.clock.advance(29_000);
  await hostSees(cp, world.hostId, tried.vmId, { observed: { guest: GUEST } });
  return tried;
}

/** All that has its turn, until nothing moves any more. */
async function sweep(): Promise<void> {
  for (let round = 0; round < 3; round++) {
    await dun(cp.deps);
    await followTrials(cp.deps);
    await sendDueMails(cp.deps, FILLERS);
    await cp.pump();
    cp.clock.advanceMinutes(2);
  }
}
async function days(n: number): Promise<void> {
  cp.clock.advanceDays(n);
  cp.stripe.standIn.runDue();
  cp.clock.advanceMinutes(61);
  cp.stripe.standIn.runDue();
  await cp.pump();
  await sweep();
}
const orders = async () =>
  (await cp.rows("select state, decline_code from orders order by id")).map(
    (row) => row["decline_code"] ?? row["state"],
  );
const outcomes = async () =>
  (await cp.rows("select outcome from trials order by started_at, order_id")).map(
    (row) => row["outcome"],
  );
const dunnings = async () =>
  (await cp.rows("select state, outcome from dunnings order by id")).map(
    (r) => r["outcome"] ?? r["state"],
  );
const vms = async () => (await cp.rows("select 1 from vms where presence = 'present'")).length;
const atStripe = () => {
  const { store } = cp.stripe.standIn;
  return {
    subscriptions: store.all("subscription").map((s) => s.status),
    charged: store
      .all("charge")
      .filter((c) => c.paid)
      .map((c) => c.amount),
  };
};
const service = async (vmId: string) => {
  const [row] = await cp.rows(
    "select suspend_days, entitled_until, amount_minor::int as price from services where vm_id = $1",
    vmId,
  );
  return row;
};
/** When its host is to stop it. */
async function stopsOnHost(vmId: string): Promise<number> {
  const wire = (await desiredVmsOf(cp.deps.db, world.hostId)).find((vm) => vm.vmId === vmId);
  return Date.parse(wire?.entitledUntil ?? "") + 3 * 86_400_000;
}
const subjects = () => cp.mails.map(({ subject }) => subject);

describe("what may be tried", () => {
  test("is shown with the plans, and is nothing where nobody offers it", async () => {
    const trials = async () => (await showPlans(cp.deps)).map(({ trial }) => trial?.days ?? null);
    expect(await trials()).toEqual([null]);
    expect(await orderTrial()).toMatchObject({ error: { code: "trial_unavailable" } });
    await offered();
    expect(await trials()).toEqual([7]);
    await aSavedCard(cp, world.buyer);
    await cp.pump();
    expect(await orderTrial(world.buyer, { paymentMethod: "default" })).toMatchObject({
      error: { code: "trial_unavailable" },
    });
    await offered(null);
    expect(await trials()).toEqual([null]);
    expect(await orderTrial()).toMatchObject({ error: { code: "trial_unavailable" } });
  });

  test("is some plans alone, where the terms name them", async () => {
    const other = await aWorld(cp);
    await offered({ planIds: [other.planId] });
    expect(await orderTrial()).toMatchObject({ error: { code: "trial_unavailable" } });
    valueOf(await sendOrder(cp, other, { request: { trial: true } }));
  });

  test("is said once: the same terms again are no new version, and those of a dry run that is old are refused", async () => {
    await offered();
    await offered();
    expect(await cp.rows("select version from trial_policies")).toHaveLength(1);
    const asked = { who: aPrincipal({ role: "staff" }), terms: null, reason: "over" };
    const { hash } = valueOf(await offerTrials(cp.deps, { ...asked, dryRun: true }));
    await offered({ days: 14 });
    expect(await offerTrials(cp.deps, { ...asked, dryRun: false, hash })).toMatchObject({
      error: { code: "plan_changed" },
    });
  });

  test("is no more at once than the terms say, with those whose page is open", async () => {
    await offered({ mostAtOnce: 1 });
    await aTrialOrder();
    const refused = await orderTrial(await aBuyer(cp));
    expect(refused).toMatchObject({ error: { code: "trials_taken" } });
    cp.clock.advanceMinutes(61);
    await expireOrders(cp.deps);
    valueOf(await recordReport(cp.deps, world.hostId, anAgentReport({ vms: [] })));
    valueOf(await orderTrial(await aBuyer(cp)));
  });

  test("is nothing for whoever has paid before, or has had a trial", async () => {
    await offered();
    await anActiveVm(cp, world);
    expect(await orderTrial()).toMatchObject({ error: { code: "trial_used" } });
    const buyer = await aBuyer(cp);
    await aCompletedTrial({ card: "5555555555554444" }, buyer);
    expect(await orderTrial(buyer)).toMatchObject({ error: { code: "trial_used" } });
  });
});

describe("a trial that ends in payment", () => {
  test("runs for nothing, is told of before its end, and is then paid for as any VM", async () => {
    await offered();
    const { vmId } = await aRunningTrial();
    expect(await orders()).toEqual(["active"]);
    expect(atStripe()).toEqual({ subscriptions: ["trialing"], charged: [] });
    expect(await service(vmId)).toMatchObject({ suspend_days: 1, price: 500 });
    expect(await stopsOnHost(vmId)).toBeLessThan(+cp.clock.now() + 8.1 * 86_400_000);
    await days(3);
    expect(subjects().filter((s) => s.includes("The trial of"))).toEqual([]);
    await days(1.5);
    expect(subjects().filter((s) => s.includes("The trial of"))).toHaveLength(1);
    await days(3);
    expect(atStripe()).toEqual({ subscriptions: ["active"], charged: [500] });
    expect(await outcomes()).toEqual(["paid"]);
    expect(await service(vmId)).toMatchObject({ suspend_days: 3 });
    expect(await stopsOnHost(vmId)).toBeGreaterThan(+cp.clock.now() + 29 * 86_400_000);
    expect(subjects().filter((s) => s.includes("The trial of"))).toHaveLength(1);
    const entries = await cp.rows(
      "select account, sum(amount_minor)::int as minor from ledger_entries group by account order by account::text",
    );
    expect(entries).toEqual([
      { account: "customer_revenue", minor: -500 },
      { account: "stripe_balance", minor: 500 },
    ]);
  });

  test("that nobody pays for owes a day at the most, and goes the way of all that is not paid", async () => {
    await offered();
    const { vmId } = await aRunningTrial({ card: CARD.failsAtRenewal });
    const endsAt = new Date(String((await service(vmId))?.["entitled_until"]));
    await days(7);
    expect(await dunnings()).toEqual(["reminded"]);
    // From the reminder, which came as soon as the first payment had failed.
    expect(await stopsOnHost(vmId)).toBeLessThan(+endsAt + 1.2 * 86_400_000);
    await days(1.1);
    expect(await dunnings()).toEqual(["suspended"]);
    await days(14);
    expect(await dunnings()).toEqual(["terminated"]);
    expect(await outcomes()).toEqual(["ended"]);
    expect(atStripe()).toEqual({ subscriptions: ["canceled"], charged: [] });
    expect(await vms()).toBe(1);
    await days(31);
    expect(await vms()).toBe(0);
  });

  test("is paid although nobody of ours looked for three weeks", async () => {
    await offered();
    const { vmId } = await aRunningTrial();
    await days(21);
    expect(await outcomes()).toEqual(["paid"]);
    expect(await service(vmId)).toMatchObject({ suspend_days: 3 });
    expect(subjects().filter((s) => s.includes("The trial of"))).toEqual([]);
  });

  test("that its owner deletes costs nothing, and was theirs", async () => {
    await offered();
    const { vmId, buyer } = await aRunningTrial();
    valueOf(await requestAction(cp.deps, { who: buyer, vmId, type: "delete" }));
    await cp.pump();
    await days(8);
    expect(atStripe()).toEqual({ subscriptions: ["canceled"], charged: [] });
    expect(await outcomes()).toEqual(["ended"]);
    expect(await orderTrial(buyer)).toMatchObject({ error: { code: "trial_used" } });
  });

  test("owes no more by what is agreed with its account about dunning", async () => {
    await offered();
    const { vmId, buyer } = await aRunningTrial();
    const who = { ...buyer, role: "staff" } as const;
    const patient = { suspendDays: 30, terminateDays: 30, deleteDays: 30 };
    const asked = { who, accountId: buyer.accountId, days: patient, reason: "an old friend" };
    const { hash } = valueOf(await agreeOnDunning(cp.deps, { ...asked, dryRun: true }));
    valueOf(await agreeOnDunning(cp.deps, { ...asked, dryRun: false, hash }));
    expect(await service(vmId)).toMatchObject({ suspend_days: 1 });
    await days(8);
    expect(await service(vmId)).toMatchObject({ suspend_days: 30 });
  });

  test("is resized by nobody before it is paid for", async () => {
    await offered();
    const { vmId, buyer } = await aRunningTrial();
    await aNewVersion(cp, world.planId, { memoryMib: 2048 });
    const { refusals } = await quoted(
      cp.deps,
      { world: { ...world, buyer }, vmId },
      { planId: world.planId },
    );
    expect(refusals.map(({ code }) => code)).toContain("trial_running");
  });
});

describe("whose trial it is, is judged when its page is complete", () => {
  test("a card that another account has tried with is refused before any VM is made, and told so", async () => {
    await offered();
    await aRunningTrial();
    await aCompletedTrial({ card: CARD.works }, await aBuyer(cp));
    expect(await orders()).toEqual(["active", "trial_card_known"]);
    expect(await vms()).toBe(1);
    expect(atStripe()).toEqual({ subscriptions: ["trialing", "canceled"], charged: [] });
    await sweep();
    expect(subjects().filter((s) => s.includes("was not begun"))).toHaveLength(1);
    const [host] = await cp.rows(
      "select allocated_memory_mib as mib from hosts where id = $1",
      world.hostId,
    );
    expect(host).toEqual({ mib: 1024 });
  });

  test.each([
    ["a wallet", { card: CARD.works, wallet: "apple_pay" }],
    ["Link", { card: CARD.works, wallet: "link" }],
  ])("%s is refused, and the same customer may pay instead", async (_, form) => {
    await offered();
    const { buyer } = await aCompletedTrial(form);
    expect(await orders()).toEqual(["trial_card_unrecognised"]);
    expect([await vms(), atStripe().subscriptions]).toEqual([0, ["canceled"]]);
    const { checkoutUrl } = valueOf(await sendOrder(cp, world, { buyer }));
    await cp.stripe.pay(checkoutUrl);
    await cp.pump();
    expect(await orders()).toEqual(["trial_card_unrecognised", "paid"]);
  });

  test("of two orders of one customer the second is refused, whichever page was complete first", async () => {
    await offered();
    const [one, two] = [await aTrialOrder(), await aTrialOrder()];
    await cp.stripe.submit(two.url, { card: CARD.works });
    await cp.stripe.submit(one.url, { card: "5555555555554444" });
    await cp.pump();
    expect((await orders()).map(String).toSorted()).toEqual(["paid", "trial_used"]);
    expect(await vms()).toBe(1);
  });

  test("a refusal of which Stripe was not told is told by the next look, and what was charged meanwhile goes back", async () => {
    await offered();
    await aRunningTrial();
    const { orderId, url, buyer } = await aTrialOrder(await aBuyer(cp));
    await cp.stripe.submit(url, { card: CARD.works });
    const actor = { kind: "system", id: "test" } as const;
    expect(await followProvider(cp.deps, orderId, { actor })).toBe("expired");
    await cp.rows("delete from outbox where name = 'subscription.cancellation_fell_due.v1'");
    // Nobody looks again before it is charged.
    for (const { id } of cp.stripe.standIn.webhooks.due()) cp.stripe.standIn.webhooks.drop(id);
    await days(7.1);
    expect(atStripe().subscriptions).toEqual(["active", "canceled"]);
    await retryCrossed(cp.deps);
    await retryGiveBacks(cp.deps);
    await cp.pump();
    const [kept] = await cp.rows(
      `select sum(e.amount_minor)::int as minor from ledger_entries e
        join ledger_transactions t on t.id = e.transaction_id
        where e.account = 'stripe_balance' and t.account_id = $1`,
      buyer.accountId,
    );
    expect(kept).toEqual({ minor: 0 });
  });

  test("what is told again changes nothing", async () => {
    await offered();
    await aRunningTrial();
    await aCompletedTrial({ card: CARD.works }, await aBuyer(cp));
    const before = [await orders(), atStripe(), (await cp.rows("select 1 from mails")).length];
    for (const event of cp.stripe.standIn.store.all("event"))
      if (PROVIDER_EVENTS.some((type) => type === event.type))
        cp.stripe.standIn.webhooks.resend(event.id);
    await cp.pump();
    expect([await orders(), atStripe(), (await cp.rows("select 1 from mails")).length]).toEqual(
      before,
    );
  });
});

describe("a trial without a card", () => {
  test("stops at its end, is kept, and comes back when it is paid for", async () => {
    await offered({ endsIn: "suspension", suspendDays: 0 });
    const { vmId, buyer } = await aRunningTrial({});
    expect(atStripe()).toEqual({ subscriptions: ["trialing"], charged: [] });
    await days(4.1);
    expect(subjects().filter((s) => s.includes("The trial of"))).toHaveLength(1);
    await days(3);
    expect(atStripe()).toEqual({ subscriptions: ["canceled"], charged: [] });
    expect([await dunnings(), await outcomes()]).toEqual([["terminated"], ["ended"]]);
    expect(await stopsOnHost(vmId)).toBeLessThanOrEqual(+cp.clock.now());
    expect(await vms()).toBe(1);
    expect(await service(vmId)).toMatchObject({ suspend_days: 0 });
    const { checkoutUrl: url } = valueOf(await reviveVm(cp.deps, { who: buyer, vmId }));
    expect(await cp.stripe.pay(url)).toBe(303);
    await cp.pump();
    await sweep();
    expect(await dunnings()).toEqual(["revived"]);
    // It has been paid for, as by everybody who pays.
    expect(await service(vmId)).toMatchObject({ suspend_days: 3 });
    expect(atStripe()).toEqual({ subscriptions: ["canceled", "active"], charged: [500] });
  });

  test("goes on where a card was saved meanwhile", async () => {
    await offered({ endsIn: "suspension" });
    const { buyer } = await aRunningTrial({});
    await aSavedCard(cp, buyer);
    await cp.pump();
    await days(7.1);
    expect(atStripe()).toEqual({ subscriptions: ["active"], charged: [500] });
    expect(await outcomes()).toEqual(["paid"]);
  });
});

test("a trial whose VM its host cannot make counts as none", async () => {
  await offered();
  const { vmId, buyer } = await aCompletedTrial();
  const refusal = { observed: null, error: { code: "image_missing", detail: "no" } } as const;
  await hostSees(cp, world.hostId, vmId, refusal);
  await watchProvisioning(cp.deps);
  await retryRefunds(cp.deps);
  await cp.pump();
  expect(await orders()).toEqual(["refunded"]);
  expect(atStripe()).toEqual({ subscriptions: ["canceled"], charged: [] });
  expect(await outcomes()).toEqual(["not_made"]);
  valueOf(await orderTrial(buyer));
});
