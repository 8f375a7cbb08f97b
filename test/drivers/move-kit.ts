import { randomUUID } from "node:crypto";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import type { MoveReport } from "#core/contracts/agent/moves.ts";
import { nextMoveStep, type Move, type MoveRole } from "#core/moves/move.ts";
import { decideMove, learn, type SeenOfMove, type Word } from "#core/moves/next-step.ts";
import { partOf } from "#core/moves/part.ts";
import { createAgent, type Agent } from "#host-agent/agent.ts";
import type { VmDriver } from "#host-agent/drivers/driver.ts";
import { createMemoryDoorbell } from "#host-agent/channel/rings.ts";
import { NO_DELAYS } from "#host-agent/drivers/simulated/delays.ts";
import {
  createSimulatedDriver,
  type SimulatedOptions,
} from "#host-agent/drivers/simulated/driver.ts";
import { runAt } from "#host-agent/drivers/simulated/guest.ts";
import { memoryWorld } from "#host-agent/drivers/simulated/world.ts";
import type { MoveFolder } from "#host-agent/moves/move-files.ts";
import type { MovePorts } from "#host-agent/moves/movers.ts";
import { memoryStore } from "#host-agent/state/state-store.ts";
import { aDesiredVm, randomIds } from "./builders.ts";
import { createFakeControlPlane } from "./fake-control-plane.ts";
import { dyingAfter, mortalControlPlane, mortalStore, type Step } from "./mortal.ts";
import { createMemoryDisk, createMoveLine, type MoveLine } from "./move-line.ts";
import { createVirtualClock, type VirtualClock } from "./virtual-clock.ts";

/** Time, as a story goes on in it. */
type Story = { clock: VirtualClock };

type OverHost = {
  driver?: Partial<SimulatedOptions>;
  moves?: Partial<MovePorts>;
  /** Stands between the agent and its driver. */
  wrap?: (driver: VmDriver) => VmDriver;
  destroysPerHour?: number;
};

/** Of a dead agent, nothing more comes to its disk. */
const mortalFolder = (folder: MoveFolder, step: Step): MoveFolder => ({
  list: (at) => step("before list").then(() => folder.list(at)),
  has: (file) => step("before has").then(() => folder.has(file)),
  remove: (file) => step("before remove").then(() => folder.remove(file)),
  make: (at) => step("before make").then(() => folder.make(at)),
  freeBytes: (at) => step("before free").then(() => folder.freeBytes(at)),
});

/** A simulated host whose agent may die at any of its steps, and begin anew on what is left. */
export function createMoveHost(
  name: string,
  { clock, line }: { clock: Story["clock"]; line: MoveLine },
  over: OverHost = {},
) {
  const plane = createFakeControlPlane();
  const world = memoryWorld();
  const store = memoryStore();
  const disk = createMemoryDisk();
  const errors: string[] = [];
  const log = { info: () => undefined, error: (event: string) => void errors.push(event) };
  const folder = `/${name}/moves`;

  function live(lives: number) {
    const dead = new AbortController();
    const mortal = dyingAfter(lives, () => dead.abort(new Error("its agent is dead")));
    const step: Step = () => mortal.step();
    const driver = createSimulatedDriver({
      world,
      clock,
      ids: randomIds,
      delays: NO_DELAYS,
      faults: ({ operation }) => step(operation),
      moves: { folder, files: disk },
      ...over.driver,
    });
    const agent: Agent = createAgent({
      hostId: plane.hostId,
      driver: over.wrap?.(driver) ?? driver,
      controlPlane: mortalControlPlane(plane, step),
      doorbell: createMemoryDoorbell,
      store: mortalStore(store, step),
      clock,
      random: () => 0.5,
      log,
      moves: {
        channel: line.of(name, disk, dead.signal),
        folder: mortalFolder(disk, step),
        ...over.moves,
      },
      ...(over.destroysPerHour !== undefined && {
        settings: { destroysPerHour: over.destroysPerHour },
      }),
    });
    return { agent, mortal };
  }
  let life = live(Infinity);
  const host = {
    name,
    folder,
    plane,
    world,
    store,
    disk,
    errors,
    get agent() {
      return life.agent;
    },
    get isDead() {
      return life.mortal.isDead();
    },
    get steps() {
      return life.mortal.steps();
    },
    /** Another agent on the same host, which lives for so many steps. The one before is stopped, unless it is dead. */
    begin(lives = Infinity) {
      if (!host.isDead) life.agent.close();
      life = live(lives);
    },
    /** Files of moves, by name. */
    files: () => disk.names().filter((file) => file.startsWith(folder)),
    words: (): readonly MoveReport[] => plane.reports.flatMap((report) => report.moves ?? []),
    async powerOf(vmId: string) {
      const vm = await world.vm(vmId);
      if (vm === null) return "gone";
      return runAt(vm, clock.now().getTime()) === null ? "off" : "on";
    },
  };
  return host;
}
export type MoveHost = ReturnType<typeof createMoveHost>;

/** The control plane's side of one move, by core's own rules, with the rows in memory. */
export function createMoveStory(
  over: { source?: OverHost; destination?: OverHost; clock?: VirtualClock } = {},
) {
  const clock = over.clock ?? createVirtualClock();
  const line = createMoveLine(clock);
  const source = createMoveHost("source", { clock, line }, over.source);
  const destination = createMoveHost("destination", { clock, line }, over.destination);
  const hosts = { source, destination };
  const vm = aDesiredVm({ ownerEpoch: 3 });
  const key = Buffer.alloc(32, 7).toString("base64url");
  let move: Move | null = null;
  let generation = 1;
  let power: DesiredVm["power"] = "running";
  /** Of each host, how many of its reports were read. */
  const read: Record<MoveRole, number> = { source: 0, destination: 0 };
  const seen = { isVmToGo: false, isVmLost: false, isAsWanted: false, isOff: false };

  const addressOf = ({ plane }: MoveHost) =>
    plane.reports.findLast(({ facts }) => facts?.migrationAddress)?.facts?.migrationAddress ?? {
      host: "destination",
      port: 7000,
    };
  const render = (role: MoveRole): DesiredVm | null => {
    const epoch = role === "source" ? 3 : (move?.epoch ?? 0);
    const whole = { ...vm, generation, power, mayCreate: generation === 1 };
    if (move === null) return role === "source" ? whole : null;
    const part = partOf(move, hosts[role].plane.hostId);
    if (part === null) {
      const owner = move.outcome === "moved" ? "destination" : "source";
      return role === owner ? { ...whole, ownerEpoch: epoch } : null;
    }
    return {
      ...whole,
      ownerEpoch: part.ownerEpoch,
      presence: part.presence ?? "present",
      power: part.power ?? power,
      ...(part.isNamed && {
        move: {
          id: move.id,
          role,
          step: move.step,
          method: move.method,
          epoch: move.epoch,
          format: "simulated",
          address: addressOf(hosts.destination),
          key,
          mbitPerSecond: null,
          disk: move.disk && {
            ...move.disk,
            virtualBytes: String(move.disk.virtualBytes),
            exportBytes: String(move.disk.exportBytes),
          },
        },
        needs: ["move"],
      }),
    };
  };
  const publish = () => {
    for (const role of ["source", "destination"] as const) {
      const want = render(role);
      hosts[role].plane.want(want === null ? [] : [want]);
    }
  };

  const wordOf = (role: MoveRole, { error, done, sha256, disk, bytes }: MoveReport): Word => ({
    role,
    done,
    disk: disk && {
      ...disk,
      virtualBytes: BigInt(disk.virtualBytes),
      exportBytes: BigInt(disk.exportBytes),
    },
    sha256,
    bytes: bytes === undefined ? undefined : BigInt(bytes),
    refused: error?.final === true ? `${error.code}: ${error.detail}` : undefined,
  });

  function turn(word: Word | null): void {
    if (move === null || move.step === "ended") return;
    const before = JSON.stringify(render("source")) + JSON.stringify(render("destination"));
    if (word !== null) move = { ...move, ...learn(move, word), heardAt: clock.now() };
    const was: SeenOfMove = seen;
    const decision = decideMove(move, was, word, clock.now());
    if (decision.kind !== "wait") {
      const command = decision.kind === "go" ? decision.by : "turn_back";
      go(command, decision.kind === "turn_back" ? decision.failure : move.failure);
    }
    const after = JSON.stringify(render("source")) + JSON.stringify(render("destination"));
    if (before === after) return;
    generation += 1;
    publish();
  }
  function go(command: "advance" | "turn_back" | "switch_over", failure: Move["failure"]): void {
    if (move === null) return;
    const step = nextMoveStep(move.step, command);
    if (step === undefined) throw new Error(`${command} at ${move.step}`);
    const outcome =
      step !== "ended"
        ? null
        : move.failure === null
          ? ("moved" as const)
          : ("turned_back" as const);
    move = { ...move, step, failure, outcome, stepAt: clock.now(), heardAt: clock.now() };
    seen.isAsWanted = false;
  }

  function hear(): void {
    for (const role of ["source", "destination"] as const) {
      const { reports } = hosts[role].plane;
      for (; read[role] < reports.length; read[role]++) {
        const report = reports[read[role]];
        for (const each of report?.moves ?? [])
          if (each.moveId === move?.id && each.step === move.step) turn(wordOf(role, each));
        for (const each of report?.vms ?? []) {
          const isNow = each.generation === generation;
          if (
            isNow &&
            move &&
            role === "destination" &&
            each.settled &&
            each.ownerEpoch === move.epoch
          )
            seen.isAsWanted = each.observed !== null;
          const isGone = isNow && each.settled && each.observed === null;
          turn(isGone ? { role, done: "gone" } : null);
        }
      }
    }
  }

  return {
    clock,
    line,
    source,
    destination,
    vm,
    move: () => move,
    step: () => move?.step ?? null,
    /** The VM is made on the source, and its move begins. */
    async begin(wanted: DesiredVm["power"] = "running") {
      power = "running";
      publish();
      await source.agent.pass();
      power = wanted;
      const now = clock.now();
      move = {
        id: randomUUID(),
        vmId: vm.vmId,
        actionId: randomUUID(),
        sourceHostId: source.plane.hostId,
        destinationHostId: destination.plane.hostId,
        method: "cold",
        step: "prepare",
        outcome: null,
        sourceEpoch: 3,
        epoch: 7,
        generation: null,
        disk: null,
        isDestinationReady: false,
        sentSha256: null,
        receivedSha256: null,
        copiedBytes: 0n,
        failure: null,
        createdAt: now,
        stepAt: now,
        heardAt: now,
        stoppedAt: null,
        releasedAt: null,
        takenOverAt: null,
        pauseMs: null,
        endedAt: null,
      };
      generation += 1;
      publish();
    },
    turnBack(failure: NonNullable<Move["failure"]> = { code: "stopped", detail: "by staff" }) {
      go("turn_back", failure);
      generation += 1;
      publish();
    },
    /** Both agents go on, and what they say is heard, until it is so. */
    async until(
      what: string,
      isSo: () => boolean | Promise<boolean>,
      each?: () => Promise<void> | void,
    ) {
      for (let rounds = 0; rounds < 400; rounds++) {
        if (await isSo()) return;
        for (const { agent } of [source, destination]) void agent.pass({ full: false });
        await clock.advance(500);
        hear();
        await each?.();
      }
      throw new Error(`never: ${what}, at ${move?.step} ${JSON.stringify(move?.failure)}`);
    },
    /** What each host has of the VM's disk. */
    async disks() {
      const of = async (host: MoveHost) => (await host.world.vm(vm.vmId))?.disk ?? null;
      return { source: await of(source), destination: await of(destination) };
    },
  };
}
export type MoveStory = ReturnType<typeof createMoveStory>;
