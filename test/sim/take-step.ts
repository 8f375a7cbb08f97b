import { BEGINS_BEFORE_RENEWAL_MS } from "#core/billing/plan-change.ts";
import { assertNever } from "#core/result.ts";
import type { RepairWay } from "#core/vms/plan-repair.ts";
import { loseVm } from "#host-agent/drivers/simulated/host-events.ts";
import type { VmRecord } from "#host-agent/drivers/simulated/world.ts";
import type { FaultKind } from "./faults.ts";
import type { SimHost } from "./host.ts";
import type { Step, Strike } from "./plan.ts";
import { IMAGES } from "./fixture.ts";
import { FOREIGN } from "./sim-world.ts";
import type { World } from "./world.ts";

const HOUR = 3_600_000;
const MINUTE = 60_000;

/** Begins a step of the plan. What people do goes on by itself; only a jump in time is over when this returns. */
export async function takeStep(world: World, step: Step): Promise<void> {
  const { people, staff, operators, liars, sim } = world;
  /** People do not wait for each other. An error that none of them expects is a bug of the simulator, or of ours. */
  const begin = (work: Promise<void>) => {
    world.busy.count++;
    work
      .catch((error: unknown) => sim.log.error(`step ${step.do}`, { error }))
      .finally(() => world.busy.count--);
  };
  switch (step.do) {
    case "order":
      return begin(people.order(step));
    case "repeat_order":
      return begin(people.repeatOrder(step.order, step.body));
    case "act":
      return begin(people.act(step.vm, step.type, step.by, step.double));
    case "delete":
      return begin(people.act(step.vm, "delete", step.by, step.double));
    case "call_off":
      return begin(staff.callOff(step.vm, step.abandon));
    case "snoop":
      return begin(people.snoop(step.vm));
    case "lie":
      return begin(
        liars.lie(hostAt(world, step.host), hostAt(world, step.host + 1), step.vm, step.lie),
      );
    case "replay":
      return replayInTurn(world, hostAt(world, step.host), step.back);
    case "set_clock":
      sim.faults.count("host.clock_set");
      return hostAt(world, step.host).setClock(step.aheadMs);
    case "remove_image":
      return removeImage(world, hostAt(world, step.host), step.image, step.forMs);
    case "strike":
      return strikeInTurn(world, step.vm, step.what);
    case "plant":
      return plant(world, step.order);
    case "lose":
      return lose(world, step, (vmId, how) => begin(staff.repair(vmId, how)));
    case "suspend":
      return suspend(world, step, begin);
    case "cut_power":
      return strikesIn(world, step.inSteps, `cut_power ${step.host}`, () => {
        sim.faults.count(step.flushed ? "host.rebooted" : "host.power_lost");
        hostAt(world, step.host).losePower(step);
      });
    case "vanish":
      return strikesIn(world, step.inSteps, `vanish ${step.host}`, () =>
        vanish(world, hostAt(world, step.host), step.forMs),
      );
    case "old_agent":
      return strikesIn(world, step.inSteps, `old_agent ${step.host}`, () =>
        putBackAgent(world, hostAt(world, step.host), step.forMs),
      );
    case "fill_disk":
      return strikesIn(world, step.inSteps, `fill_disk ${step.host}`, () =>
        fillDisk(world, hostAt(world, step.host), step.forMs),
      );
    case "fail_renewals":
      people.failRenewals(step.who, step.count);
      return jump(world, step.days, 72);
    case "cancel_at_provider":
      return begin(people.cancelAtProvider(step.vm));
    case "revive":
      return begin(people.revive(step));
    case "change_plan":
      return begin(staff.changePlan(step.plan, step.by));
    case "resize":
      return begin(people.resize(step));
    case "resize_by_staff":
      return begin(staff.resizeByStaff(step));
    case "move":
      return untilBegun(world, begin, (began) => staff.move(step, began));
    case "drain":
      return untilBegun(world, begin, (began) => operators.drain(step, began));
    case "maintain":
      return begin(operators.maintain(step, hostAt(world, step.host).hostId));
    case "migrate_plans":
      return untilBegun(world, begin, (began) => operators.migratePlans(step, began));
    case "jump":
      return jump(world, step.days, step.strideHours);
    case "restore":
      return restore(world, step, begin);
    default:
      return assertNever(step);
  }
}

/** Lands in the middle of what is under way then; not at all once the faults have stopped. */
function strikesIn({ sim }: World, steps: number, label: string, strikes: () => void): void {
  sim.scheduler.inSteps(steps, label, () => {
    if (sim.faults.active) strikes();
  });
}

function hostAt(world: World, index: number): SimHost {
  const host = world.hosts[index % world.hosts.length];
  if (host === undefined) throw new Error("there is no host");
  return host;
}

/** Somebody has made a VM by hand, under the very id that an order's VM is to have. Nobody of ours may touch it. */
function plant(world: World, index: number): void {
  const places = world.mirror.reservations.all().flatMap((held) => {
    const order = world.mirror.orderOf(held.vm_id);
    const host = world.hosts.find((h) => h.hostId === held.host_id);
    return order && host && held.released_at === null && !host.world.get(order.vm_id)
      ? [{ vmId: order.vm_id, host }]
      : [];
  });
  const place = places[index % Math.max(1, places.length)];
  if (place === undefined) return;
  world.sim.faults.count("vm.foreign");
  const made: VmRecord = {
    vmId: place.vmId,
    ownerEpoch: null,
    size: { vcpus: 1, memoryMib: 128, diskGib: 1 },
    disk: { serial: `${FOREIGN}${place.vmId}`, image: "foreign", everStarted: true },
    seed: null,
    definition: { macs: [] },
    run: null,
    starts: 1,
  };
  place.host.world.put(made);
  place.host.world.foreign.set(made.vmId, made);
}

/** A VM is taken away by hand. So many days later staff do something about it, if they ever do. */
async function lose(
  world: World,
  step: Extract<Step, { do: "lose" }>,
  repair: (vmId: string, how: RepairWay) => void,
): Promise<void> {
  const there = () =>
    world.hosts.flatMap((host) =>
      host.world.all().flatMap((vm) => {
        const row = world.mirror.vms.get(vm.vmId);
        // One that somebody made by hand under a VM's id is not that VM: what is done to it would be laid at our door.
        const isOurs = vm.ownerEpoch !== null;
        const isWhole = vm.definition !== null && vm.disk !== null && !vm.undefinedRun;
        return isOurs && isWhole && row?.presence === "present" && row.first_seen_at !== null
          ? [{ host, vm }]
          : [];
      }),
    );
  for (let tries = 0; there().length === 0 && tries < 6; tries++) await world.run(UNTIL_IT_RUNS_MS);
  const found = there();
  const hit = found[step.vm % Math.max(1, found.length)];
  if (hit === undefined) return;
  const { host, vm } = hit;
  world.sim.faults.count("vm.lost");
  host.disturbed();
  host.hasLostVms = true;
  if (vm.disk !== null && step.what !== "definition") host.world.takenByHand.add(vm.disk.serial);
  if (vm.disk !== null && step.what === "trash")
    await host.world.putTrash({
      serial: vm.disk.serial,
      vmId: vm.vmId,
      trashedAt: world.sim.scheduler.now().getTime(),
      held: { ...vm, run: null, definition: null, seed: null },
    });
  await loseVm(host.world, vm.vmId, step.what === "definition" ? "definition" : "all");
  // Over a month, as a jump of a month goes: a stride costs as much of a run as anything in it.
  if (step.days > 0) await jump(world, step.days, step.days > 4 ? 72 : 24);
  if (step.repair !== null) repair(vm.vmId, step.repair);
}

/** Staff suspend a VM; so many days later they lift it, if they ever do. Whatever is paid meanwhile changes nothing of it. */
async function suspend(
  world: World,
  step: Extract<Step, { do: "suspend" }>,
  begin: (work: Promise<void>) => void,
): Promise<void> {
  const made = () =>
    world.mirror.vms.all().filter((vm) => vm.presence === "present" && vm.first_seen_at !== null);
  for (let tries = 0; made().length === 0 && tries < 6; tries++) await world.run(UNTIL_IT_RUNS_MS);
  const vm = made()[step.vm % Math.max(1, made().length)];
  if (vm === undefined) return;
  begin(world.staff.suspend(vm.id, "suspend", step.reason));
  if (step.days > 0) await jump(world, step.days, 72);
  if (step.lift) begin(world.staff.suspend(vm.id, "unsuspend", step.reason));
}

/** What staff do is over when it has begun, or cannot: so that what comes next finds it under way. */
async function untilBegun(
  world: World,
  begin: (work: Promise<void>) => void,
  work: (began: () => void) => Promise<void>,
): Promise<void> {
  const under = { way: false };
  const began = () => {
    under.way = true;
  };
  begin(work(began).finally(began));
  while (!under.way) await world.runSteps(1);
}

const STRUCK = {
  powers_off: "vm.powered_off",
  pauses: "vm.paused",
  fails: "vm.failed",
} as const satisfies Record<Strike, FaultKind>;

/** One blow after the other, each as soon as there is a VM that runs, for as long as that is worth waiting for. */
function strikeInTurn(world: World, index: number, blows: readonly Strike[], tries = 20): void {
  const [what, ...more] = blows;
  if (what === undefined || tries === 0) return;
  const hit = strike(world, index, what);
  world.busy.count++;
  world.sim.scheduler.after(hit ? BETWEEN_BLOWS_MS : UNTIL_IT_RUNS_MS, "strike", () => {
    world.busy.count--;
    strikeInTurn(world, index + 1, hit ? more : blows, tries - 1);
  });
}
const BETWEEN_BLOWS_MS = 45_000;
const UNTIL_IT_RUNS_MS = 40_000;

/** A VM's process ends, stands still, or is broken. Its agent must see it. */
function strike(world: World, index: number, what: Strike): boolean {
  const running = world.hosts.flatMap((host) =>
    host.world
      .all()
      .flatMap((vm) => (vm.run === null || vm.run.failed ? [] : [{ host, vm, run: vm.run }])),
  );
  const hit = running[index % Math.max(1, running.length)];
  if (hit === undefined) return false;
  world.sim.faults.count(STRUCK[what]);
  const { host, vm, run } = hit;
  host.world.put({
    ...vm,
    run:
      what === "powers_off"
        ? null
        : { ...run, paused: what === "pauses", failed: what === "fails" },
  });
  return true;
}

function vanish(world: World, host: SimHost, forMs: number): void {
  world.sim.faults.count("host.vanished");
  host.disconnect();
  world.sim.scheduler.after(forMs, `${host.name} is back`, () => host.reconnect());
}

/** A host gets an agent of before our words, in the middle of whatever it does, and after a while today's again. */
function putBackAgent({ sim }: World, host: SimHost, forMs: number): void {
  if (host.agentOf === "before") return;
  sim.faults.count("host.agent_downgraded");
  host.changeAgent("before");
  sim.scheduler.after(forMs, `${host.name} is upgraded`, () => {
    if (!sim.faults.active || host.agentOf === "today") return;
    sim.faults.count("host.agent_upgraded");
    host.changeAgent("today");
  });
}

/** Somebody who has listened sends a report again, and again: in the middle of whatever the host tells meanwhile. */
function replayInTurn(world: World, host: SimHost, back: number, times = REPLAYS): void {
  const { scheduler, faults } = world.sim;
  if (times === 0 || !faults.active) return;
  world.busy.count++;
  void host.replay(back).then((sent) => {
    if (sent) faults.count("host.report_replayed");
    world.busy.count--;
  });
  scheduler.after(BETWEEN_REPLAYS_MS, "replay", () => replayInTurn(world, host, back, times - 1));
}
const REPLAYS = 12;
const BETWEEN_REPLAYS_MS = 7_000;

/** An image's file is gone from a host for a while. */
function removeImage(world: World, host: SimHost, index: number, forMs: number): void {
  const file = IMAGES[index === 1 ? 1 : 0].name;
  if (!host.images.includes(file)) return;
  world.sim.faults.count("host.image_removed");
  host.removeImage(file);
  host.troubledAt = Infinity;
  world.sim.scheduler.after(forMs, `${host.name} has its images`, () => host.putImagesBack());
}

function fillDisk(world: World, host: SimHost, forMs: number): void {
  world.sim.faults.count("host.disk_full");
  host.full = true;
  host.disturbed();
  host.store.full = true;
  world.sim.scheduler.after(forMs, `${host.name} has room`, () => {
    host.full = false;
    host.store.full = false;
  });
}

/** The database goes back to an earlier state; after a while staff say so, and do what the runbook has them do. */
async function restore(
  world: World,
  step: Extract<Step, { do: "restore" }>,
  begin: (work: Promise<void>) => void,
): Promise<void> {
  const { backups, staff, sim } = world;
  const restored = await world.settle(backups.goBack(step.agoMs));
  if (restored === null) return;
  const say = async () => {
    await sim.scheduler.sleep(step.saidInMs, undefined, "staff put the database in place");
    if (step.dieAt !== null) await backups.sayAndDie(restored, step.dieAt);
    await staff.sayRestored(restored.to);
    backups.said(restored);
    if (step.againInMs !== null) {
      await sim.scheduler.sleep(step.againInMs, undefined, "staff say it again");
      await staff.sayRestored(restored.to);
    }
    await staff.adoptLost(restored);
  };
  begin(say());
}

/** The world sleeps for days, in strides: at the end of each, everybody wakes late and does what is due. */
export async function jump(world: World, days: number, strideHours: number): Promise<void> {
  const { scheduler } = world.sim;
  // Nobody lets a restored database lie for days.
  while (world.restores.some(({ said }) => said === null)) await world.run(60_000);
  const until = scheduler.now().getTime() + days * 24 * HOUR;
  for (let now = until - days * 24 * HOUR; now < until; now = scheduler.now().getTime()) {
    const renewal = nextRenewal(world, now);
    const next = Math.min(until, now + strideHours * HOUR, renewal);
    scheduler.skip(next - now);
    for (const host of world.hosts) host.disturbed();
    await world.run(next === renewal ? AWAKE_AT_THE_END_MS : AWAKE_MS);
  }
  await world.run(AWAKE_AT_THE_END_MS);
}
/** When the next change begins that waits for its renewal, or its turn in a plan migration: nobody's stride goes past that. */
const nextRenewal = ({ mirror }: World, now: number): number =>
  Math.min(
    ...[
      ...mirror.planChanges
        .all()
        .filter((change) => change.outcome === null && change.reserved_at === null)
        .map((change) => mirror.offerOf(change).appliesAt - BEGINS_BEFORE_RENEWAL_MS + MINUTE),
      ...mirror.migrationVms
        .all()
        .filter(
          ({ state, migration_id: id }) =>
            state === "waiting" && mirror.planMigrations.get(id)?.state === "running",
        )
        .map(({ due_at: dueAt }) => dueAt + MINUTE),
    ].filter((begins) => begins > now),
  );

/** How long the world is awake between two strides: everybody is at work once. */
const AWAKE_MS = 45_000;
/** Long enough for invariant 6 to be owed. */
const AWAKE_AT_THE_END_MS = 8 * 60_000;
