import { DESTROYS_HELD_MS } from "#core/hosts/restored.ts";
import { addHost } from "#commands/hosts/add-host.ts";
import { INVARIANTS } from "./checks/invariants.ts";
import type { Check, Look, Scene } from "./checks/scene.ts";
import { createControlPlane, createInvoker } from "./control-plane.ts";
import type { DbServer } from "./db-socket.ts";
import { Dice } from "./dice.ts";
import { DiskLine } from "./disk-line.ts";
import type { FaultKind } from "./faults.ts";
import { LOCATION_ID, onlyAddresses, asksFirmware } from "./fixture.ts";
import { Guests } from "./guests.ts";
import { CPU_OVERCOMMIT, SimHost, type HostShape } from "./host.ts";
import { Liars } from "./liars.ts";
import { Mirror } from "./mirror.ts";
import { Operators } from "./operators.ts";
import { People } from "./people.ts";
import type { Plan } from "./plan.ts";
import { processNow } from "./process.ts";
import { createProvider, type Provider } from "./provider.ts";
import { SimQueues } from "./queues.ts";
import { Requests } from "./requests.ts";
import { Backups, type Restore } from "./restore.ts";
import { createSim, describe, Violation, type Sim } from "./sim.ts";
import type { SimPostgres } from "./postgres.ts";
import { Staff } from "./staff.ts";
import { compareUsage } from "./told-usage.ts";
import { jump, takeStep } from "./take-step.ts";
import { govern } from "./virtual-globals.ts";
import type { World } from "./world.ts";

const HOSTS: readonly HostShape[] = [
  {
    name: "kvm-1",
    hypervisor: "kvm",
    cpuThreads: 4,
    memoryMib: 14_336,
    diskGib: 300,
    images: ["linux"],
  },
  {
    name: "hyperv-1",
    hypervisor: "hyperv",
    cpuThreads: 4,
    memoryMib: 12_288,
    diskGib: 200,
    images: ["linux", "windows"],
  },
];
const MINUTE = 60_000;
const MOST_GAP_MS = 5 * MINUTE;
/** A run that takes more steps than this has found a loop without end. */
const MOST_STEPS = 60_000;
/** After the faults stop, all must be at rest by then: a refund waits two hours for its VM, a webhook up to an hour. */
const REST_LIMIT_MS = 5 * 60 * MINUTE;
/** Looked at early, and then after each resync of the agents. */
const REST_LOOKS_MS = [MINUTE / 2, 2 * MINUTE, 6 * MINUTE];

export type Outcome = Readonly<{
  violation: { invariant: number; detail: string } | null;
  steps: number;
  faults: ReadonlyMap<FaultKind, number>;
  traceHash: string;
  trace: readonly string[];
  /** How many orders ended in which state: a run in which nothing happens proves nothing. */
  orders: Readonly<Record<string, number>>;
}>;

/** Runs a plan on a fresh world. Everything in it is decided by the plan. */
export async function simulate(
  plan: Plan,
  env: { postgres: SimPostgres; keepTrace: boolean },
): Promise<Outcome> {
  const seed = String(plan.chance);
  const sim = createSim({ seed, faultKinds: plan.kinds, keepTrace: env.keepTrace });
  govern(sim.scheduler, sim.dice.fork("libraries"));
  env.postgres.reset();
  env.postgres.run(onlyAddresses(plan.addresses));
  const world = await createWorld(sim, seed, plan, env.postgres);
  try {
    sim.faults.active = true;
    const lastRestore = plan.steps.findLastIndex((step) => step.do === "restore");
    for (const [n, step] of plan.steps.entries()) {
      if (n < lastRestore) await world.settle(world.backups.take());
      sim.scheduler.trace(`step ${JSON.stringify(step)}`);
      await takeStep(world, step);
      await world.run(step.gapMs);
      if (step.gapSteps > 0) await world.runSteps(step.gapSteps);
    }
    while (world.busy.count > 0) await world.run(MINUTE);
    await comeToRest(world, plan);
  } catch (error) {
    if (!(error instanceof Violation)) sim.scheduler.trace(`threw ${describe(error)}`);
    sim.found.violation ??=
      error instanceof Violation ? error : new Violation(0, `threw ${describe(error)}`);
  }
  const { violation } = sim.found;
  const orders: Record<string, number> = {};
  for (const { state } of world.mirror.orders.all()) orders[state] = (orders[state] ?? 0) + 1;
  if (violation) sim.scheduler.trace(`broken ${violation.invariant}: ${violation.message}`);
  return {
    violation: violation && { invariant: violation.invariant, detail: violation.message },
    steps: sim.scheduler.steps,
    faults: sim.faults.counts,
    traceHash: sim.scheduler.traceHash(),
    trace: sim.scheduler.lines,
    orders,
  };
}

async function createWorld(
  sim: Sim,
  seed: string,
  plan: Plan,
  postgres: SimPostgres,
): Promise<World> {
  const { scheduler, found } = sim;
  const mirror = new Mirror(postgres);
  const checks: Check[] = [];
  const asked: string[] = [];
  const look = (which: "onCommit" | "onStep" | "atRest") => {
    for (const check of checks) complain(sim, check, check[which]);
  };
  const server: DbServer = {
    postgres,
    scheduler,
    faults: sim.faults,
    holder: null,
    sockets: 0,
    open: new Set(),
    committed: () => {
      mirror.catchUp();
      const process = processNow();
      asked.splice(0, Infinity, ...(process?.asked ?? []));
      look("onCommit");
    },
  };
  const hosts: SimHost[] = [];
  const queues = new SimQueues(sim, createInvoker(sim));
  const guests = new Guests(sim);
  const line = new DiskLine(scheduler);
  let provider: Provider | null = null;
  const plane = createControlPlane(sim, server, {
    queues,
    strictWithNewcomers: plan.strictWithNewcomers,
    payments: () => {
      if (provider === null) throw new Error("the provider is not there yet");
      return provider.payments;
    },
  });
  provider = await createProvider(sim, seed, plane.webhook);
  const restores: Restore[] = [];
  const scene: Scene = {
    sim,
    mirror,
    hosts,
    provider,
    macs: new Map(),
    asked,
    queues,
    swept: plane.swept,
    restores,
    mails: plane.mails,
  };
  const keepUp = provider.keepUp;

  const runUntil = async (until: number, lastStep = Infinity) => {
    while (scheduler.steps < lastStep && (await scheduler.step(until))) {
      keepUp();
      look("onStep");
      if (found.violation) throw found.violation;
      if (scheduler.steps > MOST_STEPS) throw new Violation(0, "this never ends");
    }
    // Checks that were made in the last step, by commits.
    if (found.violation) throw found.violation;
  };
  const now = () => scheduler.now().getTime();
  const finish = async <T>(work: Promise<T>): Promise<T> => {
    const state = { done: false };
    const watched = work.finally(() => {
      state.done = true;
    });
    watched.catch(() => undefined);
    while (!state.done) if (!(await scheduler.step(now() + MINUTE))) keepUp();
    return watched;
  };
  for (const shape of HOSTS) {
    const added = await finish(
      addHost(
        plane.deps,
        { kind: "system", id: "simulator" },
        {
          name: shape.name,
          locationId: LOCATION_ID,
          testOnly: true,
          cpuOvercommit: CPU_OVERCOMMIT,
          ceiling: {
            vcpus: shape.cpuThreads * CPU_OVERCOMMIT,
            memoryMib: shape.memoryMib,
            diskGib: shape.diskGib,
          },
        },
      ),
    );
    if (!added.ok) throw new Error(added.error.detail);
    const host = new SimHost(sim, shape, {
      serve: plane.api,
      queues,
      joinToken: added.value.joinToken,
      guests,
      line,
      isRetired: (hostId) => mirror.hosts.get(hostId)?.state === "retired",
    });
    hosts.push(host);
    await finish(host.start());
  }
  checks.push(...INVARIANTS.flatMap(({ make }) => (make === null ? [] : [make(scene)])));
  plane.startSweeping();
  const requests = new Requests(sim, { plane, mirror });
  return {
    ...scene,
    requests,
    people: new People(sim, { requests, provider, mirror, guests }),
    staff: new Staff(sim, { requests, mirror }),
    operators: new Operators(sim, { requests, mirror }),
    liars: new Liars(sim, { plane, mirror }),
    backups: new Backups({ sim, server, mirror, hosts, plane, restores }),
    queues,
    checks,
    busy: { count: 0 },
    settle: finish,
    run: (ms) => runUntil(now() + ms),
    runSteps: (steps) => runUntil(now() + MOST_GAP_MS, scheduler.steps + steps),
  };

  function complain(of: Sim, check: Check, what: Look | undefined): void {
    const wrong = what?.();
    if (wrong !== undefined) of.found.violation ??= new Violation(check.invariant, wrong);
  }
}

/** Whether the host has, or is to have, a VM that an agent of before our words does not understand. */
const needsWhatIsNew = ({ mirror }: World, host: SimHost): boolean =>
  mirror.vms
    .all()
    .some(
      (vm) =>
        vm.host_id === host.hostId &&
        vm.deleted_at === null &&
        asksFirmware(mirror.orderOf(vm.id)?.image_id),
    ) ||
  mirror.reservations
    .all()
    .some(
      (held) =>
        held.host_id === host.hostId &&
        held.released_at === null &&
        asksFirmware(mirror.orderOf(held.vm_id)?.image_id),
    ) ||
  // Nor does it show the size that it gives.
  mirror.planChanges
    .all()
    .some(
      ({ vm_id: vmId, machine, outcome }) =>
        outcome === null &&
        (machine === "applying" || machine === "reverting") &&
        mirror.vms.get(vmId)?.host_id === host.hostId,
    ) ||
  // Nor does it know moves.
  mirror.moves
    .all()
    .some(
      (move) =>
        move.outcome === null &&
        (move.source_host_id === host.hostId || move.destination_host_id === host.hostId),
    );

/** Faults stop, staff mend what only they can, and within the limit all is as it should be, and stays so. */
async function comeToRest(world: World, plan: Plan): Promise<void> {
  const { sim, hosts } = world;
  sim.faults.active = false;
  // Nothing is destroyed for a day after a restore: what is to go waits for its end.
  const held = Math.max(0, ...world.restores.map(({ said }) => (said ?? 0) + DESTROYS_HELD_MS));
  if (held > sim.scheduler.now().getTime()) await jump(world, 1, 24);
  sim.rest.since = sim.scheduler.now().getTime();
  world.queues.deaf = plan.deafAtTheEnd;
  for (const host of hosts) {
    host.reconnect();
    host.full = false;
    host.store.full = false;
    host.putImagesBack();
    // A host whose VMs need what is new is upgraded; on any other nothing may stand still for its agent's age.
    if (host.agentOf === "before" && needsWhatIsNew(world, host)) host.changeAgent("today");
    for (const vm of host.world.all()) {
      if (vm.run?.failed === true) host.world.put({ ...vm, run: null });
      if (vm.ownerEpoch === null) host.world.drop(vm.vmId);
    }
    host.world.foreign.clear();
  }
  const wrong = () => {
    for (const { invariant, atRest } of world.checks) {
      const detail = atRest?.();
      if (detail !== undefined) return new Violation(invariant, `in the end: ${detail}`);
    }
    return null;
  };
  const rest = async () => {
    const limit = sim.scheduler.now().getTime() + REST_LIMIT_MS;
    for (let looks = 0; ; looks++) {
      await world.run(REST_LOOKS_MS[Math.min(looks, REST_LOOKS_MS.length - 1)] ?? MINUTE);
      const found = wrong();
      if (found === null) return;
      if (sim.scheduler.now().getTime() > limit) throw await healedByDoorbells(world, wrong, found);
    }
  };
  await rest();
  const { requests, mirror } = world;
  await world.settle(compareUsage(requests, { mirror, now: sim.scheduler.now().getTime() }));
  // Every delivery once more, in any order: it must change nothing (invariant 4).
  const before = businessState(world);
  world.provider.resendAll(new Dice(`${plan.chance}/resend`));
  await rest();
  const now = businessState(world);
  const changed = [
    ...[...before].filter((line) => !now.has(line)),
    ...[...now].filter((line) => !before.has(line)),
  ];
  if (changed.length > 0)
    throw new Violation(4, `deliveries that came again changed something: ${changed.join(", ")}`);
}

/** What came to no rest without doorbells, and does with them, is invariant 18's; anything else is as it was found. */
async function healedByDoorbells(
  world: World,
  wrong: () => Violation | null,
  found: Violation,
): Promise<Violation> {
  if (!world.queues.deaf) return found;
  world.queues.deaf = false;
  for (const host of world.hosts) {
    const { desired_generation: generation } = world.mirror.hosts.get(host.hostId) ?? {};
    if (generation !== undefined) world.queues.ringNow(host.queueUrl, generation);
  }
  await world.run(10 * MINUTE);
  return wrong() === null ? new Violation(18, `without doorbells, ${found.message}`) : found;
}

/** What deliveries may decide, a line for each thing. An order that nobody has paid yet may still run out of time. */
function businessState({ mirror }: World): ReadonlySet<string> {
  return new Set(
    [
      ...mirror.orders
        .all()
        .filter((o) => o.state !== "awaiting_payment" && o.state !== "expired")
        .map((o) => ["order", o.id, o.state]),
      ...mirror.vms.all().map((v) => ["VM", v.id, v.presence, v.desired_power, v.generation]),
      ...mirror.services
        .all()
        .map((s) => ["entitled", s.vm_id, new Date(s.entitled_until).toISOString()]),
      ...mirror.planChanges.all().map((c) => ["changed", c.id, c.outcome]),
      ...mirror.ledgerTransactions.all().map((t) => ["booked", t.kind, t.reference]),
    ].map((line) => line.join(" ")),
  );
}
