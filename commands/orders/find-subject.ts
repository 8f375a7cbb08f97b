import { z } from "zod";
import type { InvoiceState, NamedBy } from "#core/billing/payments.ts";
import type { Order } from "#core/orders/order.ts";
import type { InboxEntry } from "#db/messages/inbox.ts";
import {
  attachCheckout,
  attachSubscription,
  loadOrder,
  orderIdOfSubscription,
  orderOfCheckout,
} from "#db/orders/orders.ts";
import type { Deps } from "#commands/deps.ts";

/** What a delivery leads to, when it is not `orderOfSession`. Without an order: a card that somebody saved, or what it names instead. */
export type Subject =
  | { orderId: string; invoice?: InvoiceState; named?: never; card?: never; bill?: never }
  | {
      orderId?: never;
      card: { customerId: string; pageId: string | null };
      named?: never;
      bill?: never;
    }
  /** `bill`: it is an invoice. */
  | { orderId?: never; named: NamedBy; card?: never; bill?: InvoiceState };

/** The order that is paid at the session that the delivery is about, as far as we know of one. */
export const orderOfSession = async (
  deps: Deps,
  { objectKind, objectId }: InboxEntry,
): Promise<Order | undefined> =>
  objectKind === "checkout.session" && objectId !== null
    ? orderOfCheckout(deps.db, objectId)
    : undefined;

/** undefined: to nothing of ours. */
export async function findSubject(deps: Deps, delivery: InboxEntry): Promise<Subject | undefined> {
  const { payments } = deps;
  const id = delivery.objectId;
  if (id === null) return undefined;
  switch (delivery.objectKind) {
    case "checkout.session": {
      // We may have died between opening the session and writing it down: the session names its order.
      const checkout = await payments.fetchCheckout(id);
      if (checkout.savesCardOf !== null)
        return { card: { customerId: checkout.savesCardOf, pageId: id } };
      const orderId = await ours(deps, checkout.orderId);
      if (orderId === undefined) return undefined;
      await attachCheckout(deps.db, orderId, { id, url: checkout.url });
      return { orderId };
    }
    case "customer":
      return { card: { customerId: id, pageId: null } };
    case "subscription": {
      const known = await orderIdOfSubscription(deps.db, id);
      if (known !== undefined) return { orderId: known };
      const { orderId: name, customerId } = await payments.fetchSubscription(id);
      const named = { orderId: name, subscriptionId: id, customerId };
      const orderId = await orderNamed(deps, named);
      if (orderId === undefined) return { named };
      await attachPayment(deps, orderId, id);
      return { orderId };
    }
    case "invoice": {
      const invoice = await payments.fetchInvoice(id);
      const orderId = await orderNamed(deps, invoice);
      if (orderId === undefined) return { named: invoice, bill: invoice };
      if (invoice.subscriptionId !== null)
        await attachPayment(deps, orderId, invoice.subscriptionId);
      return { orderId, invoice };
    }
    default:
      return undefined;
  }
}

/**
 * Which order an object leads to: the one that it names, or the one that led to what its subscription pays for. undefined: to none of
 * ours.
 */
export async function orderNamed(
  deps: Deps,
  { orderId, subscriptionId }: Omit<NamedBy, "customerId">,
): Promise<string | undefined> {
  const named = await ours(deps, orderId);
  if (named !== undefined || subscriptionId === null) return named;
  return orderIdOfSubscription(deps.db, subscriptionId);
}

/** Another system on the same account names its own orders; following one would be tried again for ever. */
async function ours(deps: Deps, orderId: string | null): Promise<string | undefined> {
  const isId = orderId !== null && z.uuid().safeParse(orderId).success;
  return isId ? (await loadOrder(deps.db, orderId))?.id : undefined;
}

/**
 * Where it is paid is not written down yet, and what it led to tells of it already: a subscription that was started by card says so itself,
 * and of another the provider knows with which session it began.
 */
async function attachPayment(deps: Deps, orderId: string, subscriptionId: string): Promise<void> {
  const order = await loadOrder(deps.db, orderId);
  if (order === undefined || order.checkoutId !== null || order.subscriptionId !== null) return;
  if (order.byCard) {
    await attachSubscription(deps.db, orderId, subscriptionId);
    return;
  }
  const checkout = await deps.payments.checkoutOf(subscriptionId);
  if (checkout !== null) await attachCheckout(deps.db, orderId, checkout);
}
