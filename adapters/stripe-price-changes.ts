import Stripe from "stripe";
import type {
  Billed,
  ChangePreview,
  PagePayment,
  PriceChangeHow,
  PriceChanges,
  PriceChangeState,
} from "#core/billing/price-changes.ts";
import { keyOfCall, makeOnce } from "./make-once.ts";
import { createChangePages } from "./stripe-change-pages.ts";
import { fetchBilled, itemOf, linesOf } from "./stripe-billed.ts";
import { isOfEnded } from "./stripe-outages.ts";
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
  const pages = createChangePages(stripe, now);
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
        checkoutId: null,
        payUrl: invoice.hosted_invoice_url ?? null,
        until: instant(pending.expires_at),
        why: asksForAction(invoice) ? "action_required" : "declined",
      };
    }
    if (subscription.metadata[MADE] !== changeId) return { kind: "not_there" };
    const invoice = await invoiceOf(subscription.id, changeId);
    return { kind: "applied", invoice: invoice && invoiceState(invoice), payment: null };
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

  const changePaidByPage: PriceChanges["changePaidByPage"] = async ({ page, ...change }) => {
    const { changeId, subscriptionId, at } = change;
    const subscription = await retrieve(subscriptionId);
    if (subscription.metadata[UNDONE] === changeId) return { kind: "not_there" };
    const customerId = idOf(subscription.customer);
    const found =
      (await pages.find({ changeId, customerId })) ??
      (isOver(subscription) ? undefined : await pages.open({ changeId, customerId, page }));
    if (found === undefined) return { kind: "not_there" };
    const state = await pages.stateOf(found);
    if (state.kind !== "paid" || isOver(subscription)) return state;
    const { current_period_start: start, current_period_end: end } = itemOf(subscription);
    const isPresent = seconds(at) >= start && seconds(at) < end;
    if (subscription.metadata[MADE] !== changeId && !isPresent) return state;
    await pages.giveCredit({ changeId, customerId, amount: state.payment.amount });
    const made = await changePrice({ ...change, how: "prorate" });
    if (made.kind !== "applied") return state;
    const { invoice } = made;
    if (invoice?.status !== "open") return { ...made, payment: state.payment };
    // Something else was paid from the balance meanwhile: the rest of it is asked for on the invoice's own page.
    return {
      kind: "waiting",
      invoiceId: invoice.id,
      checkoutId: found.id,
      payUrl: invoice.hostedUrl,
      until: page.expiresAt,
      why: "unpaid",
    };
  };

  const dropChange: PriceChanges["dropChange"] = async (change) => {
    const found = await fetchChange(change);
    if (change.paysBy === "other" && found.kind !== "waiting") {
      const { changeId, subscriptionId } = change;
      const { customer } = await retrieve(subscriptionId);
      const of = { changeId, customerId: idOf(customer) };
      if (found.kind !== "applied") return pages.close(of);
      return { ...found, payment: (await pages.paidFor(of))?.payment ?? null };
    }
    if (found.kind !== "waiting" || found.invoiceId === null) return found;
    try {
      const { invoiceId } = found;
      await stripe.invoices.voidInvoice(invoiceId, {}, keyOfCall("void", invoiceId, now()));
    } catch (error) {
      // The payer was faster, or the time: what it is now says which.
      if (!(error instanceof Stripe.errors.StripeInvalidRequestError)) throw error;
    }
    return fetchChange(change);
  };

  const sayUndone = async (subscription: Stripe.Subscription, changeId: string): Promise<void> => {
    if (subscription.metadata[UNDONE] === changeId) return;
    const metadata = { [MADE]: "", [UNDONE]: changeId };
    const key = keyOfCall("say-undone", changeId, now());
    await stripe.subscriptions.update(subscription.id, { metadata }, key);
  };

  /** The price of before. What has ended has none any more, and is only told that the change is undone. */
  const setPriceBack = async (
    subscription: Stripe.Subscription,
    of: { changeId: string; priceId: string },
    invoice: Stripe.Invoice | null,
  ): Promise<void> => {
    if (!isOver(subscription))
      try {
        return await setPrice(subscription, of, invoice);
      } catch (error) {
        if (!isOfEnded(error)) throw error;
      }
    return sayUndone(subscription, of.changeId);
  };

  /**
   * The price of before, from the instant that the change counted from; or from now on, where that period is over.
   */
  const setPrice = async (
    subscription: Stripe.Subscription,
    { changeId, priceId }: { changeId: string; priceId: string },
    invoice: Stripe.Invoice | null,
  ): Promise<void> => {
    const metadata = { [MADE]: "", [UNDONE]: changeId };
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
   * What the change had moved goes back: to the card what that had paid, and the balance is again what it was before. Taking
   * the price back within its period gave the customer credit for all that the change came to, so as much is taken out of that as
   * the card gets. Where the period is over, that credit is for the next one, and stays. What was paid on a page goes back too,
   * and the credit that was given for it is taken out as far as no invoice that stays took it.
   */
  const giveAllBack = async (
    { changeId, subscriptionId }: { changeId: string; subscriptionId: string },
    customerId: string,
    invoice: Stripe.Invoice | null,
    page: { payment: PagePayment; credited: number } | null,
  ): Promise<boolean> => {
    const undo = await invoiceOf(subscriptionId, undoing(changeId));
    // Taken back from the change's own instant on, and not from a later period's.
    const isReversed =
      invoice !== null &&
      undo !== null &&
      (await instantOf(stripe, undo)) === (await instantOf(stripe, invoice));
    const byInvoice =
      0 - (invoice === null ? 0 : movedBalance(invoice)) - (isReversed ? movedBalance(undo) : 0);
    const amount = byInvoice + (page?.credited ?? 0);
    if (invoice !== null && invoice.amount_paid > 0) {
      const whole = await stripe.invoices.retrieve(invoice.id, { expand: ["payments"] });
      const paymentIntent = paymentIntentOf(whole);
      const of = { changeId, paymentIntent, fromCredit: isReversed ? byInvoice : 0 };
      if (paymentIntent !== null && !(await isRefunded(stripe, now(), { ...of, paymentIntent })))
        return false;
    }
    if (page !== null) {
      // Our books have all that was paid there as credit, and the invoice as paid by it.
      const paid = Number(page.payment.amount.minor);
      const fromCredit = isReversed || invoice === null ? paid : paid - page.credited;
      const of = { changeId, paymentIntent: page.payment.id, fromCredit };
      if (!(await isRefunded(stripe, now(), of))) return false;
    }
    const currency = invoice?.currency ?? page?.payment.amount.currency;
    if (amount === 0 || currency === undefined) return true;
    const find = async () => {
      const listed = { limit: 100 };
      for await (const each of stripe.customers.listBalanceTransactions(customerId, listed))
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
          { amount, currency, metadata: { [UNDONE]: changeId } },
          { idempotencyKey },
        ),
      find,
    });
    return true;
  };

  const undoChange: PriceChanges["undoChange"] = async ({ priceId, ...change }) => {
    const { changeId, subscriptionId, paysBy } = change;
    const found = await dropChange(change);
    // A payment is on its way to us, and can go back only once it is here.
    if (found.kind === "waiting" && paysBy === "other") return false;
    let invoice = await invoiceOf(subscriptionId, changeId);
    if (invoice?.status === "open") {
      await voidOpen(stripe, invoice.id, now());
      invoice = await stripe.invoices.retrieve(invoice.id);
    }
    const subscription = await retrieve(subscriptionId);
    if (found.kind === "applied") await setPriceBack(subscription, { changeId, priceId }, invoice);
    const customerId = idOf(subscription.customer);
    const page = paysBy === "other" ? await pages.paidFor({ changeId, customerId }) : null;
    // Whoever comes late with what was paid does not make the change of it any more.
    if (page !== null && found.kind !== "applied") await sayUndone(subscription, changeId);
    // What the balance had paid of an invoice that is void is back on it.
    const moved = invoice?.status === "void" ? null : invoice;
    if (moved === null && page === null) return true;
    return giveAllBack(change, customerId, moved, page);
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
    changePaidByPage,
    fetchChange,
    dropChange,
    undoChange,
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
  (error.param === "proration_date" || isOfEnded(error));

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

async function voidOpen(stripe: Stripe, invoiceId: string, now: Date): Promise<void> {
  try {
    await stripe.invoices.voidInvoice(invoiceId, {}, keyOfCall("void", invoiceId, now));
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
      key: `undo-refund-${of.changeId}-${of.paymentIntent}`,
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
