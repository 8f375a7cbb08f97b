import { describe, expect, test } from "vitest";
import { AT, minutesAfter } from "#test/builders.ts";
import {
  decideHold,
  decideNetworkHold,
  EXPIRED_ORDER_KEPT_MS,
  UNPAID_LIMITS,
  type Buyer,
} from "./unpaid-limits.ts";

const aBuyer = (over: Partial<Buyer> = {}): Buyer => ({
  lastPaidAt: null,
  unpaidUntil: [],
  ranOutAt: [],
  ...over,
});
const minutes = (...list: number[]) => list.map((n) => minutesAfter(n));

// 4b A2
describe("orders that wait to be paid", () => {
  test("are two of an account that never paid, and twenty of one that did", () => {
    const first = { unpaidUntil: minutes(20, 9) };
    expect(decideHold(UNPAID_LIMITS, aBuyer({ unpaidUntil: minutes(20) }), AT)).toEqual({
      ok: true,
      value: { newcomer: true },
    });
    expect(decideHold(UNPAID_LIMITS, aBuyer(first), AT)).toMatchObject({
      error: { code: "too_many_unpaid_orders", retryAfterSeconds: 10 * 60 },
    });
    const paid = { lastPaidAt: AT, unpaidUntil: Array<Date>(19).fill(minutesAfter(7)) };
    expect(decideHold(UNPAID_LIMITS, aBuyer(paid), AT)).toEqual({
      ok: true,
      value: { newcomer: false },
    });
    const more = { ...paid, unpaidUntil: Array<Date>(20).fill(minutesAfter(7)) };
    expect(decideHold(UNPAID_LIMITS, aBuyer(more), AT)).toMatchObject({
      error: { code: "too_many_unpaid_orders", detail: expect.stringContaining("20 orders") },
    });
  });

  test("of newcomers are six of one network, and the first to end says when to ask again", () => {
    expect(decideNetworkHold(UNPAID_LIMITS, minutes(1, 2, 3, 4, 5), AT).ok).toBe(true);
    expect(decideNetworkHold(UNPAID_LIMITS, minutes(6, 5, 4, 3, 2, 1.5), AT)).toMatchObject({
      error: { code: "too_many_unpaid_from_network", retryAfterSeconds: 150 },
    });
    // Its hold is over, and the sweep has not come by yet.
    expect(decideNetworkHold(UNPAID_LIMITS, minutes(6, 5, 4, 3, 2, -3), AT)).toMatchObject({
      error: { retryAfterSeconds: 1 },
    });
  });
});

// 4b A2
describe("orders that ran out unpaid", () => {
  const waitAfter = (count: number, minutesAgo = 0): number | "may" => {
    const ranOutAt = Array.from({ length: count }, (_, n) => minutesAfter(-minutesAgo - n * 40));
    const decided = decideHold(UNPAID_LIMITS, aBuyer({ ranOutAt }), AT);
    return decided.ok ? "may" : (decided.error.retryAfterSeconds ?? NaN) / 60;
  };

  test("make their account wait from the third on, twice as long each time, and for a day at most", () => {
    expect([0, 1, 2].map((count) => waitAfter(count))).toEqual(["may", "may", "may"]);
    expect([3, 4, 5, 9, 10, 40, 200].map((count) => waitAfter(count))).toEqual([
      15, 30, 60, 960, 1440, 1440, 1440,
    ]);
  });

  test("are waited for from the last one on", () => {
    expect(waitAfter(4, 29)).toBe(1);
    expect(waitAfter(4, 30)).toBe("may");
  });

  test("are forgotten a week later, one by one", () => {
    const week = 7 * 24 * 60;
    const ranOutAt = minutes(-week, -week + 1, -1, -2);
    expect(decideHold(UNPAID_LIMITS, aBuyer({ ranOutAt }), AT)).toMatchObject({
      error: { code: "too_many_expired_orders", retryAfterSeconds: 14 * 60 },
    });
    expect(decideHold(UNPAID_LIMITS, aBuyer({ ranOutAt }), minutesAfter(1))).toMatchObject({
      ok: true,
    });
  });

  test("are kept for longer than they are counted", () => {
    expect(EXPIRED_ORDER_KEPT_MS).toBeGreaterThan(UNPAID_LIMITS.expiryForgottenMs);
  });
});
