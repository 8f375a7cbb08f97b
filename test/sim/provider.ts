import { z } from "zod";
import { createStripePayments } from "#adapters/stripe.ts";
import { PROVIDER_EVENTS } from "#core/billing/payments.ts";
import type { PaymentProvider } from "#core/billing/price-changes.ts";
import { seededIds } from "#local/stripe/ids.ts";
import { createStripeStandIn, type StripeStandIn } from "#local/stripe/stand-in.ts";
import type { Dice } from "./dice.ts";
import { untilAborted, type Serve } from "./network.ts";
import { outside, processNow } from "./process.ts";
import type { Sim } from "./sim.ts";

const API_KEY = "sk_test_simulator";
const WEBHOOK_SECRET = "whsec_simulator";
const ORIGIN = "http://stripe.test";
const WEBHOOK_URL = "http://berth.test/webhooks/stripe";

/** Stripe: the stand-in behind the real client, its webhooks, and all that may happen on the way to and from it. */
export type Provider = Readonly<{
  payments: PaymentProvider;
  standIn: StripeStandIn;
  /** By its Checkout Session: with which card a page was completed. */
  completedWith: ReadonlyMap<string, string>;
  /** A person's browser posts the Checkout page. Answers its status. */
  pay: (checkoutUrl: string, card: string) => Promise<number>;
  /** A person's browser posts the page of an invoice: a card, or an answer to the bank's question. Answers its status. */
  payInvoice: (url: string, form: Record<string, string>) => Promise<number>;
  /** The customer puts another card on file, by Stripe's name of it, for what this subscription asks. */
  putOnFile: (subscription: string, card: string) => Promise<void>;
  /** The next so many payments of this customer fail. */
  failPayments: (customer: string, count: number) => void;
  /** The customer ends the subscription at the provider. */
  cancel: (subscription: string) => Promise<void>;
  /** Takes up deliveries and work that time has made due, and sets the next alarm. Called after every step. */
  keepUp: () => void;
  /** Sends every event that was ever sent once more, in an order of the dice. */
  resendAll: (dice: Dice) => void;
}>;

export async function createProvider(sim: Sim, seed: string, webhook: Serve): Promise<Provider> {
  const { scheduler, faults } = sim;
  const dice = sim.dice.fork("provider");
  const standIn = await createStripeStandIn({
    clock: scheduler.clock,
    ids: seededIds(seed),
    apiKey: API_KEY,
    publicUrl: ORIGIN,
    log: sim.log,
    webhook: {
      url: WEBHOOK_URL,
      secret: WEBHOOK_SECRET,
      enabledEvents: PROVIDER_EVENTS,
      deliver: async (request) => {
        const answer = await webhook(request);
        if (faults.strikes("webhook.answer_lost")) throw new Error("no answer (simulated)");
        return answer;
      },
    },
  });

  async function call(make: () => Request, what: string): Promise<Response> {
    await outside(scheduler, `stripe ${what}`);
    if (faults.strikes("stripe.unreachable")) throw new TypeError("stripe: no route (simulated)");
    if (faults.strikes("stripe.server_error")) return refusal(500, "api_error");
    if (faults.strikes("stripe.rate_limited")) return refusal(429, "rate_limit_error");
    if (faults.strikes("stripe.slow")) await scheduler.sleep(dice.int(500, 12_000));
    const answer = await standIn.fetch(make());
    if (faults.strikes("stripe.answer_lost"))
      throw new TypeError("stripe: connection reset (simulated)");
    await outside(scheduler, `stripe ${what} ${answer.status}`);
    return answer;
  }
  const fetchFn: typeof fetch = async (input, init) => {
    const make = () => new Request(input, { ...init, signal: null });
    const url = new URL(input instanceof Request ? input.url : input);
    const method = init?.method ?? "GET";
    const answer = await untilAborted(
      init?.signal,
      call(make, `${method} ${url.pathname.replace(/_[A-Za-z0-9]{24}/, "_…")}`),
    );
    // Nobody has looked at what was not answered.
    if (answer.ok) processNow()?.asked.push(`${method} ${url.pathname}`);
    return answer;
  };

  const seen = new Set<string>();
  let alarm: { at: number; cancel: () => void } | null = null;
  const { webhooks } = standIn;

  /** What becomes of a delivery when it is first seen. */
  function meet(id: string, type: string): void {
    if (faults.active && type === "invoice.payment_failed")
      faults.count("payment.renewal_declined");
    if (faults.strikes("webhook.dropped")) webhooks.drop(id);
    else if (faults.strikes("webhook.delayed")) webhooks.postpone(id, dice.int(1, 3_600) * 1000);
    else if (faults.strikes("webhook.doubled")) seen.add(webhooks.duplicate(id).id);
  }

  const underWay = new Set<string>();
  function keepUp(): void {
    for (const { id, type } of webhooks.due())
      if (!seen.has(id)) {
        seen.add(id);
        meet(id, type);
      }
    for (const { id, type } of webhooks.due()) {
      if (underWay.has(id)) continue;
      underWay.add(id);
      scheduler.spawn(`webhook ${type}`, () => {
        if (faults.active && webhooks.due()[0]?.id !== id) faults.count("webhook.reordered");
        webhooks.deliver(id).then(
          () => underWay.delete(id),
          (error: unknown) => sim.log.error("webhook.deliver", { error }),
        );
      });
    }
    setAlarm();
  }

  function setAlarm(): void {
    const now = scheduler.now().getTime();
    const work = standIn.nextDueAt();
    const delivery = webhooks.pending().find((d) => !underWay.has(d.id) && d.dueAt > now)?.dueAt;
    const next = Math.min(work === undefined ? Infinity : work * 1000, delivery ?? Infinity);
    if (alarm?.at === next) return;
    alarm?.cancel();
    alarm = null;
    if (next === Infinity) return;
    const cancel = scheduler.after(next - now, "stripe time", () => {
      alarm = null;
      standIn.runDue();
    });
    alarm = { at: next, cancel };
  }

  const post = (path: string, form: Record<string, string>) =>
    standIn.fetch(
      new Request(`${ORIGIN}${path}`, {
        method: "POST",
        headers: { authorization: `Bearer ${API_KEY}` },
        body: new URLSearchParams(form),
      }),
    );

  const completedWith = new Map<string, string>();

  return {
    completedWith,
    payments: createStripePayments({
      apiKey: API_KEY,
      webhookSecret: WEBHOOK_SECRET,
      origin: new URL(ORIGIN),
      fetchFn,
      now: scheduler.now,
    }),
    standIn,
    pay: async (checkoutUrl, card) => {
      await scheduler.turn("browser pays");
      const answer = await standIn.fetch(
        new Request(checkoutUrl, { method: "POST", body: new URLSearchParams({ card }) }),
      );
      const session = checkoutUrl.split("/").at(-1) ?? "";
      // What follows from it may be seen before its answer is.
      if (answer.status === 303) completedWith.set(session, card);
      return answer.status;
    },
    payInvoice: async (url, form) => {
      await scheduler.turn("browser pays an invoice");
      const body = new URLSearchParams(form);
      return (await standIn.fetch(new Request(url, { method: "POST", body }))).status;
    },
    putOnFile: async (id, card) => {
      await scheduler.turn("browser puts a card on file");
      const customer = standIn.store.get("subscription", id)?.customer;
      if (typeof customer !== "string") return;
      const attached = await post(`/v1/payment_methods/${card}/attach`, { customer });
      const method = z.object({ id: z.string() }).parse(await attached.json());
      await post(`/v1/subscriptions/${id}`, { default_payment_method: method.id });
    },
    failPayments: (customer, count) => {
      const failing = new Request(`${ORIGIN}/_local/fail-payments`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ customer, count }),
      });
      void standIn.fetch(failing);
    },
    cancel: async (subscription) => {
      await scheduler.turn("browser cancels");
      await standIn.fetch(
        new Request(`${ORIGIN}/v1/subscriptions/${subscription}`, {
          method: "DELETE",
          headers: { authorization: `Bearer ${API_KEY}` },
        }),
      );
    },
    keepUp,
    resendAll: (order) => {
      const wanted: ReadonlySet<string> = new Set(PROVIDER_EVENTS);
      const events = standIn.store.all("event").filter((e) => wanted.has(e.type));
      for (const event of order.shuffled(events)) {
        seen.add(webhooks.resend(event.id).id);
      }
    },
  };
}

const refusal = (status: number, type: string): Response =>
  Response.json({ error: { type, message: `${type} (simulated)` } }, { status });
