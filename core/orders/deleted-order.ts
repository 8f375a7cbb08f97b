import type { Event } from "#core/contracts/events.ts";
import { ok, type Result } from "#core/result.ts";
import { moveOrder, type OrderDecision, type OrderRefusal } from "./decide-order.ts";
import type { Order } from "./order.ts";

/**
 * What a customer's delete makes of the VM's order. One that was never seen running was not delivered, so that its money
 * goes back, all of it, at once. What ran has been delivered or used: its order is complete when the VM is
 * gone, as after any delete, and nothing that the guest says or does not say changes that (docs/adr/0019).
 */
export function decideDeletedOrder(
  order: Order,
  vm: { firstRunningAt: Date | null },
): Result<OrderDecision, OrderRefusal> {
  const events: readonly Event[] = [
    { name: "order.refund_fell_due.v1", data: { orderId: order.id } },
  ];
  return order.state === "paid" && vm.firstRunningAt === null
    ? moveOrder(order, "refund", events)
    : ok({ order, events: [] });
}
