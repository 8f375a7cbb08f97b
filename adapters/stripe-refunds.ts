import type Stripe from "stripe";
import { makeOnce } from "./make-once.ts";
import { instant, refundState } from "./stripe-states.ts";

/** A bank that sent a refund back rarely takes it the next minute: a day later, and after three it is a person's turn. */
const REFUND_AGAIN_MS = 24 * 60 * 60_000;
const MOST_REFUNDS = 3;

export const refundsOf = async (
  stripe: Stripe,
  of: { payment_intent: string },
): Promise<readonly Stripe.Refund[]> => (await stripe.refunds.list({ ...of, limit: 100 })).data;

/**
 * Gives back all that is left of a payment, once. Ours are told from others by what is written down with them under `marked`. One that
 * failed is made anew a day after, three in all; until then and from then on the answer is the failed one.
 */
export async function refundAll(
  stripe: Stripe,
  now: Date,
  {
    paymentIntent,
    marked,
    metadata,
    key,
  }: { paymentIntent: string; marked: string; metadata: Record<string, string>; key: string },
): Promise<Stripe.Refund> {
  const listMine = async () =>
    (await refundsOf(stripe, { payment_intent: paymentIntent }))
      .filter((refund) => refund.metadata?.[marked] === metadata[marked])
      .toSorted((a, b) => b.created - a.created);
  const mine = await listMine();
  const [last] = mine;
  if (last !== undefined && (refundState(last).status !== "failed" || !mayTryAgain(mine, now)))
    return last;
  return makeOnce({
    // A refund that failed at the bank may be tried again, under a key of its own.
    key: `${key}-${mine.length}`,
    now,
    // Two keys never give the money back twice: Stripe refuses more than is left of the charge, and this is all of it.
    make: (idempotencyKey) =>
      stripe.refunds.create({ payment_intent: paymentIntent, metadata }, { idempotencyKey }),
    find: async () => {
      const then = await listMine();
      return then.length > mine.length ? then[0] : undefined;
    },
  });
}

/** Of refunds that have all failed. */
const mayTryAgain = (failed: readonly Stripe.Refund[], now: Date): boolean =>
  failed.length < MOST_REFUNDS &&
  failed.every((refund) => +now - +instant(refund.created) >= REFUND_AGAIN_MS);
