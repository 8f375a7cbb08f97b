import { describe, expect, test } from "vitest";
import { leastCharge, onStep, written } from "./amounts.ts";
import { aPlan, inProcess, refusal } from "./harness.ts";

test.each([
  ["eur", 50, 1250.5, 1251, "€12.51"],
  ["jpy", 50, 1250.5, 1251, "¥1,251"],
  ["kwd", 500, 5124, 5120, "KWD 5.120"],
  ["kwd", 500, -5125, -5130, "-KWD 5.130"],
  ["isk", 100, 150_049, 150_000, "ISK 1,500.00"],
  ["huf", 17_500, 399_050, 399_050, "HUF 3,990.50"],
])("of %s the least charge is %i, and %f is charged as %i", (currency, least, amount, on, text) => {
  expect(leastCharge(currency)).toBe(least);
  expect(onStep(amount, currency)).toBe(on);
  expect(written(on, currency).replaceAll(/\s/g, " ")).toBe(text);
});

describe("an amount between two steps of its currency", () => {
  const OFF = [
    ["kwd", 5124],
    ["KWD", 5124],
    ["isk", 150_050],
  ] as const;
  test.each(OFF)("is no price: %s %i", async (currency, unit_amount) => {
    const { stripe } = await inProcess();
    const product = await stripe.products.create({ name: "Small" });
    const asked = stripe.prices.create({ product: product.id, currency, unit_amount });
    expect(await refusal(asked)).toMatchObject({ param: "unit_amount" });
  });

  test.each(OFF)("is no line of a checkout: %s %i", async (currency, unit_amount) => {
    const { stripe } = await inProcess();
    const price_data = { currency, unit_amount, product_data: { name: "Small" } };
    const asked = stripe.checkout.sessions.create({
      mode: "payment",
      success_url: "https://example.com",
      line_items: [{ quantity: 1, price_data }],
    });
    expect(await refusal(asked)).toMatchObject({
      param: "line_items[0][price_data][unit_amount]",
    });
  });

  test("may be one of a currency whose step is one", async () => {
    const { stripe } = await inProcess();
    const { price } = await aPlan(stripe, { currency: "jpy", unit_amount: 1501 });
    expect(price).toMatchObject({ currency: "jpy", unit_amount: 1501 });
  });
});
