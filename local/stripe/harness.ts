import { Stripe } from "stripe";
import type { Clock, Log } from "#core/ports.ts";
import { judgedCalls, judgedWebhooks } from "#test/harness/judged-stripe.ts";
import { seededIds } from "./ids.ts";
import { idOf } from "./sandbox.ts";
import { createStripeStandIn, type StandInOptions, type StripeStandIn } from "./stand-in.ts";

export const API_KEY = "sk_test_harness";
export const WEBHOOK_SECRET = "whsec_harness";
export const PUBLIC_URL = "http://stripe.test";

/** A clock that only moves when a test moves it. */
export class ManualClock implements Clock {
  #now: number;
  readonly #sleepers = new Set<{ until: number; wake: () => void }>();
  constructor(start: string) {
    this.#now = Date.parse(start);
  }
  now = (): Date => new Date(this.#now);
  sleep = async (ms: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason);
      const end = (): void => {
        this.#sleepers.delete(sleeper);
        signal?.removeEventListener("abort", abort);
      };
      const abort = (): void => (end(), reject(signal?.reason));
      const sleeper = { until: this.#now + ms, wake: () => (end(), resolve()) };
      signal?.addEventListener("abort", abort);
      this.#sleepers.add(sleeper);
    });
  advance(ms: number): void {
    this.#now += ms;
    for (const sleeper of this.#sleepers) if (sleeper.until <= this.#now) sleeper.wake();
  }
  advanceDays(days: number): void {
    this.advance(days * 86_400_000);
  }
}

/** Keeps what was logged as an error, so that a test can look that there was nothing. */
export function quietLog(): Log & { errors: Record<string, unknown>[] } {
  const errors: Record<string, unknown>[] = [];
  return {
    errors,
    info: () => {},
    error: (event, fields) => errors.push({ event, ...fields }),
  };
}

/** The official client, speaking to a function instead of the network. */
export const clientOver = (
  fetch: (request: Request) => Promise<Response>,
  config: { apiKey?: string; maxNetworkRetries?: number } = {},
): Stripe =>
  new Stripe(config.apiKey ?? API_KEY, {
    host: new URL(PUBLIC_URL).host,
    protocol: "http",
    port: 80,
    telemetry: false,
    maxNetworkRetries: config.maxNetworkRetries ?? 0,
    httpClient: Stripe.createFetchHttpClient(
      async (input: Request | string | URL, init?: RequestInit) => fetch(new Request(input, init)),
    ),
  });

export type Harness = {
  clock: ManualClock;
  standIn: StripeStandIn;
  stripe: Stripe;
  /** Events in the order in which the receiver got them, their signatures verified. */
  received: Stripe.Event[];
  /** What the receiver answers. */
  receiver: { status: number };
  log: ReturnType<typeof quietLog>;
};

/** A stand-in in this process with its own clock; a test moves the clock and sends the webhooks. */
export async function inProcess(
  options: Partial<StandInOptions> & {
    seed?: string;
    clock?: ManualClock;
    enabledEvents?: readonly string[];
  } = {},
): Promise<Harness> {
  const clock = options.clock ?? new ManualClock("2026-03-01T12:00:00Z");
  const log = quietLog();
  const received: Stripe.Event[] = [];
  const receiver = { status: 200 };
  const made = await createStripeStandIn({
    ids: seededIds(options.seed ?? "test"),
    apiKey: API_KEY,
    publicUrl: PUBLIC_URL,
    log,
    webhook: {
      url: "http://berth.test/webhooks/stripe",
      secret: WEBHOOK_SECRET,
      ...(options.enabledEvents === undefined ? {} : { enabledEvents: options.enabledEvents }),
      deliver: judgedWebhooks(async (request) => {
        const payload = await request.text();
        const header = request.headers.get("stripe-signature") ?? "";
        const at = clock.now().getTime();
        received.push(
          Stripe.webhooks.constructEvent(payload, header, WEBHOOK_SECRET, undefined, undefined, at),
        );
        return new Response(null, { status: receiver.status });
      }),
    },
    ...options,
    clock,
  });
  const standIn = { ...made, fetch: judgedCalls(made.fetch) };
  return { clock, standIn, stripe: clientOver(standIn.fetch), received, receiver, log };
}

/** A customer, and a price of 12.50 EUR a month unless said otherwise. */
export async function aPlan(
  stripe: Stripe,
  given: Partial<Stripe.PriceCreateParams> = {},
): Promise<{ customer: Stripe.Customer; price: Stripe.Price }> {
  const customer = await stripe.customers.create({ email: "ada@example.com", name: "Ada" });
  const product = await stripe.products.create({ name: "VPS small" });
  const price = await stripe.prices.create({
    product: product.id,
    currency: "eur",
    unit_amount: 1250,
    recurring: { interval: "month" },
    ...given,
  });
  return { customer, price };
}

/** An open session for one of the plan. */
export async function aSession(
  stripe: Stripe,
  given: Partial<Stripe.Checkout.SessionCreateParams> = {},
): Promise<Stripe.Checkout.Session> {
  const { customer, price } = await aPlan(stripe);
  return stripe.checkout.sessions.create({
    mode: "subscription",
    customer: customer.id,
    line_items: [{ price: price.id, quantity: 1 }],
    client_reference_id: "order-1",
    metadata: { order: "order-1" },
    subscription_data: { metadata: { order: "order-1" } },
    success_url: "http://berth.test/done?session={CHECKOUT_SESSION_ID}",
    cancel_url: "http://berth.test/cart",
    ...given,
  });
}

export const CARDS = {
  works: "4242424242424242",
  declined: "4000000000000002",
  insufficient: "4000000000009995",
  failsLater: "4000000000000341",
  authenticates: "4000002500003155",
  alwaysAuthenticates: "4000002760003184",
  disputed: "4000000000000259",
  refundFails: "4000000000005126",
} as const;

/** Sends the Checkout page's form. */
export async function submitPage(
  standIn: StripeStandIn,
  session: Stripe.Checkout.Session,
  form: Record<string, string>,
): Promise<Response> {
  const url = session.url ?? `${PUBLIC_URL}/c/pay/${session.id}`;
  return standIn.fetch(new Request(url, { method: "POST", body: new URLSearchParams(form) }));
}

/** A subscription that was bought and paid on the Checkout page. */
export async function aPaidSession(
  harness: Pick<Harness, "standIn" | "stripe">,
  card: string = CARDS.works,
  given: Partial<Stripe.Checkout.SessionCreateParams> = {},
): Promise<Stripe.Checkout.Session> {
  const session = await aSession(harness.stripe, given);
  const answer = await submitPage(harness.standIn, session, { card });
  if (answer.status !== 303) throw new Error(`payment was refused: ${answer.status}`);
  return harness.stripe.checkout.sessions.retrieve(session.id);
}

export const HOUR = 3_600_000;
export const seconds = (instant: string): number => Date.parse(instant) / 1000;

/** The ids behind a paid session whose events were all delivered. */
export async function aSubscription(
  harness: Harness,
  card: string = CARDS.works,
): Promise<{ id: string; customer: string }> {
  const session = await aPaidSession(harness, card);
  await deliveredTypes(harness);
  return { id: ref(session.subscription), customer: ref(session.customer) };
}

/** Sends the form of an invoice's page. */
export async function submitInvoice(
  standIn: StripeStandIn,
  invoice: string,
  form: Record<string, string>,
): Promise<Response> {
  const url = `${PUBLIC_URL}/i/${invoice}`;
  return standIn.fetch(new Request(url, { method: "POST", body: new URLSearchParams(form) }));
}

/** The id of the one item of a subscription. */
export async function itemOf(stripe: Stripe, subscription: string): Promise<string> {
  const { items } = await stripe.subscriptions.retrieve(subscription);
  return ref(items.data[0]);
}

/** Delivers what is due, and returns the types of what the receiver got since last time. */
export async function deliveredTypes(harness: Harness): Promise<string[]> {
  const before = harness.received.length;
  await harness.standIn.webhooks.deliverDue();
  return harness.received.slice(before).map((event) => event.type);
}

/** A `/_local` call. */
export const local = async (
  standIn: StripeStandIn,
  path: string,
  body: object = {},
): Promise<Response> =>
  standIn.fetch(
    new Request(`${PUBLIC_URL}/_local${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    }),
  );

/** What a call was refused with. */
export async function refusal(call: Promise<unknown>): Promise<Stripe.errors.StripeError> {
  try {
    await call;
  } catch (error) {
    if (error instanceof Stripe.errors.StripeError) return error;
    throw error;
  }
  throw new Error("the call succeeded");
}

/** The id in a reference that must be there. */
export function ref(reference: string | { id: string } | null | undefined): string {
  if (reference === null || reference === undefined) throw new Error("the reference is empty");
  return idOf(reference);
}
