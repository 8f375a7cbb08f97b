import Stripe from "stripe";
import { ProviderUnavailable, UnknownToProvider } from "#core/billing/payments.ts";

export const isMissing = (error: unknown): error is Stripe.errors.StripeInvalidRequestError =>
  error instanceof Stripe.errors.StripeInvalidRequestError && error.code === "resource_missing";

/** What was asked of a subscription is of one that has ended: since we looked at it, most likely. */
export const isOfEnded = (error: unknown): error is Stripe.errors.StripeInvalidRequestError =>
  error instanceof Stripe.errors.StripeInvalidRequestError &&
  error.code === "invalid_canceled_subscription_fields";

/**
 * The call, which tells an outage of Stripe's (no connection, a 5xx, too many requests), and an object that it does not know, from
 * a bug of ours.
 */
export const withOutages =
  <A extends unknown[], R>(call: (...args: A) => Promise<R>) =>
  (...args: A): Promise<R> =>
    call(...args).catch((cause: unknown) => {
      if (
        cause instanceof Stripe.errors.StripeConnectionError ||
        cause instanceof Stripe.errors.StripeAPIError ||
        cause instanceof Stripe.errors.StripeRateLimitError
      )
        throw new ProviderUnavailable(`Stripe: ${cause.message}`, { cause });
      if (isMissing(cause) && cause.statusCode === 404)
        throw new UnknownToProvider(`Stripe: ${cause.message}`, { cause });
      throw cause;
    });
