import { Stripe } from "stripe";
import type { Clock } from "#core/ports.ts";
import { matchesType } from "./events.ts";
import type { Sandbox } from "./sandbox.ts";
import {
  DELAY_MS,
  KEPT_ATTEMPTS,
  REORDER_GAP_MS,
  type Attempt,
  type Delivery,
  type Fault,
  type WebhookEndpoint,
} from "./delivery.ts";

/** Deliveries wait here until somebody sends them: the pump in real life, or a simulator in its own order. */
export class WebhookQueue {
  readonly #sandbox: Sandbox;
  readonly #clock: Clock;
  readonly #endpoint: WebhookEndpoint | null;
  readonly #waiting = new Map<string, Delivery>();
  readonly #underWay = new Set<string>();
  readonly #attempts: Attempt[] = [];
  #faults: Fault[] = [];
  #onChange: () => void = () => {};

  constructor(deps: { sandbox: Sandbox; clock: Clock; endpoint: WebhookEndpoint | null }) {
    this.#sandbox = deps.sandbox;
    this.#clock = deps.clock;
    this.#endpoint = deps.endpoint;
  }

  /** Called whenever something is waiting that was not before. */
  onChange(listener: () => void): void {
    this.#onChange = listener;
  }

  /** Queues an event's delivery, or what an armed fault makes of it. */
  enqueue(event: Stripe.EventBase): void {
    if (this.#endpoint === null) return;
    const now = this.#clock.now().getTime();
    const fault = this.#useFault(event.type);
    switch (fault?.kind) {
      case "drop":
        // As one whose attempts have all failed: the Events API tells it as undelivered.
        this.#setPending(event.id, true);
        this.#note({
          delivery: "",
          event: event.id,
          type: event.type,
          at: now,
          outcome: "dropped",
          status: null,
        });
        return;
      case "duplicate":
        this.#add(event, now);
        this.#add(event, now);
        return;
      case "delay":
        this.#add(event, now + (fault.delayMs ?? DELAY_MS));
        return;
      case "reorder":
        // The first of them waits longest, so that they leave in the opposite order.
        this.#add(event, now + (fault.count - 1) * (fault.delayMs ?? REORDER_GAP_MS));
        return;
      case undefined:
        this.#add(event, now);
    }
  }

  /** Delivers an event of the past again, now. */
  resend(eventId: string): Delivery {
    const event = this.#sandbox.find("event", eventId);
    return this.#add(event, this.#clock.now().getTime());
  }

  /** What waits, in the order in which it is due. */
  pending(): Delivery[] {
    return [...this.#waiting.values()].sort((a, b) => a.dueAt - b.dueAt);
  }

  /** Whether this event is still to be delivered. */
  waitsFor(eventId: string): boolean {
    for (const { event } of this.#waiting.values()) if (event === eventId) return true;
    return false;
  }

  /** What is due by now and not under way. */
  due(): Delivery[] {
    const now = this.#clock.now().getTime();
    return this.pending().filter(({ id, dueAt }) => dueAt <= now && !this.#underWay.has(id));
  }

  /** When the next delivery that is not under way is due, in Unix milliseconds. */
  nextDueAt(): number | undefined {
    return this.pending().find(({ id }) => !this.#underWay.has(id))?.dueAt;
  }

  /** The latest attempts, oldest first. */
  attempts(): readonly Attempt[] {
    return this.#attempts;
  }

  /** Sends one delivery now, due or not. Anything but a 2xx queues the next attempt. */
  async deliver(id: string): Promise<Attempt> {
    const delivery = this.#find(id);
    const endpoint = this.#endpoint;
    if (endpoint === null) throw new Error("there is no webhook endpoint");
    if (this.#underWay.has(id)) throw new Error(`delivery ${id} is already under way`);
    this.#underWay.add(id);
    let status: number | null = null;
    try {
      const response = await endpoint.deliver(this.#requestOf(delivery, endpoint));
      status = response.status;
      await response.body?.cancel();
    } catch {
      // No answer is an outcome, and the attempt says so: the receiver may be away.
      status = null;
    } finally {
      this.#underWay.delete(id);
    }
    return this.#settle(delivery, status, endpoint);
  }

  /** Sends everything that is due, one after the other, in order. */
  async deliverDue(): Promise<Attempt[]> {
    const attempts: Attempt[] = [];
    for (const { id } of this.due()) attempts.push(await this.deliver(id));
    return attempts;
  }

  drop(id: string): void {
    const { event, type } = this.#find(id);
    this.#waiting.delete(id);
    const at = this.#clock.now().getTime();
    this.#note({ delivery: id, event, type, at, outcome: "dropped", status: null });
  }

  duplicate(id: string): Delivery {
    const { event, dueAt } = this.#find(id);
    return this.#add(this.#sandbox.find("event", event), dueAt);
  }

  postpone(id: string, ms: number): void {
    const delivery = this.#find(id);
    this.#waiting.set(id, { ...delivery, dueAt: delivery.dueAt + ms });
    this.#onChange();
  }

  arm(fault: Fault): void {
    this.#faults.push(fault);
    this.#onChange();
  }

  dump(): { waiting: Delivery[]; faults: Fault[] } {
    return { waiting: [...this.#waiting.values()], faults: this.#faults };
  }

  load(saved: { waiting: readonly Delivery[]; faults: readonly Fault[] }): void {
    for (const delivery of saved.waiting) this.#waiting.set(delivery.id, delivery);
    this.#faults = [...saved.faults];
  }

  #find(id: string): Delivery {
    const delivery = this.#waiting.get(id);
    if (delivery === undefined) throw new Error(`no delivery ${id} is waiting`);
    return delivery;
  }

  #add(event: Stripe.EventBase, dueAt: number): Delivery {
    const id = this.#sandbox.ids.next("whd");
    const delivery = { id, event: event.id, type: event.type, attempts: 0, dueAt };
    this.#waiting.set(id, delivery);
    this.#setPending(event.id, true);
    this.#onChange();
    return delivery;
  }

  #settle(delivery: Delivery, status: number | null, endpoint: WebhookEndpoint): Attempt {
    const { id, event, type } = delivery;
    const at = this.#clock.now().getTime();
    const delivered = status !== null && status >= 200 && status < 300;
    const attempts = delivery.attempts + 1;
    const delay = endpoint.retryDelaysMs[attempts - 1];
    if (delivered || delay === undefined) this.#waiting.delete(id);
    else this.#waiting.set(id, { ...delivery, attempts, dueAt: at + delay });
    if (delivered)
      this.#setPending(
        event,
        [...this.#waiting.values()].some((each) => each.event === event),
      );
    this.#onChange();
    return this.#note({
      delivery: id,
      event,
      type,
      at,
      outcome: delivered ? "delivered" : "failed",
      status,
    });
  }

  /** Whether the one endpoint still waits for the event. One older than 30 days may be gone. */
  #setPending(eventId: string, pending: boolean): void {
    const event = this.#sandbox.store.get("event", eventId);
    if (event === undefined) return;
    this.#sandbox.store.put("event", { ...event, pending_webhooks: pending ? 1 : 0 });
  }

  #requestOf(delivery: Delivery, endpoint: WebhookEndpoint): Request {
    const payload = JSON.stringify(this.#sandbox.find("event", delivery.event), null, 2);
    const timestamp = Math.floor(this.#clock.now().getTime() / 1000);
    return new Request(endpoint.url, {
      method: "POST",
      redirect: "manual",
      headers: {
        "content-type": "application/json; charset=utf-8",
        "user-agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        "stripe-signature": Stripe.webhooks.generateTestHeaderString({
          payload,
          secret: endpoint.secret,
          timestamp,
        }),
      },
      body: payload,
    });
  }

  #note(attempt: Attempt): Attempt {
    this.#attempts.push(attempt);
    if (this.#attempts.length > KEPT_ATTEMPTS) this.#attempts.shift();
    return attempt;
  }

  /** The first armed fault for this type; its count goes down by one. */
  #useFault(type: string): Fault | undefined {
    const index = this.#faults.findIndex((fault) => matchesType(type, fault.type ?? "*"));
    const fault = this.#faults[index];
    if (fault === undefined) return undefined;
    this.#faults =
      fault.count > 1
        ? this.#faults.with(index, { ...fault, count: fault.count - 1 })
        : this.#faults.toSpliced(index, 1);
    return fault;
  }
}
