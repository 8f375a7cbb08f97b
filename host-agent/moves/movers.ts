import { MoveReport, type MigrationAddress } from "#core/contracts/agent/moves.ts";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import type { HostFacts } from "#core/contracts/agent/report.ts";
import type { Clock, Log } from "#core/ports.ts";
import type { Reporter } from "#host-agent/channel/reporter.ts";
import type { Look, Observer } from "#host-agent/converge/observer.ts";
import type { ReadDocument } from "#host-agent/converge/read-document.ts";
import type { VmDriver } from "#host-agent/drivers/driver.ts";
import type { AgentMetrics } from "#host-agent/metrics.ts";
import type { StateStore } from "#host-agent/state/state-store.ts";
import { createSlots } from "#host-agent/time-limit.ts";
import { doMoveStep } from "./do-step.ts";
import type { MoveChannel } from "./move-channel.ts";
import type { MoveFolder, MovingVm } from "./move-files.ts";
import { createMoveNotes } from "./move-notes.ts";
import { createMoveWorker, type MoveWorker, type VmsWorker } from "./move-worker.ts";
import type { LiveDoor } from "./move-channel.ts";
import { bytesToTake, type Takers } from "./step-ports.ts";
import { createTidier } from "./tidy-moves.ts";

/** This host's parts of all moves, each alone: one that is slow or broken delays no other, and no pass. */
export interface Movers {
  /** What is wanted of the VM now, a move of it or none. */
  give(vm: DesiredVm, again: boolean, worker: VmsWorker): void;
  release(vmId: string): void;
  releaseUnnamed(named: ReadonlySet<string>): void;
  /** Whether the VM's worker may go by this look. null: it may; else when there is something to look for. */
  untilFree(vmId: string, look: Look): Promise<void> | null;
  /** Removes what moves have left that the document does not name. Not waited for. */
  tidy(document: ReadDocument): void;
  /** The host's facts, with what its agent adds to them. */
  withMoves(facts: HostFacts): Promise<HostFacts>;
  /** Resolves when no part has anything to do. */
  idle(): Promise<void>;
}

export type MovePorts = Readonly<{
  channel: MoveChannel;
  folder: MoveFolder;
  /** Of all that this host sends for one VM; null: as the control plane says alone. */
  mbitPerSecond: number | null;
  /** Disks that are sent at once, and disks that are taken at once. */
  atOnce: number;
}>;

export const DEFAULT_MOVING = { mbitPerSecond: null, atOnce: 2 } as const;

export function createMovers(
  ports: MovePorts &
    Readonly<{
      driver: VmDriver;
      observer: Observer;
      reporter: Pick<Reporter, "move" | "forgetMove">;
      store: StateStore;
      clock: Clock;
      log: Log;
      metrics: AgentMetrics;
      stepLimitMs: number;
      signal: AbortSignal;
    }>,
): Movers {
  const { driver, channel, folder, reporter, log, signal } = ports;
  const workers = new Map<string, MoveWorker>();
  const takers: Takers = new Map();
  const doors = new Map<string, LiveDoor>();
  const notes = createMoveNotes(ports.store);
  const tidier = createTidier({ driver, folder, notes, workers, log, signal });
  let facts: HostFacts | null = null;
  let listening: Promise<MigrationAddress> | null = null;

  /** Tried again each time it could not: an address may come up later. */
  async function address(): Promise<MigrationAddress | null> {
    const { listen } = channel;
    if (listen === null || driver.moves === null) return null;
    const takerOf = (moveId: string) => takers.get(moveId) ?? null;
    const liveOf = (moveId: string) => doors.get(moveId) ?? null;
    listening ??= listen({ keyOf, takerOf, liveOf }, signal);
    try {
      return await listening;
    } catch (error) {
      listening = null;
      if (!signal.aborted) log.error("moves_not_listening", { error: String(error) });
      return null;
    }
  }

  const parts = (): readonly MovingVm[] =>
    [...workers.values()].flatMap((worker) => worker.part() ?? []);

  function keyOf(moveId: string): Uint8Array | null {
    const found = parts().find(({ move }) => move.id === moveId);
    if (found?.move.role !== "destination") return null;
    const { step, method } = found.move;
    // A live move that is turned back may have been done all the same, which its source then asks about.
    const isTaken = step === "copy" || (step === "hold" && method === "live");
    return isTaken ? Buffer.from(found.move.key, "base64url") : null;
  }

  /** Of those alone that come before it, so that two that have room one after the other do not refuse each other. */
  function promised(except: MovingVm): number {
    const { moves } = driver;
    if (moves === null) return 0;
    return parts()
      .filter(({ vmId, move }) => vmId !== except.vmId && move.role === "destination")
      .filter(({ move }) => move.step === "copy")
      .reduce((sum, vm) => sum + bytesToTake(moves, vm), 0);
  }

  const stepPorts = {
    ...ports,
    notes,
    takers,
    doors,
    facts: () => facts,
    address,
    promised,
    sending: createSlots(() => ports.atOnce),
    taking: createSlots(() => ports.atOnce),
  };
  const workerFor = (vmId: string): MoveWorker => {
    const worker =
      workers.get(vmId) ??
      createMoveWorker({
        ...ports,
        report: (word, again) => reporter.move(MoveReport.parse(word), again),
        doStep: (doing) => doMoveStep(stepPorts, doing),
        ended: () => {
          const it = workers.get(vmId);
          if (it?.part() === null && !it.isWorking()) workers.delete(vmId);
          tidier.again();
        },
      });
    workers.set(vmId, worker);
    return worker;
  };

  function release(vmId: string): void {
    const worker = workers.get(vmId);
    if (worker === undefined) return;
    worker.release();
    reporter.forgetMove(vmId);
    if (!worker.isWorking()) workers.delete(vmId);
  }

  return {
    give(vm, again, vmsWorker) {
      const { move } = vm;
      if (move === undefined) release(vm.vmId);
      else workerFor(vm.vmId).give({ ...vm, move }, again, vmsWorker);
    },
    release,
    releaseUnnamed(named) {
      for (const vmId of workers.keys()) if (!named.has(vmId)) release(vmId);
    },
    untilFree: (vmId, look) => workers.get(vmId)?.untilFree(look) ?? null,
    tidy: (document) => tidier.by(document),
    async withMoves(found) {
      const { moves } = driver;
      const at = await address();
      const { capabilities } = found;
      facts = {
        ...found,
        capabilities: {
          ...capabilities,
          moveCold: moves !== null && capabilities.moveCold === true,
          moveLive: Boolean(moves?.live && channel.live) && capabilities.moveLive === true,
        },
        ...(at && { migrationAddress: at }),
      };
      return facts;
    },
    async idle() {
      await Promise.all([...workers.values()].map((worker) => worker.idle()));
      await tidier.idle();
    },
  };
}
