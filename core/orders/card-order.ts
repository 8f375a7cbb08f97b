import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import type { Order } from "./order.ts";

/** The decline of an order for which there was no card when it was to be charged: no bank's code. */
export const NO_CARD_ON_FILE = "payment_method_missing";

export type CardRefusal = Refusal<
  "payment_declined" | "payment_method_missing" | "order_wrong_state"
>;

/**
 * Where an order stands that is charged to a card on file. `to_charge`: nothing was started, as far as we know; `to_look_at`: what was
 * started says whether it is paid, or waits for the customer; `paid`: money came. One whose card was declined stays so: another try is
 * another order.
 */
export function judgeCardOrder(
  order: Pick<Order, "state" | "subscriptionId" | "declineCode">,
): Result<"to_charge" | "to_look_at" | "paid", CardRefusal> {
  switch (order.state) {
    case "awaiting_payment":
      return ok(order.subscriptionId === null ? "to_charge" : "to_look_at");
    case "paid":
    case "active":
    case "completed":
      return ok("paid");
    case "expired":
      return order.declineCode === null
        ? refuse("order_wrong_state", "the time to pay this order is over; place a new one")
        : declined(order.declineCode);
    case "refunding":
    case "refunded":
      return refuse("order_wrong_state", `this order is ${order.state}; place a new one`);
  }
}

const declined = (code: string): Result<never, CardRefusal> =>
  code === NO_CARD_ON_FILE
    ? refuse("payment_method_missing", "save a card first (`POST /v1/billing/card-session`)")
    : refuse(
        "payment_declined",
        `the card was declined (${code}): nothing is owed; save another card, or order with a page to pay on`,
      );
