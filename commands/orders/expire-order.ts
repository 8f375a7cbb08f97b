import { moveOrder } from "#core/orders/decide-order.ts";
import type { Order } from "#core/orders/order.ts";
import { releaseReservation } from "#db/hosts/capacity.ts";
import type { Tx } from "#db/client.ts";
import { releaseAddresses } from "#db/network/addresses.ts";
import { saveOrder } from "#db/orders/orders.ts";
import { recordChange, type Actor, type Change } from "#db/record-change.ts";

/** Gives up an unpaid order's place. Part of the caller's transaction; the caller holds the order. `why` is recorded with it. */
export async function expireOrder(
  tx: Tx,
  order: Order,
  at: { now: Date; newId: () => string },
  actor: Actor,
  why: Change["detail"] = {},
): Promise<"expired" | "unchanged"> {
  const moved = moveOrder(order, "expire", [
    { name: "order.expired.v1", data: { orderId: order.id } },
  ]);
  if (!moved.ok || moved.value.events.length === 0) return "unchanged";
  await saveOrder(tx, moved.value.order);
  await releaseReservation(tx, order.vmId, at.now);
  await releaseAddresses(tx, order.vmId, at.now, at.now); // nobody ever used it: no quarantine
  await recordChange(
    tx,
    {
      actor,
      action: "order.expire",
      subject: { kind: "order", id: order.id },
      detail: why,
      events: moved.value.events,
    },
    at,
  );
  return "expired";
}
