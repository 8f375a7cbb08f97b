import { describe, expect, test } from "vitest";
import { anOrder, AT, minutesAfter } from "#test/builders.ts";
import {
  decideConfirmPayment,
  decideUnprovenOrder,
  moveOrder,
  ORDER_HOLD_MS,
} from "./decide-order.ts";
import {
  nextOrderState,
  ORDER_COMMANDS,
  ORDER_MOVES,
  ORDER_STATES,
  type OrderState,
} from "./order.ts";

const USD = (minor: bigint) => ({ minor, currency: "usd" });
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
  test("makes the order paid, at this instant, and says so", () => {
    const order = anOrder();
    expect(decideConfirmPayment(order, USD(500n), AT)).toEqual({
      ok: true,
      value: {
        order: { ...order, state: "paid", paidAt: AT },
        events: [{ name: "order.paid.v1", data: { orderId: order.id, vmId: order.vmId } }],
      },
    });
  });

  test.each([USD(499n), { minor: 500n, currency: "eur" }])(
    "of too little is refused (%o)",
    (paid) => {
      expect(decideConfirmPayment(anOrder(), paid, AT)).toMatchObject({
        ok: false,
        error: { code: "order_underpaid" },
      });
    },
  );

  test("again keeps the instant of the first time", () => {
    const paid = anOrder({ state: "active", paidAt: AT });
    expect(decideConfirmPayment(paid, USD(500n), minutesAfter(5))).toEqual({
      ok: true,
      value: { order: paid, events: [] },
    });
  });
});

describe("an order that is paid and not proved", () => {
  const paid = anOrder({ state: "paid", paidAt: AT });
  test.each([
    { seen: null, last: 119, after: 119, outcome: "wait" },
    { seen: null, last: 120, after: 120, outcome: "refund" },
    { seen: 3, last: 12, after: 12, outcome: "wait" },
    { seen: 3, last: 13, after: 13, outcome: "activate" },
    { seen: 3, last: 12, after: 129, outcome: "wait" },
    { seen: 3, last: 12, after: 130, outcome: "refund" },
    { seen: 119, last: 128, after: 128, outcome: "wait" },
    { seen: 119, last: 129, after: 129, outcome: "activate" },
  ] as const)(
    "running since minute $seen by a host that last spoke at $last is to $outcome at $after",
    ({ seen, last, after, outcome }) => {
      const runningSince = seen === null ? null : minutesAfter(seen);
      const hostLastSeenAt = minutesAfter(last);
      expect(decideUnprovenOrder(paid, { runningSince, hostLastSeenAt }, minutesAfter(after))).toBe(
        outcome,
      );
    },
  );

  test("is not given back by an age that nobody knows", () => {
    const seen = { runningSince: null, hostLastSeenAt: null };
    expect(decideUnprovenOrder(anOrder({ state: "paid", paidAt: null }), seen, AT)).toBe("wait");
  });

  test.each(ORDER_STATES.filter((s) => s !== "paid"))(
    "waits for nothing when it is %s",
    (state) => {
      const order = anOrder({ state, paidAt: AT });
      expect(
        decideUnprovenOrder(
          order,
          { runningSince: null, hostLastSeenAt: null },
          minutesAfter(9999),
        ),
      ).toBe("wait");
    },
  );
});
