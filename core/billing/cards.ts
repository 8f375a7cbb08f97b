import type { Currency, Money } from "#core/money.ts";
import type { CheckoutState } from "./payments.ts";

/** A card as its holder knows it. */
export type Card = Readonly<{ brand: string; last4: string; expMonth: number; expYear: number }>;

/** What the provider keeps to charge a customer with. */
export type SavedMethod = Readonly<{
  id: string;
  createdAt: Date;
  /** null: it is no card. */
  card: Card | null;
}>;

/** With what a customer of the provider's pays. */
export type Payer = Readonly<{
  /** What pays where nothing else is said; null: nothing does. */
  chosen: SavedMethod | null;
  /** Those that go on, the newest first, each with what it is charged to itself: that wins. */
  subscriptions: readonly Readonly<{ id: string; method: SavedMethod | null }>[];
}>;

/** A page on which a customer saves a card. */
export type CardPage = Readonly<{
  id: string;
  customerId: string;
  /** What was saved on it, and is still there; null: nothing yet. */
  method: SavedMethod | null;
  /** Its card was taken into use: a repeat takes nothing back that the customer chose since. */
  isTaken: boolean;
}>;

/**
 * The card that an order may be paid with: what the customer chose, or what their newest subscription is charged to, since who paid on
 * a page never chose one. null: there is none.
 */
export function cardOnFile({ chosen, subscriptions }: Payer): SavedMethod | null {
  const method = chosen ?? subscriptions.find((each) => each.method !== null)?.method ?? null;
  return method?.card === undefined || method.card === null ? null : method;
}

/** One thing to do at the provider, in the order of the list. */
export type CardStep =
  | Readonly<{ do: "choose" | "pay_owed"; methodId: string }>
  | Readonly<{ do: "charge_to"; subscriptionId: string; methodId: string }>
  | Readonly<{ do: "mark_taken"; pageId: string }>;

/**
 * What brings a customer's subscriptions in line with the card that they saved on `page`, or chose elsewhere: it becomes theirs, what
 * they owe is tried with it, and it becomes each subscription's own, as that would win. Of two pages the card that was saved later counts.
 *
 * What says that something is to be done goes last: whoever dies in between finds it again. Where all is in line nothing is to be done.
 */
export function cardSteps(
  { chosen, subscriptions }: Payer,
  page: CardPage | null,
): readonly CardStep[] {
  const saved = page === null || page.isTaken ? null : page.method;
  const takes = saved !== null && (chosen === null || saved.createdAt >= chosen.createdAt);
  const methodId = takes ? saved.id : chosen?.id;
  if (methodId === undefined) return [];
  const others = subscriptions.filter(({ method }) => method?.id !== methodId);
  return [
    ...(takes && chosen?.id !== methodId ? [{ do: "choose" as const, methodId }] : []),
    ...(takes || others.length > 0 ? [{ do: "pay_owed" as const, methodId }] : []),
    ...others.map(({ id }) => ({ do: "charge_to" as const, subscriptionId: id, methodId })),
    ...(page !== null && saved !== null ? [{ do: "mark_taken" as const, pageId: page.id }] : []),
  ];
}

/** What became of an attempt to have an invoice paid. `over`: it was paid, or is void, already. */
export type PaidWithCard = "paid" | "declined" | "asks_customer" | "over";

/** A subscription that was to be paid at once: it was started, or the card's bank said no and there is none. */
export type StartedByCard =
  | Readonly<{ kind: "started"; subscriptionId: string }>
  | Readonly<{ kind: "declined"; code: string }>;

/** What the provider does with customers' cards. */
export type Cards = {
  /** A page on which a card is saved and nothing is charged. Throws `CustomerGone`. */
  createCardPage: (input: {
    customerId: string;
    currency: Currency;
    successUrl: string;
    cancelUrl: string;
    expiresAt: Date;
  }) => Promise<{ url: string }>;
  fetchCardPage: (pageId: string) => Promise<CardPage>;
  markCardTaken: (pageId: string) => Promise<void>;
  /** Throws `UnknownToProvider` of a customer that was deleted. */
  fetchPayer: (customerId: string) => Promise<Payer>;
  chooseCard: (customerId: string, methodId: string) => Promise<void>;
  /** One that has ended is left. */
  chargeTo: (subscriptionId: string, methodId: string) => Promise<void>;
  /** The open invoices that a customer is asked for now, whichever subscription asks. */
  owedBy: (customerId: string) => Promise<readonly string[]>;
  payWithCard: (invoiceId: string, methodId: string) => Promise<PaidWithCard>;
  /**
   * The provider's page for who pays: it changes cards, the billing address, name and tax id, and shows invoices. It neither cancels,
   * changes plans, pauses, nor changes the e-mail address. Throws `CustomerGone`.
   */
  createPortal: (input: { customerId: string; returnUrl: string }) => Promise<{ url: string }>;
  /**
   * Starts the order's subscription with a card on file, once. Where the bank asks its customer, the subscription waits for that on its
   * invoice's page. Throws `CustomerGone`.
   */
  startByCard: (input: {
    orderId: string;
    customerId: string;
    priceId: string;
    methodId: string;
  }) => Promise<StartedByCard>;
  /** The subscription that was started for the order; null: none was. */
  startedFor: (input: { orderId: string; customerId: string }) => Promise<string | null>;
  /** What a subscription that was started by card came to: by its first invoice, as of a page. */
  fetchStarted: (subscriptionId: string) => Promise<CheckoutState>;
  /** Nobody can pay its first invoice any more, and it never begins; one that was paid before is left. */
  endStarted: (subscriptionId: string) => Promise<CheckoutState>;
  /** Gives back what the customer's balance paid of an order's first invoice, once; null: it paid nothing of it. */
  returnCredit: (input: {
    orderId: string;
    invoiceId: string;
  }) => Promise<Readonly<{ id: string; amount: Money }> | null>;
};
