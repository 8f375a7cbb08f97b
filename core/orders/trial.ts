import type { TrialPolicy } from "#core/catalogue/trial-policy.ts";

/** With what a subscription is paid. `other`: what shows no fingerprint: Link, a bank account. */
export type PayingMethod =
  | Readonly<{ kind: "card"; fingerprint: string; isWallet: boolean }>
  | Readonly<{ kind: "other" }>;

/**
 * Why an order for a trial is not served, although its page was completed. `trial_used`: its account had one since it was placed;
 * `trial_card_known`: another account had one with this card; `trial_card_unrecognised`: by what was given nobody can tell whether it had;
 * `trial_card_missing`: none was given, and one was to be.
 */
export const TRIAL_REFUSALS = [
  "trial_used",
  "trial_card_known",
  "trial_card_unrecognised",
  "trial_card_missing",
] as const;
export type TrialRefusal = (typeof TRIAL_REFUSALS)[number];

/** What became of a trial. `not_made`: its VM never was, and it counts as none; `paid`: it was paid for when it was over. */
export const TRIAL_OUTCOMES = ["paid", "ended", "not_made"] as const;
export type TrialOutcome = (typeof TRIAL_OUTCOMES)[number];

/**
 * By which card a trial is known again, judged when its page is complete and before any VM is made: a wallet has another fingerprint for
 * each device, and Link none (docs.stripe.com/api/payment_methods/object). null: by none, as none was asked for.
 */
export function cardOfTrial(
  { endsIn }: Pick<TrialPolicy, "endsIn">,
  method: PayingMethod | null,
): { fingerprint: string | null } | { refused: TrialRefusal } {
  if (method === null)
    return endsIn === "payment" ? { refused: "trial_card_missing" } : { fingerprint: null };
  if (method.kind === "other" || method.isWallet) return { refused: "trial_card_unrecognised" };
  return { fingerprint: method.fingerprint };
}

const DAY_MS = 24 * 60 * 60_000;

/** When its owner is told that it ends: at once, where that is before its begin. */
export const noticeAt = (
  trial: Readonly<{ startedAt: Date; endsAt: Date }>,
  { noticeDays }: Pick<TrialPolicy, "noticeDays">,
): Date => {
  const wanted = Math.max(+trial.startedAt, +trial.endsAt - noticeDays * DAY_MS);
  return new Date(Math.min(wanted, +trial.endsAt));
};
