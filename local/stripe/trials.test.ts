import { expect, test } from "vitest";
import {
  aPaidSession,
  aSession,
  CARDS,
  deliveredTypes,
  HOUR,
  inProcess,
  ref,
  seconds,
  submitPage,
} from "./harness.ts";

const trialOf = (days: number, ifNoMethod?: "cancel") => ({
  subscription_data: {
    trial_period_days: days,
    ...(ifNoMethod && {
      trial_settings: { end_behavior: { missing_payment_method: ifNoMethod } },
    }),
  },
});

test("a trial asks for a card, charges nothing, and is renewed and paid when it ends", async () => {
  const harness = await inProcess();
  const { stripe, clock } = harness;
  const session = await aPaidSession(harness, CARDS.works, trialOf(7));
  expect(session).toMatchObject({
    amount_subtotal: 0,
    amount_total: 0,
    payment_status: "no_payment_required",
    payment_method_collection: "always",
  });
  const id = ref(session.subscription);
  const begun = await stripe.subscriptions.retrieve(id, {
    expand: ["latest_invoice", "default_payment_method"],
  });
  const end = seconds("2026-03-08T12:00:00Z");
  expect(begun).toMatchObject({
    status: "trialing",
    trial_end: end,
    billing_cycle_anchor: end,
    items: { data: [{ current_period_end: end }] },
    latest_invoice: { status: "paid", total: 0, lines: { data: [{ amount: 0, period: { end } }] } },
    default_payment_method: { type: "card", card: { wallet: null } },
  });
  await deliveredTypes(harness);
  clock.advanceDays(7);
  expect((await stripe.subscriptions.retrieve(id)).status).toBe("active");
  expect(await deliveredTypes(harness)).toContain("customer.subscription.updated");
  clock.advance(HOUR);
  const after = await stripe.subscriptions.retrieve(id, { expand: ["latest_invoice"] });
  expect(await deliveredTypes(harness)).toContain("invoice.paid");
  expect(after).toMatchObject({
    status: "active",
    items: { data: [{ current_period_end: seconds("2026-04-08T12:00:00Z") }] },
    latest_invoice: { status: "paid", billing_reason: "subscription_cycle", total: 1250 },
  });
});

test("a trial without a card ends where it was to, and goes on where one was saved meanwhile", async () => {
  const harness = await inProcess();
  const { stripe, standIn, clock } = harness;
  const free = { ...trialOf(3, "cancel"), payment_method_collection: "if_required" as const };
  const [left, kept] = [await aSession(stripe, free), await aSession(stripe, free)];
  for (const session of [left, kept])
    expect((await submitPage(standIn, session, {})).status).toBe(303);
  const [lost, going] = await Promise.all(
    [left, kept].map(async ({ id }) => (await stripe.checkout.sessions.retrieve(id)).subscription),
  );
  const customer = ref((await stripe.subscriptions.retrieve(ref(going))).customer);
  const card = await stripe.paymentMethods.attach("pm_card_visa", { customer });
  await stripe.subscriptions.update(ref(going), { default_payment_method: card.id });
  clock.advanceDays(3);
  expect((await stripe.subscriptions.retrieve(ref(lost))).status).toBe("canceled");
  expect((await stripe.subscriptions.retrieve(ref(going))).status).toBe("active");
});

test("a page that asks for a card is not completed without one", async () => {
  const { stripe, standIn } = await inProcess();
  const session = await aSession(stripe, trialOf(7));
  expect((await submitPage(standIn, session, {})).status).toBe(400);
  expect((await submitPage(standIn, session, { card: CARDS.declined })).status).toBe(402);
});

test("the same card has one fingerprint, but for a wallet, which has its own, and Link, which has none", async () => {
  const { stripe, standIn } = await inProcess();
  const methodOf = async (form: Record<string, string>) => {
    const session = await aSession(stripe, trialOf(7));
    await submitPage(standIn, session, { card: CARDS.works, ...form });
    const { subscription } = await stripe.checkout.sessions.retrieve(session.id, {
      expand: ["subscription.default_payment_method"],
    });
    if (typeof subscription !== "object" || subscription === null) throw new Error("not expanded");
    const { default_payment_method: method } = subscription;
    if (typeof method !== "object" || method === null) throw new Error("not expanded");
    return method;
  };
  const [typed, again, wallet, link] = [
    await methodOf({}),
    await methodOf({}),
    await methodOf({ wallet: "apple_pay" }),
    await methodOf({ wallet: "link" }),
  ];
  expect(again.card?.fingerprint).toBe(typed.card?.fingerprint);
  expect(wallet.card?.wallet?.type).toBe("apple_pay");
  expect(wallet.card?.fingerprint).not.toBe(typed.card?.fingerprint);
  expect([link.type, link.card]).toEqual(["link", undefined]);
});
