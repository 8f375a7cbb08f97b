import { createStripePayments } from "#adapters/stripe.ts";

/*
 * For tests of what goes to Stripe, option by option, and of what is made of each kind of answer. The answers are cut to what
 * is read; that the calls fit Stripe's own description is held by the suites on the stand-in.
 */

export const NOW = new Date("2026-03-01T12:34:56.789Z");
export const SECONDS = Math.floor(+NOW / 1000);
export const DAY = 86_400;
export const WEBHOOK_SECRET = "whsec_of_the_test";

type Asked = Readonly<{
  method: string;
  path: string;
  query: Readonly<Record<string, string>>;
  form: Readonly<Record<string, string>>;
  key: string | null;
  headers: Headers;
}>;
type Answer = Readonly<{ status?: number; body: object; headers?: Record<string, string> }>;

/** What Stripe was asked, in order. */
export const asked: Asked[] = [];
let answers: (Answer | Error)[] = [];
/** What it answers next, one after another: a 200 with this body, this answer, or none but this error. */
export const answer = (...more: readonly (object | Answer | Error)[]) => {
  answers = more.map((one) => (one instanceof Error || "body" in one ? one : { body: one }));
};
export function forget(): void {
  asked.length = 0;
  answers = [];
}

/** The adapter on the official client, over these answers. */
export const payments = (over: Partial<Parameters<typeof createStripePayments>[0]> = {}) =>
  createStripePayments({
    apiKey: "sk_test_table",
    webhookSecret: WEBHOOK_SECRET,
    maxNetworkRetries: 0,
    now: () => NOW,
    fetchFn: async (input, init) => {
      const request = new Request(input, init);
      const url = new URL(request.url);
      asked.push({
        method: request.method,
        path: url.pathname,
        query: Object.fromEntries(url.searchParams),
        form: Object.fromEntries(new URLSearchParams(await request.text())),
        key: request.headers.get("idempotency-key"),
        headers: request.headers,
      });
      const next = answers.shift();
      if (next === undefined) throw new Error(`no answer is left for ${url.pathname}`);
      if (next instanceof Error) throw next;
      return Response.json(next.body, {
        status: next.status ?? 200,
        headers: next.headers ?? {},
      });
    },
    ...over,
  });

export const stripeError = (status: number, error: object = {}): Answer => ({
  status,
  body: { error: { type: "invalid_request_error", message: "no", ...error } },
});
export const API_ERROR = stripeError(500, { type: "api_error" });
export const list = (...data: readonly object[]) => ({ object: "list", data, has_more: false });

export const aSubscription = (over: object = {}) => ({
  id: "sub_1",
  object: "subscription",
  status: "active",
  customer: "cus_1",
  items: { data: [] },
  metadata: { order_id: "order-1" },
  start_date: SECONDS - 7 * DAY,
  cancel_at: null,
  latest_invoice: anInvoice(),
  ...over,
});
export const anInvoice = (over: object = {}) => ({
  id: "in_1",
  object: "invoice",
  number: "A-1",
  status: "paid",
  total: 1_487,
  amount_paid: 1_301,
  starting_balance: -186,
  ending_balance: 0,
  status_transitions: {
    finalized_at: null,
    marked_uncollectible_at: null,
    paid_at: SECONDS + 2,
    voided_at: null,
  },
  currency: "eur",
  hosted_invoice_url: null,
  created: SECONDS,
  customer: "cus_1",
  parent: { subscription_details: { metadata: { order_id: "order-1" } } },
  lines: {
    data: [
      {
        amount: 1_250,
        parent: { type: "subscription_item_details" },
        period: { end: SECONDS + 30 * DAY },
      },
    ],
  },
  ...over,
});
export const aSession = (over: object = {}) => ({
  id: "cs_1",
  object: "checkout.session",
  url: "https://checkout.stripe.com/c/1",
  status: "open",
  payment_status: "unpaid",
  amount_total: 1_487,
  currency: "eur",
  metadata: { order_id: "order-1" },
  invoice: null,
  subscription: null,
  ...over,
});
export const aRefund = (over: object = {}) => ({
  id: "re_1",
  object: "refund",
  amount: 1_301,
  currency: "eur",
  status: "succeeded",
  payment_intent: "pi_1",
  metadata: { order_id: "order-1" },
  created: SECONDS,
  ...over,
});
