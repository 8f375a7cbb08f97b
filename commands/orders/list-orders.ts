import type { Order } from "#core/orders/order.ts";
import type { Refusal, Result } from "#core/result.ts";
import { listOrders as read, type OrderFilter } from "#db/orders/list-orders.ts";
import type { Deps } from "#commands/deps.ts";
import { orderedPage } from "#commands/keyset.ts";
import type { Page, PageRequest } from "#commands/page.ts";

/** Everybody's orders, for staff, the newest first or last. */
export const listOrders = (
  deps: Pick<Deps, "db">,
  filter: OrderFilter,
  { down }: { down: boolean },
  page: PageRequest,
): Promise<Result<Page<Order>, Refusal<"cursor_invalid">>> =>
  orderedPage(
    { list: "orders", sort: `createdAt ${down}`, filter },
    page,
    (at) => read(deps.db, filter, down, at),
    ({ id }) => ({ key: "", id }),
  );
