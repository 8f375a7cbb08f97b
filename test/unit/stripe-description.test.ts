import { beforeAll, describe, expect, test } from "vitest";
import {
  aPaidSession,
  aPlan,
  aSession,
  CARDS,
  clientOver,
  inProcess,
  local,
  ManualClock,
  quietLog,
  ref,
  refusal,
  submitPage,
} from "#local/stripe/harness.ts";
import { judged, judgedCalls, judgedWebhooks, takeMisfits } from "#test/harness/judged-stripe.ts";
import {
  describeStripe,
  KNOWN_DIFFERENCES,
  stripeDescription,
  type JudgedCall,
} from "#test/harness/stripe-description.ts";
import { ABSENT } from "#test/harness/stripe-file.ts";
import { stripeInProcess } from "#test/harness/stripe-in-process.ts";

if (ABSENT !== null) console.warn(`the stand-in is not held against Stripe's own words: ${ABSENT}`);

/** All that money does, from the first customer to the last refund, and what else the product asks for. */
async function theMoneyLine() {
  const harness = await inProcess();
  const { standIn, clock } = harness;
  const calls: JudgedCall[] = [];
  const stripe = clientOver(async (request) => {
    const { pathname, search } = new URL(request.url);
    const form = await request.clone().text();
    const answer = await standIn.fetch(request);
    calls.push({
      method: request.method,
      path: pathname,
      parameters: form === "" ? search.slice(1) : form,
      status: answer.status,
      body: await answer.clone().text(),
    });
    return answer;
  });
  const line = { ...harness, stripe };

  const session = await aPaidSession(line);
  const expand = ["subscription", "invoice", "payment_intent"];
  await stripe.checkout.sessions.retrieve(session.id, { expand });
  const subscription = await stripe.subscriptions.retrieve(ref(session.subscription));
  clock.advanceDays(32);
  standIn.runDue();
  clock.advanceDays(1);
  standIn.runDue();
  const dear = await aPlan(stripe, { unit_amount: 2500, nickname: "dear" });
  await stripe.subscriptions.update(subscription.id, {
    items: [{ id: subscription.items.data[0]?.id ?? "", price: dear.price.id }],
    proration_behavior: "always_invoice",
  });
  await stripe.subscriptions.update(subscription.id, { cancel_at_period_end: true });
  await stripe.subscriptions.cancel(subscription.id);

  const invoices = await stripe.invoices.list({ subscription: subscription.id, limit: 10 });
  expect(invoices.data.map((invoice) => invoice.status)).toEqual(["paid", "paid", "paid"]);
  const charges = await stripe.charges.list({ customer: ref(session.customer) });
  await stripe.refunds.create({ charge: charges.data[0]?.id ?? "", amount: 100 });
  await stripe.paymentIntents.list({ customer: ref(session.customer) });
  await stripe.invoicePayments.list({ invoice: invoices.data[0]?.id ?? "" });

  const bad = await aPaidSession(line, CARDS.failsLater);
  const { items } = await stripe.subscriptions.retrieve(ref(bad.subscription));
  const twice = {
    items: [{ id: items.data[0]?.id ?? "", quantity: 2 }],
    proration_behavior: "always_invoice" as const,
  };
  const { id: coupon } = await stripe.coupons.create({ percent_off: 10, duration: "forever" });
  await stripe.subscriptions.update(ref(bad.subscription), { discounts: [{ coupon }] });
  await stripe.invoices.createPreview({
    subscription: ref(bad.subscription),
    subscription_details: twice,
  });
  await stripe.subscriptions.update(ref(bad.subscription), {
    ...twice,
    payment_behavior: "pending_if_incomplete",
  });
  clock.advanceDays(32);
  standIn.runDue();
  clock.advanceDays(1);
  standIn.runDue();
  const unpaid = await stripe.invoices.list({ subscription: ref(bad.subscription) });
  await refusal(stripe.invoices.pay(unpaid.data[0]?.id ?? ""));

  const disputed = await aPaidSession(line);
  const charge = (await stripe.charges.list({ customer: ref(disputed.customer) })).data[0]?.id;
  const opened = await local(standIn, "/disputes", { charge });
  expect(opened.status).toBe(200);
  const dispute = (await stripe.disputes.list({ expand: ["data.charge"] })).data[0]?.id;
  await local(standIn, "/disputes/close", { dispute, outcome: "lost" });

  const saving = await stripe.checkout.sessions.create({
    mode: "setup",
    customer: ref(session.customer),
    currency: "eur",
    success_url: "http://berth.test/saved",
  });
  await submitPage(standIn, saving, { card: CARDS.works });
  const saved = await stripe.checkout.sessions.retrieve(saving.id, {
    expand: ["setup_intent.payment_method"],
  });
  if (saved.setup_intent === null || typeof saved.setup_intent === "string")
    throw new Error("the card page has no intent");
  await stripe.subscriptions.create({
    customer: ref(session.customer),
    items: [{ price: dear.price.id }],
    default_payment_method: ref(saved.setup_intent.payment_method),
    payment_behavior: "error_if_incomplete",
    off_session: true,
  });
  const { id: configuration } = await stripe.billingPortal.configurations.create({
    features: { payment_method_update: { enabled: true } },
  });
  await stripe.billingPortal.sessions.create({ customer: ref(session.customer), configuration });

  await stripe.checkout.sessions.expire((await aSession(stripe)).id);
  await stripe.events.list({ limit: 100 });
  await harness.standIn.webhooks.deliverDue();
  return { calls, received: harness.received };
}

describe.skipIf(ABSENT !== null)("Stripe's own description", () => {
  let line: Awaited<ReturnType<typeof theMoneyLine>>;
  let counted: { calls: number; events: number };
  let misfits: string[];
  beforeAll(async () => {
    const before = { ...judged };
    line = await theMoneyLine();
    counted = { calls: judged.calls - before.calls, events: judged.events - before.events };
    misfits = await takeMisfits();
  });

  test("fits all that was asked, answered and sent on the whole line of money", () => {
    expect(misfits).toEqual([]);
    expect(counted).toEqual({ calls: line.calls.length, events: line.received.length });
    expect(counted).toEqual({ calls: 48, events: 126 });
    const kinds = new Set<string>(line.received.map((event) => event.data.object.object));
    expect([...kinds].toSorted().join(" ")).toBe(
      "billing_portal.configuration billing_portal.session charge checkout.session coupon customer dispute invoice invoice_payment payment_intent payment_method price product refund setup_intent subscription",
    );
  });

  test("is held against the stand-in of the tests with a database too", async () => {
    const clock = new ManualClock("2026-03-01T12:00:00Z");
    const webhook = async () => new Response(null, { status: 204 });
    const { dashboard, standIn } = await stripeInProcess({ clock, log: quietLog(), webhook });
    const before = { ...judged };
    await aPaidSession({ standIn, stripe: dashboard });
    const events = await standIn.webhooks.deliverDue();
    expect(events.length).toBeGreaterThan(0);
    expect(judged).toEqual({ calls: before.calls + 5, events: before.events + events.length });
  });

  test("parts from the pinned client in what is named, and nothing of that is named in vain", () => {
    const strict = describeStripe([], { allErrors: true });
    const found = [
      ...line.calls.flatMap((call) => strict.misfitsOf(call)),
      ...line.received.flatMap((event) => strict.misfitsOfEvent(event)),
    ];
    const vain = KNOWN_DIFFERENCES.filter(({ kind, field, is }) => {
      const of = is === "new" ? "additionalProperty" : "missingProperty";
      return !found.some((each) => each.includes(JSON.stringify({ of: kind, [of]: field })));
    });
    expect(vain).toEqual([]);
  });

  const callTo = (method: string, path: RegExp): JudgedCall => {
    const found = line.calls.find((call) => call.method === method && path.test(call.path));
    if (found === undefined) throw new Error(`nobody called ${method} ${path}`);
    return found;
  };
  const refund = () => callTo("POST", /refunds$/);
  const session = () => callTo("POST", /sessions$/);
  const invoices = () => callTo("GET", /invoices$/);
  const saying = (call: JudgedCall, replace: [string | RegExp, string]): JudgedCall => {
    const body = call.body.replace(...replace);
    if (body === call.body) throw new Error(`nothing to plant in: ${body}`);
    return { ...call, body };
  };
  const asking = (call: JudgedCall, more: string): JudgedCall => ({
    ...call,
    parameters: `${call.parameters}&${more}`,
  });

  test.each([
    {
      name: "a field that it does not know, in an answer",
      call: () => saying(refund(), [/^\{/, '{"colour":"red",']),
      tells: /answer 200 .*"colour"/,
    },
    {
      name: "a field that it does not know, deep in an answer",
      call: () => saying(invoices(), ['"lines":{', '"lines":{"colour":"red",']),
      tells: /answer 200 .*"colour"/,
    },
    {
      name: "text for a number in an answer",
      call: () => saying(refund(), [/"amount":100/, '"amount":"100"']),
      tells: /answer 200 .*\/amount type/,
    },
    {
      name: "a fraction for a number in an answer",
      call: () => saying(refund(), [/"amount":100/, '"amount":100.5']),
      tells: /answer 200 .*\/amount type/,
    },
    {
      name: "a list's object of a wrong type",
      call: () => saying(invoices(), [/"total":\d+/, '"total":null']),
      tells: /\/data\/0\/total type/,
    },
    {
      name: "a missing field in an answer",
      call: () => saying(refund(), [/"created":\d+,/, ""]),
      tells: /required .*"created"/,
    },
    {
      name: "a status that there is not, in an answer",
      call: () => saying(session(), [/"status":"open"/, '"status":"ajar"']),
      tells: /\/status enum/,
    },
    {
      name: "null where it is not allowed",
      call: () => saying(refund(), [/"currency":"eur"/, '"currency":null']),
      tells: /\/currency type/,
    },
    {
      name: "an error without a type",
      call: () => saying(callTo("POST", /\/pay$/), [/"type":"card_error"/, '"type":"bad_luck"']),
      tells: /answer 402 .*\/error\/type enum/,
    },
    {
      name: "an event in a list about a thing with a wrong field",
      call: () =>
        saying(callTo("GET", /events$/), [/"object":"charge"/, '"object":"charge","colour":"red"']),
      tells: /event's charge.*"colour"/,
    },

    {
      name: "a field that it does not know, in a form",
      call: () => asking(refund(), "colour=red"),
      tells: /request of .*"colour"/,
    },
    {
      name: "a field that it does not know, deep in a form",
      call: () => asking(session(), "line_items[0][colour]=red"),
      tells: /request of .*\/line_items\/0 .*"colour"/,
    },
    {
      name: "text for a number in a form",
      call: () => asking(session(), "line_items[0][quantity]=many"),
      tells: /request of .*\/line_items\/0\/quantity type/,
    },
    {
      name: "text for a boolean in a form",
      call: () => asking(session(), "automatic_tax[enabled]=maybe"),
      tells: /request of .*\/automatic_tax\/enabled type/,
    },
    {
      name: "a choice that there is not, in a form",
      call: () => asking(session(), "mode=gift"),
      tells: /request of .*\/mode enum/,
    },
    {
      name: "a form without what it must have",
      call: () => ({ ...callTo("POST", /prices$/), parameters: "unit_amount=1" }),
      tells: /request of .*required .*"currency"/,
    },
    {
      name: "a parameter that it does not know, in a query",
      call: () => asking(invoices(), "colour=red"),
      tells: /request of .*"colour"/,
    },
    {
      name: "text for a number in a query",
      call: () => asking(invoices(), "limit=all"),
      tells: /request of .*\/limit type/,
    },
    {
      name: "a call that there is not",
      call: () => ({ ...refund(), path: "/v1/gifts" }),
      tells: /has no POST \/v1\/gifts/,
    },
  ])("finds $name", ({ call, tells }) => {
    expect(stripeDescription().misfitsOf(call()).join("\n")).toMatch(tells);
  });

  test("judges what is asked also where it is refused, unless as malformed", () => {
    const gone = {
      ...asking(refund(), "colour=red"),
      body: '{"error":{"type":"invalid_request_error"}}',
    };
    expect(stripeDescription().misfitsOf({ ...gone, status: 404 })).toHaveLength(1);
    expect(stripeDescription().misfitsOf({ ...gone, status: 400 })).toEqual([]);
  });

  test.each([
    {
      name: "about a thing with a field too many",
      plant: { data: { object: { object: "charge" } } },
      tells: /event's charge/,
    },
    {
      name: "about a thing of no kind",
      plant: { data: { object: { object: "gift" } } },
      tells: /about gift/,
    },
    { name: "without a type", plant: { type: undefined }, tells: /required .*"type"/ },
  ])("finds an event $name", ({ plant, tells }) => {
    const event = { ...line.received[0], ...plant };
    const misfits = stripeDescription().misfitsOfEvent(JSON.parse(JSON.stringify(event)));
    expect(misfits.join("\n")).toMatch(tells);
  });

  const planted = (body: string) => async () =>
    new Response(body, { headers: { "content-type": "application/json" } });
  const ask = () => new Request("http://stripe.test/v1/refunds", { method: "POST", body: "" });

  test.fails("fails the test whose stand-in answers with something else", async () => {
    expect((await judgedCalls(planted("{}"))(ask())).status).toBe(200);
  });
  test.fails("fails the test whose stand-in sends something else", async () => {
    const event = new Request("http://berth.test/", { method: "POST", body: "{}" });
    expect((await judgedWebhooks(planted("{}"))(event)).status).toBe(200);
  });
  test.fails("fails the test whose stand-in answers with no JSON", async () => {
    expect((await judgedCalls(planted("<html>"))(ask())).status).toBe(200);
  });
});
