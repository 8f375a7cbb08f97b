import { createRoute, z } from "@hono/zod-openapi";
import { OrderView, PlacedOrder, PlaceOrder } from "#core/contracts/api/orders.ts";
import { idIn } from "#core/ids.ts";
import type { Deps } from "#commands/deps.ts";
import { ringNow } from "#commands/messages/relay-outbox.ts";
import { placeOrder } from "#commands/orders/place-order.ts";
import { showOrder } from "#commands/orders/show-order.ts";
import { forAccounts, type AccountEnv } from "#functions/access.ts";
import { callerAddressOf } from "#functions/caller-address.ts";
import { IdempotencyKey } from "#functions/idempotency-key.ts";
import { newRouter } from "#functions/router.ts";
import { problems, unwrap } from "#functions/problems.ts";
import { toOrderView } from "#functions/views.ts";

const placeOrderRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["customer"], "orders:write"),
    operationId: "placeOrder",
    summary: "Order a VM",
    description:
      "Holds a place and an address for half an hour, and answers with the page to pay on. The VM is made as soon " +
      "as the payment is there. The same key and body give the same answer, however often they are sent. The same " +
      "order under another key, while the first one can be paid, is the first one again (200); with another image, " +
      "keys, user-data, location or interval it is refused (`order_open`), and with `another: true` it is a new one. An " +
      "account that has never paid holds two at once, shares a part of each location's free places with all that have " +
      "not (`newcomers_share_taken`), and is counted with its network (`too_many_unpaid_from_network`). Who lets orders " +
      "run out again and again waits (`too_many_expired_orders`). `Retry-After` says when to ask again. With " +
      '`paymentMethod: "default"` the card on file is charged: the order is paid at once (201), or its bank asks its holder on a ' +
      "page (202), or says no (402 `payment_declined`): then nothing is owed, and the place is free.",
    tags: ["Orders"],
    method: "post",
    path: "/v1/orders",
    request: {
      headers: IdempotencyKey,
      body: { required: true, content: { "application/json": { schema: PlaceOrder } } },
    },
    responses: {
      202: {
        description: "Held until it is paid",
        content: { "application/json": { schema: PlacedOrder } },
      },
      201: {
        description: "Paid with the card on file: the VM is being made",
        content: { "application/json": { schema: PlacedOrder } },
      },
      200: {
        description: "This order is open already: here it is again, with the same page to pay on",
        content: { "application/json": { schema: PlacedOrder } },
      },
      ...problems(
        "order_open",
        "payment_method_missing",
        "payment_declined",
        "ssh_key_invalid",
        "ssh_key_missing",
        "password_unavailable",
        "user_data_too_large",
        "user_data_invalid",
        "hostname_invalid",
        "email_not_verified",
        "too_many_unpaid_orders",
        "too_many_unpaid_from_network",
        "too_many_expired_orders",
        "newcomers_share_taken",
        "plan_not_found",
        "image_not_found",
        "location_not_found",
        "no_capacity",
        "image_unavailable_here",
        "plan_unavailable_here",
        "no_address",
        "order_wrong_state",
        "billing_interval_unavailable",
        "currency_fixed",
        "trial_unavailable",
        "trial_used",
        "trials_taken",
        "currency_not_sold",
        "image_needs_more_memory",
        "image_needs_more_disk",
        "payment_provider_unavailable",
      ),
    },
  });

const showOrderRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["customer", "staff"], "orders:read"),
    operationId: "showOrder",
    summary: "An order and how far it is",
    tags: ["Orders"],
    method: "get",
    path: "/v1/orders/{id}",
    request: { params: z.object({ id: idIn("order") }) },
    responses: {
      200: { description: "The order", content: { "application/json": { schema: OrderView } } },
      ...problems("order_not_found"),
    },
  });

export const orderRoutes = (deps: Deps) =>
  newRouter<AccountEnv>()
    .openapi(placeOrderRoute(deps), async (c) => {
      const placed = await placeOrder(
        deps,
        {
          buyer: c.get("who"),
          key: c.req.valid("header")["idempotency-key"],
          request: c.req.valid("json"),
          callerAddress: callerAddressOf(c.req.raw.headers),
        },
        ({ order, checkoutUrl }) => ({ order: toOrderView(order), checkoutUrl }),
      );
      const { again, ...answer } = unwrap(placed);
      // It was paid in this request: its host need not wait for the sweep.
      if (answer.checkoutUrl === null) await ringNow(deps);
      return c.json(answer, again ? 200 : answer.checkoutUrl === null ? 201 : 202);
    })
    .openapi(showOrderRoute(deps), async (c) => {
      const order = await showOrder(deps, c.get("who"), c.req.valid("param").id);
      return c.json(toOrderView(unwrap(order)), 200);
    });
