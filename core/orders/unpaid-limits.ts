import { ok, refuse, type Refusal, type Result } from "#core/result.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/**
 * How much may be held by who has not paid for it: each unpaid order holds a place and an address that nobody else can
 * buy. A *newcomer* is an account that has never paid anything: it has risked nothing, and new ones cost nothing.
 */
export type UnpaidLimits = Readonly<{
  /** Orders that an account may have unpaid at once. */
  ofAccount: number;
  /** The same of a newcomer. */
  ofNewcomer: number;
  /** Unpaid orders of all newcomers of one network (`networkOf`). */
  ofNetwork: number;
  /** All newcomers together hold one in so many of a location's free places and addresses, and at least one. */
  newcomersOneIn: number;
  /** So many of an account's orders may run out unpaid; with the next one it begins to wait. */
  freeExpiries: number;
  /** How long it waits then, after the last one; twice as long with each more, up to `mostWaitMs`. */
  firstWaitMs: number;
  mostWaitMs: number;
  /** What ran out before that counts no more; a payment forgets all that was before it. */
  expiryForgottenMs: number;
}>;

export const UNPAID_LIMITS: UnpaidLimits = {
  // A reseller's program buys a rack at once; more at a time is a question to staff.
  ofAccount: 20,
  // One, and another one when the first was a mistake.
  ofNewcomer: 2,
  // A class room or an office behind one address: three people at the same half hour.
  ofNetwork: 6,
  // Three quarters are there for who pays, whatever newcomers do.
  newcomersOneIn: 4,
  // People change their mind, and cards are declined.
  freeExpiries: 2,
  // With two orders each half hour an account waits a quarter of an hour, an hour, four, and then a day.
  firstWaitMs: 15 * MINUTE_MS,
  mostWaitMs: DAY_MS,
  expiryForgottenMs: 7 * DAY_MS,
};

/** Where nobody holds anything for nothing, such as one's own machine: its benchmark orders fifty at once. */
export const LOOSE_UNPAID_LIMITS: UnpaidLimits = {
  ...UNPAID_LIMITS,
  ofAccount: 200,
  ofNewcomer: 200,
  ofNetwork: 200,
  newcomersOneIn: 1,
  freeExpiries: Infinity,
};

/**
 * Expired orders are kept for so long: past what is asked of them (`expiryForgottenMs`), and past the slowest bank debit,
 * whose money may come after all (14 business days: https://docs.stripe.com/payments/bank-debits).
 */
export const EXPIRED_ORDER_KEPT_MS = 30 * DAY_MS;

/** What is known of who orders. */
export type Buyer = Readonly<{
  lastPaidAt: Date | null;
  /** When the hold of each of its unpaid orders ends. */
  unpaidUntil: readonly Date[];
  /** When those that nobody paid ran out, since its last payment. */
  ranOutAt: readonly Date[];
}>;

/** Whether an account may hold one more place, and whether it does so as a newcomer. */
export function decideHold(
  limits: UnpaidLimits,
  buyer: Buyer,
  now: Date,
): Result<{ newcomer: boolean }, Refusal<"too_many_unpaid_orders" | "too_many_expired_orders">> {
  const waitUntil = waitsUntil(limits, buyer.ranOutAt, now);
  if (waitUntil !== undefined)
    return refuse(
      "too_many_expired_orders",
      `orders of this account ran out unpaid again and again: order after ${waitUntil.toISOString()}`,
      secondsUntil(waitUntil, now),
    );
  const newcomer = buyer.lastPaidAt === null;
  const most = newcomer ? Math.min(limits.ofNewcomer, limits.ofAccount) : limits.ofAccount;
  if (buyer.unpaidUntil.length >= most)
    return refuse(
      "too_many_unpaid_orders",
      `${most} orders wait to be paid: pay one, or wait` +
        (most < limits.ofAccount ? `; after the first payment it may be ${limits.ofAccount}` : ""),
      secondsUntilFirst(buyer.unpaidUntil, now),
    );
  return ok({ newcomer });
}

/** Until when an account waits whose orders ran out; undefined: it need not wait. */
function waitsUntil(limits: UnpaidLimits, ranOutAt: readonly Date[], now: Date): Date | undefined {
  const counted = ranOutAt.map(Number).filter((at) => +now - at < limits.expiryForgottenMs);
  const more = counted.length - limits.freeExpiries;
  if (more <= 0) return undefined;
  const wait = Math.min(limits.firstWaitMs * 2 ** (more - 1), limits.mostWaitMs);
  const until = Math.max(...counted) + wait;
  return until > +now ? new Date(until) : undefined;
}

/** Whether newcomers of one network may hold one more place. */
export function decideNetworkHold(
  limits: UnpaidLimits,
  unpaidUntil: readonly Date[],
  now: Date,
): Result<void, Refusal<"too_many_unpaid_from_network">> {
  if (unpaidUntil.length < limits.ofNetwork) return ok(undefined);
  return refuse(
    "too_many_unpaid_from_network",
    `${unpaidUntil.length} orders of new customers from your network wait to be paid: pay one, or wait; ` +
      "an account that has paid once is not counted",
    secondsUntilFirst(unpaidUntil, now),
  );
}

/** Whole seconds, for `Retry-After`; the sweep gives a place back up to a minute after its hold. */
export const secondsUntilFirst = (ends: readonly Date[], now: Date): number =>
  secondsUntil(new Date(Math.min(...ends.map(Number)) + MINUTE_MS), now);

const secondsUntil = (then: Date, now: Date): number =>
  Math.max(1, Math.ceil((+then - +now) / 1000));
