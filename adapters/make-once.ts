import { Stripe } from "stripe";

const MINUTE_MS = 60_000;

/**
 * Makes something at Stripe under an idempotency key, as far as can be known once. Stripe keeps a key's first answer for a
 * day, a 500 too (docs.stripe.com/api/idempotent_requests), so a key that is always the same and met one would answer
 * 500 until tomorrow. What was asked for may have been done all the same: `find` looks. When there is nothing, it is made
 * under a key of this minute, which whoever tries again a minute later leaves behind too.
 *
 * After any other failure the same key is right: no answer came, and whether the call got through is what the key is for.
 */
export async function makeOnce<T>(call: {
  key: string;
  now: Date;
  make: (idempotencyKey: string) => Promise<T>;
  find: () => Promise<T | undefined>;
}): Promise<T> {
  try {
    return await call.make(call.key);
  } catch (error) {
    if (!(error instanceof Stripe.errors.StripeAPIError)) throw error;
    const made = await call.find();
    return made ?? call.make(`${call.key}-${Math.floor(+call.now / MINUTE_MS)}`);
  }
}

/**
 * Of a call that may be made again and again, as it asks for a state and makes nothing: the client's own tries share this key, and
 * the next call has another. Left to itself the client draws one.
 */
export const keyOfCall = (what: string, id: string, now: Date): { idempotencyKey: string } => ({
  idempotencyKey: `${what}-${id}-${+now}`,
});
