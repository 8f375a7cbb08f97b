import type { HostFacts } from "#core/contracts/agent/report.ts";
import type { MigrationAddress } from "#core/contracts/agent/moves.ts";
import type { Clock } from "#core/ports.ts";
import type { Observer } from "#host-agent/converge/observer.ts";
import { DriverError, type VmDriver } from "#host-agent/drivers/driver.ts";
import type { MoveCalls } from "#host-agent/drivers/move-calls.ts";
import { within } from "#host-agent/time-limit.ts";
import type { IncomingDisk, MoveChannel } from "./move-channel.ts";
import type { MoveFolder, MovingVm } from "./move-files.ts";
import type { MoveNotes } from "./move-notes.ts";
import type { Done } from "./move-worker.ts";
import type { MovedFile } from "./send-disk.ts";

/** By moves, who takes what comes for them. */
export type Takers = Map<string, (disk: IncomingDisk) => Promise<void>>;

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
