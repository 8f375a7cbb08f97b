const HOUR_MS = 60 * 60_000;
const DAY_MS = 24 * HOUR_MS;

/**
 * How long rows are kept that nobody needs any more, in milliseconds. What is money's, a VM's or the audit's stays for good;
 * orders that ran out have an age of their own (`EXPIRED_ORDER_KEPT_MS`), samples of usage theirs (`keepUsageDays`).
 */
export const KEPT_MS = {
  /**
   * Deliveries, after they were applied. Stripe tells of an event for 30 days (`fetchMissedEvents`): one that it may still
   * tell of is known by its row.
   */
  appliedDeliveries: 40 * DAY_MS,
  /** Events that were sent, for whoever looks for what rang when. */
  sentEvents: 30 * DAY_MS,
  /** Mails, after they were sent or not: for staff, while a customer may ask whether he was told. */
  mails: 400 * DAY_MS,
  /** Addresses that refused mail, after it was noted: one that still does is noted again by the next mail. */
  refusingAddresses: 400 * DAY_MS,
  /** Answers to clients' keys, from the first request on. Nobody repeats a request for so long, and Stripe keeps its own for a day. */
  answers: 30 * DAY_MS,
  /** Log-ins, after they have ended. */
  sessions: DAY_MS,
  /** Log-ins that wait for a second factor, and the like, after they have ended. */
  verifications: DAY_MS,
  /** Codes of second factors, after they were tried: they are good for minutes. */
  spentCodes: HOUR_MS,
  /** Buckets of attempts, after they have run out: such a one counts nothing. */
  attempts: 0,
  /** Networks from which an account was logged in, after the last time. */
  knownNetworks: 90 * DAY_MS,
  /** Quotes that nobody took, after they ran out: while somebody may still ask what they were offered. */
  quotes: 30 * DAY_MS,
  /** Counters of log-ins' rate limits, after the last request. The longest window is an hour. */
  rateLimits: DAY_MS,
} as const;
export type Kept = keyof typeof KEPT_MS;
