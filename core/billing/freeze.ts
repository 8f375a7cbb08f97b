const DAY_MS = 24 * 60 * 60_000;

/** A VM that its host has lost is billed for so long at the most: time for people to bring it back (invariant 25). */
export const FROZEN_AFTER_LOSS_MS = DAY_MS;

/**
 * Whether billing that goes on begins a period of its own: what was paid last is over, and what fell due meanwhile was void. One
 * whose renewal failed before has an invoice that is still asked for, and gets no second one.
 */
export const beginsAnew = (billing: { status: string | null; until: Date }, now: Date): boolean =>
  billing.status === "active" && billing.until <= now;
