import { idOf, type Sandbox } from "./sandbox.ts";
import { isOver } from "./subscription-states.ts";

/**
 * Why the customer can have no subscription in this currency; null when they can. Stripe bills a customer's subscriptions in
 * one currency (docs.stripe.com/invoicing/multi-currency-customers).
 */
export function currencyRefusal(
  sandbox: Sandbox,
  customer: string,
  currency: string,
): string | null {
  const other = sandbox.store
    .all("subscription")
    .find(
      (each) => idOf(each.customer) === customer && !isOver(each) && each.currency !== currency,
    );
  return other === undefined
    ? null
    : `You cannot combine currencies on a single customer. This customer has an active subscription, subscription schedule, discount, quote, or invoice item with currency ${other.currency}.`;
}
