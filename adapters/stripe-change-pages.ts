import Stripe from "stripe";
import type { ChangePage, PagePayment, PriceChangeState } from "#core/billing/price-changes.ts";
import { keyOfCall, makeOnce } from "./make-once.ts";
import { instant, money, seconds } from "./stripe-states.ts";

/*
 * Pages on which a change of price is paid once, before it is made: for subscriptions whose changes cannot wait for a payment
 * (docs/adr/0050). A page, its payment and the credit that is given for it carry the change's id as `change_id`.
 */

const CHANGE = "change_id";
/** Not `order_id`, which is that of a page where an order is paid. */
export const PAID_FOR_ORDER = "paid_for_order_id";
/** The shortest time for which Stripe opens a session, and a minute for the call (docs.stripe.com/api/checkout/sessions/create). */
const SHORTEST_MS = 31 * 60_000;

/** What tells only days later whether it paid; a change waits for an hour (docs.stripe.com/payments/payment-methods/payment-method-support). */
const TAKE_DAYS = [
  "acss_debit",
  "au_becs_debit",
  "bacs_debit",
  "boleto",
  "customer_balance",
  "konbini",
  "multibanco",
  "nz_bank_account",
  "oxxo",
  "payto",
  "sepa_debit",
  "sofort",
  "us_bank_account",
] as const;

type Of = Readonly<{ changeId: string; customerId: string }>;
type Session = Stripe.Checkout.Session;
/** What a page says of its change. */
type PageState = Exclude<PriceChangeState, { kind: "applied" }>;

export function createChangePages(stripe: Stripe, now: () => Date) {
  /** The page of a change; one that has expired too. */
  const find = async ({ changeId, customerId }: Of): Promise<Session | undefined> => {
    let expired: Session | undefined;
    for await (const session of stripe.checkout.sessions.list({ customer: customerId, limit: 100 }))
      if (session.metadata?.[CHANGE] === changeId) {
        if (session.status !== "expired") return session;
        expired ??= session;
      }
    return expired;
  };

  /** undefined: too little of its time is left for a page. */
  const open = async ({
    changeId,
    customerId,
    page,
  }: Of & { page: ChangePage }): Promise<Session | undefined> => {
    if (+page.expiresAt - +now() < SHORTEST_MS) return undefined;
    return makeOnce({
      key: `change-checkout-${changeId}`,
      now: now(),
      make: (idempotencyKey) =>
        stripe.checkout.sessions.create(
          {
            mode: "payment",
            customer: customerId,
            line_items: [
              {
                price_data: {
                  currency: page.amount.currency,
                  unit_amount: Number(page.amount.minor),
                  product_data: { name: page.description },
                },
                quantity: 1,
              },
            ],
            success_url: page.successUrl,
            cancel_url: page.cancelUrl,
            expires_at: seconds(page.expiresAt),
            adaptive_pricing: { enabled: false },
            excluded_payment_method_types: [...TAKE_DAYS],
            metadata: { [CHANGE]: changeId, [PAID_FOR_ORDER]: page.orderId },
            payment_intent_data: { metadata: { [CHANGE]: changeId } },
          },
          { idempotencyKey },
        ),
      find: () => find({ changeId, customerId }),
    });
  };

  const stateOf = async (page: Session): Promise<PageState> => {
    if (page.status === "expired") return { kind: "not_there" };
    const waiting = {
      kind: "waiting",
      invoiceId: null,
      checkoutId: page.id,
      payUrl: page.url,
      until: instant(page.expires_at),
      why: "unpaid",
    } as const;
    if (page.status !== "complete" || page.payment_intent === null) return waiting;
    const whole = { expand: ["payment_intent"] };
    const { payment_intent: intent } = await stripe.checkout.sessions.retrieve(page.id, whole);
    if (intent === null || typeof intent === "string")
      throw new Error(`checkout session ${page.id} was fetched without its payment`);
    const { id, status, amount_received: received, currency } = intent;
    if (page.payment_status !== "unpaid" || status === "succeeded")
      return { kind: "paid", payment: { id, amount: money(received, currency) } };
    // A debit that failed waits for another method, which nobody offers.
    const isOver = status === "canceled" || status === "requires_payment_method";
    return isOver ? { kind: "not_there" } : waiting;
  };

  /** Nobody pays on it from now on. `waiting`: a payment is on its way. */
  const close = async (of: Of): Promise<PageState> => {
    const page = await find(of);
    if (page === undefined) return { kind: "not_there" };
    if (page.status === "open")
      try {
        await stripe.checkout.sessions.expire(page.id, {}, keyOfCall("expire", page.id, now()));
      } catch (error) {
        // The payer was faster, or its time: what it is now says which.
        if (!(error instanceof Stripe.errors.StripeInvalidRequestError)) throw error;
      }
    return stateOf(await stripe.checkout.sessions.retrieve(page.id));
  };

  const creditOf = async ({ changeId, customerId }: Of) => {
    const listed = { limit: 100 };
    for await (const each of stripe.customers.listBalanceTransactions(customerId, listed))
      if (each.metadata?.[CHANGE] === changeId) return each;
    return undefined;
  };

  /** What was paid on a page becomes credit, which pays the change's invoice: once for each change. */
  const giveCredit = async ({
    amount,
    ...of
  }: Of & { amount: PagePayment["amount"] }): Promise<void> => {
    const find = () => creditOf(of);
    // Looked for first: Stripe forgets a key after a day.
    if ((await find()) !== undefined) return;
    await makeOnce({
      key: `change-credit-${of.changeId}`,
      now: now(),
      make: (idempotencyKey) =>
        stripe.customers.createBalanceTransaction(
          of.customerId,
          {
            amount: -Number(amount.minor),
            currency: amount.currency,
            metadata: { [CHANGE]: of.changeId },
          },
          { idempotencyKey },
        ),
      find,
    });
  };

  /** What was paid on a change's page, and how much credit was given for that; null: nothing was. */
  const paidFor = async (of: Of): Promise<{ payment: PagePayment; credited: number } | null> => {
    const page = await find(of);
    const state = page && (await stateOf(page));
    if (state?.kind !== "paid") return null;
    const credit = await creditOf(of);
    return { payment: state.payment, credited: credit === undefined ? 0 : 0 - credit.amount };
  };

  return { find, open, stateOf, close, giveCredit, paidFor };
}
