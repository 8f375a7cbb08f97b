import fc from "fast-check";
import { expect, test } from "vitest";
import { CURRENCIES } from "#core/money.ts";
import { paymentReceived, refundMade } from "./ledger.ts";

const money = fc.record({
  minor: fc.bigInt({ min: 1n, max: 10n ** 15n }),
  currency: fc.constantFrom(...CURRENCIES),
});

test.each([
  { name: "a payment", make: paymentReceived },
  { name: "a refund", make: refundMade },
])("$name sums to zero in its currency, whatever the amount", ({ make }) => {
  fc.assert(
    fc.property(money, (amount) => {
      const { entries } = make("order", "reference", amount);
      expect(entries.reduce((sum, e) => sum + e.minor, 0n)).toBe(0n);
      expect(entries.every((e) => e.currency === amount.currency)).toBe(true);
    }),
  );
});

test("a payment and its refund leave nothing with the provider", () => {
  const paid = { minor: 500n, currency: "usd" } as const;
  const entries = [paymentReceived("o", "in_1", paid), refundMade("o", "re_1", paid)].flatMap(
    (t) => t.entries,
  );
  const balance = (account: string) =>
    entries.filter((e) => e.account === account).reduce((sum, e) => sum + e.minor, 0n);
  expect(balance("stripe_balance")).toBe(0n);
  expect(balance("customer_revenue") + balance("customer_refunds")).toBe(0n);
  expect(balance("customer_refunds")).toBe(500n);
});
