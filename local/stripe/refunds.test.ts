import { expect, test } from "vitest";
import {
  aPaidSession,
  CARDS,
  deliveredTypes,
  inProcess,
  local,
  refusal,
  type Harness,
  ref,
} from "./harness.ts";

async function aCharge(harness: Harness, card: string = CARDS.works): Promise<string> {
  await aPaidSession(harness, card);
  await deliveredTypes(harness);
  return (await harness.stripe.charges.list()).data[0]?.id ?? "";
}

test("refunds add up to the charge and never to more", async () => {
  const harness = await inProcess();
  const { stripe } = harness;
  const charge = await aCharge(harness);
  await stripe.refunds.create({ charge, amount: 1000, reason: "requested_by_customer" });
  expect(await stripe.charges.retrieve(charge)).toMatchObject({
    amount_refunded: 1000,
    refunded: false,
  });
  expect(await refusal(stripe.refunds.create({ charge, amount: 251 }))).toMatchObject({
    statusCode: 400,
    message: expect.stringContaining("greater than unrefunded amount on charge (250)"),
  });
  expect(await stripe.refunds.create({ charge })).toMatchObject({ amount: 250 });
  expect(await stripe.charges.retrieve(charge, { expand: ["refunds"] })).toMatchObject({
    refunded: true,
    refunds: { data: [{ amount: 250 }, { amount: 1000 }] },
  });
  expect(await refusal(stripe.refunds.create({ charge }))).toMatchObject({
    code: "charge_already_refunded",
  });
  expect(await deliveredTypes(harness)).toEqual([
    "refund.created",
    "charge.refunded",
    "refund.created",
    "charge.refunded",
  ]);
});

test("a payment intent is refunded through its charge; a refund needs one of the two", async () => {
  const harness = await inProcess();
  const { stripe } = harness;
  const charge = await aCharge(harness);
  const { payment_intent: intent } = await stripe.charges.retrieve(charge);
  expect(await stripe.refunds.create({ payment_intent: ref(intent) })).toMatchObject({
    charge,
    status: "succeeded",
  });
  expect(await refusal(stripe.refunds.create({}))).toMatchObject({ code: "parameter_missing" });
});

test("what a payment intent paid is found by it, with its invoice", async () => {
  const harness = await inProcess();
  const { stripe } = harness;
  const { payment_intent: intent } = await stripe.charges.retrieve(await aCharge(harness));
  await aCharge(harness);
  const find = async (payment_intent: string) =>
    (
      await stripe.invoicePayments.list({
        payment: { type: "payment_intent", payment_intent },
        expand: ["data.invoice"],
      })
    ).data;
  expect(await find(ref(intent))).toMatchObject([
    { payment: { payment_intent: intent }, invoice: { object: "invoice", status: "paid" } },
  ]);
});

test("a refund to the card ending in 5126 fails a while later, and the money counts as kept", async () => {
  const harness = await inProcess();
  const { stripe, clock } = harness;
  const charge = await aCharge(harness, CARDS.refundFails);
  const { id } = await stripe.refunds.create({ charge });
  await deliveredTypes(harness);
  clock.advance(60_000);
  expect(await stripe.refunds.retrieve(id)).toMatchObject({ status: "failed" });
  expect(await stripe.charges.retrieve(charge)).toMatchObject({
    amount_refunded: 0,
    refunded: false,
  });
  expect(await deliveredTypes(harness)).toEqual([
    "refund.updated",
    "charge.refund.updated",
    "refund.failed",
  ]);
});

test("the card ending in 0259 is disputed at once, and a disputed charge is not refunded", async () => {
  const harness = await inProcess();
  const { stripe } = harness;
  await aPaidSession(harness, CARDS.disputed);
  const [dispute] = (await stripe.disputes.list({ expand: ["data.charge"] })).data;
  expect(dispute).toMatchObject({
    reason: "fraudulent",
    status: "needs_response",
    amount: 1250,
    charge: { disputed: true },
  });
  expect(await deliveredTypes(harness)).toContain("charge.dispute.created");
  const [charge] = (await stripe.charges.list()).data;
  expect(await refusal(stripe.refunds.create({ charge: charge?.id ?? "" }))).toMatchObject({
    code: "charge_disputed",
  });
});

test.each([
  ["won", ["charge.dispute.closed", "charge.dispute.funds_reinstated"]],
  ["lost", ["charge.dispute.closed"]],
])("a dispute that the control surface opens is closed as %s, once", async (outcome, types) => {
  const harness = await inProcess();
  const { standIn, stripe } = harness;
  const charge = await aCharge(harness);
  const opened = await local(standIn, "/disputes", { charge, reason: "product_not_received" });
  expect(opened.status).toBe(200);
  expect(await deliveredTypes(harness)).toContain("charge.dispute.created");
  const dispute = (await stripe.disputes.list({ charge })).data[0]?.id ?? "";
  const close = async (): Promise<Response> =>
    local(standIn, "/disputes/close", { dispute, outcome });
  expect((await close()).status).toBe(200);
  expect(await deliveredTypes(harness)).toEqual(types);
  expect((await close()).status).toBe(400);
  expect((await stripe.disputes.retrieve(dispute)).status).toBe(outcome);
});
