import type { Currency } from "#core/money.ts";
import type { Order } from "./order.ts";

/** What a customer asks for in an order, whoever asks and whenever. */
export type Wanted = Pick<
  Order,
  | "planId"
  | "imageId"
  | "locationId"
  | "hostname"
  | "sshKeys"
  | "userData"
  | "rootPassword"
  | "billingInterval"
  | "byCard"
> &
  Readonly<{
    /** It is to begin with a trial. */
    trial: boolean;
    /** null: it leaves it open, and means an order in any. */
    currency: Currency | null;
  }>;

/**
 * What a new order is to the ones of the same buyer that can still be paid. `same`: a second click, or a program that
 * sends again under a key of its own; it means that order. `open`: the same machine, asked for in another way while the
 * first is not paid: the customer must say which. `new`: nothing like it is open. The newest of several counts.
 */
export function judgeAgainstOpen(
  open: readonly Order[],
  wanted: Wanted,
  now: Date,
): { kind: "new" } | { kind: "same" | "open"; order: Order } {
  const alike = open
    .filter(
      (order) =>
        order.state === "awaiting_payment" &&
        order.expiresAt > now &&
        order.planId === wanted.planId &&
        order.hostname === wanted.hostname,
    )
    .toSorted((a, b) => +b.createdAt - +a.createdAt);
  const same = alike.find((order) => isWanted(order, wanted));
  if (same) return { kind: "same", order: same };
  const [newest] = alike;
  return newest ? { kind: "open", order: newest } : { kind: "new" };
}

const isWanted = (order: Order, wanted: Wanted): boolean =>
  order.imageId === wanted.imageId &&
  order.locationId === wanted.locationId &&
  order.billingInterval === wanted.billingInterval &&
  (wanted.currency === null || order.currency === wanted.currency) &&
  order.userData === wanted.userData &&
  order.rootPassword === wanted.rootPassword &&
  order.byCard === wanted.byCard &&
  (order.trialPolicy !== null) === wanted.trial &&
  sameKeys(order.sshKeys, wanted.sshKeys);

/** Their order makes no other machine. */
const sameKeys = (a: readonly string[], b: readonly string[]): boolean =>
  JSON.stringify(a.toSorted()) === JSON.stringify(b.toSorted());
