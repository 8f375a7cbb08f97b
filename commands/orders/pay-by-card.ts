import type { AccountPrincipal } from "#core/accounts/accounts.ts";
import { cardOnFile } from "#core/billing/cards.ts";
import { CustomerGone, UnknownToProvider } from "#core/billing/payments.ts";
import { judgeCardOrder, NO_CARD_ON_FILE, type CardRefusal } from "#core/orders/card-order.ts";
import type { Order } from "#core/orders/order.ts";
import { ok, type Result } from "#core/result.ts";
import { billingCustomerOf, forgetBillingCustomer } from "#db/billing/customers.ts";
import {
  attachSubscription,
  chooseOrdersCard,
  lockOrder,
  saveDecline,
  saveOrdersPage,
} from "#db/orders/orders.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { priceAtProvider } from "#commands/catalogue/price-at-provider.ts";
import { heldLongEnough, orderOf } from "./hold-order.ts";
import { expireOrder } from "./expire-order.ts";
import { followProvider } from "./follow-provider.ts";

/** `checkoutUrl`: where the bank's question is answered; null: it is paid. */
export type PaidByCard = Readonly<{ order: Order; checkoutUrl: string | null }>;

/**
 * Charges an order to the customer's card on file, and serves it. May be repeated: the card is chosen once, the subscription is started once,
 * and whether it is paid is looked at. A bank that says no leaves nothing at the provider, and the place is given up.
 *
 * Throws when the provider cannot be reached; the order keeps its place, and the same key goes on. What was paid in the meantime is
 * followed by the provider's own word too (`apply-billing-event.ts`).
 */
export async function payByCard(
  deps: Deps,
  orderId: string,
  buyer: AccountPrincipal,
): Promise<Result<PaidByCard, CardRefusal>> {
  const stands = judgeCardOrder(await orderOf(deps, orderId));
  if (!stands.ok) return stands;
  if (stands.value === "to_charge") await charge(deps, orderId, buyer);
  const actor = { kind: "account" as const, id: buyer.accountId };
  const before = await orderOf(deps, orderId);
  if (before.state === "awaiting_payment" && before.subscriptionId !== null)
    await followProvider(deps, orderId, { actor });
  return answer(deps, orderId);
}

async function answer(deps: Deps, orderId: string): Promise<Result<PaidByCard, CardRefusal>> {
  const order = await orderOf(deps, orderId);
  const stands = judgeCardOrder(order);
  if (!stands.ok) return stands;
  if (stands.value === "paid") return ok({ order, checkoutUrl: null });
  if (order.checkoutUrl !== null) return ok({ order, checkoutUrl: order.checkoutUrl });
  if (order.subscriptionId === null) throw new Error(`order ${orderId} was charged to no card`);
  const { url } = await deps.payments.fetchStarted(order.subscriptionId);
  if (url === null) throw new Error(`order ${orderId} is not paid and has no page`);
  await saveOrdersPage(deps.db, orderId, url);
  return ok({ order: { ...order, checkoutUrl: url }, checkoutUrl: url });
}

async function charge(deps: Deps, orderId: string, buyer: AccountPrincipal): Promise<void> {
  const order = await heldLongEnough(deps, await orderOf(deps, orderId));
  const { billingInterval: interval, currency } = order;
  // `holdOrder` takes no order by the hour.
  if (interval === "hour") throw new Error(`order ${orderId} is by the hour`);
  const payer = { accountId: buyer.accountId, currency };
  const { customerId } = await billingCustomerOf(deps.db, payer);
  if (customerId === null) return giveUp(deps, order, NO_CARD_ON_FILE);
  try {
    // A repeat, maybe days later, when the provider has forgotten our key: what was started then is looked for first.
    const before =
      order.cardId === null ? null : await deps.payments.startedFor({ orderId, customerId });
    if (before !== null) {
      await attachSubscription(deps.db, orderId, before);
      return;
    }
    const methodId = order.cardId ?? (await chosenCard(deps, orderId, customerId));
    if (methodId === null) return await giveUp(deps, order, NO_CARD_ON_FILE);
    const priceId = await priceAtProvider(deps, { ...order, interval });
    const started = await deps.payments.startByCard({ orderId, customerId, priceId, methodId });
    if (started.kind === "declined") return await giveUp(deps, order, started.code);
    await attachSubscription(deps.db, orderId, started.subscriptionId);
  } catch (error) {
    // It was deleted there, and its cards with it.
    if (!(error instanceof CustomerGone) && !(error instanceof UnknownToProvider)) throw error;
    await forgetBillingCustomer(deps.db, payer, customerId);
    await giveUp(deps, order, NO_CARD_ON_FILE);
  }
}

/** Written down before anything is charged, so that a repeat charges no other card: that would be another call to the provider. */
async function chosenCard(deps: Deps, orderId: string, customerId: string): Promise<string | null> {
  const card = cardOnFile(await deps.payments.fetchPayer(customerId));
  return card && chooseOrdersCard(deps.db, orderId, card.id);
}

/** Nothing was started, and nothing will be under this order: its place is free. */
async function giveUp(deps: Deps, { id, accountId }: Order, code: string): Promise<void> {
  const at = stamp(deps);
  await inTransaction(deps.db, async (tx) => {
    const order = await lockOrder(tx, id);
    if (order?.state !== "awaiting_payment" || order.subscriptionId !== null) return;
    await saveDecline(tx, id, { code, now: at.now });
    await expireOrder(tx, order, at, { kind: "account", id: accountId }, { decline_code: code });
  });
}
