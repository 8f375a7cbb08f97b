import { describe, expect, test } from "vitest";
import { anOrder, AT } from "#test/builders.ts";
import { decideDeletedOrder } from "./deleted-order.ts";
import { ORDER_STATES } from "./order.ts";

describe("the order of a VM that its customer deletes", () => {
  test("is given its money back when the VM never ran", () => {
    const order = anOrder({ state: "paid" });
    expect(decideDeletedOrder(order, { firstRunningAt: null })).toEqual({
      ok: true,
      value: {
        order: { ...order, state: "refunding" },
        events: [{ name: "order.refund_fell_due.v1", data: { orderId: order.id } }],
      },
    });
  });

  test("stays as it is when the VM ran, whatever its guest has said", () => {
    const order = anOrder({ state: "paid" });
    expect(decideDeletedOrder(order, { firstRunningAt: AT })).toEqual({
      ok: true,
      value: { order, events: [] },
    });
  });

  test.each(ORDER_STATES.filter((state) => state !== "paid"))("stays %s", (state) => {
    const order = anOrder({ state });
    for (const firstRunningAt of [null, AT])
      expect(decideDeletedOrder(order, { firstRunningAt })).toEqual({
        ok: true,
        value: { order, events: [] },
      });
  });
});
