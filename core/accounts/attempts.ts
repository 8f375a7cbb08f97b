/**
 * A bucket of attempts: so many at once, and one more for each `everyMs` that goes by. What finds it full is refused, costs
 * nothing further, and is told when to come again.
 */
type Limit = Readonly<{ atOnce: number; everyMs: number }>;

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;

export const LIMIT_NAMES = [
  "log_in_route",
  "sign_in",
  "sign_up",
  "second_factor",
  "link",
  "wrong_api_token",
  "wrong_join_token",
  "account_elsewhere",
  "account_known_here",
  "confirmation",
  "code",
  "mail",
  "new_address",
  "quote",
  "card",
] as const;
export type LimitName = (typeof LIMIT_NAMES)[number];

/** Every limit on how often something may be tried (ADR 0027). What may be *held* unpaid is another kind: `UNPAID_LIMITS`. */
export const LIMITS = {
  // Of one caller (`callerOf`). A household or an office shares an address.
  log_in_route: { atOnce: 120, everyMs: SECOND_MS / 2 },
  sign_in: { atOnce: 10, everyMs: 6 * SECOND_MS },
  sign_up: { atOnce: 20, everyMs: 3 * MINUTE_MS },
  second_factor: { atOnce: 10, everyMs: 6 * SECOND_MS },
  link: { atOnce: 10, everyMs: 30 * SECOND_MS },
  /** Only those that are wrong count: a program with a good one may call as often as it likes. */
  wrong_api_token: { atOnce: 20, everyMs: 10 * SECOND_MS },
  wrong_join_token: { atOnce: 20, everyMs: 10 * SECOND_MS },

  // Of one account, from wherever. The address that is typed counts, whether it has an account or not.
  /** From all networks together that it was never logged in from: 60 guesses from 60 addresses are ten, then 12 an hour. */
  account_elsewhere: { atOnce: 10, everyMs: 5 * MINUTE_MS },
  /** From each network that it was logged in from: nobody elsewhere can use these up. */
  account_known_here: { atOnce: 10, everyMs: 30 * SECOND_MS },
  /** A password or a code that is asked for within a log-in: who took a browser over guesses at it. */
  confirmation: { atOnce: 10, everyMs: 30 * SECOND_MS },
  /** Codes of an authenticator app, right or wrong. */
  code: { atOnce: 10, everyMs: 30 * SECOND_MS },
  /** Mails with a link, to one address. What is asked for beyond is not mailed; whoever asks is told the same. */
  mail: { atOnce: 5, everyMs: 12 * MINUTE_MS },
  /** Changes of address that one account asks for: each is a mail to somebody who may not know of it. */
  new_address: { atOnce: 5, everyMs: 12 * MINUTE_MS },
  /** Quotes of a change of plan: each costs calls of the payment provider, whose own limit all customers share. */
  quote: { atOnce: 30, everyMs: 2 * MINUTE_MS },
  /** Pages of the payment provider's, and looks at what it keeps: they cost calls too, and a page can be tried with stolen cards. */
  card: { atOnce: 20, everyMs: 3 * MINUTE_MS },
} as const satisfies Record<LimitName, Limit>;

/** A bucket that runs out later than this is full. */
export const fullFrom = (name: LimitName, now: Date): Date =>
  new Date(+now + (LIMITS[name].atOnce - 1) * LIMITS[name].everyMs);

/** When a bucket that is full takes the next one, by when it runs out. */
export const nextTaken = (name: LimitName, runsOutAt: Date): Date =>
  new Date(+runsOutAt - (LIMITS[name].atOnce - 1) * LIMITS[name].everyMs);
