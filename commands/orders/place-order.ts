import { z } from "zod";
import { PlacedOrder as PlacedOrderAnswer, type PlaceOrder } from "#core/contracts/api/orders.ts";
import type { AccountPrincipal } from "#core/accounts/accounts.ts";
import { toWireId } from "#core/ids.ts";
import type { Currency } from "#core/money.ts";
import { networkOf } from "#core/network/caller-network.ts";
import { USUAL_CURRENCY } from "#core/orders/choose-currency.ts";
import { judgeAgainstOpen, type Wanted } from "#core/orders/open-order.ts";
import type { Order } from "#core/orders/order.ts";
import {
  decideHold,
  decideNetworkHold,
  UNPAID_LIMITS,
  type UnpaidLimits,
} from "#core/orders/unpaid-limits.ts";
import { decideWaysIn } from "#core/orders/ways-in.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { currenciesOfCustomers } from "#db/billing/customers.ts";
import { lastPaymentAt } from "#db/billing/invoices.ts";
import { loadImage, loadLocation, loadNewestPlan } from "#db/catalogue/catalogue.ts";
import { trialPolicyOf } from "#db/catalogue/trial-policies.ts";
import type { Tx } from "#db/client.ts";
import { claimKey, keepAnswer, pointKey, type RequestKey } from "#db/messages/idempotency.ts";
import { attachCheckout, insertOrder, lockBuyer, unpaidOrdersOf } from "#db/orders/orders.ts";
import { lockNetworkHolds, ranOutSince } from "#db/orders/newcomers-holds.ts";
import { recordChange } from "#db/record-change.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { ensureCustomer, openFor } from "#commands/billing/ensure-customer.ts";
import { priceAtProvider } from "#commands/catalogue/price-at-provider.ts";
import { requestHash } from "#commands/messages/request-hash.ts";
import { takePlace, type NoPlaceCode } from "#commands/hosts/take-place.ts";
import { mayTry, type TrialUnavailable } from "./begin-trial.ts";
import { heldLongEnough, holdFrom, orderOf } from "./hold-order.ts";
import { payByCard } from "./pay-by-card.ts";
import { priceOfOrder, type PriceRefusalCode } from "./price-of-order.ts";
import { readUserData } from "./read-user-data.ts";
import { undoOnRefusal } from "#commands/undo-on-refusal.ts";

/** `checkoutUrl` is null of one that was paid with a card on file. */
export type PlacedOrder = Readonly<{ order: Order; checkoutUrl: string | null }>;
/** `again`: an order that was open already, which this one means (a second click). */
const AnsweredOrder = PlacedOrderAnswer.extend({ again: z.boolean().default(false) });
export type AnsweredOrder = z.infer<typeof AnsweredOrder>;
export type PlaceOrderRefusal = Refusal<
  | "idempotency_key_reused"
  | "order_open"
  | "payment_method_missing"
  | "payment_declined"
  | "user_data_too_large"
  | "user_data_invalid"
  | "ssh_key_missing"
  | "password_unavailable"
  | "email_not_verified"
  | "too_many_unpaid_orders"
  | "too_many_unpaid_from_network"
  | "too_many_expired_orders"
  | "plan_not_found"
  | "image_not_found"
  | "location_not_found"
  | PriceRefusalCode
  | TrialUnavailable["code"]
  | "image_needs_more_memory"
  | "image_needs_more_disk"
  | NoPlaceCode
  | "order_wrong_state"
>;

/**
 * Takes an order: holds a place and an address for it, and opens a Checkout Session to pay it, or charges it to the card on file that it names. A repeat with the
 * same key goes on where the first one stopped, and gives the same answer; `render` turns it into that answer. The same
 * order under another key, while the first can be paid, is the first order again, unless the request says `another`.
 *
 * Throws when the payment provider cannot be reached; the order keeps its place, and the same key goes on.
 */
export async function placeOrder(
  deps: Deps,
  input: {
    buyer: AccountPrincipal;
    key: string;
    request: PlaceOrder;
    /** Where the request comes from, as the API saw it; undefined where nobody did. */
    callerAddress?: string | undefined;
  },
  render: (placed: PlacedOrder) => PlacedOrderAnswer,
): Promise<Result<AnsweredOrder, PlaceOrderRefusal>> {
  const key: RequestKey = {
    accountId: input.buyer.accountId,
    key: input.key,
    requestHash: requestHash({ route: "POST /v1/orders", body: input.request }),
  };
  const wanted = wantedOf(input.request);
  if (!wanted.ok) return wanted;
  const at = stamp(deps);
  const held = await undoOnRefusal(
    deps.db,
    async (tx): Promise<Result<Held, PlaceOrderRefusal>> => {
      const orderId = at.newId();
      const claim = await claimKey(tx, key, orderId, at.now);
      if (!claim.ok) return claim;
      if (claim.value.kind === "answered")
        return ok({ answer: AnsweredOrder.parse(claim.value.response) });
      if (claim.value.kind === "resume")
        return ok({ orderId: claim.value.resourceId, again: false });
      const { accountId } = input.buyer;
      const buyer = await lockBuyer(tx, accountId);
      if (!buyer.emailVerified)
        return refuse("email_not_verified", "open the link that was mailed to you, then order");
      const unpaid = await unpaidOrdersOf(tx, accountId);
      const found = input.request.another
        ? undefined
        : await findOpen(tx, { key, unpaid, wanted: wanted.value, now: at.now });
      if (found) return found;
      if (wanted.value.byCard && (await currenciesOfCustomers(tx, accountId)).length === 0)
        return refuse("payment_method_missing", "save a card first, or leave `paymentMethod` out");
      const limits = deps.settings.unpaidLimits ?? UNPAID_LIMITS;
      const by = await mayHold(tx, { accountId, unpaid, limits, ...input }, at.now);
      if (!by.ok) return by;
      const usual = deps.settings.currency ?? USUAL_CURRENCY;
      return holdOrder(tx, { orderId, accountId, wanted: wanted.value, usual, ...by.value }, at);
    },
  );
  if (!held.ok) return held;
  if ("answer" in held.value) return ok(held.value.answer);

  const { orderId, again } = held.value;
  const pay = wanted.value.byCard ? payByCard : openCheckout;
  const placed = await pay(deps, orderId, input.buyer);
  if (!placed.ok) return placed;
  const kept = await keepAnswer(deps.db, key, { ...render(placed.value), again });
  return ok(AnsweredOrder.parse(kept));
}

type Held = { orderId: string; again: boolean } | { answer: AnsweredOrder };

/** The request with all that it left out. */
function wantedOf(request: PlaceOrder): Result<Wanted, PlaceOrderRefusal> {
  const userData = readUserData(request);
  if (!userData.ok) return userData;
  const { planId, imageId, locationId, hostname, billingInterval } = request;
  return ok({
    planId,
    imageId,
    locationId,
    hostname,
    billingInterval,
    currency: request.currency ?? null,
    sshKeys: request.sshKeys ?? [],
    userData: userData.value,
    rootPassword: request.password ?? false,
    byCard: request.paymentMethod === "default",
    trial: request.trial ?? false,
  });
}

/** The open order that this request means, or the refusal to guess; undefined: there is none like it. */
async function findOpen(
  tx: Tx,
  asked: { key: RequestKey; unpaid: readonly Order[]; wanted: Wanted; now: Date },
): Promise<Result<Held, PlaceOrderRefusal> | undefined> {
  const judged = judgeAgainstOpen(asked.unpaid, asked.wanted, asked.now);
  if (judged.kind === "new") return undefined;
  const { order } = judged;
  if (judged.kind === "open")
    return refuse(
      "order_open",
      `order ${toWireId("order", order.id)} for this plan and host name waits to be paid, and differs: ` +
        "pay it, let it run out, or send `another: true` for one more",
    );
  await pointKey(tx, asked.key, order.id);
  return ok({ orderId: order.id, again: true });
}

/** By which limits the order may be held, if it may. The caller holds the account. */
async function mayHold(
  tx: Tx,
  asked: {
    accountId: string;
    unpaid: readonly Order[];
    limits: UnpaidLimits;
    callerAddress?: string | undefined;
  },
  now: Date,
): Promise<Result<By, PlaceOrderRefusal>> {
  const { accountId, limits } = asked;
  const lastPaidAt = await lastPaymentAt(tx, accountId);
  const buyer = {
    lastPaidAt,
    unpaidUntil: asked.unpaid.map((order) => order.expiresAt),
    ranOutAt: await ranOutSince(tx, accountId, lastPaidAt ?? new Date(0)),
  };
  const decided = decideHold(limits, buyer, now);
  if (!decided.ok) return decided;
  if (!decided.value.newcomer) return ok({ newcomersOneIn: undefined, network: null });
  const network = networkOf(asked.callerAddress ?? "") ?? null;
  const within =
    network === null
      ? ok(undefined)
      : decideNetworkHold(limits, await lockNetworkHolds(tx, network), now);
  return within.ok ? ok({ newcomersOneIn: limits.newcomersOneIn, network }) : within;
}

/** `newcomersOneIn`: as `takePlace` takes it, of a newcomer. */
type By = Readonly<{ newcomersOneIn: number | undefined; network: string | null }>;

async function holdOrder(
  tx: Tx,
  asked: { orderId: string; accountId: string; wanted: Wanted; usual: Currency } & By,
  at: { now: Date; newId: () => string },
): Promise<Result<Held, PlaceOrderRefusal>> {
  const { orderId, accountId, wanted, newcomersOneIn, network } = asked;
  const plan = await loadNewestPlan(tx, wanted.planId);
  if (!plan?.available) return refuse("plan_not_found", "no such plan is on sale");
  const image = await loadImage(tx, wanted.imageId);
  if (!image?.available) return refuse("image_not_found", "no such image is offered");
  if (!(await loadLocation(tx, wanted.locationId)))
    return refuse("location_not_found", "no such location");
  const priced = await priceOfOrder(tx, plan, asked);
  if (!priced.ok) return priced;
  const price = priced.value;
  const tried = wanted.trial
    ? await mayTry(tx, {
        accountId,
        planId: plan.id,
        interval: wanted.billingInterval,
        hasPaid: newcomersOneIn === undefined,
        byCard: wanted.byCard,
      })
    : ok(null);
  if (!tried.ok) return tried;
  const trialPolicy = tried.value?.version ?? null;
  if (plan.size.memoryMib < image.minMemoryMib)
    return refuse("image_needs_more_memory", `${image.name} needs ${image.minMemoryMib} MiB`);
  if (plan.size.diskGib < image.minDiskGib)
    return refuse("image_needs_more_disk", `${image.name} needs ${image.minDiskGib} GiB`);

  const waysIn = decideWaysIn(image.os, {
    sshKeys: wanted.sshKeys,
    password: wanted.rootPassword,
  });
  if (!waysIn.ok) return waysIn;

  const order: Order = {
    id: orderId,
    accountId,
    vmId: at.newId(),
    state: "awaiting_payment",
    ...asked.wanted,
    planVersion: plan.version,
    listMinor: price.amount.minor,
    // Of the first payment: a trial takes all of it off.
    discountMinor: trialPolicy === null ? 0n : price.amount.minor,
    taxMinor: 0n,
    trialPolicy,
    currency: price.amount.currency,
    checkoutId: null,
    checkoutUrl: null,
    cardId: null,
    subscriptionId: null,
    declineCode: null,
    expiresAt: holdFrom(at.now),
    paidAt: null,
    createdAt: at.now,
    newcomer: newcomersOneIn !== undefined,
    network,
    version: 1,
  };
  await insertOrder(tx, order);
  const place = await takePlace(tx, order, { plan, image }, { ...at, newcomersOneIn });
  if (!place.ok) return place;
  await recordChange(
    tx,
    {
      actor: { kind: "account", id: accountId },
      action: "order.place",
      subject: { kind: "order", id: orderId },
      detail: { host_id: place.value.hostId, list_minor: order.listMinor.toString() },
      events: [{ name: "order.placed.v1", data: { orderId } }],
    },
    at,
  );
  return ok({ orderId, again: false });
}

/** Calls to the provider stand outside any transaction, each with a key made from our row's id (style §8). */
async function openCheckout(
  deps: Deps,
  orderId: string,
  buyer: AccountPrincipal,
): Promise<Result<PlacedOrder, PlaceOrderRefusal>> {
  const order = await orderOf(deps, orderId);
  const known = whatCheckoutIs(order);
  if (known !== "to_open") return known;
  // `holdOrder` takes no order by the hour.
  if (order.billingInterval === "hour") throw new Error(`order ${orderId} is by the hour`);

  const payer = { accountId: buyer.accountId, currency: order.currency };
  const [customerId, priceId] = await Promise.all([
    ensureCustomer(deps, buyer, payer),
    priceAtProvider(deps, { ...order, interval: order.billingInterval }),
  ]);
  // Those calls may have been slow: what held before them may not hold any more.
  const held = await heldLongEnough(deps, order);
  const meanwhile = whatCheckoutIs(held);
  if (meanwhile !== "to_open") return meanwhile;
  const open = (customer: string) =>
    deps.payments.createCheckout({
      orderId,
      customerId: customer,
      priceId,
      successUrl: `${deps.settings.publicUrl}/checkout/done`,
      cancelUrl: `${deps.settings.publicUrl}/checkout/cancelled`,
      expiresAt: held.expiresAt,
      trial,
    });
  const policy =
    order.trialPolicy === null ? undefined : await trialPolicyOf(deps.db, order.trialPolicy);
  const trial = policy && { days: policy.days, asksForCard: policy.endsIn === "payment" };
  const checkout = await openFor(deps, buyer, { payer, customerId, open });
  // Of two repeats that race, the first one's session stays: only that one may be paid.
  const kept = await attachCheckout(deps.db, orderId, checkout);
  if (!kept) throw new Error(`order ${orderId} vanished`);
  return kept.checkoutUrl === null
    ? refuse("order_wrong_state", "the time to pay this order is over; place a new one")
    : ok({ order: kept, checkoutUrl: kept.checkoutUrl });
}

function whatCheckoutIs(order: Order): Result<PlacedOrder, PlaceOrderRefusal> | "to_open" {
  if (order.checkoutUrl !== null) return ok({ order, checkoutUrl: order.checkoutUrl });
  if (order.state === "awaiting_payment" && order.checkoutId === null) return "to_open";
  return refuse("order_wrong_state", `this order is ${order.state}; place a new one`);
}
