import type { Money } from "#core/money.ts";
import type { InvoiceState, Payments } from "./payments.ts";
import type { ServicePrice } from "./service.ts";

/** What a line of a paid invoice debited for time of the present period, as far as no later line has credited it. */
export type Debit = Readonly<{
  lineId: string;
  /** Before tax and discount. */
  amount: Money;
  /** What a discount took off this line; none where the provider shows `amount` with it taken off. */
  discount: Money;
  from: Date;
  until: Date;
}>;

/** What a subscription is billed for now, as the provider says. */
export type Billed = Readonly<{
  subscriptionId: string;
  customerId: string;
  status: string;
  priceId: string;
  price: ServicePrice;
  period: Readonly<{ from: Date; until: Date }>;
  /**
   * Every invoice of it that is not a draft is paid or void, and the present period's is paid. The invoice that a pending change
   * asks for is not looked at: `pending` tells of it.
   */
  isPaid: boolean;
  debits: readonly Debit[];
  /** What its discounts take off a line that is debited now; null: it has none. */
  discount: Readonly<{ percentOff: number } | { amountOff: Money }> | null;
  cancelsAt: Date | null;
  /** A change that waits for its payment. */
  pending: Readonly<{ changeId: string; until: Date }> | null;
  /**
   * `card`: a change may wait for its payment (`pending_if_incomplete`); `other`: bank debits and invoices that are sent know no
   * pending change: there the difference is paid by Checkout first (facts/stripe §8).
   */
  paysBy: "card" | "other";
}>;

export type ChangedLine = Readonly<{
  kind: "credit" | "debit" | "recurring";
  /** Before tax and discount; a credit's is negative. */
  amount: Money;
  /** What a discount takes off: negative in a credit, which gives that much less. The line comes to `amount` − `discount`. */
  discount: Money;
  from: Date;
  until: Date;
  /** The line that it credits; null: it credits none, or the provider does not say which. */
  credits: string | null;
}>;

/** What a change would come to, by the provider's own figures. */
export type ChangePreview = Readonly<{
  lines: readonly ChangedLine[];
  tax: Money;
  /** Of all lines, less discounts, with tax; negative: it goes to the customer's balance. */
  total: Money;
  /** What the customer's balance would pay of it. */
  fromBalance: Money;
  /** What is to be paid now. */
  dueNow: Money;
}>;

/**
 * How a price is changed. `pay_first`: it holds only once what is due was paid; `prorate`: at once, what is over is credited and
 * what is due is asked for; `none`: from the next period on, and nothing for the present one.
 */
export const PRICE_CHANGES = ["pay_first", "prorate", "none"] as const;
export type PriceChangeHow = (typeof PRICE_CHANGES)[number];

/** Where a change of price is at the provider. */
export type PriceChangeState =
  | Readonly<{ kind: "applied"; invoice: InvoiceState | null }>
  /** `payUrl`: where the customer confirms it, or pays with another card. */
  | Readonly<{
      kind: "waiting";
      invoiceId: string;
      payUrl: string | null;
      until: Date;
      why: "action_required" | "declined";
    }>
  /** It was never made, was dropped, or its time is over: the old price holds. */
  | Readonly<{ kind: "not_there" }>;

/** The part of the payment provider that changes what a subscription is billed for. Each call may be repeated. */
export type PriceChanges = {
  fetchBilled: (subscriptionId: string) => Promise<Billed>;
  /** `at`: the instant from which it counts, in whole seconds, within the present period. */
  previewChange: (input: {
    subscriptionId: string;
    priceId: string;
    at: Date;
    how: PriceChangeHow;
  }) => Promise<ChangePreview>;
  /**
   * Once for each `changeId`, which is in the subscription's metadata until another change takes its place. `not_there`: `at` is
   * no longer in the present period, and nothing was done. `none` keeps the cycle, so it throws for a price of another interval.
   */
  changePrice: (input: {
    changeId: string;
    subscriptionId: string;
    priceId: string;
    at: Date;
    how: PriceChangeHow;
  }) => Promise<PriceChangeState>;
  /** Where the change is now. */
  fetchChange: (input: { changeId: string; subscriptionId: string }) => Promise<PriceChangeState>;
  /** Voids what a waiting change asks for, so that it never applies. `applied`: the payer was faster. */
  dropChange: (input: { changeId: string; subscriptionId: string }) => Promise<PriceChangeState>;
  /**
   * Takes a change back: the price of before (`priceId`) holds again from the change's own instant, and all that its invoice had moved
   * goes back to where it came from: card to card, balance to balance; a credit that it gave is taken back. What was debited is
   * again what it was before, so that the next change is worked out from that (docs/adr/0050). Throws for a change of interval, which began a new cycle.
   *
   * @returns false while the money is still on its way, or failed to go back: ask again.
   */
  undoChange: (input: {
    changeId: string;
    subscriptionId: string;
    priceId: string;
  }) => Promise<boolean>;
  /** A page where the difference is paid once, for who has no card on file. Once for each `changeId`. */
  createChangeCheckout: (input: {
    changeId: string;
    customerId: string;
    amount: Money;
    description: string;
    successUrl: string;
    cancelUrl: string;
    expiresAt: Date;
  }) => Promise<{ id: string; url: string }>;
  /** `paid`: what it was for is paid; `open`: it may still be; `over`: it never will. */
  fetchChangeCheckout: (checkoutId: string) => Promise<"paid" | "open" | "over">;
};

/** The payment provider, whole. */
export type PaymentProvider = Payments & PriceChanges;
