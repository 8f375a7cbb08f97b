import { describe, expect, test } from "vitest";
import { BY_HAND, type HandRow } from "#test/harness/proration-by-hand.ts";
import type { Billed, ChangedLine, ChangePreview, Debit } from "./price-changes.ts";
import { compareWithPreview, netOf, prorate, type Proration } from "./proration.ts";
import type { ServicePrice } from "./service.ts";

/* 6a 2: what a change of price comes to. The figures, with their arithmetic, are in `test/harness/proration-by-hand.ts`. */

const eur = (minor: bigint) => ({ minor, currency: "eur" }) as const;

const APRIL: Debit = {
  lineId: "il_0",
  amount: eur(1000n),
  discount: eur(0n),
  from: new Date("2026-04-10T00:00:00Z"),
  until: new Date("2026-05-10T00:00:00Z"),
};
const aBilled = (over: Partial<Billed> = {}): Billed => ({
  subscriptionId: "sub_1",
  customerId: "cus_1",
  status: "active",
  priceId: "price_small",
  price: { interval: "month", amount: eur(1000n) },
  period: { from: new Date("2026-04-10T00:00:00Z"), until: new Date("2026-05-10T00:00:00Z") },
  isPaid: true,
  debits: [APRIL],
  discount: null,
  cancelsAt: null,
  pending: null,
  paysBy: "card",
  ...over,
});
const DOUBLE: ServicePrice = { interval: "month", amount: eur(2000n) };

function made(billed: Billed, price: ServicePrice, at: string): Proration {
  const result = prorate(billed, price, new Date(at));
  if (!result.ok) throw new Error(result.error.code);
  return result.value;
}

describe("by hand", () => {
  const money = (row: HandRow, minor: number) => ({ minor: BigInt(minor), currency: row.currency });

  function begun(row: HandRow): Billed {
    const [from, until] = row.period;
    const period = { from: new Date(from), until: new Date(until) };
    const { coupon } = row;
    const whole = BigInt(row.price);
    // What the coupon took off the whole price, rounded.
    const off =
      row.off !== undefined
        ? BigInt(row.off)
        : coupon === undefined
          ? 0n
          : "percent_off" in coupon
            ? BigInt(Math.round((row.price * coupon.percent_off) / 100))
            : BigInt(coupon.amount_off);
    return aBilled({
      period,
      price: { interval: row.interval, amount: money(row, row.price) },
      discount:
        coupon === undefined
          ? null
          : "percent_off" in coupon
            ? { percentOff: coupon.percent_off }
            : { amountOff: money(row, coupon.amount_off) },
      debits: [
        {
          lineId: "il_0",
          amount: { minor: whole, currency: row.currency },
          discount: { minor: off, currency: row.currency },
          ...period,
        },
      ],
    });
  }

  test.each(BY_HAND.map((row) => [row.name, row] as const))("%s", (_name, row) => {
    let billed = begun(row);
    for (const [index, step] of row.steps.entries()) {
      const price: ServicePrice = {
        interval: step.interval ?? billed.price.interval,
        amount: money(row, step.price),
      };
      const { lines, period } = made(billed, price, step.at);
      expect(lines.map((line) => [line.kind, Number(netOf(line))])).toEqual(step.lines);
      expect(lines.map(({ credits }) => credits)).toEqual([
        ...billed.debits.map(({ lineId }) => lineId),
        null,
      ]);
      expect(lines.every(({ from }) => +from === Date.parse(step.at))).toBe(true);
      const until = step.until === undefined ? billed.period.until : new Date(step.until);
      expect(period.until).toEqual(until);
      // What was debited is what the next change credits; a new cycle is the present period from then on.
      const debit = lines.at(-1);
      if (debit === undefined) throw new Error("nothing was debited");
      billed = {
        ...billed,
        price,
        period: step.interval === undefined ? billed.period : period,
        debits: [{ lineId: `il_${index + 1}`, ...debit }],
      };
    }
  });
});

describe("a credit", () => {
  test("shows the discount that the debited line had, and the debit the discount of now", () => {
    const billed = aBilled({
      debits: [{ ...APRIL, discount: eur(200n) }],
      discount: { percentOff: 50 },
    });
    const { lines } = made(billed, DOUBLE, "2026-04-25T00:00:00Z");
    expect(lines.map(({ amount, discount }) => [amount.minor, discount.minor])).toEqual([
      [-500n, -100n],
      [1000n, 500n],
    ]);
  });

  test("follows each debit that stands", () => {
    const debits = [APRIL, { ...APRIL, lineId: "il_extra", amount: eur(60n) }];
    const { lines } = made(aBilled({ debits }), DOUBLE, "2026-04-25T00:00:00Z");
    expect(lines.map((line) => [line.credits, netOf(line)])).toEqual([
      ["il_0", -500n],
      ["il_extra", -30n],
      [null, 1000n],
    ]);
  });
});

describe("it is refused", () => {
  const at = "2026-04-20T00:00:00Z";
  test.each([
    ["while the period is not paid", "invoice_open", aBilled({ isPaid: false }), DOUBLE, at],
    [
      "in another currency",
      "currency_differs",
      aBilled(),
      { interval: "month", amount: { minor: 1n, currency: "usd" } },
      at,
    ],
    [
      "by the hour",
      "interval_not_sold",
      aBilled(),
      { interval: "hour", amount: eur(1n) } as const,
      at,
    ],
    ["a second before the period", "outside_period", aBilled(), DOUBLE, "2026-04-09T23:59:59Z"],
    [
      "at its end, when the renewal is due",
      "outside_period",
      aBilled(),
      DOUBLE,
      "2026-05-10T00:00:00Z",
    ],
    ["a second after its end", "outside_period", aBilled(), DOUBLE, "2026-05-10T00:00:01Z"],
    [
      "before what was debited last",
      "outside_period",
      aBilled({ debits: [{ ...APRIL, from: new Date("2026-04-21T00:00:00Z") }] }),
      DOUBLE,
      at,
    ],
  ] as const)("%s", (_name, code, billed, price, when) => {
    expect(prorate(billed, price, new Date(when))).toMatchObject({ ok: false, error: { code } });
  });
});

describe("against the provider's preview", () => {
  const own = made(aBilled(), DOUBLE, "2026-04-25T00:00:00Z");
  function preview(
    change: (lines: readonly ChangedLine[]) => readonly ChangedLine[],
    over: { tax?: bigint; total?: bigint } = {},
  ): ChangePreview {
    const lines = change(own.lines);
    const tax = over.tax ?? 95n;
    const total = over.total ?? lines.reduce((sum, line) => sum + netOf(line), tax);
    return { lines, tax: eur(tax), total: eur(total), fromBalance: eur(0n), dueNow: eur(total) };
  }
  const plus = (kind: ChangedLine["kind"], minor: bigint) => (lines: readonly ChangedLine[]) =>
    lines.map((line) =>
      line.kind === kind ? { ...line, amount: eur(line.amount.minor + minor) } : line,
    );
  const compared = (of: ChangePreview, ours = own) => compareWithPreview(ours, of);

  test("the same to the cent, whatever the tax and the balance are", () => {
    const same = preview((lines) => lines);
    expect(compared(same)).toEqual({ ok: true, value: { lines: same.lines, differsBy: 0n } });
  });

  test.each([-1n, 1n])("%s minor unit in a line: the provider's holds, and is told", (unit) => {
    const other = preview(plus("debit", unit));
    expect(compared(other)).toEqual({ ok: true, value: { lines: other.lines, differsBy: unit } });
  });

  test("a unit in each line, which may add up or take each other away", () => {
    const both = preview((lines) => plus("credit", 1n)(plus("debit", 1n)(lines)));
    expect(compared(both)).toMatchObject({ ok: true, value: { differsBy: 2n } });
    const away = preview((lines) => plus("credit", -1n)(plus("debit", 1n)(lines)));
    expect(compared(away)).toMatchObject({ ok: true, value: { differsBy: 0n } });
  });

  test("the discount in the amount, as Stripe shows it, is the same", () => {
    const billed = aBilled({ discount: { percentOff: 50 } });
    const discounted = made(billed, DOUBLE, "2026-04-25T00:00:00Z");
    const included = discounted.lines.map((line) => ({
      ...line,
      amount: eur(netOf(line)),
      discount: eur(0n),
    }));
    expect(
      compared(
        preview(() => included),
        discounted,
      ),
    ).toMatchObject({
      ok: true,
      value: { differsBy: 0n },
    });
  });

  test("a credit that does not say what it credits is the one of that time", () => {
    const unsaid = preview((lines) => lines.map((line) => ({ ...line, credits: null })));
    expect(compared(unsaid).ok).toBe(true);
  });

  test("a line that comes to nothing may be left out", () => {
    const free = made(aBilled({ discount: { percentOff: 100 } }), DOUBLE, "2026-04-25T00:00:00Z");
    expect(
      compared(
        preview(() => free.lines.slice(0, 1)),
        free,
      ).ok,
    ).toBe(true);
  });

  const ofKind = (kind: ChangedLine["kind"]) => {
    const line = own.lines.find((each) => each.kind === kind);
    if (line === undefined) throw new Error(`there is no ${kind}`);
    return line;
  };
  const [credit, debit] = [ofKind("credit"), ofKind("debit")];
  test.each([
    ["two units in a line", preview(plus("debit", 2n))],
    ["two units less credit", preview(plus("credit", 2n))],
    ["a line too many", preview((lines) => [...lines, { ...debit, amount: eur(900n) }])],
    ["a line too few", preview((lines) => lines.slice(1))],
    ["a credit of something else", preview(() => [{ ...credit, credits: "il_9" }, debit])],
    ["another time", preview(() => [credit, { ...debit, until: new Date(0) }])],
    ["a total that is not that of its lines", preview((lines) => lines, { total: 596n })],
  ])("%s: the figures differ", (_name, of) => {
    expect(compared(of)).toMatchObject({ ok: false, error: { code: "figures_differ" } });
  });
});
