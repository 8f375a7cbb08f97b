import type { Clock, Log } from "#core/ports.ts";
import { PROVIDER_EVENTS } from "#core/billing/payments.ts";
import type { PaymentProvider } from "#core/billing/price-changes.ts";
import { createStripePayments } from "#adapters/stripe.ts";
import type { Stripe } from "stripe";
import { clientOver } from "#local/stripe/harness.ts";
import { randomIds } from "#local/stripe/ids.ts";
import { createStripeStandIn, type StripeStandIn } from "#local/stripe/stand-in.ts";
import { judgedCalls, judgedWebhooks } from "./judged-stripe.ts";

const PUBLIC_URL = "http://stripe.test";
const API_KEY = "sk_test_control_plane";
export const WEBHOOK_SECRET = "whsec_control_plane";

export const CARD = {
  works: "4242424242424242",
  declined: "4000000000000002",
  failsAtRenewal: "4000000000000341",
  refundFails: "4000000000005126",
  /** Its bank asks its holder for each payment. */
  asks: "4000002760003184",
} as const;

/** Stripe's stand-in in this process, behind the real adapter and the official client. */
export type StripeInProcess = Readonly<{
  standIn: StripeStandIn;
  payments: PaymentProvider;
  /** `outage`: no call gets through. `behindMs`: how far Stripe's clock is behind ours. */
  trouble: { outage: boolean; behindMs: number };
  /** `POST /v1/refunds` and the like, each call that got through. */
  calls: string[];
  /** Pays a Checkout page as a person would; 303 is success. */
  pay: (checkoutUrl: string | null, card?: string) => Promise<number>;
  /** Sends the form of a page of Stripe's. */
  submit: (url: string, form: Record<string, string>) => Promise<number>;
  /** What staff do in Stripe's dashboard, which no row of ours knows of. */
  dashboard: Stripe;
  /** A call of the stand-in's control surface. */
  local: (path: string, body: object) => Promise<void>;
}>;

export async function stripeInProcess(options: {
  clock: Clock;
  log: Log;
  webhook: (request: Request) => Promise<Response>;
  afterLastRetry?: "cancel" | "unpaid" | "past_due" | undefined;
}): Promise<StripeInProcess> {
  const { clock, log } = options;
  const trouble = { outage: false, behindMs: 0 };
  const calls: string[] = [];
  const made = await createStripeStandIn({
    clock: { ...clock, now: () => new Date(+clock.now() - trouble.behindMs) },
    ids: randomIds(),
    apiKey: API_KEY,
    publicUrl: PUBLIC_URL,
    log,
    afterLastRetry: options.afterLastRetry ?? "past_due",
    webhook: {
      url: "http://berth.test/webhooks/stripe",
      secret: WEBHOOK_SECRET,
      enabledEvents: PROVIDER_EVENTS,
      deliver: judgedWebhooks(options.webhook),
    },
  });
  const standIn = { ...made, fetch: judgedCalls(made.fetch) };
  const payments = createStripePayments({
    apiKey: API_KEY,
    webhookSecret: WEBHOOK_SECRET,
    origin: new URL(PUBLIC_URL),
    now: clock.now,
    maxNetworkRetries: 0,
    fetchFn: async (input, init) => {
      if (trouble.outage) throw new TypeError("fetch failed");
      const request = new Request(input, init);
      calls.push(`${request.method} ${new URL(request.url).pathname}`);
      return standIn.fetch(request);
    },
  });
  const send = (url: string, init: RequestInit) => standIn.fetch(new Request(url, init));
  const submit = async (url: string, form: Record<string, string>) =>
    (await send(url, { method: "POST", body: new URLSearchParams(form) })).status;
  return {
    standIn,
    payments,
    trouble,
    calls,
    dashboard: clientOver(standIn.fetch, { apiKey: API_KEY }),
    pay: async (checkoutUrl, card = CARD.works) => {
      if (checkoutUrl === null) throw new Error("there is no page to pay on");
      return submit(checkoutUrl, { card });
    },
    submit,
    local: async (path, body) => {
      const answer = await send(`${PUBLIC_URL}/_local${path}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      });
      if (!answer.ok) throw new Error(`/_local${path} answered ${await answer.text()}`);
    },
  };
}
