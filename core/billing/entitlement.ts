import type { SubscriptionState } from "./payments.ts";

/**
 * How long past `entitledUntil` an agent lets a VM run: an outage of ours, or a renewal that is still being
 * charged, never stops a paying customer. Dunning defaults elsewhere suspend 2–5 days overdue.
 */
export const ENTITLEMENT_GRACE_MS = 3 * 24 * 60 * 60_000;

/** Whether a VM may run no more, whatever was asked: its entitlement is over, and the grace of its host with it. */
export const isPastGrace = (until: Date, now: Date): boolean =>
  +now > +until + ENTITLEMENT_GRACE_MS;

/** The statuses in which a subscription is over for good (Stripe, "Subscription statuses"). */
const ENDED = new Set(["canceled", "incomplete_expired", "unpaid"]);

/**
 * Until when a VM may run. A period that is not paid adds nothing; the end of the subscription takes back what
 * is still ahead of `now`, and only that.
 */
export function entitledUntil(
  subscription: SubscriptionState,
  before: Date | null,
  now: Date,
): Date {
  const earned =
    before !== null && before > subscription.paidUntil ? before : subscription.paidUntil;
  return ENDED.has(subscription.status) && earned > now ? now : earned;
}
