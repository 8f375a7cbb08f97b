import type { Stripe } from "stripe";

/** A coupon that is to be redeemed, by itself or by a code, or a discount that stays. */
export type DiscountAsked = {
  coupon?: string | undefined;
  discount?: string | undefined;
  promotion_code?: string | undefined;
};

/** What Checkout keeps to itself about a session until it is paid. */
export type CheckoutDetail = {
  /** The session's id. */
  id: string;
  lineItems: Stripe.LineItem[];
  /** What is redeemed on the subscription that payment makes. */
  discounts: DiscountAsked[];
  /** Metadata and description for the subscription, the payment intent or the invoice that payment makes. */
  subscription: { metadata: Record<string, string>; description: string | null; trial?: Trial };
  payment: {
    metadata: Record<string, string>;
    description: string | null;
    setupFutureUsage: "off_session" | "on_session" | null;
  };
  /** The intent of an earlier, declined attempt: the next attempt goes on with it. */
  paymentIntent: string | null;
  /** A payment method that waits for 3D Secure. */
  authenticating: string | null;
};

/** A time at the begin of a subscription that costs nothing, and what becomes of it where nothing is there to charge. */
export type Trial = Readonly<{ days: number; ifNoMethod: "cancel" | "create_invoice" }>;

/** What the stand-in knows about a saved card and Stripe would not tell. */
type CardOnFile = { /** The payment method's id. */ id: string; number: string };

/** Prorations that wait for the subscription's next invoice. */
type PendingProrations = {
  /** The subscription's id. */
  id: string;
  lines: readonly LineDraft[];
};

/** One line of an invoice to be: what, how much, for when. */
export type LineDraft = Readonly<{
  price: Stripe.Price;
  quantity: number;
  description?: string;
  period: Readonly<{ start: number; end: number }>;
  subscriptionItem: string | null;
  /** Of the time of a trial, which costs nothing. */
  isTrial?: boolean;
  /** Of a part of a period. Its amount is what is left after discounts. */
  proration?: ProrationDraft;
}>;
type ProrationDraft = Readonly<{
  /** The line's id to be, by which a later credit names it, also while it waits for an invoice. */
  id: string;
  amount: number;
  /** Of a credit: what it credits. */
  credits: { lines: readonly string[]; invoice: string | null } | null;
  taxRates: readonly Stripe.TaxRate[];
}>;

/** All lines of an invoice, which itself shows the first ten alone, and what each credit among them credits. */
type InvoiceLines = {
  /** The invoice's id. */
  id: string;
  lines: readonly Stripe.InvoiceLineItem[];
  credits: Readonly<Record<string, readonly string[]>>;
};

/** Payments of a customer that the control surface made fail. */
type ArmedFailure = {
  /** The customer's id. */
  id: string;
  count: number;
  declineCode: string;
};

/** Why no invoice of a customer's can be finalised, until the control surface takes it away. */
type Unfinalizable = {
  /** The customer's id. */
  id: string;
  code: string;
};

/** Each kind of object that the stand-in keeps, as the official client types it, with references as ids. */
export type Objects = {
  customer: Stripe.Customer;
  deleted_customer: Stripe.DeletedCustomer;
  product: Stripe.Product;
  price: Stripe.Price;
  coupon: Stripe.Coupon;
  promotion_code: Stripe.PromotionCode;
  discount: Stripe.Discount;
  tax_rate: Stripe.TaxRate;
  checkout_session: Stripe.Checkout.Session;
  checkout_detail: CheckoutDetail;
  setup_intent: Stripe.SetupIntent;
  portal_configuration: Stripe.BillingPortal.Configuration;
  portal_session: Stripe.BillingPortal.Session;
  payment_method: Stripe.PaymentMethod;
  card_on_file: CardOnFile;
  armed_failure: ArmedFailure;
  unfinalizable: Unfinalizable;
  subscription: Stripe.Subscription;
  pending_prorations: PendingProrations;
  invoice: Stripe.Invoice;
  invoice_lines: InvoiceLines;
  invoice_payment: Stripe.InvoicePayment;
  payment_intent: Stripe.PaymentIntent;
  charge: Stripe.Charge;
  refund: Stripe.Refund;
  balance_transaction: Stripe.CustomerBalanceTransaction;
  dispute: Stripe.Dispute;
  event: Stripe.EventBase;
};
export type Kind = keyof Objects;

type Tables = { [K in Kind]: Map<string, Objects[K]> };
/** All objects in the order they were made: what a state file holds. */
export type Dump = { [K in Kind]: Objects[K][] };

/**
 * All objects, in memory. An object is never changed in place: a change puts a new one, so that an event keeps
 * the object as it was without copying it.
 */
export class Store {
  readonly #tables: Tables = {
    customer: new Map(),
    deleted_customer: new Map(),
    product: new Map(),
    price: new Map(),
    coupon: new Map(),
    promotion_code: new Map(),
    discount: new Map(),
    tax_rate: new Map(),
    checkout_session: new Map(),
    checkout_detail: new Map(),
    setup_intent: new Map(),
    portal_configuration: new Map(),
    portal_session: new Map(),
    payment_method: new Map(),
    card_on_file: new Map(),
    armed_failure: new Map(),
    unfinalizable: new Map(),
    subscription: new Map(),
    pending_prorations: new Map(),
    invoice: new Map(),
    invoice_lines: new Map(),
    invoice_payment: new Map(),
    payment_intent: new Map(),
    charge: new Map(),
    refund: new Map(),
    balance_transaction: new Map(),
    dispute: new Map(),
    event: new Map(),
  };
  #onChange: () => void = () => {};
  /** Counts what was changed so far, but for events: they are told, and nothing comes of them. */
  changes = 0;

  /** Called after every change; one listener (the state file). */
  onChange(listener: () => void): void {
    this.#onChange = listener;
  }

  get<K extends Kind>(kind: K, id: string): Objects[K] | undefined {
    return this.#tables[kind].get(id);
  }

  put<K extends Kind>(kind: K, object: Objects[K]): Objects[K] {
    this.#tables[kind].set(object.id, object);
    this.#count(kind);
    return object;
  }

  remove(kind: Kind, id: string): void {
    this.#tables[kind].delete(id);
    this.#count(kind);
  }

  #count(kind: Kind): void {
    if (kind !== "event") this.changes += 1;
    this.#onChange();
  }

  /** As `all`, and copies nothing: for who looks at few of them, or often. */
  each<K extends Kind>(kind: K): Iterable<Objects[K]> {
    return this.#tables[kind].values();
  }

  /** In the order they were made. */
  all<K extends Kind>(kind: K): Objects[K][] {
    return [...this.#tables[kind].values()];
  }

  dump(): Dump {
    return {
      customer: this.all("customer"),
      deleted_customer: this.all("deleted_customer"),
      product: this.all("product"),
      price: this.all("price"),
      coupon: this.all("coupon"),
      promotion_code: this.all("promotion_code"),
      discount: this.all("discount"),
      tax_rate: this.all("tax_rate"),
      checkout_session: this.all("checkout_session"),
      checkout_detail: this.all("checkout_detail"),
      setup_intent: this.all("setup_intent"),
      portal_configuration: this.all("portal_configuration"),
      portal_session: this.all("portal_session"),
      payment_method: this.all("payment_method"),
      card_on_file: this.all("card_on_file"),
      armed_failure: this.all("armed_failure"),
      unfinalizable: this.all("unfinalizable"),
      subscription: this.all("subscription"),
      pending_prorations: this.all("pending_prorations"),
      invoice: this.all("invoice"),
      invoice_lines: this.all("invoice_lines"),
      invoice_payment: this.all("invoice_payment"),
      payment_intent: this.all("payment_intent"),
      charge: this.all("charge"),
      refund: this.all("refund"),
      balance_transaction: this.all("balance_transaction"),
      dispute: this.all("dispute"),
      event: this.all("event"),
    };
  }

  load(dump: Dump): void {
    const fill = <K extends Kind>(kind: K, objects: Dump[K] | undefined): void => {
      // A file of an older stand-in has none of a kind that was added since.
      for (const object of objects ?? []) this.#tables[kind].set(object.id, object);
    };
    for (const kind of KINDS) fill(kind, dump[kind]);
    this.changes += 1;
  }
}

const KINDS = [
  "customer",
  "deleted_customer",
  "product",
  "price",
  "coupon",
  "promotion_code",
  "discount",
  "tax_rate",
  "checkout_session",
  "checkout_detail",
  "setup_intent",
  "portal_configuration",
  "portal_session",
  "payment_method",
  "card_on_file",
  "armed_failure",
  "unfinalizable",
  "subscription",
  "pending_prorations",
  "invoice",
  "invoice_lines",
  "invoice_payment",
  "payment_intent",
  "charge",
  "refund",
  "balance_transaction",
  "dispute",
  "event",
] as const satisfies readonly Kind[];
