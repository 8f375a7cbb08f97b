import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { whatChanged } from "#core/vms/judge-report.ts";
import { anOrder, AT, aVmReport, minutesAfter, whatIsKnown } from "#test/builders.ts";
import {
  decideConfirmPayment,
  decideUnprovenOrder,
  type UnprovenVm,
  moveOrder,
  ORDER_HOLD_MS,
} from "./decide-order.ts";
import type { Settled } from "./order-price.ts";
import {
  nextOrderState,
  ORDER_COMMANDS,
  ORDER_MOVES,
  ORDER_STATES,
  type OrderState,
} from "./order.ts";

const MONEY_IN: readonly OrderState[] = ["paid", "active", "completed", "refunding", "refunded"];

function reachableFrom(start: OrderState): ReadonlySet<OrderState> {
  const seen = new Set<OrderState>([start]);
  for (const state of seen) for (const next of Object.values(ORDER_MOVES[state])) seen.add(next);
  return seen;
}

describe("the table of an order's moves", () => {
  test("reaches every state from a new order", () => {
    expect([...reachableFrom("awaiting_payment")].sort()).toEqual([...ORDER_STATES].sort());
  });

  test.each(MONEY_IN)("leads from %s only on to a VM or a refund, never back", (state) => {
    expect([...reachableFrom(state)].some((s) => s === "completed" || s === "refunded")).toBe(true);
    expect([...reachableFrom(state)]).not.toContain("awaiting_payment");
    expect([...reachableFrom(state)]).not.toContain("expired");
  });

  test("never leads from a delivered order to a refund, nor from a refund to a VM", () => {
    expect([...reachableFrom("active")]).toEqual(["active", "completed"]);
    expect([...reachableFrom("refunding")]).toEqual(["refunding", "refunded"]);
    expect([...reachableFrom("refunded")]).toEqual(["refunded", "refunding"]);
  });
});

describe("moving an order", () => {
  const EVENT = {
    name: "order.expired.v1",
    data: { orderId: "0199f0a2-b3c4-7d5e-8f90-a1b2c3d4e5f6" },
  } as const;

  test.each(ORDER_COMMANDS)(
    "by %s twice is the first time's success, without events",
    (command) => {
      const froms = ORDER_STATES.filter((from) => nextOrderState(from, command) !== undefined);
      expect(froms.length).toBeGreaterThan(0);
      for (const from of froms) {
        const first = moveOrder(anOrder({ state: from }), command, [EVENT]);
        if (!first.ok) throw new Error("refused");
        expect(first.value.events).toEqual([EVENT]);
        expect(moveOrder(first.value.order, command, [EVENT])).toEqual({
          ok: true,
          value: { order: first.value.order, events: [] },
        });
      }
    },
  );

  test.each([
    { command: "confirm_payment", done: ["paid", "active", "completed", "refunding", "refunded"] },
    { command: "expire", done: ["expired"] },
    { command: "activate", done: ["active", "completed"] },
    { command: "complete", done: ["completed"] },
    { command: "refund", done: ["refunding", "refunded"] },
    { command: "confirm_refund", done: ["refunded"] },
    { command: "fail_refund", done: ["refunding"] },
  ] as const)("by a $command that comes late, to $done, changes nothing", ({ command, done }) => {
    for (const state of done) {
      const order = anOrder({ state });
      expect(moveOrder(order, command, [EVENT])).toEqual({
        ok: true,
        value: { order, events: [] },
      });
    }
  });

  test("that the table does not name is refused", () => {
    expect(moveOrder(anOrder({ state: "refunded" }), "activate", [])).toMatchObject({
      ok: false,
      error: { code: "order_wrong_state" },
    });
    expect(moveOrder(anOrder({ state: "paid" }), "expire", [])).toMatchObject({ ok: false });
  });
});

test("an unpaid order holds its place for half an hour, the least that a Checkout Session may last", () => {
  expect(ORDER_HOLD_MS).toBe(1_800_000);
});

describe("confirming a payment", () => {
  const settled = (of: Partial<Settled> = {}): Settled => ({
    currency: "usd",
    listMinor: 500n,
    discountMinor: 0n,
    taxMinor: 0n,
    takenMinor: 500n,
    ...of,
  });
  test("makes the order paid, at this instant, and says so", () => {
    const order = anOrder();
    expect(decideConfirmPayment(order, settled(), AT)).toEqual({
      ok: true,
      value: {
        order: { ...order, state: "paid", paidAt: AT },
        events: [{ name: "order.paid.v1", data: { orderId: order.id, vmId: order.vmId } }],
      },
    });
  });

  test("keeps what came off the price and what tax came on top, apart", () => {
    const apart = { discountMinor: 500n, taxMinor: 0n };
    const free = settled({ ...apart, takenMinor: 0n });
    expect(decideConfirmPayment(anOrder(), free, AT)).toMatchObject({
      ok: true,
      value: { order: { state: "paid", listMinor: 500n, ...apart } },
    });
  });

  test("of anything else than what is due is refused", () => {
    for (const of of [settled({ takenMinor: 499n }), settled({ currency: "eur" }), null])
      expect(decideConfirmPayment(anOrder(), of, AT)).toMatchObject({
        ok: false,
        error: { code: "order_underpaid" },
      });
  });

  test("again keeps the instant of the first time", () => {
    const paid = anOrder({ state: "active", paidAt: AT });
    expect(decideConfirmPayment(paid, settled(), minutesAfter(5))).toEqual({
      ok: true,
      value: { order: paid, events: [] },
    });
  });
});

describe("an order that is paid and not proved", () => {
  const paid = anOrder({ state: "paid", paidAt: AT });
  const seen = (over: Partial<UnprovenVm> = {}): UnprovenVm => ({
    firstSeenAt: null,
    firstRunningAt: null,
    runningSince: null,
    ranMs: 0,
    lastErrorCode: null,
    hostLastSeenAt: AT,
    ...over,
  });
  const minute = (n: number | null) => (n === null ? null : minutesAfter(n));

  test.each([
    { ran: null, last: 119, after: 119, outcome: "wait" },
    { ran: null, last: 120, after: 120, outcome: "refund" },
    { ran: 3, last: 12, after: 12, outcome: "wait" },
    { ran: 3, last: 13, after: 13, outcome: "activate" },
    { ran: 3, last: 12, after: 129, outcome: "wait" },
    { ran: 3, last: 12, after: 130, outcome: "refund" },
    { ran: 119, last: 128, after: 128, outcome: "wait" },
    { ran: 119, last: 129, after: 129, outcome: "activate" },
  ] as const)(
    "running since minute $ran by a host that last spoke at $last is to $outcome at $after",
    ({ ran, last, after, outcome }) => {
      const vm = seen({
        runningSince: minute(ran),
        firstRunningAt: minute(ran),
        hostLastSeenAt: minutesAfter(last),
      });
      expect(decideUnprovenOrder(paid, vm, minutesAfter(after))).toBe(outcome);
    },
  );

  test.each(["image_missing", "unsupported", "beyond_limits"])(
    "4b A3: is given back at once when its host refuses to make it for good (%s)",
    (lastErrorCode) => {
      expect(decideUnprovenOrder(paid, seen({ lastErrorCode }), AT)).toBe("refund");
      const made = seen({ lastErrorCode, firstSeenAt: AT });
      expect(decideUnprovenOrder(paid, made, minutesAfter(119))).toBe("wait");
    },
  );

  test.each([
    "out_of_disk",
    "out_of_memory",
    "driver_failed",
    "timed_out",
    "unsupported_by_agent",
    null,
  ])("4b A3: waits for what may be made yet (%s)", (lastErrorCode) => {
    expect(decideUnprovenOrder(paid, seen({ lastErrorCode }), minutesAfter(119))).toBe("wait");
  });

  test("4b A1: counts what it ran in boots before, so that a guest which restarts is delivered all the same", () => {
    const ran = seen({ firstRunningAt: AT, ranMs: 8 * 60_000 });
    const now = (over: Partial<UnprovenVm>, at: number) =>
      decideUnprovenOrder(paid, { ...ran, ...over }, minutesAfter(at));
    const since = { runningSince: minutesAfter(20) };
    expect(now({ ...since, hostLastSeenAt: minutesAfter(21) }, 21)).toBe("wait");
    expect(now({ ...since, hostLastSeenAt: minutesAfter(22) }, 22)).toBe("activate");
    expect(now({ ranMs: 10 * 60_000 }, 20)).toBe("activate");
    expect(now({ ranMs: 10 * 60_000 - 1 }, 20)).toBe("wait");
  });

  test.each([
    { what: "whose guest powers off at once", error: null, heard: 130, outcome: "activate" },
    {
      what: "whose guest makes every start fail",
      error: "driver_failed",
      heard: 130,
      outcome: "activate",
    },
    { what: "of a host heard of 5 minutes ago", error: null, heard: 125, outcome: "activate" },
    { what: "of a host not heard of for longer", error: null, heard: 124, outcome: "refund" },
    { what: "that its host has lost", error: "vm_missing", heard: 130, outcome: "refund" },
    {
      what: "that its host has no memory for",
      error: "out_of_memory",
      heard: 130,
      outcome: "refund",
    },
  ] as const)(
    "4b A1: a VM $what, after it was seen running, is to $outcome",
    ({ error, heard, outcome }) => {
      const vm = seen({
        firstRunningAt: minutesAfter(1),
        ranMs: 1000,
        lastErrorCode: error,
        hostLastSeenAt: minutesAfter(heard),
      });
      expect(decideUnprovenOrder(paid, vm, minutesAfter(129))).toBe("wait");
      expect(decideUnprovenOrder(paid, vm, minutesAfter(130))).toBe(outcome);
    },
  );

  test("4b A1: nothing that its guest does leads to a refund once it was seen running (property)", () => {
    const look = fc.record({
      afterMs: fc.integer({ min: 1, max: 4 * 60_000 }),
      power: fc.constantFrom("running", "off", "paused", "stopping", "failed"),
      boot: fc.constantFrom("boot-1", "boot-2", "boot-3"),
      name: fc.constantFrom(null, "localhost", "web-10"),
      error: fc.constantFrom(null, "driver_failed", "timed_out"),
    });
    fc.assert(
      fc.property(fc.array(look, { minLength: 40, maxLength: 60 }), (looks) => {
        let now = AT;
        let vm = whatIsKnown();
        let hostLastSeenAt: Date | null = null;
        for (const [n, { afterMs, power: later, boot, name, error }] of looks.entries()) {
          const power = n === 0 ? "running" : later;
          now = new Date(+now + afterMs);
          const report = aVmReport({
            observed: {
              power,
              bootEpoch: power === "off" ? null : boot,
              guest: name === null ? null : { source: "console", hostname: name },
            },
            error: error === null ? null : { code: error, detail: "start had no lasting effect" },
          });
          vm = { ...vm, ...whatChanged(vm, report, { now, lastWordAt: hostLastSeenAt }) };
          hostLastSeenAt = now;
          expect(decideUnprovenOrder(paid, { ...vm, hostLastSeenAt }, now)).not.toBe("refund");
        }
        const end = minutesAfter(24 * 60);
        expect(decideUnprovenOrder(paid, { ...vm, hostLastSeenAt: end }, end)).toBe("activate");
      }),
      { numRuns: 200 },
    );
  });

  test("one that runs is not given back for an error of its host's", () => {
    const vm = seen({
      firstRunningAt: minutesAfter(125),
      runningSince: minutesAfter(125),
      lastErrorCode: "out_of_disk",
      hostLastSeenAt: minutesAfter(130),
    });
    expect(decideUnprovenOrder(paid, vm, minutesAfter(130))).toBe("activate");
  });

  test("is not given back by an age that nobody knows", () => {
    const unpaid = anOrder({ state: "paid", paidAt: null });
    expect(decideUnprovenOrder(unpaid, seen({ hostLastSeenAt: null }), minutesAfter(9999))).toBe(
      "wait",
    );
  });

  test.each(ORDER_STATES.filter((s) => s !== "paid"))(
    "waits for nothing when it is %s",
    (state) => {
      const order = anOrder({ state, paidAt: AT });
      expect(decideUnprovenOrder(order, seen(), minutesAfter(9999))).toBe("wait");
    },
  );
});
