import { z } from "zod";
import type { Suspension } from "#core/billing/suspension.ts";
import type { RepairWay } from "#core/vms/plan-repair.ts";
import { toWireId } from "#core/ids.ts";
import { PLANS } from "./fixture.ts";
import type { Mirror, Row } from "./mirror.ts";
import type { Step } from "./plan.ts";
import { MOST_WAITS, pick, type Keyed, type Requests } from "./requests.ts";
import type { Restore } from "./restore.ts";
import type { Sim } from "./sim.ts";
import { wantedOf } from "./wanted.ts";

const Dry = z.object({ hash: z.string().nullable() });
const Begun = z.object({ move: z.object({ id: z.string() }) });

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

type StaffResizeStep = Extract<Step, { do: "resize_by_staff" }>;
type MoveStep = Extract<Step, { do: "move" }>;

/** What staff do to one VM, and after a restore. */
export class Staff {
  readonly #sim: Sim;
  readonly #requests: Requests;
  readonly #mirror: Mirror;

  constructor(sim: Sim, parts: { requests: Requests; mirror: Mirror }) {
    this.#sim = sim;
    this.#requests = parts.requests;
    this.#mirror = parts.mirror;
  }

  /** Staff call off what runs on a VM, or give it up. */
  async callOff(index: number, abandon: boolean): Promise<void> {
    const vm = pick(this.#mirror.vms.all(), index);
    const actions = this.#mirror.actions.all();
    const action = actions.find((a) => a.vm_id === vm?.id && a.status === "running");
    if (vm === undefined || action === undefined) return;
    const path = `/staff/v1/vms/${toWireId("vm", vm.id)}/actions/${toWireId("action", action.id)}`;
    const dry = await this.#requests.insist("grace", "POST", `${path}/cancel`, {
      abandon,
      dryRun: true,
    });
    if (dry?.status !== 200) return;
    const { hash } = z.object({ hash: z.string() }).parse(JSON.parse(dry.text));
    await this.#requests.insist("grace", "POST", `${path}/cancel`, { abandon, hash });
  }

  /** Staff bring back, or give up, a VM once it is told as lost; what its host cannot do they do in another way. */
  async repair(vmId: string, how: RepairWay): Promise<void> {
    const path = `/staff/v1/vms/${toWireId("vm", vmId)}/repair`;
    for (let tries = 0; this.#mirror.vms.get(vmId)?.lost_at === null; tries++) {
      if (tries === MOST_WAITS) return;
      await this.#sim.scheduler.sleep(60_000, undefined, "staff wait for a loss");
    }
    const dry = await this.#requests.insist("grace", "POST", path, { how, dryRun: true });
    if (dry?.status !== 200) {
      // An old word of its host's, or a hypervisor that cannot: made anew it can be everywhere.
      if (dry?.text.includes("repair_unavailable") === true) return this.repair(vmId, "recreate");
      return;
    }
    const { hash } = z.object({ hash: z.string() }).parse(JSON.parse(dry.text));
    const key = this.#requests.newKey("repair");
    await this.#requests.askOnce({ who: "grace", path, key, body: { how, hash }, answer: null });
  }

  /** Staff suspend a VM or lift that: as soon as it is made, and by what a dry run showed. */
  async suspend(vmId: string, verb: "suspend" | "unsuspend", reason: Suspension): Promise<void> {
    const path = `/staff/v1/vms/${toWireId("vm", vmId)}/${verb}`;
    const body = { reason, note: "as somebody has told us" };
    for (let tries = 0; tries < MOST_WAITS; tries++) {
      const dry = await this.#requests.insist("grace", "POST", path, { ...body, dryRun: true });
      if (dry?.status === 404) return;
      if (dry?.status === 200) {
        const { hash } = z.object({ hash: z.string() }).parse(JSON.parse(dry.text));
        const done = await this.#requests.insist("grace", "POST", path, { ...body, hash });
        if (done?.status === 200) return;
      }
      await this.#sim.scheduler.sleep(60_000, undefined, "staff ask again");
    }
  }

  /** Staff resize a VM, by what a dry run showed. */
  async resizeByStaff(step: StaffResizeStep): Promise<void> {
    const vm = await this.#requests.delivered(step.vm);
    if (vm === undefined) return;
    const path = `/staff/v1/vms/${toWireId("vm", vm.id)}/resize`;
    const { when, billing } = step;
    const body = {
      ...wantedOf(this.#mirror, vm, step),
      when,
      billing,
      reason: "as somebody has asked us",
    };
    const dry = await this.#requests.insist("grace", "POST", path, { ...body, dryRun: true });
    if (dry?.status !== 200) return;
    const { hash } = z.object({ hash: z.string().nullable() }).parse(JSON.parse(dry.text));
    if (hash === null) return;
    const key = this.#requests.newKey("resize");
    const asked: Keyed = { who: "grace", path, key, body: { ...body, hash }, answer: null };
    await this.#requests.askOnce(asked);
    if (asked.answer !== null) this.#sim.faults.count("resize.taken");
  }

  /**
   * Staff move a VM by what a dry run showed, as soon as one says that it can be (`began`), and perhaps stop that again. What a
   * dry run allows may be refused a moment later.
   */
  async move(step: MoveStep, began: () => void): Promise<void> {
    const vm = await this.#requests.delivered(step.vm);
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
      const dry = await this.#requests.insist("grace", "POST", path, { ...body, dryRun: true });
      if (dry?.status === 404) return null;
      const hash = dry?.status === 200 ? Dry.parse(JSON.parse(dry.text)).hash : null;
      if (hash !== null) {
        const key = this.#requests.newKey("move");
        const asked: Keyed = { who: "grace", path, key, body: { ...body, hash }, answer: null };
        await Promise.all([
          this.#requests.askOnce(asked),
          step.double ? this.#requests.askOnce(asked) : null,
        ]);
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
    const dry = await this.#requests.insist("grace", "POST", path, { reason, dryRun: true });
    if (dry?.status !== 200) return;
    const { hash } = Dry.parse(JSON.parse(dry.text));
    if (hash === null) return;
    const done = await this.#requests.insist("grace", "POST", path, { reason, hash });
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
    const key = this.#requests.newKey("plan");
    await this.#requests.askOnce({ who: "grace", path, key, body, answer: null });
  }

  /** Staff say that the database was restored, until they are heard. */
  async sayRestored(to: number): Promise<z.infer<typeof Told> | null> {
    const body = { restoredTo: new Date(to).toISOString() };
    for (;;) {
      const answer = await this.#requests.insist("grace", "POST", "/staff/v1/restores", body);
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
    const dry = await this.#requests.insist("grace", "POST", path, { ...asked, dryRun: true });
    if (dry?.status !== 200) return;
    const { hash } = z.object({ hash: z.string() }).parse(JSON.parse(dry.text));
    await this.#requests.insist("grace", "POST", path, { ...asked, hash });
  }
}
