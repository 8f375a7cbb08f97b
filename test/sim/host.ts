import { createHash, createPrivateKey } from "node:crypto";
import { z } from "zod";
import { createMemoryDisk } from "#test/drivers/move-line.ts";
import { createAgent } from "#host-agent/agent.ts";
import { createHttpControlPlane } from "#host-agent/channel/control-plane.ts";
import { DriverError, type InstallationId, type VmDriver } from "#host-agent/drivers/driver.ts";
import { REALISTIC_DELAYS } from "#host-agent/drivers/simulated/delays.ts";
import { createSimulatedDriver } from "#host-agent/drivers/simulated/driver.ts";
import type { FaultPoint } from "#host-agent/drivers/simulated/faults.ts";
import type { SimulatedWorld } from "#host-agent/drivers/simulated/world.ts";
import { createSigner, enroll, loadIdentity } from "#host-agent/channel/identity.ts";
import { createInstallation, type Installation } from "#host-agent/state/installation.ts";
import { createPlaneTime } from "#host-agent/channel/plane-time.ts";
import type { StateStore } from "#host-agent/state/state-store.ts";
import { UNDERSTOOD } from "#core/contracts/agent/protocol.ts";
import type { Clock, Log } from "#core/ports.ts";
import type { Dice } from "./dice.ts";
import { filesOf, type DiskLine, type Owner } from "./disk-line.ts";
import type { Guests } from "./guests.ts";
import { IMAGES } from "./fixture.ts";
import { fetchOver, sendAgain, type Serve } from "./network.ts";
import type { SimQueues } from "./queues.ts";
import { forever } from "./scheduler.ts";
import { SimStore } from "./sim-store.ts";
import { SimWorld } from "./sim-world.ts";
import { describe, Violation, type Sim } from "./sim.ts";

const API_URL = "http://berth.test";
/** Looking costs no time here, since every look would be one more step; everything that changes a VM does. */
const DELAYS = { ...REALISTIC_DELAYS, list: 0 };

export type HostShape = Readonly<{
  name: string;
  hypervisor: "kvm" | "hyperv";
  cpuThreads: number;
  memoryMib: number;
  diskGib: number;
  /** The files in its image folder. */
  images: readonly string[];
}>;

/** What a driver answers without a fault of its own: to a VM that is not ours, to an image that it lacks. */
const REFUSALS: ReadonlySet<string> = new Set([
  "not_ours",
  "unsupported",
  "timed_out",
  "image_missing",
]);

/** What a move comes to of itself where the other host is not there, or not as far yet. */
const OF_THE_OTHER_END: ReadonlySet<string> = new Set([
  "unreachable",
  "not_admitted",
  "refused",
  "cut_off",
]);

/** So many vCPUs are sold for each of a host's threads. */
export const CPU_OVERCOMMIT = 4;

/** A version of the agent: one that knows our words, or one of before them. */
type AgentOf = "today" | "before";

/** What an agent of each version announces, and understands of a VM. */
const WORDS: Readonly<Record<AgentOf, readonly string[]>> = { today: UNDERSTOOD, before: [] };

const Held = z.object({
  generation: z.number(),
  hash: z.string(),
  vms: z.array(
    z.object({
      vmId: z.string(),
      ownerEpoch: z.number(),
      presence: z.string(),
      power: z.string(),
      move: z.object({ id: z.string(), role: z.string(), step: z.string() }).optional(),
    }),
  ),
});
export type HeldDocument = z.infer<typeof Held>;

/** Where a host's files of moves lie. */
export const MOVE_FOLDER = "/moves";

/** So long after its agent was refused for good it begins again. */
const TRIES_AGAIN_MS = 30 * 60_000;

/** So many of its latest reports can be sent again. */
const REPORTS_KEPT = 8;

/** An answer from before staff have said that the database was restored may still come for so long. */
const ON_ITS_WAY_MS = 120_000;

/** One life of the agent's process. Whatever it still waits for when it is dead never comes. */
type Incarnation = { number: number; dead: boolean; over: AbortController };

/**
 * A machine with its hypervisor, its disks and its agent. The agent dies and begins again over the same disks, at any
 * moment; the machine loses its power, its network, or its free space.
 */
export class SimHost {
  readonly name: string;
  readonly world: SimWorld;
  readonly store = new SimStore();
  /** The files of moves. */
  readonly disk = createMemoryDisk();
  /** VMs of which a sample came too late to be taken. */
  readonly forgotten = new Set<string>();
  hostId = "";
  /** Nothing goes between it and the rest of the world. */
  cut = false;
  full = false;
  /** Since when an agent has been up and undisturbed, for the promise of invariant 6; null: it is not. */
  upSince: number | null = null;
  /** Whether anything ever kept its agent from its work. */
  wasDisturbed = false;
  /** When somebody last kept it from its work, or from being heard; null: nobody has. */
  troubledAt: number | null = null;
  /** The agent that begins next, or is up: of before our words, it understands none of them. */
  agentOf: AgentOf = "today";
  /** Since when an agent of before our words has been up; null: none is. */
  oldSince: number | null = null;
  /** Whether its clock was ever another one than the control plane's. */
  clockWasSet = false;
  /** How far its clock was off, at the most, when an agent began: until its first answer that agent has no other. */
  bornOffMs = 0;
  /** Whether it has told of a size or of images that it does not have. */
  hasBoasted = false;
  /** Whether somebody ever took VMs away from it. */
  hasLostVms = false;
  /** The database went back to an earlier state: when staff have said it, and when it took its first document since. */
  wentBack: { saidAt: number | null; tookAt: number | null; lostVms: ReadonlySet<string> } | null =
    null;
  /** The files in its image folder, and since when each of the others is gone. */
  readonly images: string[];
  readonly imagesGone = new Map<string, number>();
  readonly #sim: Sim;
  readonly #shape: HostShape;
  readonly #dice: Dice;
  readonly #serve: Serve;
  readonly #queues: SimQueues;
  readonly #joinToken: string;
  readonly #guests: Guests;
  readonly #line: DiskLine;
  readonly #isRetired: () => boolean;
  /** Its latest reports that were answered well, the last one first: as they went over the wire. */
  readonly #reports: (() => Request)[] = [];
  #aheadMs = 0;
  #life: Incarnation = { number: 0, dead: true, over: new AbortController() };
  #restarting = false;
  #document: { text: string | null; held: HeldDocument | null } = {
    text: null,
    held: null,
  };

  constructor(
    sim: Sim,
    shape: HostShape,
    parts: {
      serve: Serve;
      queues: SimQueues;
      joinToken: string;
      guests: Guests;
      line: DiskLine;
      isRetired: (hostId: string) => boolean;
    },
  ) {
    this.#sim = sim;
    this.#shape = shape;
    this.name = shape.name;
    this.#dice = sim.dice.fork(shape.name);
    this.#serve = parts.serve;
    this.#queues = parts.queues;
    this.#joinToken = parts.joinToken;
    this.#guests = parts.guests;
    this.#line = parts.line;
    this.#isRetired = () => parts.isRetired(this.hostId);
    this.images = [...shape.images];
    this.world = new SimWorld(shape.name, () => sim.scheduler.now().getTime());
  }

  get alive(): boolean {
    return !this.#life.dead;
  }
  get queueUrl(): string {
    return `https://sqs.test/berth-host-${this.hostId}`;
  }

  /** The desired document on its disk: what its agent goes by. */
  heldDocument(): HeldDocument | null {
    const text = this.store.peek("desired-2.json");
    if (text === this.#document.text) return this.#document.held;
    const held = text === null ? null : Held.parse(JSON.parse(text));
    this.#document = { text, held };
    return held;
  }

  /** Whether it may hold a later document than it is given: the database went back, and it has taken none since that was said. */
  get isAhead(): boolean {
    if (this.wentBack === null || this.wentBack.tookAt !== null) return false;
    const { saidAt } = this.wentBack;
    return saidAt === null || this.#sim.scheduler.now().getTime() < saidAt + ON_ITS_WAY_MS;
  }

  /** Its agent begins. Resolves when it has enrolled; it runs on by itself. */
  async start(): Promise<void> {
    const { scheduler, ids, log: simLog } = this.#sim;
    const life: Incarnation = {
      number: this.#life.number + 1,
      dead: false,
      over: new AbortController(),
    };
    this.#life = life;
    const now = scheduler.now().getTime();
    this.oldSince = this.agentOf === "before" ? now : null;
    // What it does not understand it leaves as it is: of such an agent nothing is promised but that all else goes on.
    this.upSince = this.agentOf === "before" ? null : now;
    const understands = WORDS[this.agentOf];
    const clock = this.#clockOf(life);
    const store = this.#storeOf(life);
    const log: Log = {
      info: (event) => {
        scheduler.trace(`${this.name} ${event}`);
        if (event === "desired_accepted" && this.wentBack !== null && this.wentBack.saidAt !== null)
          this.wentBack.tookAt ??= scheduler.now().getTime();
      },
      error: (event, fields) => {
        const { error, reason, detail, why, outcome, code } = fields;
        const what = [outcome, code, error ?? detail ?? why].filter((each) => each !== undefined);
        scheduler.trace(`${this.name} ${event} ${what.map(String).join(" ")}`);
        if (life.dead) return;
        const broken = (invariant: number) => {
          this.#sim.found.violation ??= new Violation(
            invariant,
            `${this.name}: ${event} ${[reason, ...what].map(String).join(" ")}`,
          );
        };
        // What waited longer than usage is taken for is lost, and leaves a gap.
        if (event === "usage_sample_refused" && code === "too_old")
          this.forgotten.add(String(fields["vm_id"]));
        // Of a VM that nobody knows until it is adopted nothing is taken.
        else if (
          event === "usage_sample_refused" &&
          this.wentBack?.lostVms.has(String(fields["vm_id"])) === true
        )
          this.forgotten.add(String(fields["vm_id"]));
        else if (event === "desired_refused" && this.isAhead) return;
        else if (event === "desired_refused") broken(15);
        // What today's agent cannot read it never comes to.
        else if (event === "desired_vm_refused" && this.agentOf === "today") broken(16);

        // No fault of ours makes a report that cannot be taken.
        else if (event === "report_refused") broken(0);
        else if (/^usage_(sample_refused|sample_not_taken|not_taken|given_up)$/.test(event))
          broken(10);
        else if (!this.#isExplained(event, what.map(String).join(" ")))
          // What was there is gone, and nobody has taken it.
          broken(event === "vm_refused" && code === "vm_missing" ? 7 : 0);
      },
    };
    const fetch = this.#keepingReports(
      fetchOver(
        this.#sim,
        { name: this.name, isCut: () => this.cut, isDead: () => life.dead },
        this.#serve,
      ),
    );
    // As the agent's `main.ts` puts them together: what is told or promised to the control plane is in its time.
    const uptimeMs = () => scheduler.now().getTime();
    const planeTime = createPlaneTime({ clock, uptimeMs, log });
    this.bornOffMs = Math.max(this.bornOffMs, Math.abs(this.#aheadMs));
    const signingClock: Clock = { now: () => planeTime.signingNow(), sleep: clock.sleep };
    const heard = (date: Date) => planeTime.heard(date);
    let installation: Installation | null = null;
    const driver = this.#driverOf(
      life,
      { now: scheduler.now, sleep: clock.sleep },
      () => installation?.current() ?? null,
    );
    const plain = createHttpControlPlane({
      apiUrl: API_URL,
      fetch,
      clock,
      sign: null,
      understands,
    });
    const identity =
      (await loadIdentity(store)) ?? (await this.#enroll(store, plain, await driver.facts()));
    this.hostId = identity.enrolled.hostId;
    installation = createInstallation({ hostId: this.hostId, store, log });
    await installation.load();
    await installation.told(identity.enrolled.installation);
    const agent = createAgent({
      hostId: this.hostId,
      driver,
      controlPlane: createHttpControlPlane({
        apiUrl: API_URL,
        fetch,
        clock,
        sign: await createSigner(identity, { clock: signingClock, ids }),
        heard,
        understands,
      }),
      understands,
      planeTime,
      installation,
      doorbell: () =>
        this.#queues.doorbellOf(this.queueUrl, {
          name: this.name,
          isCut: () => this.cut,
          isDead: () => life.dead,
        }),
      store,
      clock,
      random: () => this.#dice.next(),
      log,
      ...(this.agentOf === "today" && { moves: this.#movesOf(life) }),
    });
    agent.run(new AbortController().signal).then(
      () => undefined,
      (error: unknown) => {
        if (life.dead) return;
        // Whoever speaks for a host that was given up is refused; whatever watches over its agent starts it again for ever.
        if (this.#isRetired()) return this.killAgent(TRIES_AGAIN_MS);
        simLog.error(`${this.name}.agent_ended`, {});
        this.#sim.found.violation ??= new Violation(16, `the agent gave up: ${describe(error)}`);
      },
    );
  }

  /** The process is gone, between two of its instructions; something starts it again after a while. */
  killAgent(restartAfterMs: number): void {
    this.#life.dead = true;
    this.#life.over.abort(new Error("its agent is dead (simulated)"));
    this.disturbed();
    this.upSince = null;
    this.store.abandon();
    if (this.#restarting) return;
    this.#restarting = true;
    this.#sim.scheduler.after(restartAfterMs, `${this.name} agent starts`, () => {
      this.#restarting = false;
      if (!this.#life.dead) return;
      this.start().catch((error: unknown) => {
        this.#sim.log.error(`${this.name}.start`, { error });
        this.killAgent(10_000);
      });
    });
  }

  /** Its agent ends, and one of another version begins over what it left, with all its VMs. */
  changeAgent(to: AgentOf): void {
    this.agentOf = to;
    this.#sim.scheduler.trace(`${this.name} gets the agent of ${to}`);
    this.killAgent(this.#dice.int(1, 30) * 1000);
  }

  /** Everything on it stops at once. With `autostart` its VMs come back before its agent does. */
  losePower(options: { autostart: boolean; offMs: number; flushed: boolean }): void {
    const { scheduler, ids, faults } = this.#sim;
    if (!options.flushed && this.store.isWriting) faults.count("host.power_lost_half_written");
    const ran = this.world.all().filter((vm) => vm.run !== null && vm.run.offFrom === null);
    for (const vm of this.world.all()) this.world.put({ ...vm, run: null });
    if (!options.flushed) this.store.losePower(this.#dice);
    this.killAgent(options.offMs + this.#dice.int(1, 60) * 1000);
    if (!options.autostart) return;
    scheduler.after(options.offMs, `${this.name} boots`, () => {
      const startedAt = scheduler.now().getTime();
      for (const { vmId, run } of ran) {
        const vm = this.world.get(vmId);
        if (vm === undefined || vm.run !== null || run === null || vm.definition === null) continue;
        this.world.put({
          ...vm,
          starts: vm.starts + 1,
          run: {
            ...run,
            bootEpoch: ids.newId(),
            startedAt,
            guestFrom: startedAt + DELAYS.guestReady,
            offFrom: null,
            paused: false,
            failed: false,
          },
        });
      }
    });
  }

  /** Something kept its agent from its work until now. */
  disturbed(): void {
    this.wasDisturbed = true;
    this.troubledAt = this.#sim.scheduler.now().getTime();
    if (this.alive && this.agentOf === "today") this.upSince = this.troubledAt;
  }

  /** Somebody sets its clock: it has then so much more, or less, than the control plane's. */
  setClock(aheadMs: number): void {
    this.#aheadMs = aheadMs;
    this.clockWasSet = true;
  }

  /** An image's file is taken out of its folder. */
  removeImage(file: string): void {
    const at = this.images.indexOf(file);
    if (at === -1) return;
    this.images.splice(at, 1);
    this.imagesGone.set(file, this.#sim.scheduler.now().getTime());
  }
  /** It is put back. */
  putImagesBack(): void {
    if (this.imagesGone.size === 0) return;
    this.images.splice(0, Infinity, ...this.#shape.images);
    this.imagesGone.clear();
    this.troubledAt = this.#sim.scheduler.now().getTime();
  }

  /** What it could give away at the most. */
  get size(): Readonly<{ vcpus: number; memoryMib: number; diskGib: number }> {
    const { cpuThreads, memoryMib, diskGib } = this.#shape;
    return { vcpus: cpuThreads * CPU_OVERCOMMIT, memoryMib, diskGib };
  }

  /** Tells of the largest machine that its hypervisor can be, and of every image. */
  boast(): ReturnType<VmDriver["facts"]> {
    this.hasBoasted = true;
    const { scheduler, ids } = this.#sim;
    const { hypervisor } = this.#shape;
    return createSimulatedDriver({
      world: this.world,
      clock: scheduler.clock,
      ids,
      hypervisor,
      host: { cpuThreads: 65_536, memoryMib: 2 ** 30, diskGib: 2 ** 30 },
      images: IMAGES.map(({ name }) => name),
    }).facts();
  }

  /** Sends one of its latest reports again, byte for byte, as whoever has listened can. */
  async replay(back: number): Promise<boolean> {
    const report = this.#reports[back];
    if (report === undefined) return false;
    await sendAgain(this.#serve, report()).catch(() => undefined);
    return true;
  }

  #keepingReports(send: typeof fetch): typeof fetch {
    return async (input, init) => {
      const answer = await send(input, init);
      const url = String(input instanceof Request ? input.url : input);
      if (url.endsWith("/reports") && answer.ok) {
        this.#reports.unshift(() => new Request(url, { ...init, signal: null }));
        this.#reports.splice(REPORTS_KEPT);
      }
      return answer;
    };
  }

  /** An honest agent reports trouble that we made, and what its driver refuses on purpose; anything else is a bug. */
  #isExplained(event: string, what: string): boolean {
    // A VM that has failed was struck, and waits for staff.
    if (/\(simulated|operation was aborted|took longer than|in time|has failed/.test(what))
      return true;
    if (event.startsWith("clock_")) return this.clockWasSet;
    if (event === "desired_vm_refused" || /unsupported_by_agent/.test(what))
      return this.agentOf === "before";
    // Lost by us, or destroyed in what a restored database knows no more of.
    const mayLack = this.hasLostVms || this.wentBack !== null;
    if (mayLack && /^vm_(refused|step)$/.test(event) && what.includes("vm_missing")) return true;
    if (this.hasLostVms && event === "vm_refused" && what.startsWith("unsupported")) return true;
    // A resize was taken back while its host was away, or its word was: the disk had grown by then, and the next report says so.
    if (event === "vm_refused" && what.includes("a disk never shrinks")) return true;
    // It was taken away between the agent's look and what the driver did about it.
    if (this.hasLostVms && event === "vm_step" && /there is no VM|is not complete/.test(what))
      return true;
    if (event === "vm_step" && REFUSALS.has(what.split(" ")[0] ?? "")) return true;
    if (event === "move_step") return this.#isExplainedMove(what.split(" ")[0] ?? "");
    return /ControlPlaneError|AbortError|TimeoutError/.test(what);
  }

  /** One end may be ahead of the other, and either may be gone; all else that a move comes to was brought about here. */
  #isExplainedMove(code: string): boolean {
    if (OF_THE_OTHER_END.has(code)) return true;
    if (code === "vm_missing") return this.hasLostVms || this.wentBack !== null;
    // What somebody made by hand under a VM's id is moved no more than it is touched.
    if (code === "not_ours") return this.world.foreign.size > 0;
    return (code === "out_of_disk" || code === "image_missing") && this.wasDisturbed;
  }

  /** Nothing goes between it and the rest of the world from now on. */
  disconnect(): void {
    this.cut = true;
    this.troubledAt = Infinity;
    this.#line.cut();
  }
  /** Its network is back. */
  reconnect(): void {
    if (this.cut) this.troubledAt = this.#sim.scheduler.now().getTime();
    this.cut = false;
    this.#queues.wake(this.queueUrl);
  }

  #enroll(
    store: StateStore,
    plane: Parameters<typeof enroll>[1],
    facts: Awaited<ReturnType<VmDriver["facts"]>>,
  ): ReturnType<typeof enroll> {
    // As an enrolment that was cut short leaves it: so the key is the seed's, not chance's.
    return store
      .write(
        "identity.json",
        JSON.stringify({ key: seededKey(this.#sim.ids.newId()), enrolled: null }),
      )
      .then(() => enroll(store, plane, { joinToken: this.#joinToken, facts }));
  }

  /** Passed before and after all that the agent does to the outside. It never returns to a dead one. */
  async #pass(life: Incarnation): Promise<void> {
    if (life.dead) return forever;
    if (!this.#sim.faults.strikes("host.agent_killed")) return undefined;
    this.#sim.scheduler.trace(`${this.name} agent killed`);
    this.killAgent(this.#dice.int(1, 300) * 1000);
    return forever;
  }

  #clockOf(life: Incarnation): Clock {
    const { scheduler } = this.#sim;
    return {
      now: () => new Date(scheduler.now().getTime() + this.#aheadMs),
      sleep: async (ms, signal) => {
        await scheduler.sleep(ms, signal, this.name);
        if (life.dead) await forever;
      },
    };
  }

  #storeOf(life: Incarnation): StateStore {
    const { store } = this;
    const { scheduler } = this.#sim;
    return {
      read: async (name) => (life.dead ? forever : store.read(name)),
      list: async (folder) => (life.dead ? forever : store.list(folder)),
      write: async (name, text) => {
        await this.#pass(life);
        store.begin(name, text);
        if (this.#sim.faults.draws("host.power_lost_half_written")) {
          scheduler.trace(`${this.name} loses its power in the middle of ${name}`);
          this.losePower({
            autostart: this.#dice.chance(0.5),
            offMs: this.#dice.int(10, 600) * 1000,
            flushed: false,
          });
          return forever;
        }
        await scheduler.turn(`${this.name} writes ${name.split("/")[0]}`);
        if (life.dead) return forever;
        await store.write(name, text);
        return this.#pass(life);
      },
      remove: async (name) => {
        await this.#pass(life);
        await store.remove(name);
        await this.#pass(life);
      },
    };
  }

  #ownerOf(life: Incarnation): Owner {
    return {
      isDead: () => life.dead,
      isCut: () => this.cut,
      isFull: () => this.full,
      pass: () => this.#pass(life),
    };
  }

  #movesOf(life: Incarnation) {
    const owner = { ...this.#ownerOf(life), dead: life.over.signal };
    const folder = filesOf(this.disk, owner);
    return { channel: this.#line.of(this.name, { ...this.disk, ...folder }, owner), folder };
  }

  #worldOf(life: Incarnation): SimulatedWorld {
    const { world } = this;
    const living = async <T>(work: () => Promise<T>): Promise<T> => (life.dead ? forever : work());
    return {
      vms: () => living(() => world.vms()),
      vm: (vmId) => living(() => world.vm(vmId)),
      putVm: (record) => living(() => world.putVm(this.#guests.within(record, world))),
      removeVm: (vmId) => living(() => world.removeVm(vmId)),
      trash: () => living(() => world.trash()),
      putTrash: (record) => living(() => world.putTrash(record)),
      removeTrash: (serial) => living(() => world.removeTrash(serial)),
    };
  }

  #driverOf(life: Incarnation, clock: Clock, installation: InstallationId): VmDriver {
    const { hypervisor, cpuThreads, memoryMib, diskGib } = this.#shape;
    const driver = createSimulatedDriver({
      world: this.#worldOf(life),
      clock,
      ids: this.#sim.ids,
      delays: DELAYS,
      hypervisor,
      host: { cpuThreads, memoryMib, diskGib },
      images: this.images,
      agentVersion: this.agentOf === "today" ? "1.1.0" : "1.0.0",
      faults: (point, signal) => this.#atPoint(life, point, signal),
      installation,
      ...(this.agentOf === "today" && {
        moves: { folder: MOVE_FOLDER, files: filesOf(this.disk, this.#ownerOf(life)) },
      }),
    });
    return this.agentOf === "today" ? driver : { ...driver, list: withoutLimits(driver) };
  }

  async #atPoint(
    life: Incarnation,
    point: FaultPoint,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { faults, scheduler } = this.#sim;
    await this.#pass(life);
    const { operation, step } = point;
    if (operation === "list" || operation === "counters" || operation === "facts") {
      if (!faults.strikes("host.hypervisor_unavailable")) return;
      this.disturbed();
      throw new DriverError("hypervisor_unavailable", "libvirt is away (simulated)");
    }
    await scheduler.turn(`${this.name} ${operation} ${step}`);
    if (life.dead) return forever;
    if (step === "disk" && this.full) throw new DriverError("out_of_disk", "no room (simulated)");
    if (operation === "once" && step !== "done" && point.vmId !== null)
      this.world.oneShots.set(point.vmId, (this.world.oneShots.get(point.vmId) ?? 0) + 1);
    if (faults.strikes("host.driver_failed")) {
      this.disturbed();
      throw new DriverError("driver_failed", "the hypervisor refused (simulated)");
    }
    if (faults.strikes("host.slow")) {
      this.disturbed();
      this.upSince = null;
      try {
        await scheduler.sleep(this.#dice.int(1, 400) * 1000, signal, `${this.name} slow`);
      } finally {
        // Called off, too: what waited goes on from here.
        if (!life.dead) this.disturbed();
      }
      if (life.dead) return forever;
    }
  }
}

/** As agents of before looked: what a VM is limited to, and how far it could grow, they do not know. */
const withoutLimits =
  (driver: VmDriver): VmDriver["list"] =>
  async (signal) =>
    (await driver.list(signal)).map((observed) => {
      const { limits: _limits, hotVcpus: _hotVcpus, ...known } = observed;
      return known;
    });

/** An Ed25519 key of a text (RFC 8410: the 32 bytes behind a fixed header). */
function seededKey(text: string): object {
  const header = Buffer.from("302e020100300506032b657004220420", "hex");
  const secret = createHash("sha256").update(text).digest();
  return createPrivateKey({
    key: Buffer.concat([header, secret]),
    format: "der",
    type: "pkcs8",
  }).export({ format: "jwk" });
}
