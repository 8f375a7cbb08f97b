import { z } from "zod";
import { toWireId } from "#core/ids.ts";
import { PEOPLE, type PersonName } from "./accounts.ts";
import { IMAGES, LOCATION_ID, PLANS } from "./fixture.ts";
import type { Guests } from "./guests.ts";
import type { Mirror, Row } from "./mirror.ts";
import type { By, Card, OnFile, Power, RepeatedBody, Step } from "./plan.ts";
import type { Provider } from "./provider.ts";
import { ownerOf, pick, type Keyed, type Requests } from "./requests.ts";
import type { Sim } from "./sim.ts";
import { wantedOf } from "./wanted.ts";

/** Stripe's published test cards (https://docs.stripe.com/testing). */
const CARDS: Record<Card, string> = {
  good: "4242424242424242",
  declined: "4000000000000002",
  insufficient: "4000000000009995",
  fails_later: "4000000000000341",
};
const CUSTOMERS = ["ada", "bob"] as const satisfies readonly PersonName[];
/** Stripe's ready-made cards. */
const ON_FILE: Record<OnFile, string> = {
  good: "pm_card_visa",
  asks: "pm_card_authenticationRequired",
  declines: "pm_card_chargeCustomerFail",
};
const SSH_KEY =
  "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKqP0kX9y0m0x9Jf5dJ0qCq0y8n3q7r5W2s1t4u6v8wx a@b";
const Placed = z.object({ checkoutUrl: z.string(), order: z.object({ id: z.string() }) });

const Quoted = z.object({
  quote: z.object({ id: z.string() }).nullable(),
  refusals: z.array(z.object({ code: z.string() })).default([]),
});
const Revived = z.object({ checkoutUrl: z.string() });
const Requested = z.object({ action: z.object({ id: z.string() }) });
const Waiting = z.object({ action: z.object({ payUrl: z.string().nullable() }) });
/** How often a customer looks whether there is something to pay, or to confirm. */
const MOST_PAY_LOOKS = 8;

type OrderStep = Extract<Step, { do: "order" }>;
type ResizeStep = Extract<Step, { do: "resize" }>;

/** Customers: they order, pay, use and give up their VMs, and look at what is not theirs. */
export class People {
  readonly #sim: Sim;
  readonly #requests: Requests;
  readonly #provider: Provider;
  readonly #mirror: Mirror;
  readonly #guests: Guests;
  readonly #bought: Keyed[] = [];

  constructor(
    sim: Sim,
    parts: { requests: Requests; provider: Provider; mirror: Mirror; guests: Guests },
  ) {
    this.#sim = sim;
    this.#requests = parts.requests;
    this.#provider = parts.provider;
    this.#mirror = parts.mirror;
    this.#guests = parts.guests;
  }

  /** Orders a VM, asks again until there is an answer, and perhaps pays. */
  async order(step: OrderStep): Promise<void> {
    const number = this.#requests.next();
    const who = CUSTOMERS[step.who] ?? "ada";
    const body = {
      planId: toWireId("plan", PLANS[step.plan === 1 ? 1 : 0].id),
      imageId: toWireId("image", IMAGES[step.image === 1 ? 1 : 0].id),
      locationId: toWireId("location", LOCATION_ID),
      hostname: `vm-${number}.example.test`,
      sshKeys: [SSH_KEY],
      billingInterval: step.interval,
      ...(step.trial && { trial: true }),
    };
    const key = `order-key-${number}`;
    const bought: Keyed = { who, path: "/v1/orders", key, body, answer: null };
    this.#bought.push(bought);
    await Promise.all([
      this.#requests.askOnce(bought),
      step.double ? this.#requests.askOnce(bought) : null,
    ]);
    if (step.card === null || bought.answer === null) return;
    const { checkoutUrl, order } = Placed.parse(JSON.parse(bought.answer));
    const placed = this.#mirror.orders.all().find((o) => toWireId("order", o.id) === order.id);
    if (placed) this.#guests.moveIn(placed.vm_id, step.guest);
    await this.#sim.scheduler.sleep(step.payAfterMs, undefined, "thinks");
    const pay = () => this.#provider.pay(checkoutUrl, CARDS[step.card ?? "good"]);
    const [status] = await Promise.all([pay(), step.double ? pay() : null]);
    if (status !== 402) return;
    this.#sim.faults.count("payment.declined");
    // Whoever has not enough on one card tries another.
    if (step.card === "insufficient") await this.#provider.pay(checkoutUrl, CARDS.good);
  }

  /** The same key once more, with the same body or another one; or the same body under another key. */
  async repeatOrder(index: number, body: RepeatedBody): Promise<void> {
    const bought = pick(this.#bought, index);
    if (bought === undefined) return;
    if (body === "second_click") {
      const again = { ...bought, key: this.#requests.newKey("order"), answer: null };
      this.#bought.push(again);
      return this.#requests.askOnce(again);
    }
    if (body === "same") return this.#requests.askOnce(bought);
    const known = bought.answer !== null;
    const answer = await this.#requests.insist(
      bought.who,
      "POST",
      "/v1/orders",
      { ...Object(bought.body), hostname: "another.example.test" },
      { "idempotency-key": bought.key },
    );
    if (known && !this.#requests.isPurged(bought) && answer !== null && answer.status !== 422)
      this.#requests.broken(3, `another body under a used key was answered ${answer.status}`);
    return undefined;
  }

  async act(index: number, type: Power | "delete", by: By, double: boolean): Promise<void> {
    const vm = pick(this.#mirror.vms.all(), index);
    if (vm === undefined) return;
    const who = by === "staff" ? "grace" : ownerOf(vm);
    const path = `/v1/vms/${toWireId("vm", vm.id)}`;
    if (type !== "delete") return this.#actOnce(who, `${path}/actions`, type, double);
    const once = () => this.#requests.insist(who, "DELETE", path);
    await Promise.all([once(), double ? once() : null]);
    return undefined;
  }

  async #actOnce(who: PersonName, path: string, type: Power, double: boolean): Promise<void> {
    const key = this.#requests.newKey("action");
    const asked: Keyed = { who, path, key, body: { type }, answer: null };
    await Promise.all([
      this.#requests.askOnce(asked),
      double ? this.#requests.askOnce(asked) : null,
    ]);
    if (double && asked.answer !== null) await this.#requests.askOnce(asked);
  }

  /** A customer has a resize offered, takes it, and does what there is to do about it. */
  async resize(step: ResizeStep): Promise<void> {
    const vm = await this.#requests.delivered(step.vm);
    if (vm === undefined) return;
    const subscription = this.#mirror.services.get(vm.id)?.subscription_id ?? null;
    if (step.onFile !== null && subscription !== null)
      await this.#provider.putOnFile(subscription, ON_FILE[step.onFile]);
    const quoteId = await this.#offer(vm, step);
    // While a change waits nothing is offered: whoever takes another one has it by then.
    const other = step.next === "another" ? { ...step, to: (step.to % 2) + 1 } : null;
    const otherId = other && (await this.#offer(vm, other));
    const actionId = quoteId && (await this.#takeOffer(vm, quoteId, step.double));
    if (actionId === null) return;
    this.#sim.faults.count("resize.taken");
    await this.#sim.scheduler.sleep(step.nextAfterMs, undefined, "thinks");
    const who = ownerOf(vm);
    const path = `/v1/vms/${toWireId("vm", vm.id)}`;
    switch (step.next) {
      case "wait":
        return;
      case "confirm":
        return this.#payFor(who, actionId, { authenticate: "succeed" });
      case "refuse":
        return this.#payFor(who, actionId, { authenticate: "fail" });
      case "other_card":
        return this.#payFor(who, actionId, { card: CARDS.good });
      case "drop":
        await this.#requests.insist(who, "POST", `${path}/resize/cancel`);
        return;
      case "another":
        if (otherId !== null) await this.#takeOffer(vm, otherId, step.double);
        return;
      case "delete":
        await this.#requests.insist(who, "DELETE", path);
    }
  }

  /** @returns the quote's id; null: nothing was offered. */
  async #offer(vm: Row<"vms">, step: ResizeStep): Promise<string | null> {
    const answer = await this.#askForVm(
      vm,
      "resize-quotes",
      wantedOf(this.#mirror, vm, step),
      step.double,
    );
    if (answer === null) return null;
    const { quote, refusals } = Quoted.parse(JSON.parse(answer));
    if (quote !== null) return quote.id;
    this.#sim.scheduler.trace(`no offer: ${refusals.map(({ code }) => code).join(" ")}`);
    return null;
  }

  /** @returns the action that it began; null: it could not be taken. */
  async #takeOffer(vm: Row<"vms">, quoteId: string, double: boolean): Promise<string | null> {
    const answer = await this.#askForVm(vm, "actions", { type: "resize", quoteId }, double);
    return answer === null ? null : Requested.parse(JSON.parse(answer)).action.id;
  }

  async #askForVm(
    vm: Row<"vms">,
    what: string,
    body: unknown,
    double: boolean,
  ): Promise<string | null> {
    const path = `/v1/vms/${toWireId("vm", vm.id)}/${what}`;
    const key = this.#requests.newKey("resize");
    const asked: Keyed = { who: ownerOf(vm), path, key, body, answer: null };
    await Promise.all([
      this.#requests.askOnce(asked),
      double ? this.#requests.askOnce(asked) : null,
    ]);
    return asked.answer;
  }

  /** Opens the page where a resize waits for its payment, if it does, and answers there. */
  async #payFor(who: PersonName, actionId: string, form: Record<string, string>): Promise<void> {
    for (let looks = 0; looks < MOST_PAY_LOOKS; looks++) {
      const shown = await this.#requests.insist(who, "GET", `/v1/actions/${actionId}`);
      if (shown?.status !== 200) return;
      const { payUrl } = Waiting.parse({ action: JSON.parse(shown.text) }).action;
      if (payUrl !== null) {
        await this.#provider.payInvoice(payUrl, form);
        return;
      }
      await this.#sim.scheduler.sleep(30_000, undefined, "looks for what to pay");
    }
  }

  /** Somebody else's VM, order, action and usage: all must be "not found". */
  async snoop(index: number): Promise<void> {
    const vm = pick(this.#mirror.vms.all(), index);
    if (vm === undefined) return;
    const who = ownerOf(vm) === "ada" ? "bob" : "ada";
    const id = toWireId("vm", vm.id);
    const action = this.#mirror.actions.all().find((a) => a.vm_id === vm.id);
    const paths: [string, string, unknown?][] = [
      ["GET", `/v1/vms/${id}`],
      ["GET", `/v1/vms/${id}/usage`],
      ["GET", `/v1/orders/${toWireId("order", this.#mirror.orderOf(vm.id)?.id ?? vm.id)}`],
      ["POST", `/v1/vms/${id}/actions`, { type: "stop" }],
      ["DELETE", `/v1/vms/${id}`],
    ];
    if (action) paths.push(["GET", `/v1/actions/${toWireId("action", action.id)}`]);
    for (const [method, path, body] of paths) {
      const answer = await this.#requests.send(who, method, path, body, {
        "idempotency-key": this.#requests.newKey("snoop"),
      });
      if (answer !== null && answer.status < 400)
        this.#requests.broken(19, `${who} was answered ${answer.status} to ${method} ${path}`);
    }
    const list = await this.#requests.send(who, "GET", "/v1/vms");
    if (list?.text.includes(id) === true)
      this.#requests.broken(19, `${who} sees a VM of another's`);
  }

  /** The payment method of a customer's fails from now on, so many times. */
  failRenewals(who: number, count: number): void {
    const payers = CUSTOMERS.flatMap((name) => {
      const { accountId } = PEOPLE.find((p) => p.name === name) ?? {};
      const vms = this.#mirror.vms.all().filter((vm) => vm.account_id === accountId);
      return vms.some((vm) => vm.presence === "present") ? [accountId] : [];
    });
    const accountId = pick(payers, who);
    const customer = this.#provider.standIn.store
      .all("customer")
      .find((c) => c.metadata["account_id"] === accountId);
    if (customer) this.#provider.failPayments(customer.id, count);
  }

  /** Whoever's subscription has ended has it again, pays after a while, and perhaps asks twice. */
  async revive(step: Extract<Step, { do: "revive" }>): Promise<void> {
    const ended = new Set(
      this.#mirror.dunnings
        .all()
        .flatMap(({ vm_id: vmId, state, outcome }) =>
          state === "terminated" && outcome === null ? [vmId] : [],
        ),
    );
    const vms = this.#mirror.vms.all();
    const vm = pick(ended.size > 0 ? vms.filter(({ id }) => ended.has(id)) : vms, step.vm);
    if (vm === undefined) return;
    const path = `/v1/vms/${toWireId("vm", vm.id)}/revive`;
    const once = () => this.#requests.insist(ownerOf(vm), "POST", path);
    const [answer] = await Promise.all([once(), step.double ? once() : null]);
    if (answer?.status !== 200) return;
    const { checkoutUrl } = Revived.parse(JSON.parse(answer.text));
    await this.#sim.scheduler.sleep(step.payAfterMs, undefined, "thinks");
    await this.#provider.pay(checkoutUrl, CARDS.good);
  }

  /** The customer ends the subscription in Stripe's own portal. */
  async cancelAtProvider(index: number): Promise<void> {
    const service = pick(this.#mirror.services.all(), index);
    if (service?.subscription_id) await this.#provider.cancel(service.subscription_id);
  }
}
