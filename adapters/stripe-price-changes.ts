import Stripe from "stripe";
import type {
  Billed,
  ChangePreview,
  PriceChangeHow,
  PriceChanges,
  PriceChangeState,
} from "#core/billing/price-changes.ts";
import { makeOnce } from "./make-once.ts";
import { fetchBilled, itemOf, linesOf } from "./stripe-billed.ts";
import { refundAll } from "./stripe-refunds.ts";
import {
  changedLine,
  FROM_CREDIT,
  idOf,
  instant,
  invoiceState,
  money,
  paymentIntentOf,
  refundState,
  seconds,
} from "./stripe-states.ts";

/*
 * Changes of price on Stripe's subscriptions (docs/adr/0050). Before a change is asked for, its id is written on the subscription
 * as `asked_change_id`: Stripe copies that onto each invoice that it makes from then on, so the change's own invoice is found by
 * it whatever happened to the answer. `change_id` is set by the change itself, and so only once it holds.
 */

const ASKED = "asked_change_id";
const MADE = "change_id";
const UNDONE = "undone_change_id";
/** What taking a change back is asked for as. */
const undoing = (changeId: string): string => `undo_${changeId}`;

/** The part of the payment provider that changes prices. */
export function createPriceChanges(stripe: Stripe, now: () => Date): PriceChanges {
  const retrieve = (subscriptionId: string) => stripe.subscriptions.retrieve(subscriptionId);

  /** The invoice that a change made at once, as what was asked for stands on it; null: it made none. */
  const invoiceOf = async (subscription: string, asked: string): Promise<Stripe.Invoice | null> => {
    for await (const invoice of stripe.invoices.list({ subscription, limit: 100 }))
      if (
        invoice.billing_reason === "subscription_update" &&
        invoice.parent?.subscription_details?.metadata?.[ASKED] === asked
      )
        return invoice;
    return null;
  };

  const stateOf = async (
    subscription: Stripe.Subscription,
    changeId: string,
  ): Promise<PriceChangeState> => {
    const { pending_update: pending, latest_invoice: latest } = subscription;
    if (pending?.metadata?.[MADE] === changeId && latest !== null) {
      const invoice = await stripe.invoices.retrieve(idOf(latest), {
        expand: ["payments.data.payment.payment_intent"],
      });
      return {
        kind: "waiting",
        invoiceId: invoice.id,
        payUrl: invoice.hosted_invoice_url ?? null,
        until: instant(pending.expires_at),
        why: asksForAction(invoice) ? "action_required" : "declined",
      };
    }
    if (subscription.metadata[MADE] !== changeId) return { kind: "not_there" };
    const invoice = await invoiceOf(subscription.id, changeId);
    return { kind: "applied", invoice: invoice && invoiceState(invoice) };
  };
  const fetchChange: PriceChanges["fetchChange"] = async ({ changeId, subscriptionId }) =>
    stateOf(await retrieve(subscriptionId), changeId);

  /** Says on the subscription what is asked for next. */
  const ask = async (subscription: Stripe.Subscription, asked: string): Promise<void> => {
    if (subscription.metadata[ASKED] === asked) return;
    await makeOnce({
      key: `ask-${asked}`,
      now: now(),
      make: (idempotencyKey) =>
        stripe.subscriptions.update(
          subscription.id,
          { metadata: { [ASKED]: asked } },
          { idempotencyKey },
        ),
      find: async () => {
        const then = await retrieve(subscription.id);
        return then.metadata[ASKED] === asked ? then : undefined;
      },
    });
  };

  const changePrice: PriceChanges["changePrice"] = async (input) => {
    const { changeId, subscriptionId, priceId, at, how } = input;
    const subscription = await retrieve(subscriptionId);
    const known = await stateOf(subscription, changeId);
    if (known.kind !== "not_there") return known;
    // It was made before, and dropped or taken back since: Stripe would forget its key after a day, and make it again.
    if (subscription.metadata[UNDONE] === changeId) return known;
    if ((await invoiceOf(subscriptionId, changeId)) !== null) return known;
    if (isOver(subscription)) return known;
    const item = itemOf(subscription);
    if (how === "none") await refuseOtherInterval(stripe, item.price, priceId);
    await ask(subscription, changeId);
    const stateNow = () => fetchChange({ changeId, subscriptionId });
    try {
      await makeOnce({
        key: `change-${changeId}`,
        now: now(),
        make: async (idempotencyKey): Promise<unknown> =>
          stripe.subscriptions.update(
            subscriptionId,
            {
              items: [{ id: item.id, price: priceId }],
              ...PARAMS_OF[how],
              ...(how === "none" ? {} : { proration_date: seconds(at) }),
              metadata: { [MADE]: changeId },
            },
            { idempotencyKey },
          ),
        find: async () => {
          const then = await stateNow();
          return then.kind === "not_there" ? undefined : then;
        },
      });
    } catch (error) {
      if (isTooLate(error)) return { kind: "not_there" };
      // A decline is told by where the change is now.
      if (!(error instanceof Stripe.errors.StripeCardError)) throw error;
    }
    // Not the answer: one that came before is given again for a day.
    return stateNow();
  };

  const dropChange: PriceChanges["dropChange"] = async (change) => {
    const found = await fetchChange(change);
    if (found.kind !== "waiting") return found;
    try {
      await stripe.invoices.voidInvoice(found.invoiceId);
    } catch (error) {
      // The payer was faster, or the time: what it is now says which.
      if (!(error instanceof Stripe.errors.StripeInvalidRequestError)) throw error;
    }
    return fetchChange(change);
  };

  /**
   * The price of before, from the instant that the change counted from; or from now on, where that period is over. What has ended
   * has no price any more, and is only told that the change is undone.
   */
  const setPriceBack = async (
    subscription: Stripe.Subscription,
    { changeId, priceId }: { changeId: string; priceId: string },
    invoice: Stripe.Invoice | null,
  ): Promise<void> => {
    const metadata = { [MADE]: "", [UNDONE]: changeId };
    if (isOver(subscription)) {
      await stripe.subscriptions.update(subscription.id, { metadata });
      return;
    }
    const item = itemOf(subscription);
    await refuseOtherInterval(stripe, item.price, priceId);
    // An invoice that is void has debited and credited nothing.
    const isProrated = invoice !== null && invoice.status !== "void";
    const at = isProrated ? await instantOf(stripe, invoice) : undefined;
    const isPresent =
      at !== undefined && at >= item.current_period_start && at < item.current_period_end;
    await ask(subscription, undoing(changeId));
    await makeOnce({
      key: `undo-${changeId}-${isPresent ? at : "now"}`,
      now: now(),
      make: (idempotencyKey) =>
        stripe.subscriptions.update(
          subscription.id,
          {
            items: [{ id: item.id, price: priceId }],
            proration_behavior: isProrated ? "always_invoice" : "none",
            ...(isPresent ? { proration_date: at } : {}),
            metadata,
          },
          { idempotencyKey },
        ),
      find: async () => {
        const then = await retrieve(subscription.id);
        return then.metadata[UNDONE] === changeId ? then : undefined;
      },
    });
  };

  /**
   * What the change's invoice had moved goes back: to the card what that had paid, and the balance is again what it was before. Taking
   * the price back within its period gave the customer credit for all that the change came to, so as much is taken out of that as
   * the card gets. Where the period is over, that credit is for the next one, and stays.
   */
  const giveAllBack = async (
    changeId: string,
    subscriptionId: string,
    invoice: Stripe.Invoice,
  ): Promise<boolean> => {
    const paymentIntent = paymentIntentOf(
      await stripe.invoices.retrieve(invoice.id, { expand: ["payments"] }),
    );
    const undo = await invoiceOf(subscriptionId, undoing(changeId));
    // Taken back from the change's own instant on, and not from a later period's.
    const isReversed =
      undo !== null && (await instantOf(stripe, undo)) === (await instantOf(stripe, invoice));
    const amount = 0 - movedBalance(invoice) - (isReversed ? movedBalance(undo) : 0);
    if (paymentIntent !== null && invoice.amount_paid > 0) {
      const of = { changeId, paymentIntent, fromCredit: isReversed ? amount : 0 };
      if (!(await isRefunded(stripe, now(), of))) return false;
    }
    if (amount === 0 || invoice.customer === null) return true;
    const customerId = idOf(invoice.customer);
    const find = async () => {
      const page = { limit: 100 };
      for await (const each of stripe.customers.listBalanceTransactions(customerId, page))
        if (each.metadata?.[UNDONE] === changeId) return each;
      return undefined;
    };
    if ((await find()) !== undefined) return true;
    await makeOnce({
      key: `undo-balance-${changeId}`,
      now: now(),
      make: (idempotencyKey) =>
        stripe.customers.createBalanceTransaction(
          customerId,
          { amount, currency: invoice.currency, metadata: { [UNDONE]: changeId } },
          { idempotencyKey },
        ),
      find,
    });
    return true;
  };

  const undoChange: PriceChanges["undoChange"] = async ({ changeId, subscriptionId, priceId }) => {
    const found = await dropChange({ changeId, subscriptionId });
    let invoice = await invoiceOf(subscriptionId, changeId);
    if (invoice?.status === "open") {
      await voidOpen(stripe, invoice.id);
      invoice = await stripe.invoices.retrieve(invoice.id);
    }
    if (found.kind === "applied")
      await setPriceBack(await retrieve(subscriptionId), { changeId, priceId }, invoice);
    // What the balance had paid of an invoice that is void is back on it.
    if (invoice === null || invoice.status === "void") return true;
    return giveAllBack(changeId, subscriptionId, invoice);
  };

  return {
    fetchBilled: (subscriptionId): Promise<Billed> => fetchBilled(stripe, subscriptionId),
    previewChange: async ({ subscriptionId, priceId, at, how }) => {
      const subscription = await retrieve(subscriptionId);
      const item = itemOf(subscription);
      if (how === "none") return nothingNow(subscription.currency);
      return previewOf(
        await stripe.invoices.createPreview({
          subscription: subscriptionId,
          subscription_details: {
            items: [{ id: item.id, price: priceId }],
            proration_behavior: "always_invoice",
            proration_date: seconds(at),
          },
        }),
      );
    },
    changePrice,
    fetchChange,
    dropChange,
    undoChange,
    createChangeCheckout: async (input) => {
      const { changeId, customerId, amount } = input;
      const find = async () => {
        const page = { customer: customerId, limit: 100 };
        for await (const session of stripe.checkout.sessions.list(page))
          if (session.metadata?.[MADE] === changeId && session.status !== "expired") return session;
        return undefined;
      };
      const expiresAt = seconds(input.expiresAt);
      const session =
        (await find()) ??
        (await makeOnce({
          key: `change-checkout-${changeId}-${expiresAt}`,
          now: now(),
          make: (idempotencyKey) =>
            stripe.checkout.sessions.create(
              {
                mode: "payment",
                customer: customerId,
                line_items: [
                  {
                    price_data: {
                      currency: amount.currency,
                      unit_amount: Number(amount.minor),
                      product_data: { name: input.description },
                    },
                    quantity: 1,
                  },
                ],
                success_url: input.successUrl,
                cancel_url: input.cancelUrl,
                expires_at: expiresAt,
                adaptive_pricing: { enabled: false },
                metadata: { [MADE]: changeId },
                payment_intent_data: { metadata: { [MADE]: changeId } },
              },
              { idempotencyKey },
            ),
          find,
        }));
      // One that is paid has no page any more.
      return { id: session.id, url: session.url ?? input.successUrl };
    },
    fetchChangeCheckout: async (checkoutId) => {
      const session = await stripe.checkout.sessions.retrieve(checkoutId, {
        expand: ["payment_intent"],
      });
      if (session.status !== "complete") return session.status === "expired" ? "over" : "open";
      if (session.payment_status !== "unpaid") return "paid";
      // A debit that is on its way for days: it settles, or it fails and the intent waits for another method, which nobody offers.
      const intent = session.payment_intent;
      const status = intent === null || typeof intent === "string" ? null : intent.status;
      if (status === "succeeded") return "paid";
      return status === "canceled" || status === "requires_payment_method" ? "over" : "open";
    },
  };
}

const PARAMS_OF = {
  pay_first: {
    payment_behavior: "pending_if_incomplete",
    proration_behavior: "always_invoice",
  },
  prorate: { proration_behavior: "always_invoice" },
  none: { proration_behavior: "none" },
} as const satisfies Record<PriceChangeHow, Stripe.SubscriptionUpdateParams>;

/** Stripe begins a new cycle, and charges it, at a change of interval: that is not "from the next period on", nor can it be undone. */
async function refuseOtherInterval(
  stripe: Stripe,
  present: Stripe.Price,
  priceId: string,
): Promise<void> {
  const next = await stripe.prices.retrieve(priceId);
  if (next.recurring?.interval !== present.recurring?.interval)
    throw new Error(`price ${priceId} is of another interval than ${present.id}`);
}

/** The period that the instant is in is over, or the subscription is. */
const isTooLate = (error: unknown): boolean =>
  error instanceof Stripe.errors.StripeInvalidRequestError &&
  (error.param === "proration_date" || error.code === "invalid_canceled_subscription_fields");

const isOver = ({ status }: Stripe.Subscription): boolean =>
  status === "canceled" || status === "incomplete_expired";

function asksForAction(invoice: Stripe.Invoice): boolean {
  return (invoice.payments?.data ?? []).some(({ payment: { payment_intent: intent } }) => {
    const is = typeof intent === "object" ? intent : null;
    return is?.status === "requires_action";
  });
}

/** By how much an invoice moved its customer's balance: more of it is more debt, or less credit. */
const movedBalance = ({ starting_balance: from, ending_balance: to }: Stripe.Invoice): number =>
  to === null ? 0 : to - from;

/** The instant that an invoice's prorations count from; undefined: it has none. */
async function instantOf(stripe: Stripe, invoice: Stripe.Invoice): Promise<number | undefined> {
  const starts = (await linesOf(stripe, invoice))
    .filter((line) => line.parent?.subscription_item_details?.proration === true)
    .map((line) => line.period.start);
  return starts.length === 0 ? undefined : Math.min(...starts);
}

async function voidOpen(stripe: Stripe, invoiceId: string): Promise<void> {
  try {
    await stripe.invoices.voidInvoice(invoiceId);
  } catch (error) {
    // It was paid, or made void, since we looked.
    if (!(error instanceof Stripe.errors.StripeInvalidRequestError)) throw error;
  }
}

/** Whether the card has the money back. Staff may have given it back by themselves. */
async function isRefunded(
  stripe: Stripe,
  now: Date,
  of: { changeId: string; paymentIntent: string; fromCredit: number },
): Promise<boolean> {
  try {
    const refund = await refundAll(stripe, now, {
      paymentIntent: of.paymentIntent,
      marked: UNDONE,
      metadata: { [UNDONE]: of.changeId, [FROM_CREDIT]: String(of.fromCredit) },
      key: `undo-refund-${of.changeId}`,
    });
    return refundState(refund).status === "succeeded";
  } catch (error) {
    const code = error instanceof Stripe.errors.StripeInvalidRequestError ? error.code : undefined;
    if (code === "charge_already_refunded") return true;
    throw error;
  }
}

function previewOf(invoice: Stripe.Invoice): ChangePreview {
  const { currency, total, total_excluding_tax: withoutTax } = invoice;
  return {
    lines: invoice.lines.data.map(changedLine),
    tax: money(total - (withoutTax ?? total), currency),
    total: money(total, currency),
    fromBalance: money(total > 0 ? movedBalance(invoice) : 0, currency),
    dueNow: money(invoice.amount_due, currency),
  };
}

const nothingNow = (currency: string): ChangePreview => {
  const nothing = money(0, currency);
  return { lines: [], tax: nothing, total: nothing, fromBalance: nothing, dueNow: nothing };
};
