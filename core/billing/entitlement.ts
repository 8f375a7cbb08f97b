import type { SubscriptionState } from "./payments.ts";

/**
 * How many days past `entitledUntil` a VM runs where nothing else was agreed: a renewal is charged an hour after the period has ended, and a
 * customer is reminded before anything stops. As `dunning_policies` has it for everybody; hosts are told of it apart, as the grace.
 */
export const SUSPEND_DAYS = 3;
export const ENTITLEMENT_GRACE_MS = SUSPEND_DAYS * 24 * 60 * 60_000;

/**
 * Until when its host lets a VM run, but for the grace: what is paid, or staff's word where that reaches further. What they
 * granted stands behind what is paid, so that a payment neither takes it away nor has it count anew; `grantedUntil` is for
 * a VM whose lease had ended when they did.
 */
export function runsUntil(service: {
  entitledUntil: Date;
  grantedDays: number;
  grantedUntil: Date | null;
  neverSuspendUntil: Date | null;
}): Date {
  const { entitledUntil: paid, grantedDays, grantedUntil, neverSuspendUntil } = service;
  const behindPaid = +paid + grantedDays * DAY_MS;
  return new Date(Math.max(behindPaid, +(grantedUntil ?? 0), +(neverSuspendUntil ?? 0)));
}
const DAY_MS = 24 * 60 * 60_000;

type Lease = Parameters<typeof runsUntil>[0] & {
  /** How many days past that it runs (`DunningPolicy`). */
  suspendDays: number;
  /** A reminder that came late holds it until then. */
  warnedUntil: Date | null;
};

/** When its host stops it, if nothing is paid: after its suspend days, and those after a reminder that came late. */
export const hostStopsAt = (service: Lease): Date =>
  new Date(
    Math.max(+runsUntil(service) + service.suspendDays * DAY_MS, +(service.warnedUntil ?? 0)),
  );

/** Whether a VM may run no more, whatever was asked. */
export const isOverdue = (service: Lease, now: Date): boolean => now > hostStopsAt(service);

/** What its host is told as `entitledUntil`: the host adds the grace to it. */
export const entitledOnWire = (service: Lease): Date =>
  new Date(+hostStopsAt(service) - ENTITLEMENT_GRACE_MS);

/** How much staff may grant at once, and leave standing for one VM in all: goodwill, and no way to give a VM away. */
export const MAX_GRANT_DAYS = 31;
export const MAX_GRANTED_DAYS = 93;
/** How far ahead a VM may be kept from being stopped for debt. */
export const MAX_NEVER_SUSPEND_DAYS = 92;

/** What `days` more come to, of a lease that may have ended. */
export function granted(
  before: { grantedDays: number; grantedUntil: Date | null; until: Date },
  days: number,
  now: Date,
): { grantedDays: number; grantedUntil: Date } {
  const from = Math.max(+before.until, +now);
  return {
    grantedDays: before.grantedDays + days,
    grantedUntil: new Date(from + days * DAY_MS),
  };
}

/** The statuses in which a subscription is over for good (Stripe, "Subscription statuses"). */
export const ENDED_STATUSES = ["canceled", "incomplete_expired", "unpaid"] as const;
/** Whether the provider bills nothing more by it, whatever is paid: one that is `unpaid` may be paid yet. */
export const hasEnded = (status: string | null): boolean =>
  status === "canceled" || status === "incomplete_expired";
const ENDED: ReadonlySet<string> = new Set(ENDED_STATUSES);
export const isOver = (status: string): boolean => ENDED.has(status);

/**
 * Until when a VM may run. A period that is not paid adds nothing; the end of the subscription takes back what
 * is still ahead of `now`, and only that. However often it is told of, it gives back none of what it took.
 */
export function entitledUntil(
  subscription: SubscriptionState,
  before: Date | null,
  now: Date,
): Date {
  const earned =
    before !== null && before > subscription.paidUntil ? before : subscription.paidUntil;
  if (!ENDED.has(subscription.status) || earned <= now) return earned;
  return before !== null && before <= now ? before : now;
}
