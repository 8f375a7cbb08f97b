/*
 * Prorations worked out by hand: what `core/billing/proration.ts` and the stand-in for Stripe, which share no code, must both come
 * to. A day has 86,400 s; a period of 30 days 2,592,000 s, of 31 days 2,678,400 s. Each line is rounded by itself to its currency's step, halves away
 * from zero, after its discount. Amounts are minor units.
 */

type Interval = "month" | "year";
type Step = Readonly<{
  at: string;
  price: number;
  interval?: Interval;
  /** Each line's kind and what it comes to, before tax: credits first. */
  lines: readonly (readonly ["credit" | "debit" | "recurring", number])[];
  /** Where a new cycle ends. */
  until?: string;
}>;
export type HandRow = Readonly<{
  name: string;
  currency: "eur" | "usd" | "jpy" | "kwd" | "isk";
  price: number;
  interval: Interval;
  /** When the subscription began, and the period that is the present one at the first step. */
  anchor: string;
  period: readonly [from: string, until: string];
  coupon?: { percent_off: number } | { amount_off: number };
  /** What a percentage took off the whole price, where that is not rounded to a minor unit. */
  off?: number;
  steps: readonly Step[];
}>;

const APRIL = ["2026-04-10T00:00:00Z", "2026-05-10T00:00:00Z"] as const; // 30 days
const inApril = { currency: "eur", interval: "month", anchor: APRIL[0], period: APRIL } as const;

export const BY_HAND: readonly HandRow[] = [
  {
    name: "up, in mid-month, in USD",
    currency: "usd",
    price: 1000,
    interval: "month",
    anchor: "2026-01-01T00:00:00Z",
    period: ["2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"],
    steps: [
      {
        at: "2026-01-11T00:00:00Z", // 21 of 31 days are left
        price: 2000,
        lines: [
          ["credit", -677], // 1000 × 21 / 31 = 677.42
          ["debit", 1355], // 2000 × 21 / 31 = 1354.84
        ],
      },
    ],
  },
  {
    name: "down, in mid-month, a second past the half, in EUR",
    currency: "eur",
    price: 1999,
    interval: "month",
    anchor: "2026-04-10T12:00:00Z",
    period: ["2026-04-10T12:00:00Z", "2026-05-10T12:00:00Z"],
    steps: [
      {
        at: "2026-04-25T12:00:01Z", // 1,295,999 of 2,592,000 s
        price: 749,
        lines: [
          ["credit", -999], // 1999 × 1295999 / 2592000 = 999.4992, where the half would be 999.5
          ["debit", 374], // 749 × 1295999 / 2592000 = 374.4997
        ],
      },
    ],
  },
  {
    name: "at the half, where halves go away from zero",
    ...inApril,
    price: 31,
    steps: [
      {
        at: "2026-04-25T00:00:00Z", // 15 of 30 days
        price: 1045,
        lines: [
          ["credit", -16], // 15.5
          ["debit", 523], // 522.5
        ],
      },
    ],
  },
  {
    name: "in yen, which have no decimals",
    ...inApril,
    currency: "jpy",
    price: 1500,
    steps: [
      {
        at: "2026-04-20T00:00:00Z", // 20 of 30 days
        price: 3100,
        lines: [
          ["credit", -1000],
          ["debit", 2067], // 2066.67
        ],
      },
    ],
  },
  {
    name: "in dinars, whose last digit is 0, twice",
    ...inApril,
    currency: "kwd",
    price: 5120,
    steps: [
      {
        at: "2026-04-20T00:00:00Z", // 20 of 30 days
        price: 9970,
        lines: [
          ["credit", -3410], // 3413.33
          ["debit", 6650], // 6646.67
        ],
      },
      {
        at: "2026-04-30T00:00:00Z", // 10 of the 20 days that the 6650 were for, and of 30
        price: 5120,
        lines: [
          ["credit", -3330], // 3325, at the half
          ["debit", 1710], // 1706.67
        ],
      },
    ],
  },
  {
    name: "in krónur, whose last two digits are 0, with a percentage off",
    ...inApril,
    currency: "isk",
    price: 150_000,
    coupon: { percent_off: 12.5 },
    off: 18_800, // 18750, at the half
    steps: [
      {
        at: "2026-04-20T00:00:00Z", // 20 of 30 days
        price: 290_000,
        lines: [
          ["credit", -87_500], // 131200 × 20 / 30 = 87466.67
          ["debit", 169_100], // 290000 less 36300, × 20 / 30 = 169133.33
        ],
      },
    ],
  },
  {
    name: "twice in one period: the second credit follows what the first change debited",
    ...inApril,
    price: 1000,
    steps: [
      {
        at: "2026-04-20T00:00:00Z", // 20 of 30 days
        price: 2000,
        lines: [
          ["credit", -667], // 1000 × 20 / 30 = 666.67
          ["debit", 1333], // 2000 × 20 / 30 = 1333.33
        ],
      },
      {
        at: "2026-05-03T07:00:00Z", // 6 days 17 h = 579,600 s, of the 20 days = 1,728,000 s that the 1333 were for
        price: 500,
        lines: [
          ["credit", -447], // 1333 × 579600 / 1728000 = 447.11
          ["debit", 112], // 500 × 579600 / 2592000 = 111.81
        ],
      },
    ],
  },
  {
    name: "three times in one minute",
    ...inApril,
    price: 1000,
    steps: [
      {
        at: "2026-04-25T00:00:00Z",
        price: 2000,
        lines: [
          ["credit", -500],
          ["debit", 1000],
        ],
      },
      {
        at: "2026-04-25T00:00:30Z", // 1,295,970 of 1,296,000 s, and of 2,592,000 s
        price: 3000,
        lines: [
          ["credit", -1000], // 1000 × 1295970 / 1296000 = 999.98
          ["debit", 1500], // 3000 × 1295970 / 2592000 = 1499.97
        ],
      },
      {
        at: "2026-04-25T00:01:00Z", // 1,295,940 of 1,295,970 s, and of 2,592,000 s
        price: 1000,
        lines: [
          ["credit", -1500], // 1500 × 1295940 / 1295970 = 1499.97
          ["debit", 500], // 1000 × 1295940 / 2592000 = 499.98
        ],
      },
    ],
  },
  ...(
    [
      // 29 January to 28 February: 30 days, 18 are left. 600; 1020.
      ["29 January", "2026-01-29T10:00:00Z", -600, 1020],
      // 29 days. 1000 × 18 / 29 = 620.69; 1700 × 18 / 29 = 1055.17.
      ["30 January", "2026-01-30T10:00:00Z", -621, 1055],
      // 28 days. 1000 × 18 / 28 = 642.86; 1700 × 18 / 28 = 1092.86.
      ["31 January", "2026-01-31T10:00:00Z", -643, 1093],
    ] as const
  ).map(([day, anchor, credit, debit]): HandRow => ({
    name: `of what began on ${day}, which February has not`,
    currency: "usd",
    price: 1000,
    interval: "month",
    anchor,
    period: [anchor, "2026-02-28T10:00:00Z"],
    steps: [
      {
        at: "2026-02-10T10:00:00Z",
        price: 1700,
        lines: [
          ["credit", credit],
          ["debit", debit],
        ],
      },
    ],
  })),
  {
    name: "of what began on 31 January, in the period from 28 February, which ends on the 31st again",
    currency: "usd",
    price: 1000,
    interval: "month",
    anchor: "2026-01-31T10:00:00Z",
    period: ["2026-02-28T10:00:00Z", "2026-03-31T10:00:00Z"], // 31 days
    steps: [
      {
        at: "2026-03-15T10:00:00Z", // 16 are left
        price: 1700,
        lines: [
          ["credit", -516], // 1000 × 16 / 31 = 516.13
          ["debit", 877], // 1700 × 16 / 31 = 877.42
        ],
      },
    ],
  },
  {
    name: "of what began on 31 January of a leap year",
    currency: "usd",
    price: 1000,
    interval: "month",
    anchor: "2028-01-31T00:00:00Z",
    period: ["2028-01-31T00:00:00Z", "2028-02-29T00:00:00Z"], // 29 days
    steps: [
      {
        at: "2028-02-15T00:00:00Z", // 14 are left
        price: 1700,
        lines: [
          ["credit", -483], // 1000 × 14 / 29 = 482.76
          ["debit", 821], // 1700 × 14 / 29 = 820.69
        ],
      },
    ],
  },
  {
    name: "across the start of summer time (29 March 2026, 01:00 UTC), which UTC's seconds know nothing of",
    currency: "eur",
    price: 1000,
    interval: "month",
    anchor: "2026-03-15T00:00:00Z",
    period: ["2026-03-15T00:00:00Z", "2026-04-15T00:00:00Z"], // 31 days, although it has an hour less by the clock in Berlin
    steps: [
      {
        at: "2026-03-29T03:30:00Z", // 16 days 20.5 h = 1,456,200 of 2,678,400 s
        price: 2500,
        lines: [
          ["credit", -544], // 1000 × 1456200 / 2678400 = 543.68
          ["debit", 1359], // 2500 × 1456200 / 2678400 = 1359.21
        ],
      },
    ],
  },
  {
    name: "of a year's plan",
    currency: "eur",
    price: 12000,
    interval: "year",
    anchor: "2026-06-01T00:00:00Z",
    period: ["2026-06-01T00:00:00Z", "2027-06-01T00:00:00Z"], // 365 days
    steps: [
      {
        at: "2026-09-09T06:00:00Z", // 264.75 days are left
        price: 24000,
        lines: [
          ["credit", -8704], // 12000 × 264.75 / 365 = 8704.11
          ["debit", 17408], // 24000 × 264.75 / 365 = 17408.22
        ],
      },
    ],
  },
  {
    name: "of a year with 29 February in it",
    currency: "eur",
    price: 12000,
    interval: "year",
    anchor: "2027-06-01T00:00:00Z",
    period: ["2027-06-01T00:00:00Z", "2028-06-01T00:00:00Z"], // 366 days
    steps: [
      {
        at: "2027-09-09T06:00:00Z", // 265.75 days are left
        price: 24000,
        lines: [
          ["credit", -8713], // 12000 × 265.75 / 366 = 8713.11
          ["debit", 17426], // 24000 × 265.75 / 366 = 17426.23
        ],
      },
    ],
  },
  {
    name: "from a month to a year: a new cycle begins",
    ...inApril,
    price: 1000,
    steps: [
      {
        at: "2026-04-20T00:00:00Z", // 20 of 30 days
        price: 10000,
        interval: "year",
        lines: [
          ["credit", -667], // 1000 × 20 / 30
          ["recurring", 10000],
        ],
        until: "2027-04-20T00:00:00Z",
      },
    ],
  },
  {
    name: "from a year to a month on 31 March: a new cycle, which ends on 30 April",
    currency: "usd",
    price: 12000,
    interval: "year",
    anchor: "2026-01-31T00:00:00Z",
    period: ["2026-01-31T00:00:00Z", "2027-01-31T00:00:00Z"],
    steps: [
      {
        at: "2026-03-31T00:00:00Z", // 59 of 365 days are over, 306 left
        price: 1100,
        interval: "month",
        lines: [
          ["credit", -10060], // 12000 × 306 / 365 = 10060.27
          ["recurring", 1100],
        ],
        until: "2026-04-30T00:00:00Z",
      },
      {
        at: "2026-04-15T00:00:00Z", // 15 of 30 days
        price: 2200,
        lines: [
          ["credit", -550],
          ["debit", 1100],
        ],
      },
    ],
  },
  {
    name: "with a coupon of a percentage, which is taken off the whole price first",
    ...inApril,
    price: 1250,
    coupon: { percent_off: 12.5 },
    steps: [
      {
        at: "2026-04-20T00:00:00Z", // 20 of 30 days
        price: 2390,
        lines: [
          ["credit", -729], // 12.5 % of 1250 = 156.25, so 1250 − 156 = 1094 were debited; 1094 × 20 / 30 = 729.33
          ["debit", 1394], // 12.5 % of 2390 = 298.75, so 2390 − 299 = 2091; 2091 × 20 / 30 = 1394
        ],
      },
    ],
  },
  {
    name: "with a coupon of an amount, which is worth its share of the time",
    ...inApril,
    price: 1000,
    coupon: { amount_off: 300 },
    steps: [
      {
        at: "2026-04-27T00:00:00Z", // 13 of 30 days
        price: 2000,
        lines: [
          ["credit", -303], // (1000 − 300) × 13 / 30 = 303.33
          ["debit", 737], // (2000 − 300) × 13 / 30 = 736.67
        ],
      },
    ],
  },
  {
    name: "to a price below the coupon's amount: nothing is debited",
    ...inApril,
    price: 1000,
    coupon: { amount_off: 300 },
    steps: [
      {
        at: "2026-04-25T00:00:00Z",
        price: 250,
        lines: [
          ["credit", -350], // 700 / 2
          ["debit", 0],
        ],
      },
    ],
  },
  {
    // Hetzner since 2026-06-15 (facts/stripe §7): 379 when it was bought, 449 on sale today. Up to 799 and down again: 449, not 379.
    name: "up and down again by Hetzner's rule, where the old price is lost",
    ...inApril,
    price: 379,
    steps: [
      {
        at: "2026-04-15T00:00:00Z", // 25 of 30 days
        price: 799,
        lines: [
          ["credit", -316], // 379 × 25 / 30 = 315.83: what was debited, not what the plan costs today
          ["debit", 666], // 799 × 25 / 30 = 665.83
        ],
      },
      {
        at: "2026-04-30T00:00:00Z", // 10 of the 25 days, and of 30
        price: 449,
        lines: [
          ["credit", -266], // 666 × 10 / 25 = 266.4
          ["debit", 150], // 449 × 10 / 30 = 149.67
        ],
      },
    ],
  },
  {
    name: "in the last second of a period",
    ...inApril,
    price: 1_500_000,
    steps: [
      {
        at: "2026-05-09T23:59:59Z", // 1 of 2,592,000 s
        price: 9_000_000,
        lines: [
          ["credit", -1], // 0.58
          ["debit", 3], // 3.47
        ],
      },
    ],
  },
  {
    name: "in the first second of a period",
    ...inApril,
    price: 1000,
    steps: [
      {
        at: APRIL[0],
        price: 2000,
        lines: [
          ["credit", -1000],
          ["debit", 2000],
        ],
      },
    ],
  },
];
