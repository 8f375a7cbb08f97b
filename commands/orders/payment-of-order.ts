import type { CheckoutState } from "#core/billing/payments.ts";
import type { Order } from "#core/orders/order.ts";
import type { Deps } from "#commands/deps.ts";

/** What the provider says of an order's first payment: on its page, or of what was started by card; null: neither is known. */
export async function paymentOfOrder(
  { payments }: Pick<Deps, "payments">,
  { checkoutId, subscriptionId }: Order,
): Promise<CheckoutState | null> {
  if (subscriptionId !== null) return payments.fetchStarted(subscriptionId);
  return checkoutId === null ? null : payments.fetchCheckout(checkoutId);
}
