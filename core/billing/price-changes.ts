import type { Cards } from "./cards.ts";
import type { Customers } from "./customers.ts";
import type { CatalogueAtProvider } from "#core/catalogue/at-provider.ts";
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

export const PAYS_BY = ["card", "other"] as const;

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
  paysBy: (typeof PAYS_BY)[number];
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

/** What was paid on a change's own page, by the id of the payment. */
export type PagePayment = Readonly<{ id: string; amount: Money }>;

/** Where a change of price is at the provider. */
export type PriceChangeState =
  | Readonly<{ kind: "applied"; invoice: InvoiceState | null; payment: PagePayment | null }>
  /** `payUrl`: where the customer confirms it, or pays with another card; or pays it at all, where no card is charged. */
  | Readonly<{
      kind: "waiting";
      invoiceId: string | null;
      checkoutId: string | null;
      payUrl: string | null;
      until: Date;
      why: "action_required" | "declined" | "unpaid";
    }>
  /** It was paid on its page, and the price does not hold: it is too late for it, or it was never asked for. */
  | Readonly<{ kind: "paid"; payment: PagePayment }>
  /** It was never made, was dropped, or its time is over: the old price holds. */
  | Readonly<{ kind: "not_there" }>;

/** A page where what a change comes to is paid once, before the price is changed. */
export type ChangePage = Readonly<{
  /** At least `leastChargeOf` its currency. */
  amount: Money;
  /** Of the subscription that is changed: a refund of the payment is booked there. */
  orderId: string;
  description: string;
  successUrl: string;
  cancelUrl: string;
  expiresAt: Date;
}>;

type OfChange = Readonly<{ changeId: string; subscriptionId: string; paysBy: Billed["paysBy"] }>;

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
  /**
   * As `changePrice` with `prorate`, for who pays otherwise than by card: what is due is paid on a page first, is given to the
   * customer's balance as credit, and pays the change's invoice from there. Asked again it goes on. `not_there` also where the page
   * would be open for too short a time.
   */
  changePaidByPage: (input: {
    changeId: string;
    subscriptionId: string;
    priceId: string;
    at: Date;
    page: ChangePage;
  }) => Promise<PriceChangeState>;
  /**
   * Voids what a waiting change asks for, or closes its page, so that it never applies. `applied`, `paid`: the payer was faster;
   * `waiting`: a payment is on its way, and nobody can stop it.
   */
  dropChange: (input: OfChange) => Promise<PriceChangeState>;
  /**
   * Takes a change back: the price of before (`priceId`) holds again from the change's own instant, and all that its invoice had moved
   * goes back to where it came from: card to card, balance to balance; a credit that it gave is taken back. What was debited is
   * again what it was before, so that the next change is worked out from that (docs/adr/0050). Throws for a change of interval, which began a new cycle.
   *
   * @returns false while the money is still on its way, or failed to go back: ask again.
   */
  undoChange: (input: OfChange & { priceId: string }) => Promise<boolean>;
};

/** The payment provider, whole. */
export type PaymentProvider = Payments & PriceChanges & Cards & Customers & CatalogueAtProvider;
