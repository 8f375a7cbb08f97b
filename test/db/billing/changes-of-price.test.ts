import { afterEach, beforeEach, expect, test } from "vitest";
import { submitInvoice } from "#local/stripe/harness.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { CARD } from "#test/harness/stripe-in-process.ts";
import { aProvisionedVm, aWorld, MONTH } from "#test/harness/world.ts";

/* 6a 2: what is kept of a subscription beside changes of its price. Nobody but a recurring line that is paid moves a lease. */

let cp: ControlPlane;
beforeEach(async () => {
  cp = await startControlPlane();
});
afterEach(() => cp.drop());

async function aVm(card?: string) {
  const { vmId } = await aProvisionedVm(cp, await aWorld(cp), card);
  cp.clock.advanceDays(10);
  const { dashboard } = cp.stripe;
  const [subscription] = (await dashboard.subscriptions.list()).data;
  if (!subscription) throw new Error("there is no subscription");
  const priceOf = async (minor: number, interval: "month" | "year" = "month") =>
    (
      await dashboard.prices.create({
        currency: "usd",
        unit_amount: minor,
        recurring: { interval },
        product_data: { name: "other" },
      })
    ).id;
  const change = async (changeId: string, priceId: string) => {
    const made = await cp.deps.payments.changePrice({
      changeId,
      subscriptionId: subscription.id,
      priceId,
      at: cp.clock.now(),
      how: "pay_first",
    });
    await cp.pump();
    return made;
  };
  const kept = async () => {
    const [row] = await cp.rows(
      `select entitled_until as until, subscription_status as status,
              subscription_version is null as unsettled from services where vm_id = $1`,
      vmId,
    );
    return row;
  };
  return { subscription, priceOf, change, kept };
}
const PAID = { until: new Date("2026-04-01T12:00:17.000Z"), status: "active" };

test("a change that waits, and its payment, move no lease; a subscription that waits is looked at each time", async () => {
  const { priceOf, change, kept } = await aVm(CARD.failsAtRenewal);
  expect(await kept()).toEqual({ ...PAID, unsettled: false });
  const made = await change("chg_1", await priceOf(5000));
  expect(await kept()).toEqual({ ...PAID, unsettled: true });
  if (made.kind !== "waiting") throw new Error("it does not wait");
  expect(
    (await submitInvoice(cp.stripe.standIn, made.invoiceId ?? "", { card: CARD.works })).status,
  ).toBe(303);
  await cp.pump();
  expect(await kept()).toEqual({ ...PAID, unsettled: false });
});

test("one that expires leaves all as it was, and the next renewal is followed", async () => {
  const { priceOf, change, kept } = await aVm(CARD.failsAtRenewal);
  await change("chg_1", await priceOf(5000));
  cp.clock.advanceDays(1);
  cp.stripe.standIn.runDue();
  await cp.pump();
  expect(await kept()).toEqual({ ...PAID, unsettled: true });
  cp.clock.advanceDays(21);
  cp.clock.advanceMinutes(61);
  cp.stripe.standIn.runDue();
  await cp.pump();
  expect(await kept()).toMatchObject({ ...PAID, status: "past_due" });
});

test("a change to a year extends the lease by its own line, once that is paid", async () => {
  const { priceOf, change, kept } = await aVm();
  expect(await change("chg_1", await priceOf(5000, "year"))).toMatchObject({ kind: "applied" });
  expect(await kept()).toMatchObject({ until: new Date("2027-03-11T12:00:20.000Z") });
});

test("what a change moved and what went back of it is in the books as it is at the provider", async () => {
  const { subscription, priceOf, change } = await aVm();
  const before = subscription.items.data[0]?.price.id ?? "";
  expect(await change("chg_1", await priceOf(5000))).toMatchObject({ kind: "applied" });
  const undo = { changeId: "chg_1", subscriptionId: subscription.id, priceId: before };
  const paysBy = "card";
  expect(await cp.deps.payments.undoChange({ ...undo, paysBy })).toBe(true);
  await cp.pump();
  const [charge] = cp.stripe.standIn.store.all("charge").toReversed();
  expect(charge?.amount_refunded).toBe(charge?.amount);
  expect(cp.stripe.standIn.store.all("customer")).toMatchObject([{ balance: 0 }]);
  const rows = await cp.rows(
    "select account, sum(amount_minor)::int as minor from ledger_entries group by account",
  );
  // The refund is paid out of the credit that taking the change back gave: it cost us nothing.
  expect(Object.fromEntries(rows.map((row) => [row["account"], row["minor"]]))).toEqual({
    stripe_balance: Number(MONTH),
    customer_revenue: -Number(MONTH),
    customer_credit: 0,
  });
});
