import type { BillingInterval } from "#core/orders/order.ts";

/**
 * How a trial ends. `payment`: a card is asked for at its begin, and charged when it is over. `suspension`: none is asked for; its VM
 * stops when it is over, unless a card was saved meanwhile.
 */
export const TRIAL_ENDS = ["payment", "suspension"] as const;
export type TrialEnds = (typeof TRIAL_ENDS)[number];

/** On which terms a VM may be tried. A version is never changed: what began by it goes on by it. */
export type TrialPolicy = Readonly<{
  version: number;
  days: number;
  endsIn: TrialEnds;
  /**
   * How many days past its trial a VM runs unpaid, until its first payment: so many days of its price are the most that it ever owes. In
   * place of those of the account's dunning policy.
   */
  suspendDays: number;
  /** How many days before its end its owner is told. */
  noticeDays: number;
  /** So many run at once, of all accounts, and no more: what they hold earns nothing. */
  mostAtOnce: number;
  /** null: every plan that is on sale may be tried. */
  planIds: readonly string[] | null;
}>;

/** Whether a plan may be tried. What is paid by the hour costs next to nothing to try. */
export const isOffered = (
  { planIds }: Pick<TrialPolicy, "planIds">,
  of: { planId: string; interval: BillingInterval },
): boolean => of.interval !== "hour" && (planIds?.includes(of.planId) ?? true);

/** Stripe's most. */
export const MOST_TRIAL_DAYS = 730;
