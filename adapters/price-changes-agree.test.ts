import fc from "fast-check";
import { expect, test } from "vitest";
import type { PriceChangeHow } from "#core/billing/price-changes.ts";
import { compareWithPreview, netOf, prorate } from "#core/billing/proration.ts";
import type { ServicePrice } from "#core/billing/service.ts";
import { clientOver, quietLog, ref } from "#local/stripe/harness.ts";
import { seededIds } from "#local/stripe/ids.ts";
import { createStripeStandIn } from "#local/stripe/stand-in.ts";
import { diceFor, LONG } from "#test/harness/extent.ts";
import { settableClock } from "#test/harness/settable-clock.ts";
import { createStripePayments } from "./stripe.ts";

/*
 * 6a 2: our proration and the stand-in's preview, which share no code, agree; and the preview is what the change then invoices. Over
 * whatever prices, intervals, coupons, taxes, balances and instants. That they agree proves neither: the tables worked out by hand
 * do (`test/harness/proration-by-hand.ts`).
 */

const API_KEY = "sk_test_property";
const price = fc.record({
  minor: fc.oneof(fc.integer({ min: 50, max: 9_999 }), fc.integer({ min: 50, max: 900_000 })),
  interval: fc.constantFrom("month", "month", "month", "year" as const),
});
const coupon = fc.oneof(
  // Halves of a percent are exact.
  fc.record({ percent_off: fc.integer({ min: 1, max: 200 }).map((n) => n / 2) }),
  fc.record({ amount_off: fc.integer({ min: 1, max: 5_000 }) }),
);
const duration = fc.constantFrom("once", "forever" as const);
const step = fc.record({
  afterSeconds: fc.oneof(
    fc.integer({ min: 600, max: 86_400 }),
    fc.integer({ min: 600, max: 40 * 86_400 }),
  ),
  price,
  how: fc.constantFrom<PriceChangeHow>("prorate", "pay_first", "none"),
  undo: fc.boolean(),
  /** Between the preview and the change, which takes the preview's instant. */
  dawdles: fc.integer({ min: 0, max: 300 }),
  coupon: fc.option(fc.record({ of: coupon, duration }), { freq: 4 }),
  credit: fc.option(fc.integer({ min: -3_000, max: 3_000 }).filter((n) => n !== 0)),
});
const life = fc.record({
  begins: fc
    .date({
      min: new Date("2026-01-01T00:00:00Z"),
      max: new Date("2028-03-02T00:00:00Z"),
      noInvalidDate: true,
    })
    .map((date) => `${date.toISOString().slice(0, 19)}Z`),
  currency: fc.constantFrom("eur", "usd" as const),
  first: price,
  coupon: fc.option(fc.record({ of: coupon, duration }), { freq: 2 }),
  taxPercent: fc.option(fc.integer({ min: 1, max: 27 })),
  steps: fc.array(step, { minLength: 1, maxLength: 4 }),
});
type Life = typeof life extends fc.Arbitrary<infer T> ? T : never;

async function lives({ begins, currency, first, steps, ...of }: Life): Promise<number> {
  const clock = settableClock(begins);
  const standIn = await createStripeStandIn({
    clock,
    ids: seededIds("property"),
    apiKey: API_KEY,
    publicUrl: "http://stripe.test",
    log: quietLog(),
  });
  const stripe = clientOver(standIn.fetch, { apiKey: API_KEY });
  const payments = createStripePayments({
    apiKey: API_KEY,
    webhookSecret: "whsec_unused",
    origin: new URL("http://stripe.test"),
    now: clock.now,
    maxNetworkRetries: 0,
    fetchFn: async (input, init) => standIn.fetch(new Request(input, init)),
  });
  const priceOf = async ({ minor, interval }: Life["first"]) =>
    (
      await stripe.prices.create({
        currency,
        unit_amount: minor,
        recurring: { interval },
        product_data: { name: "VPS" },
      })
    ).id;
  const couponOf = async (made: NonNullable<Life["coupon"]>) => [
    {
      coupon: (
        await stripe.coupons.create({
          ...made.of,
          ...("amount_off" in made.of ? { currency } : {}),
          duration: made.duration,
        })
      ).id,
    },
  ];
  const customer = await stripe.customers.create({ email: "ada@example.com" });
  const session = await stripe.checkout.sessions.create({
    mode: "subscription",
    customer: customer.id,
    line_items: [{ price: await priceOf(first), quantity: 1 }],
    ...(of.coupon === null ? {} : { discounts: await couponOf(of.coupon) }),
    success_url: "http://berth.test/",
  });
  const card = new URLSearchParams({ card: "4242424242424242" });
  await standIn.fetch(new Request(session.url ?? "", { method: "POST", body: card }));
  const id = ref((await stripe.checkout.sessions.retrieve(session.id)).subscription);
  if (of.taxPercent !== null) {
    const taxed = { display_name: "VAT", inclusive: false, percentage: of.taxPercent };
    const rate = await stripe.taxRates.create(taxed);
    await stripe.subscriptions.update(id, { default_tax_rates: [rate.id] });
  }

  let compared = 0;
  for (const [index, each] of steps.entries()) {
    clock.advance(each.afterSeconds * 1000);
    standIn.runDue();
    if (each.coupon !== null)
      await stripe.subscriptions.update(id, { discounts: await couponOf(each.coupon) });
    if (each.credit !== null)
      await stripe.customers.createBalanceTransaction(customer.id, {
        amount: each.credit,
        currency,
      });
    const billed = await payments.fetchBilled(id);
    const isSame = each.price.interval === billed.price.interval;
    const how = isSame || each.how !== "none" ? each.how : "prorate";
    const next: ServicePrice = {
      interval: each.price.interval,
      amount: { minor: BigInt(each.price.minor), currency },
    };
    const priceId = await priceOf(each.price);
    const at = clock.now();
    const own = prorate(billed, next, at);
    // The period has moved on, and is charged within the hour.
    expect(own.ok).toBe(billed.isPaid);
    if (!own.ok) continue;
    const asked = { subscriptionId: id, priceId, at, how };
    const preview = await payments.previewChange(asked);
    // Without a proration there is nothing now to agree about.
    if (how !== "none") compared++;
    const agreed = compareWithPreview(
      how === "none" ? { ...own.value, lines: [] } : own.value,
      preview,
    );
    expect(agreed).toMatchObject({ ok: true, value: { differsBy: 0n } });
    clock.advance(each.dawdles * 1000);
    standIn.runDue();
    const changeId = `chg_${index}`;
    const made = await payments.changePrice({ ...asked, changeId });
    // The seconds in between may have been the period's last.
    if (made.kind === "not_there") continue;
    expect(made.kind).toBe("applied");
    if (how === "none" || made.kind !== "applied") continue;
    expect(made.invoice).toMatchObject({
      status: "paid",
      total: preview.total,
      paid: preview.dueNow,
    });
    const after = await payments.fetchBilled(id);
    const debit = own.value.lines.at(-1);
    const worth = debit === undefined ? 0n : netOf(debit);
    expect(after.debits.reduce((sum, one) => sum + netOf(one), 0n)).toBe(worth);
    if (!each.undo || !isSame) continue;
    const undo = { changeId, subscriptionId: id, priceId: billed.priceId };
    expect(await payments.undoChange({ ...undo, paysBy: "card" })).toBe(true);
    // The balance is what it was before the change.
    const { starting_balance: before } = await stripe.invoices.retrieve(made.invoice?.id ?? "");
    expect(await stripe.customers.retrieve(customer.id)).toMatchObject({ balance: before });
  }
  await standIn.close();
  return compared;
}

test("6a 2: ours, the preview, and what is invoiced agree to the cent, whatever comes together", async () => {
  let compared = 0;
  await fc.assert(
    fc.asyncProperty(life, async (one) => {
      compared += await lives(one);
    }),
    { numRuns: LONG ? 400 : 15, seed: diceFor("price-changes-agree").int(1, 2 ** 30) },
  );
  expect(compared).toBeGreaterThan(5);
});
