import type { HostFacts } from "#core/contracts/agent/report.ts";
import type { MigrationAddress } from "#core/contracts/agent/moves.ts";
import type { Clock } from "#core/ports.ts";
import { DriverError, type VmDriver } from "#host-agent/drivers/driver.ts";
import type { MoveCalls } from "#host-agent/drivers/move-calls.ts";
import type { Observer } from "#host-agent/converge/observer.ts";
import { within } from "#host-agent/time-limit.ts";
import { beReady } from "./be-ready.ts";
import type { MoveChannel } from "./move-channel.ts";
import { fileOf, type MoveFolder, type MovingVm } from "./move-files.ts";
import type { MoveNotes } from "./move-notes.ts";
import type { Doing, Done } from "./move-worker.ts";
import { sendCopy } from "./send-copy.ts";
import { takeCopy, type Takers } from "./take-copy.ts";

/** Runs the work when its turn comes, and throws the signal's reason when that is aborted before. */
export type Turn = <T>(work: () => Promise<T>, signal: AbortSignal) => Promise<T>;

export type MoveStepPorts = Readonly<{
  driver: Pick<VmDriver, "moves" | "imageFolder">;
  channel: MoveChannel;
  folder: MoveFolder;
  notes: MoveNotes;
  observer: Pick<Observer, "look">;
  /** As they were last read; null before that. */
  facts: () => HostFacts | null;
  /** Where others reach this host now; null: nowhere. */
  address: () => Promise<MigrationAddress | null>;
  /** Bytes that other disks on their way to this host will take yet. */
  promised: (except: MovingVm) => number;
  takers: Takers;
  /** Those who send and those who take wait apart: else two hosts, each full of what it sends, would wait for each other. */
  sending: Turn;
  taking: Turn;
  mbitPerSecond: number | null;
  stepLimitMs: number;
  clock: Clock;
}>;

/** The least that a host is taken to read and write of a disk, whatever else it does. */
const LEAST_BYTES_PER_SECOND = 5 * 1024 ** 2;

/** Does what the move asks of this host now. null: nothing. Throws `DriverError`, `MoveStreamError`, or the signal's reason. */
export async function doMoveStep(ports: MoveStepPorts, doing: Doing): Promise<Done | null> {
  const { step, role, method } = doing.vm.move;
  const isSource = role === "source";
  switch (step) {
    case "prepare":
      return isSource ? describe(ports, doing) : beReady(ports, doing);
    case "copy":
      if (method === "live")
        throw new DriverError("unsupported", "this agent moves no VM that runs");
      return isSource ? sendCopy(ports, doing) : takeCopy(ports, doing);
    case "release":
      return isSource ? release(ports, doing) : null;
    case "hold":
      return isSource ? hold(ports, doing) : null;
    default:
      // The VM's presence and power say the rest.
      return null;
  }
}

async function describe(ports: MoveStepPorts, { vm, signal }: Doing): Promise<Done> {
  const moves = movesOf(ports);
  const disk = await briefly(ports, "describe", signal, (inner) => moves.describe(vm, inner));
  return {
    done: "ready",
    disk: {
      format: vm.move.format,
      virtualBytes: String(disk.virtualBytes),
      exportBytes: String(disk.exportBytes),
      base: disk.base,
    },
  };
}

async function release(ports: MoveStepPorts, { vm, signal, workerEnded }: Doing): Promise<Done> {
  const moves = movesOf(ports);
  await workerEnded();
  await briefly(ports, "release", signal, (inner) => moves.release(vm, inner));
  return { done: "released" };
}

/** Whatever was under way for the move has ended before this begins. */
async function hold(ports: MoveStepPorts, { vm, signal, workerEnded }: Doing): Promise<Done> {
  const { moves } = ports.driver;
  await workerEnded();
  // Without these calls nothing was ever given away.
  if (moves === null) return { done: "held" };
  await ports.folder.remove(fileOf(moves.folder, vm));
  try {
    await briefly(ports, "hold", signal, (inner) => moves.hold(vm, inner));
  } catch (error) {
    if (!(error instanceof DriverError) || error.code !== "vm_missing") throw error;
  }
  return { done: "held" };
}

/** Throws `unsupported` for a driver without them. */
export function movesOf({ driver }: Pick<MoveStepPorts, "driver">): MoveCalls {
  if (driver.moves === null)
    throw new DriverError("unsupported", "this host's driver moves no VMs between hosts");
  return driver.moves;
}

const briefly = <T>(
  ports: MoveStepPorts,
  what: string,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> => limited(ports, { what, bytes: 0n, signal }, work);

/** What reads or writes a disk may take as long as its bytes do. */
export function limited<T>(
  { clock, stepLimitMs }: Pick<MoveStepPorts, "clock" | "stepLimitMs">,
  { what, bytes, signal }: Readonly<{ what: string; bytes: bigint; signal: AbortSignal }>,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const ms = stepLimitMs + (Number(bytes) / LEAST_BYTES_PER_SECOND) * 1000;
  const late = () =>
    new DriverError("timed_out", `${what} took longer than ${Math.round(ms / 1000)} s`);
  return within({ clock, ms, late, parent: signal }, work);
}
