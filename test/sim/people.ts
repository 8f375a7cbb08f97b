import { z } from "zod";
import { createHttpControlPlane } from "#host-agent/channel/control-plane.ts";
import { createSigner, loadIdentity } from "#host-agent/channel/identity.ts";
import type { Suspension } from "#core/billing/suspension.ts";
import type { RepairWay } from "#core/vms/plan-repair.ts";
import { toWireId } from "#core/ids.ts";
import { PEOPLE, tokenOf, type PersonName } from "./accounts.ts";
import type { ControlPlane } from "./control-plane.ts";
import { IMAGES, LOCATION_ID, PLANS } from "./fixture.ts";
import type { Guests } from "./guests.ts";
import type { SimHost } from "./host.ts";
import type { Mirror, Row } from "./mirror.ts";
import { fetchOver } from "./network.ts";
import type { By, Card, Lie, OnFile, Power, RepeatedBody, Step } from "./plan.ts";
import type { Provider } from "./provider.ts";
import type { Restore } from "./restore.ts";
import { Violation, type Sim } from "./sim.ts";

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
/** How often a program of a customer's asks again before it gives up. */
const MOST_TRIES = 6;
/** How many minutes staff wait for a VM to be told as lost: a host that runs it still defines it again. */
const MOST_WAITS = 15;
const SSH_KEY =
  "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKqP0kX9y0m0x9Jf5dJ0qCq0y8n3q7r5W2s1t4u6v8wx a@b";
const Placed = z.object({ checkoutUrl: z.string(), order: z.object({ id: z.string() }) });

const Quoted = z.object({
  quote: z.object({ id: z.string() }).nullable(),
  refusals: z.array(z.object({ code: z.string() })).default([]),
});
const Dry = z.object({ hash: z.string().nullable() });
const Begun = z.object({ move: z.object({ id: z.string() }) });
const Requested = z.object({ action: z.object({ id: z.string() }) });
const Waiting = z.object({ action: z.object({ payUrl: z.string().nullable() }) });
/** How often a customer looks whether there is something to pay, or to confirm. */
const MOST_PAY_LOOKS = 8;

/** Of what is said of a restore, what staff go by. */
const Told = z.object({
  eventsReadAt: z.string().nullable(),
  unheardHosts: z.array(z.unknown()),
  unknownVms: z.array(z.object({ id: z.string() })),
  unknownCheckouts: z.array(z.object({ checkoutId: z.string(), orderId: z.string() })),
});
/** How often staff look for what is lost: at least as long as it takes a host's agent to tell of it, if it is well. */
const MOST_LOOKS = 40;
const LEAST_LOOKS = 10;

/** A request under a key, as its sender knows it. `answer` is what the API once said to that key, as text, and `claimed` when. */
type Keyed = {
  who: PersonName;
  path: string;
  key: string;
  body: unknown;
  answer: string | null;
  claimed?: number | undefined;
};
type Answer = { status: number; text: string };
type HostsPlane = ReturnType<typeof createHttpControlPlane>;
type OrderStep = Extract<Step, { do: "order" }>;
type ResizeStep = Extract<Step, { do: "resize" }>;
type StaffResizeStep = Extract<Step, { do: "resize_by_staff" }>;
type MoveStep = Extract<Step, { do: "move" }>;

/** Customers, staff, and a host that lies. All speak HTTP over the same bad network, and ask again as programs do. */
export class People {
  readonly #sim: Sim;
  readonly #plane: ControlPlane;
  readonly #provider: Provider;
  readonly #mirror: Mirror;
  readonly #guests: Guests;
  readonly #bought: Keyed[] = [];
  #count = 0;

  constructor(
    sim: Sim,
    parts: { plane: ControlPlane; provider: Provider; mirror: Mirror; guests: Guests },
  ) {
    this.#sim = sim;
    this.#plane = parts.plane;
    this.#provider = parts.provider;
    this.#mirror = parts.mirror;
    this.#guests = parts.guests;
  }

  /** Orders a VM, asks again until there is an answer, and perhaps pays. */
  async order(step: OrderStep): Promise<void> {
    const number = ++this.#count;
    const who = CUSTOMERS[step.who] ?? "ada";
    const body = {
      planId: toWireId("plan", PLANS[step.plan === 1 ? 1 : 0].id),
      imageId: toWireId("image", IMAGES[step.image === 1 ? 1 : 0].id),
      locationId: toWireId("location", LOCATION_ID),
      hostname: `vm-${number}.example.test`,
      sshKeys: [SSH_KEY],
      billingInterval: step.interval,
    };
    const key = `order-key-${number}`;
    const bought: Keyed = { who, path: "/v1/orders", key, body, answer: null };
    this.#bought.push(bought);
    await Promise.all([this.#askOnce(bought), step.double ? this.#askOnce(bought) : null]);
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

  /** Asks under its key. A refusal leaves the key unused; once it has an answer, that is the answer to every repeat. */
  async #askOnce(keyed: Keyed): Promise<void> {
    const known = keyed.answer;
    const { who, path, key, body } = keyed;
    const answer = await this.#insist(who, "POST", path, body, { "idempotency-key": key });
    if (this.#isPurged(keyed)) {
      keyed.answer = answer !== null && isTaken(answer) ? answer.text : null;
      keyed.claimed = this.#claimOf(key);
      return;
    }
    // Of two that race, the one that was refused may be heard of after the one that was not: so `known`.
    if (answer === null || (!isTaken(answer) && known === null)) return;
    if (!isTaken(answer))
      this.#broken(3, `one key, one body: ${known}, and then ${answer.status} ${answer.text}`);
    else if (keyed.answer !== null && keyed.answer !== answer.text)
      this.#broken(3, `one key, one body, two answers: ${keyed.answer} and ${answer.text}`);
    else {
      keyed.answer = answer.text;
      keyed.claimed = this.#claimOf(key);
    }
  }

  /** What was kept for its key is gone for its age, or with an order that ran out: the key is a new one. */
  #isPurged({ key, answer, claimed }: Keyed): boolean {
    return answer !== null && this.#claimOf(key) !== claimed;
  }

  #claimOf(key: string): number | undefined {
    return this.#mirror.keys.all().find((row) => row.key === key)?.created_at;
  }

  /** The same key once more, with the same body or another one; or the same body under another key. */
  async repeatOrder(index: number, body: RepeatedBody): Promise<void> {
    const bought = pick(this.#bought, index);
    if (bought === undefined) return;
    if (body === "second_click") {
      const again = { ...bought, key: `order-key-${++this.#count}`, answer: null };
      this.#bought.push(again);
      return this.#askOnce(again);
    }
    if (body === "same") return this.#askOnce(bought);
    const known = bought.answer !== null;
    const answer = await this.#insist(
      bought.who,
      "POST",
      "/v1/orders",
      { ...Object(bought.body), hostname: "another.example.test" },
      { "idempotency-key": bought.key },
    );
    if (known && !this.#isPurged(bought) && answer !== null && answer.status !== 422)
      this.#broken(3, `another body under a used key was answered ${answer.status}`);
    return undefined;
  }

  async act(index: number, type: Power | "delete", by: By, double: boolean): Promise<void> {
    const vm = pick(this.#mirror.vms.all(), index);
    if (vm === undefined) return;
    const who = by === "staff" ? "grace" : ownerOf(vm);
    const path = `/v1/vms/${toWireId("vm", vm.id)}`;
    if (type !== "delete") return this.#actOnce(who, `${path}/actions`, type, double);
    const once = () => this.#insist(who, "DELETE", path);
    await Promise.all([once(), double ? once() : null]);
    return undefined;
  }

  async #actOnce(who: PersonName, path: string, type: Power, double: boolean): Promise<void> {
    const key = `action-key-${++this.#count}`;
    const asked: Keyed = { who, path, key, body: { type }, answer: null };
    await Promise.all([this.#askOnce(asked), double ? this.#askOnce(asked) : null]);
    if (double && asked.answer !== null) await this.#askOnce(asked);
  }

  /** Staff call off what runs on a VM, or give it up. */
  async callOff(index: number, abandon: boolean): Promise<void> {
    const vm = pick(this.#mirror.vms.all(), index);
    const actions = this.#mirror.actions.all();
    const action = actions.find((a) => a.vm_id === vm?.id && a.status === "running");
    if (vm === undefined || action === undefined) return;
    const path = `/staff/v1/vms/${toWireId("vm", vm.id)}/actions/${toWireId("action", action.id)}`;
    const dry = await this.#insist("grace", "POST", `${path}/cancel`, { abandon, dryRun: true });
    if (dry?.status !== 200) return;
    const { hash } = z.object({ hash: z.string() }).parse(JSON.parse(dry.text));
    await this.#insist("grace", "POST", `${path}/cancel`, { abandon, hash });
  }

  /** Staff bring back, or give up, a VM once it is told as lost; what its host cannot do they do in another way. */
  async repair(vmId: string, how: RepairWay): Promise<void> {
    const path = `/staff/v1/vms/${toWireId("vm", vmId)}/repair`;
    for (let tries = 0; this.#mirror.vms.get(vmId)?.lost_at === null; tries++) {
      if (tries === MOST_WAITS) return;
      await this.#sim.scheduler.sleep(60_000, undefined, "staff wait for a loss");
    }
    const dry = await this.#insist("grace", "POST", path, { how, dryRun: true });
    if (dry?.status !== 200) {
      // An old word of its host's, or a hypervisor that cannot: made anew it can be everywhere.
      if (dry?.text.includes("repair_unavailable") === true) return this.repair(vmId, "recreate");
      return;
    }
    const { hash } = z.object({ hash: z.string() }).parse(JSON.parse(dry.text));
    const key = `repair-key-${++this.#count}`;
    await this.#askOnce({ who: "grace", path, key, body: { how, hash }, answer: null });
  }

  /** Staff suspend a VM or lift that: as soon as it is made, and by what a dry run showed. */
  async suspend(vmId: string, verb: "suspend" | "unsuspend", reason: Suspension): Promise<void> {
    const path = `/staff/v1/vms/${toWireId("vm", vmId)}/${verb}`;
    const body = { reason, note: "as somebody has told us" };
    for (let tries = 0; tries < MOST_WAITS; tries++) {
      const dry = await this.#insist("grace", "POST", path, { ...body, dryRun: true });
      if (dry?.status === 404) return;
      if (dry?.status === 200) {
        const { hash } = z.object({ hash: z.string() }).parse(JSON.parse(dry.text));
        const done = await this.#insist("grace", "POST", path, { ...body, hash });
        if (done?.status === 200) return;
      }
      await this.#sim.scheduler.sleep(60_000, undefined, "staff ask again");
    }
  }

  /** A customer has a resize offered, takes it, and does what there is to do about it. */
  async resize(step: ResizeStep): Promise<void> {
    const vm = await this.#delivered(step.vm);
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
        await this.#insist(who, "POST", `${path}/resize/cancel`);
        return;
      case "another":
        if (otherId !== null) await this.#takeOffer(vm, otherId, step.double);
        return;
      case "delete":
        await this.#insist(who, "DELETE", path);
    }
  }

  /** A VM that is delivered, as soon as there is one, for as long as that is worth waiting for. */
  async #delivered(index: number): Promise<Row<"vms"> | undefined> {
    const there = () =>
      this.#mirror.vms
        .all()
        .filter(
          (vm) => vm.presence === "present" && this.#mirror.orderOf(vm.id)?.state === "active",
        );
    for (let tries = 0; there().length === 0 && tries < MOST_WAITS; tries++)
      await this.#sim.scheduler.sleep(60_000, undefined, "waits for a VM");
    return pick(there(), index);
  }

  /** @returns the quote's id; null: nothing was offered. */
  async #offer(vm: Row<"vms">, step: ResizeStep): Promise<string | null> {
    const answer = await this.#askForVm(vm, "resize-quotes", this.#wanted(vm, step), step.double);
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
    const key = `resize-key-${++this.#count}`;
    const asked: Keyed = { who: ownerOf(vm), path, key, body, answer: null };
    await Promise.all([this.#askOnce(asked), double ? this.#askOnce(asked) : null]);
    return asked.answer;
  }

  #wanted(
    vm: Row<"vms">,
    { to, interval, keepDisk }: Pick<ResizeStep, "to" | "interval" | "keepDisk">,
  ) {
    const planId = this.#mirror.services.get(vm.id)?.plan_id;
    const is = PLANS.findIndex(({ id }) => id === planId);
    return {
      planId: toWireId("plan", (PLANS[(is + to) % PLANS.length] ?? PLANS[0]).id),
      ...(interval !== null && { billingInterval: interval }),
      keepDisk,
    };
  }

  /** Opens the page where a resize waits for its payment, if it does, and answers there. */
  async #payFor(who: PersonName, actionId: string, form: Record<string, string>): Promise<void> {
    for (let looks = 0; looks < MOST_PAY_LOOKS; looks++) {
      const shown = await this.#insist(who, "GET", `/v1/actions/${actionId}`);
      if (shown?.status !== 200) return;
      const { payUrl } = Waiting.parse({ action: JSON.parse(shown.text) }).action;
      if (payUrl !== null) {
        await this.#provider.payInvoice(payUrl, form);
        return;
      }
      await this.#sim.scheduler.sleep(30_000, undefined, "looks for what to pay");
    }
  }

  /** Staff resize a VM, by what a dry run showed. */
  async resizeByStaff(step: StaffResizeStep): Promise<void> {
    const vm = await this.#delivered(step.vm);
    if (vm === undefined) return;
    const path = `/staff/v1/vms/${toWireId("vm", vm.id)}/resize`;
    const { when, billing } = step;
    const body = { ...this.#wanted(vm, step), when, billing, reason: "as somebody has asked us" };
    const dry = await this.#insist("grace", "POST", path, { ...body, dryRun: true });
    if (dry?.status !== 200) return;
    const { hash } = z.object({ hash: z.string().nullable() }).parse(JSON.parse(dry.text));
    if (hash === null) return;
    const key = `resize-key-${++this.#count}`;
    const asked: Keyed = { who: "grace", path, key, body: { ...body, hash }, answer: null };
    await this.#askOnce(asked);
    if (asked.answer !== null) this.#sim.faults.count("resize.taken");
  }

  /**
   * Staff move a VM by what a dry run showed, as soon as one says that it can be (`began`), and perhaps stop that again. What a
   * dry run allows may be refused a moment later.
   */
  async move(step: MoveStep, began: () => void): Promise<void> {
    const vm = await this.#delivered(step.vm);
    if (vm === undefined) return;
    const path = `/staff/v1/vms/${toWireId("vm", vm.id)}/migrate`;
    const begun = await this.#beginMove(vm, path, step);
    began();
    if (begun === null) return;
    this.#sim.faults.count("move.begun");
    if (step.stopAfterMs === null) return;
    await this.#sim.scheduler.sleep(step.stopAfterMs, undefined, "thinks");
    await this.#stopMove(begun);
  }

  /** @returns the move's id; null: it was never possible, or somebody was faster. */
  async #beginMove(vm: Row<"vms">, path: string, step: MoveStep): Promise<string | null> {
    for (let tries = 0; tries < MOST_LOOKS; tries++) {
      const body = {
        ...(step.named && this.#otherHost(vm.id)),
        method: "auto",
        ...(step.mbitPerSecond !== null && { mbitPerSecond: step.mbitPerSecond }),
        reason: "its host is to be emptied",
      };
      const dry = await this.#insist("grace", "POST", path, { ...body, dryRun: true });
      if (dry?.status === 404) return null;
      const hash = dry?.status === 200 ? Dry.parse(JSON.parse(dry.text)).hash : null;
      if (hash !== null) {
        const key = `move-key-${++this.#count}`;
        const asked: Keyed = { who: "grace", path, key, body: { ...body, hash }, answer: null };
        await Promise.all([this.#askOnce(asked), step.double ? this.#askOnce(asked) : null]);
        if (asked.answer !== null) return Begun.parse(JSON.parse(asked.answer)).move.id;
      }
      await this.#sim.scheduler.sleep(60_000, undefined, "staff ask again");
    }
    return null;
  }

  /** The next one after its own, of all hosts. */
  #otherHost(vmId: string): { hostId: string } | null {
    const ids = this.#mirror.hosts.all().map(({ id }) => id);
    const at = this.#mirror.vms.get(vmId)?.host_id;
    const next = ids[(ids.findIndex((id) => id === at) + 1) % ids.length];
    return next === undefined ? null : { hostId: toWireId("host", next) };
  }

  async #stopMove(moveId: string): Promise<void> {
    const path = `/staff/v1/moves/${moveId}/stop`;
    const reason = "another day suits its customer better";
    const dry = await this.#insist("grace", "POST", path, { reason, dryRun: true });
    if (dry?.status !== 200) return;
    const { hash } = Dry.parse(JSON.parse(dry.text));
    if (hash === null) return;
    const done = await this.#insist("grace", "POST", path, { reason, hash });
    if (done?.status === 200) this.#sim.faults.count("move.stopped");
  }

  /** Staff sell a plan as another: larger, and dearer, by so much. */
  async changePlan(index: number, by: number): Promise<void> {
    const plan = PLANS[index === 1 ? 1 : 0];
    const { id, vcpus, memoryMib, diskGib, bandwidthMbit, diskIops, month, year } = plan;
    const path = `/staff/v1/plans/${toWireId("plan", id)}/versions`;
    const price = (interval: "month" | "year", minor: number) => ({
      interval,
      amountMinor: (minor + 100 * by).toString(),
      currency: "usd",
    });
    const body = {
      vcpus,
      memoryMib: memoryMib + 128 * by,
      diskGib: diskGib + by,
      trafficGib: 1024,
      bandwidthMbit: bandwidthMbit + by,
      diskIops,
      prices: [price("month", month), price("year", year)],
    };
    const key = `plan-key-${++this.#count}`;
    await this.#askOnce({ who: "grace", path, key, body, answer: null });
  }

  /** Staff say that the database was restored, until they are heard. */
  async sayRestored(to: number): Promise<z.infer<typeof Told> | null> {
    const body = { restoredTo: new Date(to).toISOString() };
    for (;;) {
      const answer = await this.#insist("grace", "POST", "/staff/v1/restores", body);
      if (answer?.status === 200) return Told.parse(JSON.parse(answer.text));
      // A month has passed: there is no more to say of it.
      if (answer !== null) return null;
      await this.#sim.scheduler.sleep(30_000, undefined, "staff ask again");
    }
  }

  /** What the database lost, hosts hold and the provider was paid for is made known again, as it becomes known. */
  async adoptLost(restored: Restore): Promise<void> {
    for (let looks = 0; looks < MOST_LOOKS; looks++) {
      await this.#sim.scheduler.sleep(60_000, undefined, "staff look for what is lost");
      const told = await this.sayRestored(restored.to);
      if (told === null) return;
      for (const vm of told.unknownVms) await this.#adopt(vm.id, told, restored);
      if (told.unheardHosts.length === 0 && told.eventsReadAt !== null && looks > LEAST_LOOKS)
        return;
    }
  }

  async #adopt(vmId: string, told: z.infer<typeof Told>, { orders }: Restore): Promise<void> {
    // Staff go by customer, size and price; here it is known whose it was.
    const order = [...orders.values()].find((o) => toWireId("vm", o.vm_id) === vmId);
    const paid = told.unknownCheckouts.find((c) => c.orderId === order?.id);
    if (order === undefined || paid === undefined) return;
    const path = `/staff/v1/vms/${vmId}/adopt`;
    const asked = {
      checkoutId: paid.checkoutId,
      accountId: toWireId("account", order.account_id),
      planId: toWireId("plan", order.plan_id),
    };
    const dry = await this.#insist("grace", "POST", path, { ...asked, dryRun: true });
    if (dry?.status !== 200) return;
    const { hash } = z.object({ hash: z.string() }).parse(JSON.parse(dry.text));
    await this.#insist("grace", "POST", path, { ...asked, hash });
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
      const answer = await this.#send(who, method, path, body, {
        "idempotency-key": `snoop-key-${++this.#count}`,
      });
      if (answer !== null && answer.status < 400)
        this.#broken(19, `${who} was answered ${answer.status} to ${method} ${path}`);
    }
    const list = await this.#send(who, "GET", "/v1/vms");
    if (list?.text.includes(id) === true) this.#broken(19, `${who} sees a VM of another's`);
  }

  /** A host with its own good key tells things that are not so, or not its to tell. */
  async lie(host: SimHost, other: SimHost, index: number, lie: Lie): Promise<void> {
    const { scheduler, ids, faults } = this.#sim;
    const identity = await loadIdentity(host.store);
    if (identity === null) return;
    const plane = createHttpControlPlane({
      apiUrl: "http://berth.test",
      fetch: fetchOver(
        this.#sim,
        { name: "liar", isCut: () => false, isDead: () => false },
        this.#plane.api,
      ),
      clock: scheduler.clock,
      sign: await createSigner(identity, { clock: scheduler.clock, ids }),
    });
    const told = this.#tell(plane, host, other, index, lie);
    if (told === null) return;
    faults.count("host.lied");
    await told.then(
      () => undefined,
      () => undefined,
    );
  }

  #tell(
    plane: HostsPlane,
    host: SimHost,
    other: SimHost,
    index: number,
    lie: Lie,
  ): Promise<unknown> | null {
    const { vms: all, actions } = this.#mirror;
    const nothing = { desiredGeneration: 0, vms: [], actions: [], strangers: [], facts: null };
    if (lie === "size") return host.boast().then((facts) => plane.report({ ...nothing, facts }));
    // An epoch that is not its own may be told of a VM of its own; the rest is about another host's VMs.
    const isOfItsOwn = lie === "other_epoch" || lie === "later_generation";
    const { hostId } = isOfItsOwn ? host : other;
    const vm = pick(
      all.all().filter((each) => each.host_id === hostId),
      index,
    );
    if (vm === undefined) return null;
    if (lie === "usage") {
      const now = this.#sim.scheduler.now().getTime();
      return plane.sendUsage({ samples: [falseSample(vm.id, now)] });
    }
    const ownerEpoch = vm.owner_epoch + (lie === "other_epoch" ? 1 : 0);
    const generation = vm.generation + (lie === "later_generation" ? 1 : 0);
    return plane.report({
      ...nothing,
      vms: [
        {
          vmId: vm.id,
          generation,
          ownerEpoch,
          settled: true,
          error: null,
          observed: lie === "gone" ? null : falseObservation(vm, ownerEpoch),
        },
      ],
      actions: actions
        .all()
        .filter((a) => a.vm_id === vm.id && a.status === "running" && lie === "running")
        .map((a) => ({ actionId: a.id, vmId: vm.id, outcome: "error", error: null })),
    });
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

  /** The customer ends the subscription in Stripe's own portal. */
  async cancelAtProvider(index: number): Promise<void> {
    const service = pick(this.#mirror.services.all(), index);
    if (service?.subscription_id) await this.#provider.cancel(service.subscription_id);
  }

  /** Asks until there is an answer that another try would not change; null: gave up. */
  async #insist(
    who: PersonName,
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer | null> {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const answer = await this.#send(who, method, path, body, headers);
      if (answer !== null && answer.status < 500) return answer;
      await this.#sim.scheduler.sleep(2 ** tries * 1000, undefined, `${who} waits`);
    }
    return null;
  }

  async #send(
    who: PersonName,
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer | null> {
    const send = fetchOver(
      this.#sim,
      { name: who, isCut: () => false, isDead: () => false },
      this.#plane.api,
    );
    // A program waits so long for an answer, and no longer.
    const patience = new AbortController();
    const cancel = this.#sim.scheduler.after(30_000, `${who} gives up`, () =>
      patience.abort(new Error("no answer (simulated)")),
    );
    try {
      const answer = await send(`http://berth.test${path}`, {
        method,
        headers: {
          authorization: `Bearer ${tokenOf(who)}`,
          ...(body === undefined ? {} : { "content-type": "application/json" }),
          ...headers,
        },
        signal: patience.signal,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { status: answer.status, text: await answer.text() };
    } catch {
      return null;
    } finally {
      cancel();
    }
  }

  #broken(invariant: number, detail: string): void {
    this.#sim.found.violation ??= new Violation(invariant, detail);
  }
}

/** 200: an order that was open already, or no offer. */
const isTaken = ({ status }: Answer): boolean => status === 200 || status === 201 || status === 202;

const pick = <T>(list: readonly T[], index: number): T | undefined =>
  list.length === 0 ? undefined : list[index % list.length];

const ownerOf = (vm: Row<"vms">): PersonName =>
  PEOPLE.find((p) => p.accountId === vm.account_id)?.name ?? "ada";

const falseObservation = (vm: Row<"vms">, ownerEpoch: number) => ({
  vmId: vm.id,
  ownerEpoch,
  power: "running" as const,
  size: { vcpus: vm.vcpus, memoryMib: vm.memory_mib, diskGib: vm.disk_gib },
  complete: true,
  bootEpoch: "a-false-boot",
  guest: null,
  seeded: true,
});

const falseSample = (vmId: string, now: number) => ({
  vmId,
  bootEpoch: "a-false-boot",
  seq: 0,
  from: new Date(now - 1000).toISOString(),
  to: new Date(now).toISOString(),
  cpuNs: "1",
  rxBytes: ["1"],
  txBytes: ["1"],
  readBytes: "1",
  writeBytes: "1",
  memoryBytes: "1",
  diskBytes: "1",
});
