import type { Currency } from "#core/money.ts";

/**
 * An order sells one VM. `paid` money always leads on: to a VM (`active`, then `completed` when it is deleted)
 * or to a full refund, never both and never neither (invariant 1).
 */
export const ORDER_STATES = [
  "awaiting_payment",
  "expired",
  "paid",
  "active",
  "completed",
  "refunding",
  "refunded",
] as const;
export type OrderState = (typeof ORDER_STATES)[number];

export const ORDER_COMMANDS = [
  "confirm_payment",
  "expire",
  "activate",
  "complete",
  "refund",
  "confirm_refund",
  "fail_refund",
] as const;
export type OrderCommand = (typeof ORDER_COMMANDS)[number];

/** Every legal move. A pair that is absent is refused; there is no other list. */
export const ORDER_MOVES = {
  awaiting_payment: { confirm_payment: "paid", expire: "expired", refund: "refunding" },
  // Money can still arrive for an order that has expired: it is served if there is room, else refunded.
  expired: { confirm_payment: "paid", refund: "refunding" },
  paid: { activate: "active", complete: "completed", refund: "refunding" },
  active: { complete: "completed" },
  completed: {},
  refunding: { confirm_refund: "refunded" },
  // A bank may send a refund back that had succeeded: then the money is owed again.
  refunded: { fail_refund: "refunding" },
} as const satisfies Record<OrderState, Partial<Record<OrderCommand, OrderState>>>;

export function nextOrderState(from: OrderState, command: OrderCommand): OrderState | undefined {
  const moves: Partial<Record<OrderCommand, OrderState>> = ORDER_MOVES[from];
  return moves[command];
}

export const BILLING_INTERVALS = ["hour", "month", "year"] as const;
export type BillingInterval = (typeof BILLING_INTERVALS)[number];

export type Order = Readonly<{
  id: string;
  accountId: string;
  /** Fixed with the order, so that whoever provisions it twice makes the same VM. */
  vmId: string;
  state: OrderState;
  planId: string;
  /** What was on sale when it was placed: it sells that, at that price, whatever is on sale when it is paid. */
  planVersion: number;
  imageId: string;
  locationId: string;
  hostname: string;
  sshKeys: readonly string[];
  userData: string | null;
  /** It asks for a first password of root's; a Windows guest has its administrator's in any case. */
  rootPassword: boolean;
  billingInterval: BillingInterval;
  /** `OrderPrice`: discount and tax are known once it is paid. */
  listMinor: bigint;
  discountMinor: bigint;
  taxMinor: bigint;
  currency: Currency;
  checkoutId: string | null;
  /** Where it is paid; null of one that is charged to a card whose bank asks nothing. */
  checkoutUrl: string | null;
  /** It is charged to a card on file, and has no session. */
  byCard: boolean;
  cardId: string | null;
  /** What was started with that card; of an order that is paid on a page, its session leads there. */
  subscriptionId: string | null;
  /** By which terms it begins with a trial: then nothing is paid for it before that is over. null: it begins without. */
  trialPolicy: number | null;
  /** Why the card paid nothing, or the trial was refused (`TrialRefusal`); null: neither, so far. */
  declineCode: string | null;
  expiresAt: Date;
  paidAt: Date | null;
  createdAt: Date;
  /** Its account had never paid anything when it was placed. */
  newcomer: boolean;
  /** A newcomer's network (`networkOf`), for as long as its unpaid orders are counted by it. */
  network: string | null;
  version: number;
}>;
