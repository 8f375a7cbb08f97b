import Stripe from "stripe";
import type { AskedInvoice, Payments } from "#core/billing/payments.ts";
import { keyOfCall } from "./make-once.ts";
import { idOf, invoiceState, isDue, subscriptionIdOf } from "./stripe-states.ts";

/** What a customer is asked for, whichever subscription asks, and what becomes of that when one of them ends. */
export function createAsked(
  stripe: Stripe,
  now: () => Date,
): Pick<Payments, "askedWith" | "voidInvoice" | "setCollection"> {
  const unlessOver = async (invoiceId: string, call: () => Promise<unknown>) => {
    try {
      await call();
    } catch (error) {
      // Somebody was faster: it was paid, or is void already.
      if (!(error instanceof Stripe.errors.StripeInvalidRequestError)) throw error;
      const { status } = await stripe.invoices.retrieve(invoiceId);
      if (status === "draft" || status === "open") throw error;
    }
  };

  return {
    askedWith: async (subscriptionId) => {
      const customer = idOf((await stripe.subscriptions.retrieve(subscriptionId)).customer);
      // Drafts first: one that is opened between the two looks is in the second.
      return listAsked(stripe, customer, ["draft", "open"]);
    },
    voidInvoice: async (invoiceId) => {
      const key = keyOfCall("void", invoiceId, now());
      await unlessOver(invoiceId, () => stripe.invoices.voidInvoice(invoiceId, {}, key));
      return invoiceState(await stripe.invoices.retrieve(invoiceId));
    },
    setCollection: (invoiceId, collects) => {
      const key = keyOfCall(collects ? "collect" : "hold", invoiceId, now());
      return unlessOver(invoiceId, () =>
        stripe.invoices.update(invoiceId, { auto_advance: collects }, key),
      );
    },
  };
}

/** What a customer is asked for, by the status of its invoices. */
export async function listAsked(
  stripe: Stripe,
  customer: string,
  statuses: readonly AskedInvoice["status"][],
): Promise<readonly AskedInvoice[]> {
  const subscriptions = new Map<string, Stripe.Subscription>();
  const asked: AskedInvoice[] = [];
  for (const status of statuses)
    for await (const invoice of stripe.invoices.list({ customer, status, limit: 100 })) {
      const of = subscriptionIdOf(invoice);
      const subscription =
        of === null ? null : (subscriptions.get(of) ?? (await stripe.subscriptions.retrieve(of)));
      if (subscription !== null) subscriptions.set(subscription.id, subscription);
      asked.push({
        id: invoice.id,
        status,
        subscriptionId: of,
        collects: invoice.auto_advance === true,
        isDue: subscription !== null && isDue(subscription, invoice.id),
      });
    }
  return asked;
}
