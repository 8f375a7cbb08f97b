import { describe, expect, test } from "vitest";
import { LIMITS } from "#core/hosts/limits.ts";
import { ALL_CAPABILITIES } from "#test/builders.ts";
import { decideCourse, dueOf, RESTART_SECONDS, type Course } from "./decide-quote.ts";
import { moneyOf, NO_MONEY } from "./offer-quote.ts";
import type { Billed, ChangePreview } from "./price-changes.ts";
import { QUOTE_REFUSALS, type QuoteRefusal } from "./quote.ts";
import type { ResizeAsked, ResizeState, ResizeTarget } from "./resize.ts";

/* 6a 2: what a quote offers, and all that stands against one. */

const usd = (minor: bigint) => ({ minor, currency: "usd" }) as const;
const price = (interval: "month" | "year" | "hour", minor: bigint) => ({
  interval,
  amount: usd(minor),
});

/** Ten of thirty days are over, and 400 ms. */
const NOW = new Date("2026-04-11T00:00:00.400Z");
const AT = new Date("2026-04-11T00:00:00.000Z");
const PERIOD = { from: new Date("2026-04-01T00:00:00Z"), until: new Date("2026-05-01T00:00:00Z") };

const aBilled = (over: Partial<Billed> = {}): Billed => ({
  subscriptionId: "sub_1",
  customerId: "cus_1",
  status: "active",
  priceId: "price_1",
  price: price("month", 900n),
  period: PERIOD,
  isPaid: true,
  debits: [{ lineId: "il_1", amount: usd(900n), discount: usd(0n), ...PERIOD }],
  discount: null,
  cancelsAt: null,
  pending: null,
  paysBy: "card",
  ...over,
});

const MACHINE = {
  vcpus: 2,
  memoryMib: 2048,
  diskGib: 40,
  bandwidthMbit: 1000,
  diskIops: 700,
} as const;
const SIZE = { vcpus: 2, memoryMib: 2048, diskGib: 40 } as const;
const LIMITED = { bandwidthMbit: 1000, diskIops: 700 } as const;
const MEANS = { capabilities: ALL_CAPABILITIES, limits: LIMITS.kvm, imageMinMemoryMib: 512 };

type StateOver = Partial<Omit<ResizeState, "host" | "bought" | "image">> & {
  host?: Partial<ResizeState["host"]>;
  bought?: Partial<ResizeState["bought"]>;
  image?: Partial<ResizeState["image"]>;
};
const aState = ({ host, bought, image, ...over }: StateOver = {}): ResizeState => ({
  vmId: "vm-1",
  payer: "stripe",
  bought: {
    planId: "small",
    planVersion: 3,
    price: price("month", 900n),
    machine: MACHINE,
    ...bought,
  },
  planDiskGib: 40,
  downgrade: "renewal",
  isPriceKept: false,
  isFrozen: false,
  isSuspended: false,
  isToEnd: false,
  isDelivered: true,
  isLost: false,
  running: null,
  seen: { size: SIZE, limits: LIMITED, hotVcpus: 16 },
  power: "running",
  host: {
    id: "host-1",
    state: "active",
    means: MEANS,
    free: { vcpus: 8, memoryMib: 8192, diskGib: 200, vms: 0 },
    ...host,
  },
  image: { minMemoryMib: 512, minDiskGib: 5, ...image },
  ...over,
});

/** Twice of all, for 1500 a month, or 15000 a year. */
const aTarget = (over: Partial<ResizeTarget> = {}): ResizeTarget => ({
  planId: "large",
  version: 7,
  available: true,
  size: { vcpus: 4, memoryMib: 4096, diskGib: 80 },
  bandwidthMbit: 2000,
  diskIops: null,
  prices: [price("month", 1500n), price("year", 15_000n), price("hour", 3n)],
  ...over,
});
const SMALLER: Partial<ResizeTarget> = {
  planId: "tiny",
  size: { vcpus: 1, memoryMib: 1024, diskGib: 40 },
  prices: [price("month", 300n), price("year", 3000n)],
};
/** Its own plan, as it is. */
const OWN: Partial<ResizeTarget> = {
  planId: "small",
  version: 3,
  size: SIZE,
  ...LIMITED,
  prices: [price("month", 900n), price("year", 9000n)],
};

type Asking = Partial<Omit<ResizeAsked, "target">> & { target?: Partial<ResizeTarget> };
const decide = (
  state: StateOver = {},
  { target, ...asked }: Asking = {},
  billed: Billed | null = aBilled(),
  now = NOW,
) =>
  decideCourse(
    aState(state),
    { target: aTarget(target), interval: null, keepDisk: false, staff: null, ...asked },
    billed,
    now,
  );
function courseOf(...given: Parameters<typeof decide>): Course {
  const decided = decide(...given);
  if ("course" in decided) return decided.course;
  throw new Error(JSON.stringify(decided.refusals));
}
function codesOf(...given: Parameters<typeof decide>): readonly QuoteRefusal[] {
  const decided = decide(...given);
  return "course" in decided ? [] : decided.refusals.map(({ code }) => code);
}
const dueIn = ({ own }: Course) => own && dueOf(own);

describe("up", () => {
  test("is at once and paid first, by what is left of the period to the second", () => {
    const course = courseOf();
    expect(course).toMatchObject({
      from: { planId: "small", planVersion: 3, machine: MACHINE },
      to: {
        planId: "large",
        planVersion: 7,
        price: price("month", 1500n),
        machine: {
          vcpus: 4,
          memoryMib: 4096,
          diskGib: 80,
          bandwidthMbit: 2000,
          diskIops: null,
        },
      },
      when: "now",
      billing: "prorate",
      order: "pay_first",
      how: "pay_first",
      at: AT,
      appliesAt: AT,
      expiresAt: new Date(+NOW + 15 * 60_000),
    });
    // 20 of 30 days: 1000 of 1500, less 600 of 900.
    expect(dueIn(course)).toBe(400n);
  });

  test("to what its own plan costs by now: who changes loses the price of before", () => {
    const newer = { ...OWN, version: 4, prices: [price("month", 1200n)] };
    const course = courseOf({}, { target: newer });
    expect(course).toMatchObject({ to: { planVersion: 4 }, method: "none", order: "pay_first" });
    expect(dueIn(course)).toBe(200n);
    // And back from the large one, it is the new price again.
    const large = { planId: "large", planVersion: 7, price: price("month", 1500n) };
    expect(courseOf({ bought: large }, { target: newer }).to.price).toEqual(price("month", 1200n));
  });

  test("of a machine for the same money is made at once: nothing is to be paid", () => {
    const course = courseOf({}, { target: { prices: [price("month", 900n)] } });
    expect(course).toMatchObject({ when: "now", order: "machine_first", how: "prorate" });
    expect(dueIn(course)).toBe(0n);
  });

  test("keeps the disk small where that is asked for, and never makes one smaller", () => {
    const kept = courseOf({}, { keepDisk: true });
    expect(kept.to.machine).toMatchObject({ memoryMib: 4096, diskGib: 40 });
    // Of a plan of 40 GiB whose disk has grown to 60 and stayed so.
    const grown = { bought: { machine: { ...MACHINE, diskGib: 60 } } };
    const within = { target: { size: { vcpus: 4, memoryMib: 4096, diskGib: 50 } } };
    expect(courseOf(grown, within).to.machine.diskGib).toBe(60);
  });

  test("a disk that was kept small grows to its plan's, for nothing", () => {
    const kept = {
      planDiskGib: 80,
      bought: { planId: "large", planVersion: 7, price: price("month", 1500n) },
    };
    const grown = { size: { ...SIZE, diskGib: 80 }, ...LIMITED };
    expect(courseOf(kept, { target: grown })).toMatchObject({
      to: { machine: { ...MACHINE, diskGib: 80 } },
      method: "live",
      how: null,
      own: null,
      order: "machine_first",
      when: "now",
    });
  });
});

describe("down", () => {
  test("is at renewal: the machine first, and then the next period's price", () => {
    const course = courseOf({}, { target: SMALLER });
    expect(course).toMatchObject({
      when: "renewal",
      billing: "none",
      order: "machine_first",
      how: "none",
      own: null,
      at: AT,
      appliesAt: PERIOD.until,
    });
  });

  test("is at once by the rule of the plan that was bought, and what is over is credited", () => {
    const course = courseOf({ downgrade: "now" }, { target: SMALLER });
    expect(course).toMatchObject({
      when: "now",
      billing: "prorate",
      order: "machine_first",
      how: "prorate",
    });
    expect(dueIn(course)).toBe(-400n);
  });

  test("is paid first where something is due all the same, as after a discount of before", () => {
    // All of the debit was taken off: there is nothing to credit.
    const free = [{ lineId: "il_1", amount: usd(900n), discount: usd(900n), ...PERIOD }];
    const course = courseOf({ downgrade: "now" }, { target: SMALLER }, aBilled({ debits: free }));
    expect(course).toMatchObject({ order: "pay_first", how: "pay_first" });
    expect(dueIn(course)).toBe(200n);
  });

  test.each([
    ["more of one, for less money", { vcpus: 8, memoryMib: 1024, diskGib: 40 }, 500n, "renewal"],
    ["less of one, for more money", { vcpus: 8, memoryMib: 1024, diskGib: 40 }, 1500n, "now"],
    ["less of all, for more money", { vcpus: 1, memoryMib: 1024, diskGib: 40 }, 1500n, "now"],
  ] as const)("%s: the price says which it is", (_, size, minor, when) => {
    const course = courseOf({}, { target: { size, prices: [price("month", minor)] } });
    expect(course.when).toBe(when);
    // While it waits for money the machine is the cheaper one; while it waits for its machine, the dearer one is paid.
    expect(course.order).toBe(minor > 900n ? "pay_first" : "machine_first");
  });

  test("to a smaller disk is refused, but for one that was kept small on the way up", () => {
    const size = { vcpus: 1, memoryMib: 1024, diskGib: 30 };
    expect(codesOf({}, { target: { ...SMALLER, size } })).toEqual(["disk_shrinks"]);
    expect(codesOf({}, { target: { ...SMALLER, size }, keepDisk: true })).toEqual(["disk_shrinks"]);
    const kept = {
      planDiskGib: 80,
      bought: { machine: { ...MACHINE, diskGib: 30 } },
      seen: { size: { ...SIZE, diskGib: 30 }, limits: LIMITED, hotVcpus: null },
    };
    expect(courseOf(kept, { target: { ...SMALLER, size } }).to.machine.diskGib).toBe(30);
  });
});

describe("another interval", () => {
  test("of a year is at once and paid first, whole, less what is left of the month", () => {
    const course = courseOf({}, { target: OWN, interval: "year" });
    expect(course).toMatchObject({
      to: { planId: "small", price: price("year", 9000n), machine: MACHINE },
      when: "now",
      order: "pay_first",
      method: "none",
      downSeconds: 0,
    });
    expect(dueIn(course)).toBe(8400n);
  });

  test("of a month after a year is at renewal, billed as it begins", () => {
    const yearly = { bought: { price: price("year", 9000n) } };
    expect(courseOf(yearly, { target: OWN, interval: "month" })).toMatchObject({
      when: "renewal",
      billing: "prorate",
      order: "machine_first",
      method: "none",
      appliesAt: PERIOD.until,
    });
  });

  test("together with another size is refused: the one could be taken back, and the other not", () => {
    expect(codesOf({}, { interval: "year" })).toEqual(["ask_separately"]);
  });

  test("cannot go without a proration, staff's word or not", () => {
    const staff = { when: "now", billing: "none", price: "new" } as const;
    expect(codesOf({}, { target: OWN, interval: "year", staff })).toEqual(["ask_separately"]);
  });
});

describe("how it is made", () => {
  test.each([
    ["more vCPUs and memory", {}, { diskIops: 700 }, "live", 0],
    ["limits alone", {}, { size: SIZE }, "live", 0],
    ["less memory", { downgrade: "now" }, SMALLER, "restart", RESTART_SECONDS],
    ["a VM that is off", { power: "off" }, SMALLER, "live", 0],
    ["its own size", {}, { size: SIZE, ...LIMITED }, "none", 0],
  ] as const)("%s", (_, state, target, method, downSeconds) => {
    expect(courseOf(state, { target })).toMatchObject({ method, downSeconds });
  });
});

describe("what is not paid to us", () => {
  test.each(["integration", "staff"] as const)(
    "(%s) is not changed for a customer, and by staff without money, at once",
    (payer) => {
      const state = { payer, bought: { price: null } };
      expect(codesOf(state, {}, null)).toEqual(["not_by_us"]);
      const staff = { when: "renewal", billing: "prorate", price: "new" } as const;
      const course = courseOf(state, { staff }, null);
      expect(course).toMatchObject({
        to: { price: null },
        when: "now",
        billing: "none",
        order: "machine_first",
        how: null,
      });
      expect(moneyOf(course, null)).toEqual({ ok: true, value: NO_MONEY });
    },
  );

  test("keeps its price by staff's word, at once or at the renewal, and nobody is asked for money (6b 5)", () => {
    const keep = { billing: "prorate", price: "keep" } as const;
    const kept = { price: price("month", 900n), priceKept: true, planId: "large" };
    for (const target of [{}, { prices: [] }, { prices: [price("year", 1n)] }]) {
      const course = courseOf({}, { staff: { ...keep, when: "now" }, target: aTarget(target) });
      expect(course).toMatchObject({ to: kept, when: "now", how: null, order: "machine_first" });
      expect(moneyOf(course, null)).toEqual({ ok: true, value: NO_MONEY });
    }
    expect(courseOf({}, { staff: { ...keep, when: "renewal" } })).toMatchObject({
      to: kept,
      when: "renewal",
      billing: "none",
      appliesAt: PERIOD.until,
      how: null,
    });
  });

  test("keeps a price that was kept, as long as its version is what it has (6b 5)", () => {
    const has = { planId: "large", planVersion: 7, machine: { ...MACHINE, diskGib: 10 } };
    const kept = { bought: has, planDiskGib: 80, isPriceKept: true };
    expect(courseOf(kept, {})).toMatchObject({
      to: { price: price("month", 900n), priceKept: true },
    });
    expect(courseOf({ ...kept, isPriceKept: false }, {}).to.priceKept).toBeUndefined();
    expect(courseOf({ isPriceKept: true }, {})).toMatchObject({
      to: { price: price("month", 1500n) },
    });
  });

  test("is no other customer's: staff change when, and what the present period is charged, of what is", () => {
    expect(
      courseOf({}, { staff: { when: "renewal", billing: "prorate", price: "new" } }),
    ).toMatchObject({
      when: "renewal",
      billing: "none",
      how: "none",
      order: "machine_first",
    });
    expect(courseOf({}, { staff: { when: "now", billing: "none", price: "new" } })).toMatchObject({
      when: "now",
      billing: "none",
      how: "none",
      order: "machine_first",
    });
  });
});

test("of several prices for the interval, a change is to the one in the currency that is paid in", () => {
  const inOthers = (["eur", "usd", "jpy"] as const).map((currency) => ({
    interval: "month" as const,
    amount: { minor: 2000n, currency },
  }));
  const { to } = courseOf({}, { target: { prices: inOthers } });
  expect(to.price).toEqual({ interval: "month", amount: { minor: 2000n, currency: "usd" } });
});

describe("no quote", () => {
  const REFUSED: readonly [QuoteRefusal, StateOver, Asking, Partial<Billed>][] = [
    ["same_plan", {}, { target: OWN }, {}],
    ["plan_not_on_sale", {}, { target: { available: false } }, {}],
    ["interval_not_sold", {}, { interval: "hour" }, {}],
    ["interval_not_sold", {}, { target: { prices: [price("year", 1n)] } }, {}],
    [
      "currency_differs",
      {},
      { target: { prices: [{ interval: "month", amount: { minor: 1n, currency: "eur" } }] } },
      {},
    ],
    [
      "beyond_limits",
      { host: { free: { vcpus: 999, memoryMib: 9999, diskGib: 999, vms: 1 } } },
      { target: { size: { ...SIZE, vcpus: 256 } } },
      {},
    ],
    ["image_needs_more", { image: { minMemoryMib: 1025 } }, { target: SMALLER }, {}],
    ["image_needs_more", { image: { minDiskGib: 41 } }, { target: SMALLER }, {}],
    [
      "limit_unsupported",
      {
        host: { means: { ...MEANS, capabilities: { ...ALL_CAPABILITIES, bandwidthLimit: false } } },
      },
      {},
      {},
    ],
    ["unsupported_by_agent", { host: { means: null } }, {}, {}],
    ["unsupported_by_agent", { seen: { size: SIZE, limits: null, hotVcpus: null } }, {}, {}],
    ["no_room", { host: { state: "draining" } }, {}, {}],
    ["vm_locked", { running: "reboot" }, {}, {}],
    ["vm_lost", { isLost: true }, {}, {}],
    ["vm_suspended", { isSuspended: true }, {}, {}],
    ["vm_not_delivered", { isDelivered: false }, {}, {}],
    ["billing_frozen", { isFrozen: true }, {}, {}],
    ["invoice_open", {}, {}, { isPaid: false }],
    ["invoice_open", {}, {}, { status: "past_due" }],
    ["invoice_open", {}, {}, { period: { ...PERIOD, until: NOW } }],
    ["trial_running", {}, {}, { status: "trialing" }],
    ["cancels_at_period_end", {}, {}, { cancelsAt: PERIOD.until }],
    ["cancels_at_period_end", { isToEnd: true }, {}, {}],
    ["cancels_at_period_end", {}, {}, { status: "canceled" }],
    ["change_waiting", {}, {}, { pending: { changeId: "change-1", until: PERIOD.until } }],
  ];
  test.each(REFUSED)("%s (%#)", (code, state, asked, billed) => {
    expect(codesOf(state, asked, aBilled(billed))).toEqual([code]);
  });

  test("has a reason that is seen here, each of them", () => {
    const elsewhere = ["ask_separately", "disk_shrinks", "figures_differ", "not_by_us"] as const;
    const seen = new Set<QuoteRefusal>([...REFUSED.map(([code]) => code), ...elsewhere]);
    expect([...seen].toSorted()).toEqual([...QUOTE_REFUSALS].toSorted());
  });

  test("is told with all that stands against it", () => {
    const state = { isLost: true, isFrozen: true, running: "reboot" };
    expect(codesOf(state, { target: { available: false } }, aBilled({ isPaid: false }))).toEqual([
      "vm_lost",
      "vm_locked",
      "billing_frozen",
      "invoice_open",
      "plan_not_on_sale",
    ]);
  });

  test("of a plan that there is not", () => {
    const decided = decideCourse(
      aState(),
      { target: null, interval: null, keepDisk: false, staff: null },
      aBilled(),
      NOW,
    );
    expect(decided).toMatchObject({ refusals: [{ code: "plan_not_on_sale" }] });
  });

  test.each([
    ["vcpus", { vcpus: 2, memoryMib: 2048, diskGib: 40 }],
    ["memoryMib", { vcpus: 2, memoryMib: 2048, diskGib: 40 }],
    ["diskGib", { vcpus: 2, memoryMib: 2048, diskGib: 40 }],
  ] as const)(
    "without room for the larger of both in %s; what is there is enough",
    (field, free) => {
      const state = (less: number) => ({
        host: { free: { ...free, [field]: free[field] - less, vms: 0 } },
      });
      expect(codesOf(state(0))).toEqual([]);
      expect(codesOf(state(1))).toEqual(["no_room"]);
      expect(codesOf(state(free[field]), { target: SMALLER })).toEqual([]);
    },
  );

  test("is offered to who pays otherwise than by card too, who pays it on a page first", () => {
    const bank = aBilled({ paysBy: "other" });
    expect(codesOf({}, { target: SMALLER }, bank)).toEqual([]);
    const up = { order: "pay_first", paysBy: "other", how: "prorate" };
    expect(courseOf({}, {}, bank)).toMatchObject(up);
    expect(courseOf()).toMatchObject({ order: "pay_first", paysBy: "card", how: "pay_first" });
  });

  test("lives longer than the period that it was worked out for", () => {
    const soon = new Date(+PERIOD.until - 60_000);
    expect(courseOf({}, {}, aBilled(), soon).expiresAt).toEqual(PERIOD.until);
  });

  test("a moment after another change, by the provider's clock", () => {
    const later = {
      lineId: "il_2",
      amount: usd(1n),
      discount: usd(0n),
      from: new Date(+AT + 1000),
      until: PERIOD.until,
    };
    expect(codesOf({}, {}, aBilled({ debits: [later] }))).toEqual(["change_waiting"]);
  });
});

describe("its money", () => {
  const course = courseOf();
  const line = (kind: "credit" | "debit", minor: bigint, credits: string | null = null) => ({
    kind,
    amount: usd(minor),
    discount: usd(0n),
    from: AT,
    until: PERIOD.until,
    credits,
  });
  const aPreview = (over: Partial<ChangePreview> = {}): ChangePreview => ({
    lines: [line("credit", -600n), line("debit", 1000n)],
    tax: usd(76n),
    total: usd(476n),
    fromBalance: usd(100n),
    dueNow: usd(376n),
    ...over,
  });

  test("is the provider's, with the line that a credit is of", () => {
    expect(moneyOf(course, aPreview())).toEqual({
      ok: true,
      value: {
        dueNow: usd(376n),
        credit: usd(0n),
        tax: usd(76n),
        lines: [
          { kind: "credit", amount: usd(-600n), from: AT, until: PERIOD.until, credits: "il_1" },
          { kind: "debit", amount: usd(1000n), from: AT, until: PERIOD.until, credits: null },
        ],
        differsBy: usd(0n),
      },
    });
  });

  test("may be a minor unit a line from our own, which is told, and no more", () => {
    const off = (by: bigint) =>
      moneyOf(
        course,
        aPreview({
          lines: [line("credit", -600n + by), line("debit", 1000n + by)],
          total: usd(476n + 2n * by),
        }),
      );
    expect(off(1n)).toMatchObject({ value: { differsBy: usd(2n) } });
    expect(off(2n)).toMatchObject({ error: { code: "figures_differ" } });
  });

  test("goes to the balance where more is given back than is due", () => {
    const down = courseOf({ downgrade: "now" }, { target: SMALLER });
    const preview = aPreview({
      lines: [line("credit", -600n), line("debit", 200n)],
      tax: usd(-76n),
      total: usd(-476n),
      fromBalance: usd(0n),
      dueNow: usd(0n),
    });
    expect(moneyOf(down, preview)).toMatchObject({
      value: { dueNow: usd(0n), credit: usd(476n), tax: usd(-76n) },
    });
  });

  test("is nothing now for what comes at renewal, and no provider is asked", () => {
    expect(moneyOf(courseOf({}, { target: SMALLER }), null)).toEqual({
      ok: true,
      value: { dueNow: usd(0n), credit: usd(0n), tax: usd(0n), lines: [], differsBy: usd(0n) },
    });
  });

  test("of which the provider shows nothing is not offered", () => {
    expect(moneyOf(course, null)).toMatchObject({ error: { code: "figures_differ" } });
  });
});
