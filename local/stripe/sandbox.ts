import { Stripe } from "stripe";
import type { Clock } from "#core/ports.ts";
import { noSuchObject, noSuchReference } from "./api-error.ts";
import type { StripeIds } from "./ids.ts";
import { Store, type Kind, type Objects } from "./store.ts";

type EventType = Stripe.Event["type"];
type ObjectOf<T extends EventType> = Extract<Stripe.Event, { type: T }>["data"]["object"];

/** How Stripe names a kind in "No such …". */
const NAMES: Record<Kind, string> = {
  customer: "customer",
  deleted_customer: "customer",
  product: "product",
  price: "price",
  coupon: "coupon",
  promotion_code: "promotion code",
  discount: "discount",
  tax_rate: "tax rate",
  checkout_session: "checkout.session",
  checkout_detail: "checkout.session",
  setup_intent: "setupintent",
  portal_configuration: "configuration",
  portal_session: "session",
  payment_method: "PaymentMethod",
  card_on_file: "PaymentMethod",
  armed_failure: "customer",
  unfinalizable: "customer",
  subscription: "subscription",
  pending_prorations: "subscription",
  invoice: "invoice",
  invoice_lines: "invoice",
  invoice_payment: "invoice_payment",
  payment_intent: "payment_intent",
  charge: "charge",
  refund: "refund",
  balance_transaction: "customer_balance_transaction",
  dispute: "dispute",
  event: "event",
};

export type SandboxSettings = Readonly<{
  /** Origin of the pages a person opens: Checkout and hosted invoices. */
  publicUrl: string;
  /** What happens to a subscription when its last retry fails: a setting of the account. */
  afterLastRetry: "cancel" | "unpaid" | "past_due";
  /** How long a renewal's invoice stays a draft before it is finalised and charged; Stripe waits an hour. */
  renewalDraftSeconds: number;
}>;

/** One Stripe account: its objects, its time, its events. Everything that happens, happens through it. */
export class Sandbox {
  readonly store = new Store();
  readonly ids: StripeIds;
  readonly settings: SandboxSettings;
  /** The API call being served, which its events name. */
  request: Stripe.Event.Request | null = null;
  readonly #clock: Clock;
  #dueInstant: number | null = null;
  #onEvent: (event: Stripe.EventBase) => void = () => {};

  constructor(deps: { clock: Clock; ids: StripeIds; settings: SandboxSettings }) {
    this.#clock = deps.clock;
    this.ids = deps.ids;
    this.settings = deps.settings;
  }

  /** Unix seconds: the clock's, or the instant at which due work is being caught up. */
  now(): number {
    return this.#dueInstant ?? this.clockNow();
  }

  clockNow(): number {
    return Math.floor(this.#clock.now().getTime() / 1000);
  }

  /** Runs work that was due at `instant` as if it were then, so that what it makes carries that time. */
  at(instant: number, run: () => void): void {
    this.#dueInstant = instant;
    try {
      run();
    } finally {
      this.#dueInstant = null;
    }
  }

  onEvent(listener: (event: Stripe.EventBase) => void): void {
    this.#onEvent = listener;
  }

  /** The object the path names; throws 404 when there is none. */
  find<K extends Kind>(kind: K, id: string): Objects[K] {
    const object = this.store.get(kind, id);
    if (object === undefined) throw noSuchObject(NAMES[kind], id);
    return object;
  }

  /** The object a parameter names; throws 400 with that parameter when there is none. */
  refer<K extends Kind>(kind: K, id: string, param: string): Objects[K] {
    const object = this.store.get(kind, id);
    if (object === undefined) throw noSuchReference(NAMES[kind], id, param);
    return object;
  }

  /** Puts the object with `patch` applied. `previous` is what an `updated` event tells: old values of what changed. */
  change<K extends Kind>(
    kind: K,
    id: string,
    patch: Partial<Objects[K]>,
  ): { object: Objects[K]; previous: Partial<Objects[K]> } {
    const before = this.find(kind, id);
    const object = this.store.put(kind, { ...before, ...patch });
    const previous: Partial<Objects[K]> = {};
    for (const key of keysOf(patch))
      if (JSON.stringify(before[key]) !== JSON.stringify(object[key])) previous[key] = before[key];
    return { object, previous };
  }

  /** Records an event and hands it to the webhook queue. */
  emit<T extends EventType>(
    type: T,
    object: ObjectOf<T>,
    previous?: Partial<ObjectOf<T>>,
  ): Stripe.EventBase {
    const event = this.store.put("event", {
      id: this.ids.next("evt"),
      object: "event",
      api_version: Stripe.API_VERSION,
      created: this.now(),
      data: { object, ...(previous === undefined ? {} : { previous_attributes: previous }) },
      livemode: false,
      pending_webhooks: 0,
      request: this.request ?? { id: null, idempotency_key: null },
      type,
    });
    this.#onEvent(event);
    return event;
  }
}

/** The id behind a reference, which the client types as an id or the expanded object. */
export const idOf = (reference: string | { id: string }): string =>
  typeof reference === "string" ? reference : reference.id;
export const idOrNull = (reference: string | { id: string } | null): string | null =>
  reference === null ? null : idOf(reference);

function keysOf<T extends object>(object: T): (keyof T)[] {
  const keys: (keyof T)[] = [];
  for (const key in object) keys.push(key);
  return keys;
}
