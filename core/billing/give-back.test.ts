import { describe, expect, test } from "vitest";
import { owedFor, whatToSettle, type LossToSettle } from "./give-back.ts";
import type { PaidPeriod } from "./payments.ts";

/* 5.1: what is given back for a VM that was not there. */

const day = (n: number) => new Date(Date.UTC(2026, 3, n));
const NONE = { unseen: 0n, unseenByCard: 0n };

describe("whether a loss is settled, and up to when", () => {
  const aLoss = (over: Partial<LossToSettle> = {}): LossToSettle => ({
    until: null,
    settledUntil: day(10),
    vmIsToGo: false,
    orderState: "active",
    paidUntil: day(30),
    ...over,
  });
  test.each([
    { name: "a VM that is lost still", loss: aLoss(), is: null },
    {
      name: "one that is lost still, and whose paid time is over",
      loss: aLoss({ paidUntil: day(15) }),
      is: { way: "balance", from: day(10), until: day(15), isAll: false },
    },
    {
      name: "the same, once that is settled",
      loss: aLoss({ paidUntil: day(15), settledUntil: day(15) }),
      is: null,
    },
    {
      name: "one that is back",
      loss: aLoss({ until: day(12) }),
      is: { way: "balance", from: day(10), until: day(12), isAll: true },
    },
    {
      name: "one that is back in a time that is not paid yet",
      loss: aLoss({ until: day(12), paidUntil: day(11) }),
      is: null,
    },
    {
      name: "one that is given up",
      loss: aLoss({ vmIsToGo: true, paidUntil: day(16) }),
      is: { way: "card", from: day(10), until: null, isAll: true },
    },
    {
      name: "one that was back and is deleted, unpaid",
      loss: aLoss({ vmIsToGo: true, until: day(12), paidUntil: day(11) }),
      is: { way: "balance", from: day(10), until: day(12), isAll: true },
    },
    ...(["paid", "refunding", "refunded"] as const).map((orderState) => ({
      name: `one whose order is ${orderState}`,
      loss: aLoss({ vmIsToGo: true, orderState }),
      is: null,
    })),
  ])("of $name", ({ loss, is }) => {
    expect(whatToSettle(loss, day(20))).toEqual(is);
  });
});

describe("what is owed", () => {
  const aPeriod = (over: Partial<PaidPeriod> = {}): PaidPeriod => {
    const { from = day(1), until = day(31), total = { minor: 900n, currency: "eur" } } = over;
    return {
      invoiceId: "in_1",
      customerId: "cus_1",
      paymentId: "pi_1",
      from,
      until,
      total,
      parts: [{ from, until, minor: total.minor }],
      charged: 900n,
      refunded: 0n,
      given: [],
      ...over,
    };
  };
  const minors = (
    time: Parameters<typeof owedFor>[0],
    periods: readonly PaidPeriod[],
    given = NONE,
  ) => owedFor(time, periods, () => given).map((o) => [o.way, o.payee, o.amount.minor] as const);
  const ahead = { way: "card", from: day(11), until: null } as const;

  test("is nothing for a time that the provider shows as given back, whichever loss that was for", () => {
    const shown = {
      giveBackId: "a",
      id: "re_1",
      way: "card",
      from: day(11),
      until: day(31),
      minor: 600n,
    } as const;
    // As after a restore: another loss of the VM has taken in what was forgotten, and it is known again.
    expect(minors(ahead, [aPeriod({ refunded: 600n, given: [shown] })])).toEqual([]);
    // Of a later time, which was settled first, nothing of this one is taken.
    const before = { way: "balance", from: day(5), until: day(11) } as const;
    expect(
      minors(before, [aPeriod({ refunded: 300n, given: [{ ...shown, minor: 300n }] })]),
    ).toEqual([["balance", "cus_1", 180n]]);
  });

  test("is each period's share of what was paid for it, and nothing of the time between", () => {
    const periods = [
      aPeriod({ invoiceId: "in_2", from: day(35), until: day(65), paymentId: "pi_2" }),
      aPeriod(),
    ];
    const time = { way: "balance", from: day(21), until: day(36) } as const;
    expect(owedFor(time, periods, () => NONE)).toEqual([
      expect.objectContaining({ invoiceId: "in_2", from: day(35), until: day(36) }),
      expect.objectContaining({ invoiceId: "in_1", from: day(21), until: day(31) }),
    ]);
    expect(minors(time, periods)).toEqual([
      ["balance", "cus_1", 30n],
      ["balance", "cus_1", 300n],
    ]);
    expect(minors(ahead, periods)).toEqual([
      ["card", "pi_2", 900n],
      ["card", "pi_1", 600n],
    ]);
  });

  test("is rounded to the cent below, so that the parts are never more than the whole", () => {
    const third = { way: "balance", from: day(1), until: day(11) } as const;
    const of = aPeriod({ total: { minor: 100n, currency: "eur" } });
    expect(minors(third, [of])).toEqual([["balance", "cus_1", 33n]]);
  });

  test.each([
    ["jpy", 100n, 33n],
    ["kwd", 1000n, 330n],
    ["isk", 100_000n, 33_300n],
    // Less than a step is worth nothing that could be sent.
    ["isk", 200n, 0n],
  ] as const)("in %s is rounded to its step below: a third of %s is %s", (currency, minor, is) => {
    const third = { way: "balance", from: day(1), until: day(11) } as const;
    const of = aPeriod({
      total: { minor, currency },
      parts: [{ from: day(1), until: day(31), minor }],
    });
    expect(minors(third, [of]).map(([, , given]) => given)).toEqual(is === 0n ? [] : [is]);
  });

  test("is on the step also where what is left of the invoice is not, by its tax", () => {
    const of = aPeriod({ total: { minor: 1005n, currency: "kwd" } });
    const whole = { way: "balance", from: day(1), until: day(31) } as const;
    expect(
      minors(whole, [{ ...of, parts: [{ from: day(1), until: day(31), minor: 1010n }] }]),
    ).toEqual([["balance", "cus_1", 1000n]]);
  });

  test.each([
    { name: "went back already", period: { refunded: 500n }, given: NONE, is: [400n] },
    {
      name: "is credit already",
      period: {},
      given: { unseen: 700n, unseenByCard: 0n },
      is: [200n],
    },
    { name: "went back whole", period: { refunded: 900n }, given: NONE, is: [] },
    { name: "is credit of more", period: {}, given: { unseen: 950n, unseenByCard: 0n }, is: [] },
  ])("is no more than is left of what $name", ({ period, given, is }) => {
    expect(minors(ahead, [aPeriod(period)], given).map(([, , minor]) => minor)).toEqual(is);
  });

  test.each([
    { name: "that credit paid", period: { paymentId: null, charged: 0n }, given: NONE },
    { name: "that a card paid too little of", period: { charged: 599n }, given: NONE },
    {
      name: "that another refund is under way of",
      period: { charged: 700n },
      given: { unseen: 150n, unseenByCard: 150n },
    },
  ])("is credit of an invoice $name", ({ period, given }) => {
    const got = minors(ahead, [aPeriod(period)], given);
    expect(got.map(([way, payee]) => [way, payee])).toEqual([["balance", "cus_1"]]);
  });

  // 6a 2. 900 for 30 days; the change at their half credits 450 and debits what is left at the new price.
  describe("beside a change of price at its half", () => {
    const eur = (minor: bigint) => ({ minor, currency: "eur" }) as const;
    const half = { from: day(16), until: day(31) };
    const changed = (debit: bigint, over: Partial<PaidPeriod> = {}): PaidPeriod =>
      aPeriod({
        invoiceId: "in_2",
        paymentId: "pi_2",
        ...half,
        total: eur(debit - 450n),
        parts: [
          { ...half, minor: -450n },
          { ...half, minor: debit },
        ],
        charged: debit > 450n ? debit - 450n : 0n,
        ...over,
      });
    // 10 of the 15 days are left.
    const left = { way: "card", from: day(21), until: null } as const;

    test.each([
      // 1800 × 10 / 30 = 600, of which the first invoice has 300.
      [
        "up",
        [changed(900n), aPeriod()],
        [
          ["card", "pi_2", 300n],
          ["card", "pi_1", 300n],
        ],
      ],
      // 600 × 10 / 30 = 200: what was credited is credit already.
      ["down", [changed(300n), aPeriod()], [["card", "pi_1", 200n]]],
      // To nothing.
      ["down to what costs nothing", [changed(0n), aPeriod()], []],
    ] as const)("%s, is what the new price is worth", (_name, periods, expected) => {
      expect(minors(left, periods)).toEqual(expected);
    });

    test("that was taken back, is what the old price is worth", () => {
      const back = changed(450n, {
        invoiceId: "in_3",
        total: eur(-450n),
        parts: [
          { ...half, minor: -900n },
          { ...half, minor: 450n },
        ],
        charged: 0n,
      });
      const refunded = changed(900n, { refunded: 450n });
      expect(minors(left, [back, refunded, aPeriod()])).toEqual([["card", "pi_1", 300n]]);
    });

    test("to a year, is what that is worth", () => {
      const year = { from: day(16), until: day(16 + 360) };
      const begun = aPeriod({
        invoiceId: "in_2",
        paymentId: "pi_2",
        ...year,
        total: eur(7200n - 450n),
        parts: [
          { ...half, minor: -450n },
          { ...year, minor: 7200n },
        ],
        charged: 6750n,
      });
      // 7200 × 355 / 360 = 7100, of which the second invoice was paid 6750.
      expect(minors(left, [begun, aPeriod()])).toEqual([
        ["card", "pi_2", 6750n],
        ["card", "pi_1", 350n],
      ]);
    });

    test("from a year to a month, is what the month is worth", () => {
      const year = { from: day(1), until: day(361) };
      const rest = { from: day(16), until: day(361) };
      const month = { from: day(16), until: day(46) };
      const total = eur(900n - 6900n);
      const begun = aPeriod({
        invoiceId: "in_2",
        paymentId: null,
        ...rest,
        total,
        parts: [
          { ...rest, minor: -6900n },
          { ...month, minor: 900n },
        ],
        charged: 0n,
      });
      const paid = aPeriod({ ...year, total: eur(7200n), charged: 7200n });
      // 900 × 25 / 30 = 750; the rest of the year is credit already.
      expect(minors(left, [begun, paid])).toEqual([["card", "pi_1", 750n]]);
    });
  });
});
