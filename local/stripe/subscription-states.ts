import type { Stripe } from "stripe";
import { subscriptionIdOf, voidInvoice } from "./invoices.ts";
import { idOf, idOrNull, type Sandbox } from "./sandbox.ts";

/** The states a subscription takes here. `paused` is not: Berth has a trial without a card end. */
export const SUBSCRIPTION_STATES = [
  "incomplete",
  "incomplete_expired",
  "trialing",
  "active",
  "past_due",
  "unpaid",
  "canceled",
] as const;
export type SubscriptionState = (typeof SUBSCRIPTION_STATES)[number];
export type SubscriptionMove = "pay" | "fail" | "expire" | "give_up" | "cancel";

/** Every move (https://docs.stripe.com/billing/subscriptions/overview). What is absent does not happen. */
export const SUBSCRIPTION_MOVES = {
  incomplete: { pay: "active", expire: "incomplete_expired", cancel: "canceled" },
  incomplete_expired: {},
  // It becomes active with its first renewal (`renew`), whether that is paid or not.
  trialing: { cancel: "canceled" },
  active: { fail: "past_due", cancel: "canceled" },
  past_due: { pay: "active", give_up: "unpaid", cancel: "canceled" },
  unpaid: { pay: "active", cancel: "canceled" },
  canceled: {},
} as const satisfies Record<
  SubscriptionState,
  Partial<Record<SubscriptionMove, SubscriptionState>>
>;

function nextState(from: string, move: SubscriptionMove): SubscriptionState | undefined {
  const state = SUBSCRIPTION_STATES.find((each) => each === from);
  const moves: Partial<Record<SubscriptionMove, SubscriptionState>> =
    state === undefined ? {} : SUBSCRIPTION_MOVES[state];
  return moves[move];
}

/** Makes the move and tells it, or does nothing where the state has no such move. */
export function moveSubscription(sandbox: Sandbox, id: string, move: SubscriptionMove): void {
  const status = nextState(sandbox.find("subscription", id).status, move);
  if (status === undefined) return;
  const { object, previous } = sandbox.change("subscription", id, {
    status,
    ...(status === "incomplete_expired" ? { ended_at: sandbox.now() } : {}),
  });
  sandbox.emit("customer.subscription.updated", object, previous);
}

export const isOver = (subscription: Stripe.Subscription): boolean =>
  subscription.status === "canceled" || subscription.status === "incomplete_expired";

/**
 * Ends the subscription now. Its open invoices stay open, and nobody goes on charging them; nor any other finalized invoice of the
 * customer's, also of subscriptions that go on, until somebody says so (https://docs.stripe.com/billing/subscriptions/cancel).
 */
export function endSubscription(
  sandbox: Sandbox,
  id: string,
  reason: "cancellation_requested" | "payment_failed",
  details: { comment?: string | null | undefined; feedback?: string | null | undefined } = {},
): Stripe.Subscription {
  const before = sandbox.find("subscription", id);
  if (nextState(before.status, "cancel") === undefined) return before;
  const waitedFor = before.pending_update === null ? null : idOrNull(before.latest_invoice);
  if (waitedFor !== null) voidInvoice(sandbox, waitedFor);
  const { object } = sandbox.change("subscription", id, {
    status: "canceled",
    canceled_at: before.canceled_at ?? sandbox.now(),
    ended_at: sandbox.now(),
    cancellation_details: {
      comment: details.comment ?? before.cancellation_details?.comment ?? null,
      feedback: details.feedback ?? before.cancellation_details?.feedback ?? null,
      feedback_option: null,
      reason,
    },
  });
  const customer = idOf(before.customer);
  for (const invoice of sandbox.store.all("invoice"))
    if (
      (invoice.status === "draft" && subscriptionIdOf(invoice) === id) ||
      (invoice.status === "open" && idOrNull(invoice.customer) === customer)
    )
      sandbox.change("invoice", invoice.id, {
        auto_advance: false,
        automatically_finalizes_at: null,
        next_payment_attempt: null,
      });
  sandbox.emit("customer.subscription.deleted", object);
  return object;
}
