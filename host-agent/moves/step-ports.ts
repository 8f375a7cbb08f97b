import type { HostFacts } from "#core/contracts/agent/report.ts";
import type { MigrationAddress } from "#core/contracts/agent/moves.ts";
import type { Clock } from "#core/ports.ts";
import type { Observer } from "#host-agent/converge/observer.ts";
import { DriverError, type VmDriver } from "#host-agent/drivers/driver.ts";
import type { LiveCalls, MoveCalls } from "#host-agent/drivers/move-calls.ts";
import { within } from "#host-agent/time-limit.ts";
import type { IncomingDisk, LiveDoor, MoveChannel } from "./move-channel.ts";
import type { MoveFolder, MovingVm } from "./move-files.ts";
import type { MoveNotes } from "./move-notes.ts";
import type { Done } from "./move-worker.ts";
import type { MovedFile } from "./send-disk.ts";

/** By moves, who takes what comes for them. */
export type Takers = Map<string, (disk: IncomingDisk) => Promise<void>>;

/** Runs the work when its turn comes, and throws the signal's reason when that is aborted before. */
export type Turn = <T>(work: () => Promise<T>, signal: AbortSignal) => Promise<T>;

export type MoveStepPorts = Readonly<{
  driver: Pick<VmDriver, "moves" | "imageFolder" | "start" | "stop">;
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
  /** By moves, who answers the source of a live one. */
  doors: Map<string, LiveDoor>;
  /** Those who send and those who take wait apart: else two hosts, each full of what it sends, would wait for each other. */
  sending: Turn;
  taking: Turn;
  mbitPerSecond: number | null;
  stepLimitMs: number;
  clock: Clock;
}>;

/** The least that a host is taken to read and write of a disk, whatever else it does. */
const LEAST_BYTES_PER_SECOND = 5 * 1024 ** 2;

export const copied = ({ bytes, sha256 }: MovedFile): Done => ({
  done: "copied",
  sha256,
  bytes: String(bytes),
});

/** Throws `unsupported` for a driver without them. */
export function movesOf({ driver }: Pick<MoveStepPorts, "driver">): MoveCalls {
  if (driver.moves === null)
    throw new DriverError("unsupported", "this host's driver moves no VMs between hosts");
  return driver.moves;
}

/** Throws `unsupported` for a driver without them. */
export function liveOf(ports: Pick<MoveStepPorts, "driver">): LiveCalls {
  const { live } = movesOf(ports);
  if (!live) throw new DriverError("unsupported", "this host's driver moves no VM that runs");
  return live;
}

/**
 * What a disk that comes takes of the destination's free space at most: its file, and what a driver that cannot take that as it is makes of
 * it. The source's bound holds whatever its guest writes before it is off, so that it is the disk's size, however little of that is used.
 */
export function bytesToTake(
  { ownFormat }: Pick<MoveCalls, "ownFormat">,
  { move: { disk, format } }: Pick<MovingVm, "move">,
): number {
  const bytes = Number(disk?.exportBytes ?? 0);
  return format === ownFormat ? bytes : 2 * bytes;
}

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

/** A call that moves no bytes. */
export const briefly = <T>(
  ports: Pick<MoveStepPorts, "clock" | "stepLimitMs">,
  what: string,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> => limited(ports, { what, bytes: 0n, signal }, work);

/** Resolves never: throws the signal's reason when that is aborted. */
export function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const abort = () => reject(reasonOf(signal));
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
  });
}

export const reasonOf = ({ reason }: AbortSignal): Error =>
  reason instanceof Error ? reason : new Error("aborted", { cause: reason });
