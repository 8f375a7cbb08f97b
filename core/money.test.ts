import { expect, test } from "vitest";
import { isCurrency, MoneyView, toMoneyView } from "./money.ts";

test.each([
  ["usd", true],
  ["eur", true],
  ["USD", false],
  ["gbp", false],
  // No two decimal places: an amount of it would be read as a hundredth.
  ["jpy", false],
  ["us", false],
  ["usdeur", false],
  ["", false],
])("%j is a currency of ours: %j", (code, is) => {
  expect(isCurrency(code)).toBe(is);
});

test.each([
  { minor: 0n, wire: "0" },
  { minor: 1234n, wire: "1234" },
  { minor: -500n, wire: "-500" },
  // Past what a number can hold.
  { minor: 9_007_199_254_740_993n, wire: "9007199254740993" },
])("$minor cents travel as $wire, exactly", ({ minor, wire }) => {
  const view = toMoneyView({ minor, currency: "eur" });
  expect(view).toEqual({ minor: wire, currency: "eur" });
  expect(MoneyView.parse(view)).toEqual(view);
});

test.each([
  { minor: "", currency: "usd" },
  { minor: "-", currency: "usd" },
  { minor: "--1", currency: "usd" },
  { minor: "+1", currency: "usd" },
  { minor: "1.5", currency: "usd" },
  { minor: "1e3", currency: "usd" },
  { minor: " 1", currency: "usd" },
  { minor: "1\n", currency: "usd" },
  { minor: "a1", currency: "usd" },
  { minor: 1, currency: "usd" },
  { minor: "1", currency: "gbp" },
  { minor: "1" },
  { currency: "usd" },
])("%j is no amount", (view) => {
  expect(MoneyView.safeParse(view).success).toBe(false);
});
