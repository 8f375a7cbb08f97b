import fc from "fast-check";
import { expect, test } from "vitest";
import { CURRENCIES } from "#core/currencies.ts";
import type { Money } from "#core/money.ts";
import {
  creditGiven,
  type BookedTo,
  paymentReceived,
  refundMade,
  refundReversed,
} from "./ledger.ts";

const to = (orderId: string) => ({ accountId: "a", orderId });
const money = fc.record({
  minor: fc.bigInt({ min: 1n, max: 10n ** 15n }),
  currency: fc.constantFrom(...CURRENCIES),
});
const byCard = (of: BookedTo, invoiceId: string, paid: Money) =>
  paymentReceived(of, invoiceId, { paid, fromCredit: { ...paid, minor: 0n } });

test.each([
  { name: "a payment", make: byCard },
  { name: "a refund", make: refundMade },
  { name: "a refund's way back", make: refundReversed },
  { name: "credit", make: creditGiven },
])("$name sums to zero in its currency, whatever the amount", ({ make }) => {
  fc.assert(
    fc.property(money, (amount) => {
      const { entries } = make(to("order"), "reference", amount);
      expect(entries.reduce((sum, e) => sum + e.minor, 0n)).toBe(0n);
      expect(entries.every((e) => e.currency === amount.currency)).toBe(true);
    }),
  );
});

test.each([
  { make: byCard, kind: "payment", debit: "stripe_balance", credit: "customer_revenue" },
  { make: refundMade, kind: "refund", debit: "customer_refunds", credit: "stripe_balance" },
  {
    make: refundReversed,
    kind: "refund_reversal",
    debit: "stripe_balance",
    credit: "customer_refunds",
  },
  { make: creditGiven, kind: "credit", debit: "customer_revenue", credit: "customer_credit" },
])("a $kind moves money to $debit from $credit", ({ make, kind, debit, credit }) => {
  expect(make(to("order"), "reference", { minor: 500n, currency: "eur" })).toEqual({
    kind,
    reference: "reference",
    ...to("order"),
    entries: [
      { account: debit, minor: 500n, currency: "eur" },
      { account: credit, minor: -500n, currency: "eur" },
    ],
  });
});

test("a refund that came back leaves the money with the provider, and none given back", () => {
  const paid = { minor: 500n, currency: "usd" } as const;
  const entries = [
    byCard(to("o"), "in_1", paid),
    refundMade(to("o"), "re_1", paid),
    refundReversed(to("o"), "re_1", paid),
  ].flatMap((t) => t.entries);
  const balance = (account: string) =>
    entries.filter((e) => e.account === account).reduce((sum, e) => sum + e.minor, 0n);
  expect(balance("stripe_balance")).toBe(500n);
  expect(balance("customer_refunds")).toBe(0n);
});

test("a payment and its refund leave nothing with the provider", () => {
  const paid = { minor: 500n, currency: "usd" } as const;
  const entries = [byCard(to("o"), "in_1", paid), refundMade(to("o"), "re_1", paid)].flatMap(
    (t) => t.entries,
  );
  const balance = (account: string) =>
    entries.filter((e) => e.account === account).reduce((sum, e) => sum + e.minor, 0n);
  expect(balance("stripe_balance")).toBe(0n);
  expect(balance("customer_revenue") + balance("customer_refunds")).toBe(0n);
  expect(balance("customer_refunds")).toBe(500n);
});

test.each([
  { name: "credit given before", paid: 300n, fromCredit: 200n },
  { name: "credit alone", paid: 0n, fromCredit: 500n },
  { name: "a debt of the balance asked for with it", paid: 540n, fromCredit: -40n },
])("an invoice that is paid with $name is worth what it comes to", ({ paid, fromCredit }) => {
  const of = (minor: bigint) => ({ minor, currency: "eur" }) as const;
  const { entries } = paymentReceived(to("o"), "in_1", {
    paid: of(paid),
    fromCredit: of(fromCredit),
  });
  const sum = (account: string) =>
    entries.filter((e) => e.account === account).reduce((all, e) => all + e.minor, 0n);
  expect([sum("customer_revenue"), sum("stripe_balance"), sum("customer_credit")]).toEqual([
    -500n,
    paid,
    fromCredit,
  ]);
  expect(entries.every((e) => e.minor !== 0n)).toBe(true);
});

test("6a 2: a refund that the customer's credit had already costs us nothing, and its reversal gives that back", () => {
  const refunded = { minor: 700n, currency: "eur" } as const;
  const balances = (of: { entries: readonly { account: string; minor: bigint }[] }) =>
    Object.fromEntries(
      ["stripe_balance", "customer_refunds", "customer_credit"].map((account) => [
        account,
        of.entries
          .filter((entry) => entry.account === account)
          .reduce((sum, entry) => sum + entry.minor, 0n),
      ]),
    );
  expect(balances(refundMade(to("o"), "re_1", refunded, 650n))).toEqual({
    stripe_balance: -700n,
    customer_refunds: 50n,
    customer_credit: 650n,
  });
  expect(balances(refundReversed(to("o"), "re_1", refunded, 650n))).toEqual({
    stripe_balance: 700n,
    customer_refunds: -50n,
    customer_credit: -650n,
  });
});
