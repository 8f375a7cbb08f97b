import type { Money } from "#core/money.ts";
import type { BillingInterval } from "#core/orders/order.ts";

/**
 * Who pays for a VM: our customer through Stripe, another billing system that keeps the money itself, or nobody, by staff's
 * word.
 */
export const PAYERS = ["stripe", "integration", "staff"] as const;
export type Payer = (typeof PAYERS)[number];

/** What is paid for each interval of a VM's life. */
export type ServicePrice = Readonly<{ interval: BillingInterval; amount: Money }>;
