import { describe, expect, test } from "vitest";
import type { Stripe } from "stripe";
import {
  aPlan,
  aSubscription,
  CARDS,
  deliveredTypes,
  inProcess,
  PUBLIC_URL,
  ref,
  refusal,
  submitInvoice,
  submitPage,
  type Harness,
} from "./harness.ts";

/** A page on which the customer saves a card. */
async function aCardPage(
  { stripe }: Pick<Harness, "stripe">,
  given: Partial<Stripe.Checkout.SessionCreateParams> = {},
): Promise<{ session: Stripe.Checkout.Session; customer: string }> {
  const customer = await stripe.customers.create({ email: "ada@example.com" });
  const session = await stripe.checkout.sessions.create({
    mode: "setup",
    customer: customer.id,
    currency: "eur",
    success_url: "http://berth.test/saved",
    ...given,
  });
  return { session, customer: customer.id };
}

/** A customer with this card as their default. */
async function aPayer(harness: Harness, card: string = CARDS.works) {
  const { stripe, standIn } = harness;
  const { session, customer } = await aCardPage(harness);
  await submitPage(standIn, session, { card });
  if (card === CARDS.alwaysAuthenticates)
    await submitPage(standIn, session, { authenticate: "succeed" });
  const { setup_intent: intent } = await stripe.checkout.sessions.retrieve(session.id, {
    expand: ["setup_intent"],
  });
  if (intent === null || typeof intent === "string") throw new Error("no setup intent");
  const method = ref(intent.payment_method);
  await stripe.customers.update(customer, { invoice_settings: { default_payment_method: method } });
  await deliveredTypes(harness);
  return { customer, method };
}

describe("a session that saves a card", () => {
  test("charges nothing, attaches the card, and makes it nobody's default", async () => {
    const harness = await inProcess();
    const { session, customer } = await aCardPage(harness);
    expect(session).toMatchObject({
      mode: "setup",
      currency: "eur",
      payment_status: "no_payment_required",
      amount_total: null,
    });
    await deliveredTypes(harness);
    expect((await submitPage(harness.standIn, session, { card: CARDS.failsLater })).status).toBe(
      303,
    );
    expect(await deliveredTypes(harness)).toEqual([
      "payment_method.attached",
      "setup_intent.succeeded",
      "checkout.session.completed",
    ]);
    const after = await harness.stripe.checkout.sessions.retrieve(session.id, {
      expand: ["setup_intent.payment_method"],
    });
    expect(after).toMatchObject({
      status: "complete",
      setup_intent: { status: "succeeded", payment_method: { customer, card: { last4: "0341" } } },
    });
    expect(await harness.stripe.customers.retrieve(customer)).toMatchObject({
      invoice_settings: { default_payment_method: null },
    });
    expect(harness.standIn.store.all("charge")).toEqual([]);
  });

  test("stays open when the card is declined, and tells why", async () => {
    const harness = await inProcess();
    const { session } = await aCardPage(harness);
    const answer = await submitPage(harness.standIn, session, { card: CARDS.declined });
    expect(answer.status).toBe(402);
    expect(answer.headers.get("x-stripe-error-code")).toBe("card_declined");
    expect(await deliveredTypes(harness)).toContain("setup_intent.setup_failed");
    expect((await submitPage(harness.standIn, session, { card: CARDS.works })).status).toBe(303);
  });

  test("asks for 3D Secure where the card does, and takes no for an answer", async () => {
    const harness = await inProcess();
    const { session } = await aCardPage(harness);
    const asked = await submitPage(harness.standIn, session, { card: CARDS.authenticates });
    expect(await asked.text()).toContain("Your bank asks you to confirm");
    const no = await submitPage(harness.standIn, session, { authenticate: "fail" });
    expect(no.headers.get("x-stripe-error-code")).toBe("setup_intent_authentication_failure");
    await submitPage(harness.standIn, session, { card: CARDS.authenticates });
    const yes = await submitPage(harness.standIn, session, { authenticate: "succeed" });
    expect(yes.status).toBe(303);
  });

  test("that expires saves nothing any more", async () => {
    const harness = await inProcess();
    const { session } = await aCardPage(harness);
    await harness.stripe.checkout.sessions.expire(session.id);
    expect(harness.standIn.store.all("setup_intent")).toMatchObject([{ status: "canceled" }]);
    expect((await submitPage(harness.standIn, session, { card: CARDS.works })).status).toBe(410);
  });

  test("needs a currency, and takes nothing that is of a payment", async () => {
    const harness = await inProcess();
    const { price } = await aPlan(harness.stripe);
    const asked = (over: Partial<Stripe.Checkout.SessionCreateParams>) =>
      refusal(
        harness.stripe.checkout.sessions.create({
          mode: "setup",
          success_url: "http://x",
          ...over,
        }),
      );
    expect(await asked({})).toMatchObject({ param: "currency" });
    expect(
      await asked({ currency: "eur", line_items: [{ price: price.id, quantity: 1 }] }),
    ).toMatchObject({ param: "line_items" });
    expect(await asked({ currency: "eur", subscription_data: { description: "x" } })).toBeDefined();
    expect(
      await refusal(
        harness.stripe.checkout.sessions.create({ mode: "subscription", success_url: "http://x" }),
      ),
    ).toMatchObject({ code: "parameter_missing", param: "line_items" });
  });
});

describe("a subscription that is to be paid at once", () => {
  const start = (
    { stripe }: Harness,
    customer: string,
    price: string,
    over: Partial<Stripe.SubscriptionCreateParams> = {},
  ) =>
    stripe.subscriptions.create({
      customer,
      items: [{ price }],
      payment_behavior: "error_if_incomplete",
      off_session: true,
      ...over,
    });

  test("is active with its first invoice paid", async () => {
    const harness = await inProcess();
    const { customer, method } = await aPayer(harness);
    const { price } = await aPlan(harness.stripe);
    const made = await start(harness, customer, price.id, {
      default_payment_method: method,
      expand: ["latest_invoice"],
    });
    expect(made).toMatchObject({
      status: "active",
      default_payment_method: method,
      latest_invoice: { status: "paid", amount_paid: 1250, billing_reason: "subscription_create" },
    });
  });

  test("takes what the balance has, and charges the rest", async () => {
    const harness = await inProcess();
    const { customer } = await aPayer(harness);
    const { price } = await aPlan(harness.stripe);
    await harness.stripe.customers.createBalanceTransaction(customer, {
      amount: -1000,
      currency: "eur",
    });
    const made = await start(harness, customer, price.id, { expand: ["latest_invoice"] });
    expect(made.latest_invoice).toMatchObject({ total: 1250, amount_paid: 250, ending_balance: 0 });
    expect(harness.standIn.store.all("charge")).toMatchObject([{ amount: 250 }]);
  });

  test.each([
    { card: CARDS.failsLater, code: "card_declined" },
    { card: CARDS.alwaysAuthenticates, code: "subscription_payment_intent_requires_action" },
  ])("is none where $code", async ({ card, code }) => {
    const harness = await inProcess();
    const { customer } = await aPayer(harness, card);
    const { price } = await aPlan(harness.stripe);
    expect(await refusal(start(harness, customer, price.id))).toMatchObject({
      code,
      statusCode: 402,
      type: "StripeCardError",
    });
    expect(harness.standIn.store.all("subscription")).toEqual([]);
    expect(harness.standIn.store.all("invoice")).toEqual([]);
  });

  test("waits on its invoice's page where that is allowed, for the bank's question", async () => {
    const harness = await inProcess();
    const { customer } = await aPayer(harness, CARDS.alwaysAuthenticates);
    const { price } = await aPlan(harness.stripe);
    const made = await start(harness, customer, price.id, { payment_behavior: "allow_incomplete" });
    expect(made.status).toBe("incomplete");
    const invoice = ref(made.latest_invoice);
    expect(
      (await submitInvoice(harness.standIn, invoice, { authenticate: "succeed" })).status,
    ).toBe(303);
    expect((await harness.stripe.subscriptions.retrieve(made.id)).status).toBe("active");
  });
});

describe("the portal", () => {
  const FEATURES = {
    payment_method_update: { enabled: true },
    invoice_history: { enabled: true },
    customer_update: { enabled: true, allowed_updates: ["name" as const] },
  };
  const page = async (url: string, form?: Record<string, string>, harness?: Harness) => {
    if (harness === undefined) throw new Error("no stand-in");
    const init = form && { method: "POST", body: new URLSearchParams(form) };
    return harness.standIn.fetch(new Request(url, init));
  };
  async function aPortal(harness: Harness, customer: string) {
    const { id: configuration } = await harness.stripe.billingPortal.configurations.create({
      features: FEATURES,
      metadata: { version: "1" },
    });
    return harness.stripe.billingPortal.sessions.create({
      customer,
      configuration,
      return_url: "http://berth.test/account",
    });
  }

  test("shows cards and invoices, and makes another card the customer's default alone", async () => {
    const harness = await inProcess();
    const { id, customer } = await aSubscription(harness);
    const before = ref((await harness.stripe.subscriptions.retrieve(id)).default_payment_method);
    const { url } = await aPortal(harness, customer);
    const shown = await (await page(url, undefined, harness)).text();
    expect(shown).toContain("4242");
    expect(shown).toContain("/i/in_");
    expect(shown).toContain("http://berth.test/account");
    await deliveredTypes(harness);
    expect((await page(url, { card: "5555555555554444" }, harness)).status).toBe(303);
    expect(await deliveredTypes(harness)).toEqual(["payment_method.attached", "customer.updated"]);
    const { invoice_settings: settings } = await harness.stripe.customers
      .retrieve(customer, { expand: ["invoice_settings.default_payment_method"] })
      .then((found) => {
        if (found.deleted === true) throw new Error("deleted");
        return found;
      });
    expect(settings.default_payment_method).toMatchObject({ card: { last4: "4444" } });
    expect(ref((await harness.stripe.subscriptions.retrieve(id)).default_payment_method)).toBe(
      before,
    );
    expect((await page(url, { default: before }, harness)).status).toBe(303);
    expect((await page(url, { default: "pm_other" }, harness)).status).toBe(400);
    expect((await page(url, { card: CARDS.declined }, harness)).status).toBe(402);
    const asked = await (await page(url, { card: CARDS.authenticates }, harness)).text();
    expect(asked).toContain(`value="${CARDS.authenticates}"`);
    const confirmed = { card: CARDS.authenticates, authenticate: "succeed" };
    expect((await page(url, confirmed, harness)).status).toBe(303);
  });

  test("is over after an hour, and with its customer", async () => {
    const harness = await inProcess();
    const { customer } = await aPayer(harness);
    const { url } = await aPortal(harness, customer);
    harness.clock.advance(3_600_000);
    expect((await page(url, undefined, harness)).status).toBe(410);
    expect((await page(`${PUBLIC_URL}/p/session/bps_none`, undefined, harness)).status).toBe(410);
  });

  test("needs a configuration that is in use", async () => {
    const harness = await inProcess();
    const { customer } = await aPayer(harness);
    const { billingPortal } = harness.stripe;
    expect(await refusal(billingPortal.sessions.create({ customer }))).toBeDefined();
    const { configuration } = await aPortal(harness, customer);
    await billingPortal.configurations.update(ref(configuration), { active: false });
    expect(
      await refusal(billingPortal.sessions.create({ customer, configuration: ref(configuration) })),
    ).toMatchObject({ param: "configuration" });
    expect((await billingPortal.configurations.list({ active: true })).data).toEqual([]);
    expect((await billingPortal.configurations.list({})).data).toMatchObject([
      { metadata: { version: "1" } },
    ]);
  });
});
