import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CURRENCIES, decimalsOf, isCurrency, leastChargeOf, stepOf } from "./currencies.ts";
import { isOnStep, MoneyView, shareOf, toMoneyView } from "./money.ts";
import { decimalOf, moneyIn, moneyText } from "./money-text.ts";

test.each([
  ["usd", true],
  ["eur", true],
  ["jpy", true],
  ["kwd", true],
  ["isk", true],
  ["USD", false],
  ["usdc", false],
  ["xxx", false],
  ["us", false],
  ["usdeur", false],
  ["__proto__", false],
  ["", false],
])("%j is a currency that we know: %j", (code, is) => {
  expect(isCurrency(code)).toBe(is);
});

test("each is listed once, in ISO's three letters, and what it may be charged lies on its step", () => {
  expect(new Set(CURRENCIES).size).toBe(CURRENCIES.length);
  for (const currency of CURRENCIES) {
    expect(currency).toMatch(/^[a-z]{3}$/);
    expect(isOnStep({ minor: leastChargeOf(currency), currency })).toBe(true);
  }
});

test.each([
  // The provider's decimals, its step, the least charge, and 12 units as it counts them, as they read.
  ["usd", 2, 1n, 50n, 1200n, "12.00 USD"],
  ["eur", 2, 1n, 50n, 1200n, "12.00 EUR"],
  ["gbp", 2, 1n, 30n, 1200n, "12.00 GBP"],
  ["huf", 2, 1n, 17_500n, 1200n, "12.00 HUF"],
  ["twd", 2, 1n, 50n, 1200n, "12.00 TWD"],
  ["jpy", 0, 1n, 50n, 12n, "12 JPY"],
  ["mga", 0, 1n, 50n, 12n, "12 MGA"],
  ["kwd", 3, 10n, 500n, 12_000n, "12.000 KWD"],
  ["tnd", 3, 10n, 500n, 12_000n, "12.000 TND"],
  ["isk", 2, 100n, 100n, 1200n, "12 ISK"],
  ["ugx", 2, 100n, 100n, 1200n, "12 UGX"],
] as const)(
  "%s has %i decimals and a step of %s",
  (currency, decimals, step, least, minor, text) => {
    expect(decimalsOf(currency)).toBe(decimals);
    expect(stepOf(currency)).toBe(step);
    expect(leastChargeOf(currency)).toBe(least);
    expect(moneyText({ minor, currency })).toBe(text);
  },
);

test.each([
  ["usd", "0", "0.00"],
  ["usd", "5", "0.05"],
  ["usd", "-5", "-0.05"],
  ["usd", "-123456", "-1234.56"],
  // Past what a number holds exactly.
  ["usd", "900719925474099301", "9007199254740993.01"],
  ["jpy", "0", "0"],
  ["jpy", "-1500", "-1500"],
  ["kwd", "5", "0.005"],
  ["kwd", "-5120", "-5.120"],
  ["isk", "0", "0"],
  ["isk", "50000", "500"],
  // No such amount can be charged; one that is there is shown whole.
  ["isk", "50001", "500.01"],
  ["isk", "-1", "-0.01"],
] as const)("of %s, %s minor units read %s", (currency, minor, text) => {
  expect(decimalOf({ minor, currency })).toBe(text);
});

test.each([
  ["en-GB", "usd", "1234500", "US$12,345.00"],
  ["en-GB", "eur", "-1234", "-€12.34"],
  ["en-GB", "jpy", "1500", "JP¥1,500"],
  ["en-GB", "kwd", "5120", "KWD 5.120"],
  // `Intl` has no decimals for these, and the provider two.
  ["en-GB", "isk", "150000", "ISK 1,500"],
  ["en-GB", "huf", "399050", "HUF 3,990.50"],
  ["ru", "huf", "399050", "3 990,50 HUF"],
  ["ru", "isk", "150000", "1 500 ISK"],
  ["en-GB", "usd", "900719925474099301", "US$9,007,199,254,740,993.01"],
] as const)("in %s, %s %s is written %s", (tag, currency, minor, text) => {
  expect(moneyIn(tag, { minor, currency }).replaceAll(/\s/g, " ")).toBe(text);
});

describe("a share", () => {
  test.each([
    ["usd", 1000n, 1n, 3n, 333n, 333n],
    ["usd", -1000n, 1n, 3n, -333n, -334n],
    ["usd", 5n, 1n, 2n, 3n, 2n],
    ["usd", -5n, 1n, 2n, -3n, -3n],
    ["jpy", 1000n, 2n, 3n, 667n, 666n],
    ["kwd", 5120n, 1n, 3n, 1710n, 1700n],
    ["kwd", 50n, 1n, 2n, 30n, 20n],
    ["isk", 150_000n, 1n, 7n, 21_400n, 21_400n],
    ["isk", -150_000n, 1n, 7n, -21_400n, -21_500n],
    ["isk", 100n, 1n, 2n, 100n, 0n],
  ] as const)(
    "of %s: %s × %s/%s is %s to the nearest, %s below",
    (currency, minor, part, whole, nearest, below) => {
      expect(shareOf({ minor, currency }, part, whole, "nearest")).toBe(nearest);
      expect(shareOf({ minor, currency }, part, whole, "below")).toBe(below);
    },
  );

  const shared = fc.record({
    minor: fc.bigInt({ min: -(10n ** 12n), max: 10n ** 12n }),
    currency: fc.constantFrom(...CURRENCIES),
    whole: fc.bigInt({ min: 1n, max: 32_000_000n }),
    thousandths: fc.bigInt({ min: 0n, max: 1000n }),
  });

  test("lies on the step, and is less than one step from what it is worth", () => {
    fc.assert(
      fc.property(shared, ({ minor, currency, whole, thousandths }) => {
        const part = (whole * thousandths) / 1000n;
        const step = stepOf(currency);
        const exact = minor * part;
        const below = shareOf({ minor, currency }, part, whole, "below");
        const nearest = shareOf({ minor, currency }, part, whole, "nearest");
        expect(below % step).toBe(0n);
        expect(nearest % step).toBe(0n);
        expect(below * whole <= exact && exact < (below + step) * whole).toBe(true);
        const away = nearest * whole - exact;
        expect(2n * (away < 0n ? -away : away) <= step * whole).toBe(true);
      }),
    );
  });

  test("to the nearest takes as much as it gives: a credit is what the debit of the same time was", () => {
    fc.assert(
      fc.property(shared, ({ minor, currency, whole, thousandths }) => {
        const part = (whole * thousandths) / 1000n;
        expect(shareOf({ minor: -minor, currency }, part, whole, "nearest")).toBe(
          -shareOf({ minor, currency }, part, whole, "nearest"),
        );
      }),
    );
  });

  test("to the step below never comes to more than the whole, in however many parts", () => {
    fc.assert(
      fc.property(
        shared,
        fc.array(fc.bigInt({ min: 1n, max: 1000n }), { minLength: 1, maxLength: 9 }),
        ({ minor, currency }, parts) => {
          const whole = parts.reduce((sum, part) => sum + part, 0n);
          const given = parts.reduce(
            (sum, part) => sum + shareOf({ minor, currency }, part, whole, "below"),
            0n,
          );
          expect(given <= minor).toBe(true);
        },
      ),
    );
  });
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
  { minor: "1", currency: "xxx" },
  { minor: "1" },
  { currency: "usd" },
])("%j is no amount", (view) => {
  expect(MoneyView.safeParse(view).success).toBe(false);
});
