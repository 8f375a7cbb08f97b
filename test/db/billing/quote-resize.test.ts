import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { quoteForStaff, showStaffResize } from "#commands/billing/resize-for-staff.ts";
import { showResizeOptions } from "#commands/billing/show-resize-options.ts";
import type { Deps } from "#commands/deps.ts";
import type { Quote } from "#core/billing/quote.ts";
import { loadQuote, takeQuote } from "#db/billing/quotes.ts";
import { inTransaction } from "#db/transaction.ts";
import { aPrincipal } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { paysOtherwise } from "#test/harness/plan-changes.ts";
import { aBuyer, aNewVersion, valueOf } from "#test/harness/world.ts";
import { aLargePlan, aVmToResize, quoted, type Resized } from "./resize-builders.ts";

/* 6a 2: quotes and options, over the stand-in for Stripe. Periods have 31 days, of which 21 are left. */

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

const usd = (minor: bigint) => ({ minor, currency: "usd" }) as const;

async function aQuoteOf(...given: Parameters<typeof quoted>): Promise<Quote> {
  const { quote, refusals } = await quoted(...given);
  if (quote === null) throw new Error(JSON.stringify(refusals));
  return quote;
}
const codesOf = async (...given: Parameters<typeof quoted>) =>
  (await quoted(...given)).refusals.map(({ code }) => code);
const quotesOf = ({ vmId }: Resized) =>
  cp.rows("select id from resize_quotes where vm_id = $1", vmId);
/** All that a quote must leave as it is. */
const stateOf = ({ vmId, world }: Resized) =>
  Promise.all([
    cp.rows("select * from vms where id = $1", vmId),
    cp.rows("select * from services where vm_id = $1", vmId),
    cp.rows(
      "select allocated_memory_mib, desired_generation from hosts where id = $1",
      world.hostId,
    ),
    cp.rows("select id from actions where vm_id = $1", vmId),
  ]);

describe("a quote", () => {
  test("tells a larger plan's price to the cent, and changes nothing", async () => {
    const vm = await aVmToResize(cp);
    const large = await aLargePlan(cp);
    const before = await stateOf(vm);
    const quote = await aQuoteOf(cp.deps, vm, { planId: large.id });
    // 21 of 31 days: 338.7 of 500 go back, and 1050 of 1550 are charged.
    const left = { from: cp.clock.now(), until: vm.until };
    expect(quote).toMatchObject({
      vmId: vm.vmId,
      askedBy: vm.world.buyer.accountId,
      from: {
        planId: vm.world.planId,
        planVersion: 2,
        price: { interval: "month", amount: usd(500n) },
      },
      to: {
        planId: large.id,
        planVersion: 1,
        price: { interval: "month", amount: usd(1550n) },
        machine: { vcpus: 3, memoryMib: 3072, diskGib: 60, bandwidthMbit: 2000, diskIops: 900 },
      },
      when: "now",
      billing: "prorate",
      order: "pay_first",
      method: "live",
      downSeconds: 0,
      dueNow: usd(711n),
      credit: usd(0n),
      tax: usd(0n),
      differsBy: usd(0n),
      appliesAt: cp.clock.now(),
    });
    expect(quote.lines).toEqual([
      { kind: "credit", amount: usd(-339n), ...left, credits: expect.stringMatching(/^il_/) },
      { kind: "debit", amount: usd(1050n), ...left, credits: null },
    ]);
    expect(await loadQuote(cp.deps.db, quote.id)).toEqual(quote);
    expect(await stateOf(vm)).toEqual(before);
  });

  test("is the same for who pays by debit, who pays it on a page first", async () => {
    const vm = await aVmToResize(cp);
    await paysOtherwise(cp, vm);
    const large = await aLargePlan(cp);
    const quote = await aQuoteOf(cp.deps, vm, { planId: large.id });
    const due = { order: "pay_first", paysBy: "other", dueNow: usd(711n), differsBy: usd(0n) };
    expect(quote).toMatchObject(due);
    expect(await loadQuote(cp.deps.db, quote.id)).toEqual(quote);
  });

  test("of a smaller plan at once is a credit, and at renewal nothing now", async () => {
    const vm = await aVmToResize(cp);
    const prices = [{ interval: "month", amountMinor: "310", currency: "usd" }] as const;
    const small = await aLargePlan(cp, {
      size: { vcpus: 1, memoryMib: 512, diskGib: 20 },
      prices: [],
    });
    await aNewVersion(cp, small.id, { prices: [...prices] });
    const waits = await aQuoteOf(cp.deps, vm, { planId: small.id });
    expect(waits).toMatchObject({
      when: "renewal",
      billing: "none",
      order: "machine_first",
      method: "restart",
      downSeconds: 150,
      appliesAt: vm.until,
      dueNow: usd(0n),
      credit: usd(0n),
      lines: [],
    });
    const staff = aPrincipal({ role: "staff", accountId: vm.world.buyer.accountId });
    const asked = { planId: small.id, keepDisk: false, when: "now", billing: "prorate" } as const;
    const { quote } = valueOf(
      await showStaffResize(cp.deps, { who: staff, vmId: vm.vmId, ...asked }),
    );
    // 339 go back, and 210 of 310 are charged.
    const atOnce = { when: "now", order: "machine_first", dueNow: usd(0n), credit: usd(129n) };
    expect(quote).toMatchObject(atOnce);
    // The plan's own rule, as it was when it was bought.
    const lenient = await aVmToResize(cp, { downgrade: "now" });
    await aNewVersion(cp, lenient.world.planId, { downgrade: "renewal" });
    expect(await aQuoteOf(cp.deps, lenient, { planId: small.id })).toMatchObject(atOnce);
  });

  test("has the provider's tax, balance and coupon, on figures that are ours before them", async () => {
    const { dashboard } = cp.stripe;
    const vm = await aVmToResize(cp);
    const { id: planId } = await aLargePlan(cp);
    const rate = await dashboard.taxRates.create({
      display_name: "VAT",
      inclusive: false,
      percentage: 10,
    });
    await dashboard.subscriptions.update(vm.subscriptionId, { default_tax_rates: [rate.id] });
    // A tenth of what is debited. What goes back bore no tax.
    const taxed = await aQuoteOf(cp.deps, vm, { planId });
    expect(taxed).toMatchObject({ dueNow: usd(816n), tax: usd(105n), differsBy: usd(0n) });
    const { customerId } = await cp.deps.payments.fetchBilled(vm.subscriptionId);
    await dashboard.customers.createBalanceTransaction(customerId, {
      amount: -300,
      currency: "usd",
    });
    expect(await aQuoteOf(cp.deps, vm, { planId })).toMatchObject({ dueNow: usd(516n) });
    const coupon = await dashboard.coupons.create({ percent_off: 20, duration: "forever" });
    await dashboard.subscriptions.update(vm.subscriptionId, {
      discounts: [{ coupon: coupon.id }],
      default_tax_rates: "",
    });
    // What is debited has a fifth off, and what was debited had not: 840 less 339, of which 300 are there.
    const discounted = await aQuoteOf(cp.deps, vm, { planId });
    expect(discounted).toMatchObject({ dueNow: usd(201n), tax: usd(0n), differsBy: usd(0n) });
    expect(discounted.lines.map(({ amount }) => amount.minor)).toEqual([-339n, 840n]);
  });

  test("of a year is paid whole, less what is left of the month, and the machine stays", async () => {
    const vm = await aVmToResize(cp);
    const quote = await aQuoteOf(cp.deps, vm, {
      planId: vm.world.planId,
      billingInterval: "year",
    });
    expect(quote).toMatchObject({
      order: "pay_first",
      method: "none",
      dueNow: usd(4661n),
      to: { price: { interval: "year", amount: usd(5000n) }, machine: quote.from.machine },
    });
  });

  test("needs room for what is more, and none for what is less", async () => {
    const vm = await aVmToResize(cp, { places: 2 });
    const large = await aLargePlan(cp);
    expect(await codesOf(cp.deps, vm, { planId: large.id })).toEqual(["no_room"]);
    await cp.rows(
      "update hosts set capacity_memory_mib = allocated_memory_mib + 2048 where id = $1",
      vm.world.hostId,
    );
    expect(await codesOf(cp.deps, vm, { planId: large.id })).toEqual([]);
  });

  test("of an agent that does not show all of the size is refused: nobody would see it made", async () => {
    const vm = await aVmToResize(cp);
    const large = await aLargePlan(cp);
    await cp.rows(
      "update vms set seen_limits_known = false, seen_bandwidth_mbit = null where id = $1",
      vm.vmId,
    );
    expect(await codesOf(cp.deps, vm, { planId: large.id })).toEqual(["unsupported_by_agent"]);
  });

  test("calls the provider outside of any transaction", async () => {
    const vm = await aVmToResize(cp);
    const large = await aLargePlan(cp);
    const points = await cp.steps.watch(() => aQuoteOf(cp.deps, vm, { planId: large.id }));
    const calls = points.filter((point) => point.startsWith("before payments."));
    expect(calls).toEqual([
      "before payments.fetchBilled",
      "before payments.ensurePrice",
      "before payments.previewChange",
    ]);
    expect(points.filter((point) => point === "after commit")).toEqual([]);
  });
});

describe("figures that differ", () => {
  /** The provider with a preview whose first line comes to more. */
  const off = (by: bigint): Deps => ({
    ...cp.deps,
    payments: {
      ...cp.deps.payments,
      fetchBilled: (id) => cp.deps.payments.fetchBilled(id),
      ensurePrice: (input) => cp.deps.payments.ensurePrice(input),
      previewChange: async (input) => {
        const preview = await cp.deps.payments.previewChange(input);
        const [first, ...rest] = preview.lines;
        if (!first) throw new Error("the preview has no line");
        const amount = { ...first.amount, minor: first.amount.minor + by };
        const total = { ...preview.total, minor: preview.total.minor + by };
        return { ...preview, lines: [{ ...first, amount }, ...rest], total };
      },
    },
  });

  test("by one minor unit are the provider's, which the quote tells", async () => {
    const vm = await aVmToResize(cp);
    const large = await aLargePlan(cp);
    expect(await aQuoteOf(off(1n), vm, { planId: large.id })).toMatchObject({
      differsBy: usd(1n),
      lines: [{ amount: usd(-338n) }, { amount: usd(1050n) }],
    });
  });

  test("by more are offered to nobody, and staff hear of it, once", async () => {
    const vm = await aVmToResize(cp);
    const large = await aLargePlan(cp);
    const told = () =>
      cp.log.errors.filter(
        (line) => line["kind"] === "figures_differ" && line["vm_id"] === vm.vmId,
      );
    for (let times = 0; times < 2; times++)
      expect(await codesOf(off(2n), vm, { planId: large.id })).toEqual(["figures_differ"]);
    expect(await quotesOf(vm)).toEqual([]);
    expect(told()).toHaveLength(1);
    const findings = await cp.rows(
      "select host_id, subject, detail from findings where vm_id = $1 and ended_at is null",
      vm.vmId,
    );
    expect(findings).toEqual([
      {
        host_id: vm.world.hostId,
        subject: vm.vmId,
        detail: "a line of -339 minor units is -337 at the provider",
      },
    ]);
  });
});

describe("options", () => {
  test("are every plan on sale by each interval, with our own figures, and one call of the provider", async () => {
    const vm = await aVmToResize(cp);
    const large = await aLargePlan(cp);
    const disk = await aLargePlan(cp, { size: { vcpus: 3, memoryMib: 3072, diskGib: 10 } });
    const gone = await aLargePlan(cp, { available: false });
    const show = () => showResizeOptions(cp.deps, vm.world.buyer, vm.vmId);
    let statements = cp.steps.statements;
    const points = await cp.steps.watch(show);
    const took = cp.steps.statements - statements;
    expect(points.filter((point) => point.startsWith("before payments."))).toEqual([
      "before payments.fetchBilled",
    ]);
    const { current, options } = valueOf(await show());
    expect(current).toMatchObject({ planId: vm.world.planId, planVersion: 2 });
    const of = (planId: string) =>
      options
        .filter(({ plan }) => plan.id === planId)
        .map(({ price, course, refusals, difference, dueNow }) => ({
          interval: price.interval,
          when: course?.when ?? null,
          refused: refusals.map(({ code }) => code),
          difference: difference?.minor ?? null,
          dueNow: dueNow?.minor ?? null,
        }));
    const no = { when: null, dueNow: null };
    expect(of(large.id)).toEqual([
      { interval: "month", when: "now", refused: [], difference: 1050n, dueNow: 711n },
      { interval: "year", ...no, refused: ["ask_separately"], difference: null },
    ]);
    expect(of(vm.world.planId)).toEqual([
      { interval: "month", ...no, refused: ["same_plan"], difference: 0n },
      { interval: "year", when: "now", refused: [], difference: null, dueNow: 4661n },
    ]);
    expect(of(disk.id)[0]?.refused).toEqual(["disk_shrinks"]);
    expect(of(gone.id)).toEqual([]);
    // However many plans there are.
    for (let more = 0; more < 5; more++) await aLargePlan(cp);
    statements = cp.steps.statements;
    valueOf(await show());
    expect(cp.steps.statements - statements).toBe(took);
  });
});

describe("another's VM", () => {
  test("is not found by any other customer, and one that is deleted by nobody", async () => {
    const vm = await aVmToResize(cp);
    const { id: planId } = await aLargePlan(cp);
    const stranger = await aBuyer(cp);
    const asked = () => quoted(cp.deps, vm, { planId }, stranger);
    await expect(asked()).rejects.toThrow("vm_not_found");
    expect(await showResizeOptions(cp.deps, stranger, vm.vmId)).toMatchObject({
      error: { code: "vm_not_found" },
    });
    await cp.rows("update vms set presence = 'absent' where id = $1", vm.vmId);
    await expect(quoted(cp.deps, vm, { planId })).rejects.toThrow("vm_not_found");
  });

  test("that another billing system sold is changed by staff alone, and for no money of ours", async () => {
    const vm = await aVmToResize(cp);
    const { id: planId } = await aLargePlan(cp);
    await cp.rows(
      `update services set payer = 'integration', subscription_id = null, subscription_status = null,
        subscription_version = null, interval = null, amount_minor = null, currency = null where vm_id = $1`,
      vm.vmId,
    );
    expect(await codesOf(cp.deps, vm, { planId })).toEqual(["not_by_us"]);
    const points = await cp.steps.watch(async () => {
      const who = aPrincipal({ role: "staff" });
      const asked = { planId, keepDisk: true, when: "renewal", billing: "prorate" } as const;
      const shown = valueOf(await showStaffResize(cp.deps, { who, vmId: vm.vmId, ...asked }));
      expect(shown).toMatchObject({
        quote: { when: "now", dueNow: null, to: { price: null, machine: { diskGib: 20 } } },
        effects: expect.arrayContaining(["nobody is asked for money"]),
      });
    });
    expect(points.filter((point) => point.startsWith("before payments."))).toEqual([]);
  });
});

describe("staff", () => {
  test("see what a resize would do, and carry its hash to the quote that is kept", async () => {
    const vm = await aVmToResize(cp);
    const { id: planId } = await aLargePlan(cp);
    const who = { ...(await aBuyer(cp)), role: "staff" } as const;
    const asked = {
      who,
      vmId: vm.vmId,
      planId,
      keepDisk: false,
      when: "now",
      billing: "prorate",
    } as const;
    const shown = valueOf(await showStaffResize(cp.deps, asked));
    expect(shown.effects).toEqual([
      "the machine becomes 3 vCPUs, 3072 MiB of memory, 60 GiB of disk, 2000 Mbit/s, 900 IOPS; " +
        "it has 1 vCPUs, 1024 MiB of memory, 20 GiB of disk, 1000 Mbit/s, no limit of IOPS",
      "its guest runs on",
      "it is begun at once",
      "the price becomes 15.50 USD a month; it is 5.00 USD a month",
      "7.11 USD are due now",
      "nothing is done to the machine before that is paid",
    ]);
    expect(await quotesOf(vm)).toEqual([]);
    // Other amounts are no other plan.
    cp.clock.advance(3_600_000);
    const hash = shown.hash ?? "";
    expect(valueOf(await showStaffResize(cp.deps, asked)).hash).toBe(hash);
    const free = { ...asked, billing: "none" } as const;
    expect(valueOf(await showStaffResize(cp.deps, free)).hash).not.toBe(hash);
    expect(await quoteForStaff(cp.deps, { ...free, hash })).toMatchObject({
      error: { code: "plan_changed" },
    });
    const quote = valueOf(await quoteForStaff(cp.deps, { ...asked, hash }));
    expect(await quotesOf(vm)).toEqual([{ id: quote.id }]);
    expect(quote.askedBy).toBe(who.accountId);
    const [action] = await cp.rows("select id from actions where vm_id = $1", vm.vmId);
    const by = { actionId: String(action?.["id"]), now: cp.clock.now() };
    expect(await inTransaction(cp.deps.db, (tx) => takeQuote(tx, quote.id, by))).toEqual(quote);
    await aNewVersion(cp, planId, { trafficGib: 1 });
    expect(await quoteForStaff(cp.deps, { ...asked, hash })).toMatchObject({
      error: { code: "plan_changed" },
    });
  });

  test("are told all that stands against it", async () => {
    const vm = await aVmToResize(cp);
    const { id: planId } = await aLargePlan(cp, {
      size: { vcpus: 1, memoryMib: 1024, diskGib: 1 },
    });
    const who = aPrincipal({ role: "staff" });
    const asked = {
      who,
      vmId: vm.vmId,
      planId,
      keepDisk: false,
      when: "now",
      billing: "none",
    } as const;
    expect(valueOf(await showStaffResize(cp.deps, asked))).toMatchObject({
      quote: null,
      hash: null,
      effects: [],
      refusals: [{ code: "disk_shrinks" }],
    });
    const refused = await quoteForStaff(cp.deps, asked);
    expect(refused).toMatchObject({ error: { code: "resize_refused" } });
  });
});

// The last one: its clock goes on into the next month.
test("a renewal that is open refuses a quote, beside all else that stands against it", async () => {
  const vm = await aVmToResize(cp);
  const large = await aLargePlan(cp, { available: false });
  cp.clock.advance(+vm.until - +cp.clock.now() + 60_000);
  expect(await codesOf(cp.deps, vm, { planId: large.id })).toEqual([
    "invoice_open",
    "plan_not_on_sale",
  ]);
  expect(await quotesOf(vm)).toEqual([]);
});
