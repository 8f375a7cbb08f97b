import { mayTouch, type AccountPrincipal } from "#core/accounts/accounts.ts";
import type { Order } from "#core/orders/order.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { loadOrder } from "#db/orders/orders.ts";
import type { Deps } from "#commands/deps.ts";

/** An order, for its buyer or staff. Anybody else's is "not found". */
export async function showOrder(
  deps: Pick<Deps, "db">,
  who: AccountPrincipal,
  orderId: string,
): Promise<Result<Order, Refusal<"order_not_found">>> {
  const order = await loadOrder(deps.db, orderId);
  return order && mayTouch(who, order.accountId)
    ? ok(order)
    : refuse("order_not_found", "no such order");
}
