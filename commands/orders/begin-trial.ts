import { hasEnded } from "#core/billing/entitlement.ts";
import type { CheckoutState } from "#core/billing/payments.ts";
import type { Event } from "#core/contracts/events.ts";
import type { Order } from "#core/orders/order.ts";
import { cardOfTrial, noticeAt, type TrialRefusal } from "#core/orders/trial.ts";
import { refuse, ok, type Refusal, type Result } from "#core/result.ts";
import { isOffered, type TrialPolicy } from "#core/catalogue/trial-policy.ts";
import { trialPolicyNow, trialPolicyOf } from "#db/catalogue/trial-policies.ts";
import { saveOwnSuspendDays } from "#db/billing/services.ts";
import type { Tx } from "#db/client.ts";
import { insertDueMails } from "#db/messages/mails.ts";
import { saveRefusedTrial } from "#db/orders/orders.ts";
import { hasHadTrial, insertTrial, trialsAtOnce } from "#db/orders/trials.ts";
import { recordChange, type Actor } from "#db/record-change.ts";

type At = { now: Date; newId: () => string };
export type TrialUnavailable = Refusal<"trial_unavailable" | "trial_used" | "trials_taken">;

/** By which terms an order may begin with a trial, when it is placed. The caller holds the account. */
export async function mayTry(
  tx: Tx,
  of: Parameters<typeof isOffered>[1] & { accountId: string; hasPaid: boolean; byCard: boolean },
): Promise<Result<TrialPolicy, TrialUnavailable>> {
  const policy = await trialPolicyNow(tx);
  if (of.byCard)
    return refuse("trial_unavailable", "a trial begins on a page, and not with a card on file");
  if (policy === undefined || !isOffered(policy, of))
    return refuse("trial_unavailable", "this is not to be had on trial");
  if (of.hasPaid || (await hasHadTrial(tx, of.accountId)))
    return refuse("trial_used", "a trial is for whoever has had nothing yet: order it without");
  if ((await trialsAtOnce(tx)) >= policy.mostAtOnce)
    return refuse("trials_taken", "as many trials run as may: try again later, or order without");
  return ok(policy);
}

/**
 * Begins the trial of an order whose page is complete, before any VM is made: once for each account and each card. `null`: it is begun.
 * Part of the caller's transaction, which holds the order.
 */
export async function beginTrial(
  tx: Tx,
  order: Order,
  checkout: CheckoutState,
  now: Date,
): Promise<TrialRefusal | null> {
  const policy = await trialPolicyFor(tx, order);
  const endsAt = checkout.subscription?.trialEnd;
  if (!endsAt) throw new Error(`checkout ${checkout.id} is of a trial and shows none`);
  const card = cardOfTrial(policy, checkout.method);
  if ("refused" in card) return card.refused;
  const begun = await insertTrial(tx, {
    orderId: order.id,
    accountId: order.accountId,
    vmId: order.vmId,
    policyVersion: policy.version,
    fingerprint: card.fingerprint,
    startedAt: now,
    endsAt,
    noticeAt: noticeAt({ startedAt: now, endsAt }, policy),
  });
  return begun === "begun" ? null : begun;
}

/** Its VM stops by the trial's own terms, until it is paid for. */
export async function limitTrialsDebt(tx: Tx, order: Order, now: Date): Promise<void> {
  const { suspendDays } = await trialPolicyFor(tx, order);
  await saveOwnSuspendDays(tx, order.vmId, suspendDays, now);
}

async function trialPolicyFor(tx: Tx, { id, trialPolicy }: Order): Promise<TrialPolicy> {
  if (trialPolicy === null) throw new Error(`order ${id} is for no trial`);
  return trialPolicyOf(tx, trialPolicy);
}

/**
 * Nothing is made for the order: its subscription ends before it charges anything, and its buyer is told why, and how to order without a
 * trial. The caller gives its place up.
 */
export async function refuseTrial(
  tx: Tx,
  order: Order,
  { why, checkout }: { why: TrialRefusal; checkout: CheckoutState },
  at: At,
  actor: Actor,
): Promise<void> {
  await saveRefusedTrial(tx, order.id, why);
  const { id, accountId } = order;
  const mail = { id: at.newId(), kind: "trial_refused", cause: id, about: id, accountId } as const;
  await insertDueMails(tx, [mail], at.now);
  const subject = { kind: "order", id } as const;
  const events = endingOf(order, checkout);
  const detail = { why };
  await recordChange(tx, { actor, action: "order.trial_refused", subject, detail, events }, at);
}

/** What was refused goes on at the provider, which was not told, or not heard: it ends by whoever looks next. */
export async function endRefusedTrial(
  tx: Tx,
  order: Order,
  checkout: CheckoutState,
  at: At,
  actor: Actor,
): Promise<void> {
  const events = endingOf(order, checkout);
  if (events.length === 0) return;
  const subject = { kind: "order", id: order.id } as const;
  await recordChange(tx, { actor, action: "order.trial_goes_on", subject, events }, at);
}

const endingOf = ({ id }: Order, { subscription }: CheckoutState): Event[] =>
  subscription === null || hasEnded(subscription.status)
    ? []
    : [
        {
          name: "subscription.cancellation_fell_due.v1",
          data: { orderId: id, subscriptionId: subscription.id },
        },
      ];
