import { expect, test } from "vitest";
import { judgeCardOrder, NO_CARD_ON_FILE } from "./card-order.ts";
import { ORDER_STATES } from "./order.ts";

const judged = (over: Partial<Parameters<typeof judgeCardOrder>[0]>) => {
  const result = judgeCardOrder({
    state: "awaiting_payment",
    subscriptionId: null,
    declineCode: null,
    ...over,
  });
  return result.ok ? result.value : result.error.code;
};

test("an order is charged until something was started for it, and then looked at", () => {
  expect(judged({})).toBe("to_charge");
  expect(judged({ subscriptionId: "sub" })).toBe("to_look_at");
});

test("one that expired stays declined if its card was, whatever is on file by now", () => {
  expect(judged({ state: "expired" })).toBe("order_wrong_state");
  expect(judged({ state: "expired", declineCode: "insufficient_funds" })).toBe("payment_declined");
  expect(judged({ state: "expired", declineCode: NO_CARD_ON_FILE })).toBe("payment_method_missing");
});

test("nothing is charged for an order in any other state", () => {
  const states = ORDER_STATES.filter(
    (state) => state !== "awaiting_payment" && state !== "expired",
  );
  expect(Object.fromEntries(states.map((state) => [state, judged({ state })]))).toEqual({
    paid: "paid",
    active: "paid",
    completed: "paid",
    refunding: "order_wrong_state",
    refunded: "order_wrong_state",
  });
});
